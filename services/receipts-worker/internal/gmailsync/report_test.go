package gmailsync

import (
	"testing"
	"time"

	"github.com/prosaas/receipts/proto"
)

// The end is estimated as soon as a window was listed, from what is left and the
// quota: 95 units a second, 20 a message, 20 for the four searches of a window.
func TestETA(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	paused := now.Add(time.Minute)
	for _, row := range []struct {
		name string
		p    proto.Progress
		q    Quota
		want time.Duration // 0 is unknown
	}{
		{"nothing left", proto.Progress{WindowsDone: 3, WindowsTotal: 3, Listed: 5}, Quota2026, 0},
		{"all is listed", proto.Progress{WindowsDone: 3, WindowsTotal: 3, Listed: 100, Pending: 95}, Quota2026, 20 * time.Second},
		{"no windows", proto.Progress{Listed: 95, Pending: 95}, Quota2026, 20 * time.Second},
		{"no window listed yet", proto.Progress{WindowsTotal: 3, Listed: 10, Pending: 10}, Quota2026, 0},
		{"two of three to list", proto.Progress{WindowsDone: 1, WindowsTotal: 3, Listed: 94, Pending: 0}, Quota2026, 40 * time.Second},
		{"two of three to list, some to read", proto.Progress{WindowsDone: 1, WindowsTotal: 3, Listed: 94, Pending: 19}, Quota2026, 44 * time.Second},
		{"Gmail is left alone", proto.Progress{Listed: 95, Pending: 95, WaitingUntil: &paused}, Quota2026, 80 * time.Second},
		{"no limit", proto.Progress{Listed: 95, Pending: 95}, QuotaOff, 0},
	} {
		quota, err := row.q.tariff()
		if err != nil {
			t.Fatal(err)
		}
		got := eta(row.p, quota, now)
		if (got == nil) != (row.want == 0) || (got != nil && got.Sub(now) != row.want) {
			t.Errorf("%s: %v, want %s from now", row.name, got, row.want)
		}
	}
}
