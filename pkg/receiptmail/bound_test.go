package receiptmail

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/prosaas/receipts/pkg/receiptmail/internal/money"
	"github.com/prosaas/receipts/pkg/receiptmail/internal/page"
)

// adversarial is what, repeated without end, makes every number, date or label
// of a line a candidate.
var adversarial = []string{
	"1,", "1 000,", "1 111 ", "INV-1 ", "a1 ", "2026-01-01 ", "01/01/2026 ", "May 1 ", "1 May ", "USD 1.00 ", "שח 1 ",
	"order no A12345 ", "total 1.00 ", "total 1.00\n", "invoice no\n", "<td>1.00", "<tr><td>a<td>1.00", "<sup>95</sup>", "1", "ש",
}

// repeated is a mail with one line, or one row, of about size bytes.
func repeated(unit, kind string, size int) []byte {
	body := strings.Repeat(unit, size/len(unit))
	if kind == "text/html" {
		body = "<html><table>" + body
	}
	return []byte("From: a@example.com\r\nSubject: invoice\r\nContent-Type: " + kind + "; charset=utf-8\r\n\r\n" + body)
}

// work is what the rest of the reading has before it.
type work struct{ lines, bytes, numbers int }

func workOf(t *testing.T, raw []byte) work {
	t.Helper()
	m, err := parseMessage(raw, time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	var w work
	for _, doc := range m.docs {
		for _, l := range doc.lines {
			w.lines++
			if len(l.Cells) > page.MaxCells {
				t.Errorf("a line of %d cells", len(l.Cells))
			}
			for _, c := range l.Cells {
				w.bytes += len(c)
				if len(c) > page.MaxCell || !utf8.ValidString(c) {
					t.Errorf("a cell of %d bytes, valid %v", len(c), utf8.ValidString(c))
				}
				money.Scan(c, &w.numbers)
			}
		}
	}
	return w
}

// TestWorkIsBounded: from some size on a larger mail is no more work, and below
// it no more than in proportion.
func TestWorkIsBounded(t *testing.T) {
	t.Parallel()
	for _, unit := range adversarial {
		t.Run(unit, func(t *testing.T) {
			t.Parallel()
			kind := "text/plain"
			if strings.HasPrefix(unit, "<") {
				kind = "text/html"
			}
			small, twice := workOf(t, repeated(unit, kind, 10_000)), workOf(t, repeated(unit, kind, 20_000))
			if small.bytes == 0 || twice.lines > 2*small.lines+1 || twice.bytes > 2*small.bytes+page.MaxCell || twice.numbers > 2*small.numbers+money.MaxNumbersPerCell {
				t.Errorf("%+v of 10 kB, %+v of twice that", small, twice)
			}
			large := workOf(t, repeated(unit, kind, 300_000))
			if large.lines > page.MaxLines || large.bytes > page.MaxBytes || large.numbers > money.MaxNumbers {
				t.Errorf("%+v of 300 kB", large)
			}
		})
	}
}

// TestManyTextsAreOneBound: the bound is the mail's, however many parts it has.
func TestManyTextsAreOneBound(t *testing.T) {
	t.Parallel()
	part := "--b\nContent-Type: text/plain\n\n" + strings.Repeat("1.00\n", 2*page.MaxLines/3)
	w := workOf(t, []byte("Subject: x\nContent-Type: multipart/mixed; boundary=b\n\n"+strings.Repeat(part, 5)+"--b--\n"))
	if w.lines != page.MaxLines {
		t.Errorf("%d lines, want the first %d", w.lines, page.MaxLines)
	}
}

// TestLongParagraphIsReadToItsEnd: text that is too long for a cell is broken, not cut.
func TestLongParagraphIsReadToItsEnd(t *testing.T) {
	t.Parallel()
	raw := "From: Maple <a@maple.com>\r\nSubject: Your receipt\r\n\r\n" + strings.Repeat("thank you for your order ", page.MaxCell/10) + ". Total: $12.50"
	result, err := reader.Read(t.Context(), []byte(raw), time.Time{})
	if err != nil || len(result.Receipts) != 1 || told(result.Receipts[0].Total) != "12.50" {
		t.Errorf("%+v, %v", result, err)
	}
}
