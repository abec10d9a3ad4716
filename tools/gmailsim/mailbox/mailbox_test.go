package mailbox

import (
	"errors"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestIDsAreSixteenHexDigitsAndKnowTheirMail(t *testing.T) {
	t.Parallel()
	a := New("a@example.com", shelf{texts: make([]Text, 1000)}, Options{})
	b := New("b@example.com", shelf{texts: make([]Text, 1000)}, Options{})
	shape := regexp.MustCompile(`^[0-9a-f]{16}$`)
	for i := range 1000 {
		id := a.id(i)
		if !shape.MatchString(id) {
			t.Fatalf("id of %d = %q", i, id)
		}
		if at, ok := a.index(id); !ok || at != i {
			t.Fatalf("index of %q = %d, %v, want %d", id, at, ok, i)
		}
		if _, ok := b.index(id); ok {
			t.Fatalf("id %q of one mailbox opens another", id)
		}
	}
}

func TestHistory(t *testing.T) {
	t.Parallel()
	m := New("a@example.com", shelf{texts: make([]Text, 2)}, Options{})
	_, start := m.Profile()
	old := m.id(0)
	added := m.Add([]byte("Subject: hello\r\n\r\nthere\r\n"), AddOptions{})
	if err := m.Relabel(added, []string{"TRASH", "INBOX"}, []string{"UNREAD", "NONE"}); err != nil {
		t.Fatal(err)
	}
	if err := m.Delete(old); err != nil {
		t.Fatal(err)
	}

	type row struct {
		Change  Change
		ID      string
		Labels  []string
		Changed []string
	}
	all := []row{
		{MessageAdded, added, []string{"INBOX", "UNREAD"}, []string{"INBOX", "UNREAD"}},
		{LabelAdded, added, []string{"INBOX", "UNREAD", "TRASH"}, []string{"TRASH"}},
		{LabelRemoved, added, []string{"INBOX", "TRASH"}, []string{"UNREAD"}},
		{MessageDeleted, old, nil, nil},
	}
	tests := []struct {
		name string
		q    HistoryQuery
		want []row
	}{
		{"all", HistoryQuery{Start: start}, all},
		{"types", HistoryQuery{Start: start, Types: []Change{MessageAdded, MessageDeleted}}, []row{all[0], all[3]}},
		{"label", HistoryQuery{Start: start, Label: "UNREAD"}, all[:3]},
	}
	for _, tt := range tests {
		for _, limit := range []int{500, 1} {
			var got []row
			last := start
			for skip, pages := 0, 0; ; pages++ {
				page, next, head, err := m.History(tt.q, skip, limit)
				if err != nil {
					t.Fatalf("%s: %v", tt.name, err)
				}
				for _, r := range page {
					if r.ID <= last || r.ID > head {
						t.Errorf("%s: record %d after %d, head %d", tt.name, r.ID, last, head)
					}
					last = r.ID
					got = append(got, row{r.Change, r.MessageID, r.Labels, r.Changed})
				}
				if next == 0 {
					break
				}
				skip = next
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("%s, %d a page (-want +got):\n%s", tt.name, limit, diff)
			}
		}
	}
}

func TestHistoryExpires(t *testing.T) {
	t.Parallel()
	m := New("a@example.com", shelf{texts: make([]Text, 3)}, Options{})
	newest, err := m.Get(m.id(2))
	if err != nil {
		t.Fatal(err)
	}
	_, before := m.Profile()
	m.ExpireHistory()
	_, after := m.Profile()
	tests := []struct {
		name  string
		start uint64
		want  error
	}{
		{"the newest message's, in a quiet mailbox", newest.HistoryID, ErrHistoryExpired},
		{"taken before it expired", before, ErrHistoryExpired},
		{"taken after", after, nil},
		{"of the future", after + 1, ErrHistoryExpired},
	}
	for _, tt := range tests {
		if _, _, _, err := m.History(HistoryQuery{Start: tt.start}, 0, 100); !errors.Is(err, tt.want) {
			t.Errorf("history from an id %s: %v, want %v", tt.name, err, tt.want)
		}
	}
}

func TestDeletedAndUnknownAreNotFound(t *testing.T) {
	t.Parallel()
	m := New("a@example.com", shelf{texts: make([]Text, 2)}, Options{})
	id := m.id(0)
	if err := m.Delete(id); err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{id, "18000000000000ff", "x", ""} {
		_, getErr := m.Get(id)
		for what, err := range map[string]error{"get": getErr, "delete": m.Delete(id), "relabel": m.Relabel(id, []string{"TRASH"}, nil)} {
			if !errors.Is(err, ErrNotFound) {
				t.Errorf("%s %q: %v, want %v", what, id, err, ErrNotFound)
			}
		}
	}
	if n, _ := m.Profile(); n != 1 {
		t.Errorf("messages = %d, want 1", n)
	}
	if got := listed(t, m, "", ListOptions{}); !slices.Equal(got, []int{1}) {
		t.Errorf("list = %v, want [1]", got)
	}
}

func TestAddedMailLagsBehindItsAnnouncement(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)
	m := New("a@example.com", shelf{}, Options{
		Now: func() time.Time { return now }, GetLag: 3 * time.Second, SearchLag: time.Minute,
	})
	_, start := m.Profile()
	id := m.Add([]byte("Subject: new\r\n\r\n"), AddOptions{})
	for _, tt := range []struct {
		after       time.Duration
		found, seen bool
	}{{0, false, false}, {3 * time.Second, true, false}, {time.Minute, true, true}} {
		now = time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC).Add(tt.after)
		records, _, _, err := m.History(HistoryQuery{Start: start}, 0, 10)
		if err != nil || len(records) != 1 {
			t.Errorf("after %v: history = %v, %v, want one record", tt.after, records, err)
		}
		if _, err := m.Get(id); (err == nil) != tt.found {
			t.Errorf("after %v: get = %v, want found %v", tt.after, err, tt.found)
		}
		if got := listed(t, m, "", ListOptions{}); (len(got) == 1) != tt.seen {
			t.Errorf("after %v: list = %v, want seen %v", tt.after, got, tt.seen)
		}
	}
}

// A page token's position stays right while mail comes in: nothing twice,
// nothing old left out.
func TestPagesWhileMailComesIn(t *testing.T) {
	t.Parallel()
	m := New("a@example.com", shelf{texts: make([]Text, 50)}, Options{})
	seen := map[string]int{}
	opts := ListOptions{Limit: 7}
	for {
		page, err := m.List(ParseQuery(""), opts)
		if err != nil {
			t.Fatal(err)
		}
		for _, id := range page.IDs {
			seen[id]++
		}
		if page.Next == 0 {
			break
		}
		opts.Position = page.Next
		m.Add([]byte("Subject: meanwhile\r\n\r\n"), AddOptions{})
	}
	for i := range 50 {
		if seen[m.id(i)] != 1 {
			t.Errorf("message %d was listed %d times", i, seen[m.id(i)])
		}
	}
	if len(seen) != 50 {
		t.Errorf("%d messages listed, want the 50 from before", len(seen))
	}
}

// Gmail's lists are not strictly newest first.
func TestListIsNotStrictlyOrdered(t *testing.T) {
	t.Parallel()
	m := New("a@example.com", shelf{texts: make([]Text, 100)}, Options{})
	page, err := m.List(ParseQuery(""), ListOptions{Limit: 100})
	if err != nil {
		t.Fatal(err)
	}
	if len(page.IDs) != 100 || slices.IsSortedFunc(page.IDs, func(a, b string) int { return strings.Compare(b, a) }) {
		t.Errorf("%d messages in strict order", len(page.IDs))
	}
}
