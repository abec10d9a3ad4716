package receiptmail

import (
	"bytes"
	"net/mail"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/shopspring/decimal"

	"github.com/prosaas/receipts/pkg/receiptmail/internal/page"
	"github.com/prosaas/receipts/pkg/receiptmail/internal/script"
	"github.com/prosaas/receipts/proto"
)

// expectation is one row of testdata/expected.tsv.
type expectation struct {
	file, kind, total, currency, tax, date, number, vendor, review string
}

func readExpected(tb testing.TB) []expectation {
	tb.Helper()
	data, err := os.ReadFile("testdata/expected.tsv")
	if err != nil {
		tb.Fatal(err)
	}
	var rows []expectation
	for i, text := range strings.Split(strings.TrimRight(string(data), "\n"), "\n") {
		v := strings.Split(text, "\t")
		if len(v) != 10 {
			tb.Fatalf("expected.tsv line %d has %d columns, want 10", i+1, len(v))
		}
		if i > 0 {
			rows = append(rows, expectation{file: v[0], kind: v[1], total: v[2], currency: v[3], tax: v[4], date: v[5], number: v[6], vendor: v[7], review: v[9]})
		}
	}
	return rows
}

func readCorpus(tb testing.TB, name string) []byte {
	tb.Helper()
	raw, err := os.ReadFile(filepath.Join("testdata", filepath.FromSlash(name)))
	if err != nil {
		tb.Fatal(err)
	}
	return raw
}

// TestCorpus holds every field of every mail of our own corpus, and that the same
// bytes give the same answer. Its floor is all of them.
func TestCorpus(t *testing.T) {
	t.Parallel()
	rows := readExpected(t)
	files, err := filepath.Glob("testdata/mail/*.eml")
	if err != nil || len(files) != len(rows) {
		t.Fatalf("%d mails (%v), %d expectations", len(files), err, len(rows))
	}
	for _, want := range rows {
		t.Run(want.file, func(t *testing.T) {
			t.Parallel()
			raw := readCorpus(t, want.file)
			result, err := reader.Read(t.Context(), raw, dateOf(t, raw))
			if err != nil {
				t.Fatal(err)
			}
			if want.kind == "not_receipt" {
				if len(result.Receipts) != 0 || result.Decision.Receipt {
					t.Fatalf("read %d receipts, want none; decision %+v", len(result.Receipts), result.Decision)
				}
				return
			}
			if len(result.Receipts) == 0 {
				t.Fatalf("no receipt; decision %+v", result.Decision)
			}
			checkReceipts(t, want, result.Receipts)
			again, err := reader.Read(t.Context(), raw, dateOf(t, raw))
			if diff := cmp.Diff(result, again); err != nil || diff != "" {
				t.Errorf("read twice: %v %s", err, diff)
			}
		})
	}
}

func dateOf(t *testing.T, raw []byte) time.Time {
	t.Helper()
	m, err := mail.ReadMessage(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	received, err := m.Header.Date()
	if err != nil {
		t.Fatal(err)
	}
	return received
}

func checkReceipts(t *testing.T, want expectation, got []Receipt) {
	t.Helper()
	var totals []string
	ordinals := map[string]int{}
	for i, r := range got {
		if r.Ordinal != ordinals[r.Origin] {
			t.Errorf("receipt %d is number %d of its origin, want %d", i, r.Ordinal, ordinals[r.Origin])
		}
		ordinals[r.Origin]++
		totals = append(totals, told(r.Total))
		checkField(t, "currency", want.currency, told(r.Currency), true)
		checkField(t, "vendor", want.vendor, r.Vendor.Name, true)
		checkField(t, "tax", want.tax, told(r.Tax), want.tax != "")
		checkField(t, "date", want.date, told(r.IssuedOn), want.date != "")
		if want.number != "" && told(r.Number) != want.number && told(r.OrderID) != want.number {
			t.Errorf("number %q, order id %q, want %q", told(r.Number), told(r.OrderID), want.number)
		}
		reasons := []string{}
		if want.review != "" {
			reasons = strings.Split(want.review, ",")
		}
		slices.Sort(reasons)
		review := slices.Sorted(slices.Values(r.ReviewReasons))
		if !slices.Equal(review, reasons) || r.NeedsReview != (len(reasons) > 0) {
			t.Errorf("review %v %v, want %v", r.NeedsReview, review, reasons)
		}
		checkProvenance(t, r.ReceiptDetail)
	}
	if want.total == "" {
		want.total = "<nil>"
	}
	checkTotals(t, strings.Split(want.total, ";"), totals)
}

func checkTotals(t *testing.T, want, got []string) {
	t.Helper()
	same := func(a, b string) bool {
		x, errX := decimal.NewFromString(a)
		y, errY := decimal.NewFromString(b)
		return a == b || errX == nil && errY == nil && x.Equal(y)
	}
	if !slices.EqualFunc(want, got, same) {
		t.Errorf("totals %q, want %q", got, want)
	}
}

func checkField(t *testing.T, name, want, got string, check bool) {
	t.Helper()
	if want == "" {
		want = "<nil>"
	}
	if check && got != want {
		t.Errorf("%s %q, want %q", name, got, want)
	}
}

// checkProvenance: whatever was told says where it was read, and nothing else does.
func checkProvenance(t *testing.T, r proto.ReceiptDetail) {
	t.Helper()
	values := map[field]*string{
		fieldTotal: r.Total, fieldCurrency: r.Currency, fieldTax: r.Tax, fieldSubtotal: r.Subtotal,
		fieldNumber: r.Number, fieldOrderID: r.OrderID, fieldIssuedOn: r.IssuedOn,
	}
	for name, value := range values {
		f, ok := r.Fields[string(name)]
		if ok != (value != nil) {
			t.Errorf("%s is %s, its provenance %+v", name, told(value), f)
		}
		if ok && (f.Source == "" || f.Confidence <= 0 || f.Confidence > 1 || len([]rune(f.Text)) > maxFieldText) {
			t.Errorf("provenance of %s: %+v", name, f)
		}
	}
}

func told(s *string) string {
	if s == nil {
		return "<nil>"
	}
	return *s
}

// TestCorpusIsBalanced: half of it is no receipt, and half of it Hebrew, or what
// it measures is something else.
func TestCorpusIsBalanced(t *testing.T) {
	t.Parallel()
	rows := readExpected(t)
	none, hebrew := 0, 0
	for _, row := range rows {
		if row.kind == "not_receipt" {
			none++
		}
		m, err := parseMessage(readCorpus(t, row.file), time.Time{})
		if err != nil {
			t.Fatal(err)
		}
		if script.HasHebrew(m.subject) || slices.ContainsFunc(m.main().lines, func(l page.Line) bool { return script.HasHebrew(l.Text()) }) {
			hebrew++
		}
	}
	if len(rows) < 150 || 100*none < 45*len(rows) || 100*none > 55*len(rows) || 100*hebrew < 45*len(rows) {
		t.Errorf("%d mails, %d no receipts, %d Hebrew", len(rows), none, hebrew)
	}
}
