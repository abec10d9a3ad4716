package gmailsync

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/prosaas/receipts/proto"
	"github.com/prosaas/receipts/tools/gmailsim/mailbox"
)

// A sync stopped at any call to Gmail or write to Redis, and gone on with by
// another lease, comes to what an undisturbed one comes to, with the same
// counts; and no message is read twice but those that were in hand.
func TestStopAnywhereAndGoOn(t *testing.T) {
	t.Parallel()
	full := envelope("j1", proto.ModeFull)
	full.Params.MonthsBack = 1
	scenarios := []struct {
		name    string
		prepare func(w *world)
		job     proto.Envelope
	}{
		{"full", func(*world) {}, full},
		{"incremental", func(w *world) {
			w.mustSync(envelope("first", proto.ModeIncremental))
			for i := range 6 {
				w.box.Add(receiptMail("Your receipt", fmt.Sprintf("%d.00", i+1)), mailbox.AddOptions{Date: w.arrival(i)})
			}
		}, envelope("j1", proto.ModeIncremental)},
		{"history expired", func(w *world) {
			w.mustSync(envelope("first", proto.ModeIncremental))
			for i := range 3 {
				w.box.Add(receiptMail("Your receipt", fmt.Sprintf("%d.00", i+1)), mailbox.AddOptions{Date: w.arrival(i)})
			}
			w.box.ExpireHistory()
		}, envelope("j1", proto.ModeIncremental)},
	}
	source := mails(12, 40)
	for _, sc := range scenarios {
		t.Run(sc.name, func(t *testing.T) {
			t.Parallel()
			start := func(t *testing.T) *world {
				t.Helper()
				w := newWorld(t, options{source: source})
				sc.prepare(w)
				w.sim.ResetLedger()
				w.calls.Store(0)
				w.writes.Store(0)
				return w
			}
			undisturbed := start(t)
			_, want := undisturbed.mustSync(sc.job)
			wantState := undisturbed.state()
			for _, cut := range []struct {
				name  string
				steps int64
				hook  func(w *world, at int64, stop func())
			}{
				{"call", undisturbed.calls.Load(), func(w *world, at int64, stop func()) {
					w.onCall = func(n int64, _, _ string) {
						if n == at {
							stop()
						}
					}
				}},
				{"write", undisturbed.writes.Load(), func(w *world, at int64, stop func()) {
					w.onWrite = func(n int64) {
						if n == at {
							stop()
						}
					}
				}},
			} {
				for at := int64(1); at <= cut.steps; at++ {
					t.Run(fmt.Sprintf("%s %d", cut.name, at), func(t *testing.T) {
						w := start(t)
						ctx, stop := context.WithCancelCause(t.Context())
						defer stop(nil)
						cut.hook(w, at, func() { stop(errStopped) })
						_, _, err := w.turn(ctx, sc.job)
						if err != nil && !errors.Is(err, errStopped) {
							t.Fatalf("stopped sync = %v", err)
						}
						_, got := w.mustSync(sc.job)
						got.Units = want.Units // what a call in hand cost may be counted or not
						if diff := cmp.Diff(want, got); diff != "" {
							t.Errorf("result:\n%s", diff)
						}
						if diff := cmp.Diff(wantState, w.state()); diff != "" {
							t.Errorf("state:\n%s", diff)
						}
						if repeated := w.sim.Ledger().Reads.Repeated; repeated > concurrency {
							t.Errorf("%d messages read twice, want at most the %d in hand", repeated, concurrency)
						}
					})
				}
			}
		})
	}
}
