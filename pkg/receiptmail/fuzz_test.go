package receiptmail

import (
	"testing"
	"time"
	"unicode/utf8"

	"github.com/shopspring/decimal"
)

// FuzzRead: whatever the bytes, Read comes back, and what it tells can be stored:
// valid UTF-8 without NUL, decimals as amounts, short provenance.
func FuzzRead(f *testing.F) {
	for i, row := range readExpected(f) {
		if i%8 != 0 {
			continue // a seed is read in every test run
		}
		if raw := readCorpus(f, row.file); len(raw) < 8<<10 {
			f.Add(raw)
		}
	}
	f.Add([]byte("Subject: x\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n--b\r\n"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		result, err := reader.Read(t.Context(), raw, time.Date(2026, 3, 10, 8, 15, 0, 0, time.UTC))
		if err != nil && len(result.Receipts) > 0 {
			t.Errorf("an error and %d receipts", len(result.Receipts))
		}
		for _, r := range result.Receipts {
			for _, s := range []*string{r.Total, r.Tax, r.Subtotal} {
				if s == nil {
					continue
				}
				if _, err := decimal.NewFromString(*s); err != nil {
					t.Errorf("amount %q: %v", *s, err)
				}
			}
			storable(t, r.Vendor.Name)
			for _, s := range []*string{r.Number, r.OrderID, r.Currency, r.IssuedOn} {
				storable(t, told(s))
			}
			for _, field := range r.Fields {
				storable(t, field.Text)
				if utf8.RuneCountInString(field.Text) > maxFieldText {
					t.Errorf("provenance of %d characters", utf8.RuneCountInString(field.Text))
				}
			}
			for _, a := range r.Attachments {
				storable(t, a.Name)
			}
		}
	})
}

func storable(t *testing.T, s string) {
	t.Helper()
	if !utf8.ValidString(s) {
		t.Errorf("%q is not UTF-8", s)
	}
	for _, c := range s {
		if c == 0 {
			t.Errorf("%q holds a NUL", s)
		}
	}
}
