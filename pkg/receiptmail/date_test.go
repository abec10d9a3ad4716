package receiptmail

import (
	"testing"
	"time"
)

func TestParseDate(t *testing.T) {
	t.Parallel()
	received := time.Date(2026, 4, 5, 12, 0, 0, 0, time.UTC)
	tests := []struct {
		text  string
		order dateOrder
		want  string // empty: none
	}{
		{"2026-01-20", orderUnknown, "2026-01-20"},
		{"2026/01/20", orderMDY, "2026-01-20"},
		{"20/01/2026", orderUnknown, "2026-01-20"},
		{"01/20/2026", orderUnknown, "2026-01-20"},
		{"03/02/2026", orderDMY, "2026-02-03"},
		{"03/02/2026", orderMDY, "2026-03-02"},
		{"03.02.2026", orderMDY, "2026-02-03"},
		{"9.3.26", orderUnknown, "2026-03-09"},
		{"04/04/2026", orderUnknown, "2026-04-04"},
		{"04/05/2026", orderUnknown, "2026-04-05"}, // the other way round has not come yet
		{"02/03/2026", orderUnknown, ""},           // either way is possible
		{"05/04/2026", orderMDY, "2026-04-05"},     // written the day first, in dollars: it lies at the mail
		{"01/20/2026", orderDMY, "2026-01-20"},     // no day has month 20
		{"January 20, 2026", orderUnknown, "2026-01-20"},
		{"Issued on Jan 20th, 2026 at noon", orderUnknown, "2026-01-20"},
		{"20 January 2026", orderUnknown, "2026-01-20"},
		{"20-Jan-2026", orderUnknown, "2026-01-20"},
		{"20 בינואר 2026", orderDMY, "2026-01-20"},
		{"יום ראשון, 5 באפריל 2026", orderDMY, "2026-04-05"},
		{"20. März 2026", orderUnknown, "2026-03-20"},
		{"20 février 2026", orderUnknown, "2026-02-20"},
		{"20 de enero de 2026", orderUnknown, "2026-01-20"},

		{"31/02/2026", orderDMY, ""},
		{"12", orderDMY, ""},
		{"2026", orderDMY, ""},
		{"1.2.3.4", orderDMY, ""},
		{"114-0833187-7581859", orderDMY, ""},
		{"20 elephants 2026", orderDMY, ""},
	}
	for _, tt := range tests {
		t.Run(tt.text, func(t *testing.T) {
			t.Parallel()
			got := ""
			if d, ok := parseDate(tt.text, func() dateOrder { return tt.order }, received); ok {
				got = d.Format("2006-01-02")
			}
			if got != tt.want {
				t.Errorf("read %q, want %q", got, tt.want)
			}
		})
	}
}

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
		{"unlabelled, of the same days", []string{"March 9, 2026"}, "2026-03-09"},
		{"unlabelled, of another month", []string{"January 9, 2026"}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var lines []line
			for _, c := range tt.cells {
				lines = append(lines, line{cells: []string{c}})
			}
			got := ""
			if d, ok := readDate(&message{received: received}, document{lines: lines}, lines); ok {
				got = d.day.Format("2006-01-02")
			}
			if got != tt.want {
				t.Errorf("read %q, want %q", got, tt.want)
			}
		})
	}
}
