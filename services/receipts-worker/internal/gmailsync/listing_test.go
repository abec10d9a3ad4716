package gmailsync

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/prosaas/receipts/pkg/receiptmail"
	"github.com/prosaas/receipts/proto"
	"github.com/prosaas/receipts/tools/gmailsim/mailbox"
)

// A listing whose page token ends begins anew, and leaves nothing out: in the
// windows of a first sync, in history, and in the list of a gap.
func TestPageTokensExpire(t *testing.T) {
	t.Parallel()
	const many = 1100 // three pages
	rows := []struct {
		name    string
		source  mailbox.Source
		prepare func(w *world)
		method  string
		phase   proto.Phase // which is told while pages come
	}{
		{"windows", alike{many}, func(*world) {}, "messages.list", proto.PhaseListing},
		{"history", alike{1}, func(w *world) {
			w.mustSync(envelope("first", proto.ModeIncremental))
			for range many {
				w.box.Add(receiptMail("Your receipt", "1.00"), mailbox.AddOptions{})
			}
		}, "history.list", proto.PhaseHistory},
		{"gap", alike{1}, func(w *world) {
			w.mustSync(envelope("first", proto.ModeIncremental))
			for range many {
				w.box.Add(receiptMail("Your receipt", "1.00"), mailbox.AddOptions{})
			}
			w.box.ExpireHistory()
		}, "messages.list", proto.PhaseHistory},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			lists := map[bool]int{}
			for _, expire := range []bool{false, true} {
				w := newWorld(t, options{source: row.source})
				w.extract = func(context.Context, []byte, time.Time) (receiptmail.Result, error) { return receiptmail.Result{}, nil }
				row.prepare(w)
				w.sim.ResetLedger()
				lost := false
				w.onCall = func(_ int64, method, _ string) {
					if expire && !lost && method == row.method && len(w.unread()) >= 500 { // a second page is asked for
						w.sim.ExpirePageTokens()
						lost = true
					}
				}
				j, result := w.mustSync(envelope("j1", proto.ModeIncremental))
				if !slices.ContainsFunc(j.told, func(p proto.Progress) bool { return p.Phase == row.phase }) {
					t.Errorf("no progress tells of %s", row.phase)
				}
				ledger := w.sim.Ledger()
				lists[expire] = ledger.Calls[row.method]
				if lost != expire || result.Scanned != many || ledger.Reads.Repeated != 0 {
					t.Errorf("token ended %v: %d read of %d, ledger %+v", lost, result.Scanned, many, ledger)
				}
			}
			if lists[true] <= lists[false] {
				t.Errorf("listed in %d calls, and in %d where a token ended", lists[false], lists[true])
			}
		})
	}
}

// unread are the ids that wait to be read.
func (w *world) unread() []string {
	var out []string
	for _, key := range []string{w.keys.Owed(business), w.keys.Wanted(business, "j1")} {
		message := w.redis("ZRANGE", key, "0", "-1")
		ids, err := message.AsStrSlice()
		if err != nil {
			w.t.Error(err)
		}
		out = append(out, ids...)
	}
	return out
}

// alike is so many mails of the last hour, all found by one search.
type alike struct{ n int }

func (a alike) Len() int                { return a.n }
func (a alike) Date(int) time.Time      { return time.Now().Add(-time.Hour).Truncate(time.Hour) }
func (a alike) Labels(int) []string     { return []string{"INBOX"} }
func (a alike) Raw(int) ([]byte, error) { return receiptMail("Your receipt", "1.00"), nil }
func (a alike) Text(int) (mailbox.Text, error) {
	return mailbox.Text{From: "billing@nahalat.example", Subject: "Your receipt"}, nil
}
