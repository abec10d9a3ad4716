package receiptstore

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/prosaas/receipts/proto"
)

// The frozen bytes of every version are still read. A new version gets a new
// file; these never change.
func TestFrozenRecords(t *testing.T) {
	t.Parallel()
	frozen, err := filepath.Glob("testdata/*.record.json")
	if err != nil || len(frozen) == 0 {
		t.Fatalf("frozen records: %v, %v", frozen, err)
	}
	for _, path := range frozen {
		stored, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		base := path[:len(path)-len(".record.json")]
		overlay, err := os.ReadFile(base + ".edits.json")
		if err != nil {
			t.Fatal(err)
		}
		expected, err := os.ReadFile(base + ".receipt.json")
		if err != nil {
			t.Fatal(err)
		}
		var want proto.ReceiptDetail
		if err := json.Unmarshal(expected, &want); err != nil {
			t.Fatal(err)
		}
		got, err := decode("r1", stored, overlay, true, false)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s:\n%s", path, diff)
		}
	}
}

// What is written is what is read, field by field.
func TestRecordRoundTrip(t *testing.T) {
	t.Parallel()
	frozen, err := os.ReadFile("testdata/v1.record.json")
	if err != nil {
		t.Fatal(err)
	}
	want, err := decode("r1", frozen, nil, false, false)
	if err != nil {
		t.Fatal(err)
	}
	stored, err := encode(want)
	if err != nil {
		t.Fatal(err)
	}
	got, err := decode("r1", stored, nil, false, false)
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v\n%s", err, diff)
	}
}

func TestUnreadableRecords(t *testing.T) {
	t.Parallel()
	for _, row := range []struct{ stored, overlay string }{{`{`, ``}, {`{}`, ``}, {`{"v":2}`, ``}, {`{"v":1}`, `{`}} {
		if r, err := decode("r1", []byte(row.stored), []byte(row.overlay), false, false); err == nil {
			t.Errorf("decode(%s, %s) = %+v, want an error", row.stored, row.overlay, r)
		}
	}
}

func TestIDTellsReceiptsApart(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, message := range []string{"1", "11"} {
		for _, origin := range []string{"body", "1"} {
			for _, ordinal := range []int{0, 1, 11} {
				id := ID(message, origin, ordinal)
				if seen[id] || !proto.ValidID(id) || id != ID(message, origin, ordinal) {
					t.Errorf("ID(%s, %s, %d) = %s: not valid, not stable or not its own", message, origin, ordinal, id)
				}
				seen[id] = true
			}
		}
	}
}

func TestCutKeepsCharactersWhole(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		in   string
		n    int
		want string
	}{{"שקל", 2, "שק"}, {"שקל", 3, "שקל"}, {"", 3, ""}, {"ab", 0, ""}} {
		if got := cut(row.in, row.n); got != row.want {
			t.Errorf("cut(%q, %d) = %q, want %q", row.in, row.n, got, row.want)
		}
	}
}
