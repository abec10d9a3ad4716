package dates

import (
	"testing"
	"time"
)

func TestParseDate(t *testing.T) {
	t.Parallel()
	received := time.Date(2026, 4, 5, 12, 0, 0, 0, time.UTC)
	tests := []struct {
		text  string
		order Order
		want  string // empty: none
	}{
		{"2026-01-20", Unknown, "2026-01-20"},
		{"2026/01/20", MDY, "2026-01-20"},
		{"20/01/2026", Unknown, "2026-01-20"},
		{"01/20/2026", Unknown, "2026-01-20"},
		{"03/02/2026", DMY, "2026-02-03"},
		{"03/02/2026", MDY, "2026-03-02"},
		{"03.02.2026", MDY, "2026-02-03"},
		{"9.3.26", Unknown, "2026-03-09"},
		{"04/04/2026", Unknown, "2026-04-04"},
		{"04/05/2026", Unknown, "2026-04-05"}, // the other way round has not come yet
		{"02/03/2026", Unknown, ""},           // either way is possible
		{"05/04/2026", MDY, "2026-04-05"},     // written the day first, in dollars: it lies at the mail
		{"01/20/2026", DMY, "2026-01-20"},     // no day has month 20
		{"January 20, 2026", Unknown, "2026-01-20"},
		{"Issued on Jan 20th, 2026 at noon", Unknown, "2026-01-20"},
		{"20 January 2026", Unknown, "2026-01-20"},
		{"20-Jan-2026", Unknown, "2026-01-20"},
		{"20 בינואר 2026", DMY, "2026-01-20"},
		{"יום ראשון, 5 באפריל 2026", DMY, "2026-04-05"},
		{"20. März 2026", Unknown, "2026-03-20"},
		{"20 février 2026", Unknown, "2026-02-20"},
		{"20 de enero de 2026", Unknown, "2026-01-20"},
		{"20 maart 2026", Unknown, "2026-03-20"},
		{"20 września 2026", Unknown, "2026-09-20"},
		{"20/Jan/2026", Unknown, "2026-01-20"},
		{"20JAN26", Unknown, "2026-01-20"},
		{"שולם ב-20/01/2026", DMY, "2026-01-20"},

		{"31/02/2026", DMY, ""},
		{"12", DMY, ""},
		{"2026", DMY, ""},
		{"1.2.3.4", DMY, ""},
		{"114-0833187-7581859", DMY, ""},
		{"20 elephants 2026", DMY, ""},
	}
	for _, tt := range tests {
		t.Run(tt.text, func(t *testing.T) {
			t.Parallel()
			got := ""
			if d, ok := Parse(tt.text, func() Order { return tt.order }, received); ok {
				got = d.Format("2006-01-02")
			}
			if got != tt.want {
				t.Errorf("read %q, want %q", got, tt.want)
			}
		})
	}
}
