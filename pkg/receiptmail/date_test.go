package receiptmail

import (
	"testing"
	"time"

	"github.com/prosaas/receipts/pkg/receiptmail/internal/page"
)

func TestReadDateStaysNearTheMail(t *testing.T) {
	t.Parallel()
	received := time.Date(2026, 3, 10, 8, 0, 0, 0, time.UTC)
	tests := []struct {
		name  string
		cells []string
		want  string
	}{
		{"issued beats ordered", []string{"Order date: 2026-03-01", "Invoice date: 2026-03-09"}, "2026-03-09"},
		{"due is not issued", []string{"Due date: 2026-03-09"}, ""},
		{"years before the mail", []string{"Date: 2019-03-09"}, ""},
		{"after the mail", []string{"Date: 2026-06-09"}, ""},
		{"issued, and due in brackets", []string{"Invoice 17 of 2026-03-09 (due 2026-03-10)"}, "2026-03-09"},
		{"due, and issued in the next sentence", []string{"Due 2026-03-10 at noon. Invoice 17 of 2026-03-09"}, "2026-03-09"},
		{"unlabelled, of the same days", []string{"March 9, 2026"}, "2026-03-09"},
		{"unlabelled, of another month", []string{"January 9, 2026"}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var lines []page.Line
			for _, c := range tt.cells {
				lines = append(lines, page.Line{Cells: []string{c}})
			}
			got := ""
			if d, ok := readDate(&message{received: received}, &document{lines: lines}, lines); ok {
				got = d.day.Format("2006-01-02")
			}
			if got != tt.want {
				t.Errorf("read %q, want %q", got, tt.want)
			}
		})
	}
}
