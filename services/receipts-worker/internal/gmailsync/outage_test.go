package gmailsync

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/prosaas/receipts/proto"
	"github.com/prosaas/receipts/tools/gmailsim/mailbox"
)

// Ten minutes in which Gmail answers nothing but 500 cost no message and no
// attempt: the job waits, says so, and then goes on where it stood.
func TestTenMinutesOf500(t *testing.T) {
	t.Parallel()
	for _, mode := range []proto.Mode{proto.ModeIncremental, proto.ModeFull} {
		t.Run(string(mode), func(t *testing.T) {
			t.Parallel()
			end, source := map[bool]map[string]string{}, mails(24, 50)
			for _, outage := range []bool{false, true} {
				w := newWorld(t, options{source: source})
				w.mustSync(envelope("first", proto.ModeIncremental))
				for i := range 6 {
					w.box.Add(receiptMail("Your receipt", "1.00"), mailbox.AddOptions{Date: w.arrival(i)})
				}
				w.sim.ResetLedger()
				turns := 0
				if outage {
					w.nth("messages.get", 3, func() {
						if err := w.sim.AddFault("code=500"); err != nil {
							t.Error(err)
						}
					})
					for began := w.moved.now(); w.moved.now().Sub(began) < 10*time.Minute; turns++ {
						j, _, err := w.turn(t.Context(), envelope("j1", mode))
						last := j.told[len(j.told)-1]
						if how(err) != "defer gmail_unavailable" || last.WaitingReason == nil || *last.WaitingReason != unavailable {
							t.Fatalf("turn %d came to %v, and tells %+v", turns, err, last)
						}
						_ = w.moved.sleep(t.Context(), last.WaitingUntil.Sub(w.moved.now()))
					}
					if turns < 5 {
						t.Errorf("%d turns in ten minutes, want one a minute", turns)
					}
					w.sim.ClearFaults()
				}
				_, result := w.mustSync(envelope("j1", mode))
				if failures := w.hash(w.keys.Failures(business, "j1")); result.Errors != 0 || len(failures) != 0 || w.sim.Ledger().Reads.Repeated > mostConcurrency {
					t.Errorf("result %+v, failures %v, ledger %+v", result, failures, w.sim.Ledger())
				}
				end[outage] = w.state()
			}
			if diff := cmp.Diff(end[false], end[true]); diff != "" {
				t.Errorf("another end than without an outage:\n%s", diff)
			}
		})
	}
}

// A message that Gmail answers with 500 for ever is no outage: after two hours
// in which nothing was done it counts as the job's attempts, and a turn that
// finds nothing new, and reads nothing, has not moved.
func TestTurnThatOnlyFailsHasNotMoved(t *testing.T) {
	t.Parallel()
	for _, mode := range []proto.Mode{proto.ModeIncremental, proto.ModeFull} {
		t.Run(string(mode), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, options{source: mails(12, 50)})
			if mode == proto.ModeIncremental {
				w.mustSync(envelope("j0", proto.ModeFull))
				w.box.Add(receiptMail("Your receipt", "5.00"), mailbox.AddOptions{Date: w.moved.now()})
			}
			if err := w.sim.AddFault("method=messages.get,code=500"); err != nil {
				t.Fatal(err)
			}
			for n, want := range []string{"defer gmail_unavailable", "defer gmail_unavailable", "retry gmail_unavailable", "retry gmail_unavailable"} {
				j, _, err := w.turn(t.Context(), envelope("j1", mode))
				if got := how(err); got != want {
					t.Fatalf("turn %d came to %q, want %q", n, got, want)
				}
				if n > 0 && j.moved > 0 {
					t.Errorf("turn %d says at %d checkpoints that it moved", n, j.moved)
				}
				_ = w.moved.sleep(t.Context(), 70*time.Minute)
			}
		})
	}
}
