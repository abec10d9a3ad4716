package e2e

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/prosaas/receipts/tools/gmailsim/mailbox"
)

// killer is the header of a mail that kills the reader of [killingRelease].
const killer = "X-Kills-Its-Reader: yes"

// killingHook is what the worker of [killingRelease] has besides.
const killingHook = `package gmailsync

import (
	"bytes"
	"context"
	"syscall"
	"time"

	"github.com/prosaas/receipts/pkg/receiptmail"
)

func killing(read func(context.Context, []byte, time.Time) (receiptmail.Result, error)) func(context.Context, []byte, time.Time) (receiptmail.Result, error) {
	return func(ctx context.Context, raw []byte, received time.Time) (receiptmail.Result, error) {
		if bytes.Contains(raw, []byte("` + killer + `")) {
			_ = syscall.Kill(syscall.Getpid(), syscall.SIGKILL)
			select {} // it takes a moment
		}
		return read(ctx, raw, received)
	}
}
`

// killingRelease builds the programs with a worker that a mail can kill, which
// no program that ships has a way to, and answers their folder.
func killingRelease(t *testing.T) string {
	t.Helper()
	const folder = "services/receipts-worker/internal/gmailsync/"
	return variant(t, "killing", map[string]string{
		folder + "gmailsync.go": edited(t, folder+"gmailsync.go", "extract: reader.Read,", "extract: killing(reader.Read),"),
		folder + "killing.go":   killingHook,
	})
}

// A mail that kills its reader, and the worker with it, is tried twice and then
// listed among the failures. All others of its business are read, each once, and
// the next sync goes on as if it had not been there.
func TestMailThatKillsItsReader(t *testing.T) {
	t.Parallel()
	release := killingRelease(t)
	for _, row := range []struct {
		name  string
		mails int
	}{{"one", 1}, {"two that come together", 2}} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			s := newSystem(t, options{mails: 60})
			s.release = release
			start := func() *worker {
				w := s.startWorker("HEARTBEAT_INTERVAL=500ms", "HEARTBEAT_TTL=2s")
				w.registered()
				return w
			}
			w, api := start(), s.startAPI()
			c := api.as("b1")
			c.connected(owner)
			before := s.sim.Ledger().Reads.Messages

			box := s.sim.Mailbox(owner)
			poison := map[string]bool{}
			for i := range 8 {
				head := fmt.Sprintf("X-Mail: %d", i)
				if i%4 == 1 && len(poison) < row.mails {
					head = killer
				}
				id := box.Add(fmt.Appendf(nil, "From: Cafe <billing@cafe.example>\r\nSubject: Your receipt\r\n%s\r\n\r\nReceipt number: %d\r\nTotal paid: 1%d.00 ILS\r\n", head, i, i), mailbox.AddOptions{})
				if head == killer {
					poison[id] = true
				}
			}
			job := c.sync(incremental)
			deaths := 0
			eventually(t, "the end of the job", func() bool {
				select {
				case <-w.ended:
					deaths++
					w = start()
				default:
				}
				return c.job(job).Status.Ended()
			})
			_, result := c.awaitFinish(job)
			if deaths < 2 || deaths > 2*row.mails || result.Errors != row.mails || result.Saved != 8-row.mails {
				t.Errorf("%d workers died, result %+v; want two a mail at most, and that mail alone failed", deaths, result)
			}
			failed := map[string]bool{}
			for _, f := range c.failures(job) {
				failed[f.GmailMessageID] = f.Code == "crashed_reader"
			}
			if diff := cmp.Diff(poison, failed); diff != "" {
				t.Errorf("failures (-killers +listed as such):\n%s", diff)
			}
			reads := s.sim.Ledger().Reads
			if reads.Messages-before != 8 || reads.Repeated > inHand {
				t.Errorf("%d messages were read, %d again, want all 8 and those in hand", reads.Messages-before, reads.Repeated)
			}

			box.Add([]byte("From: Cafe <billing@cafe.example>\r\nSubject: Your receipt\r\n\r\nReceipt number: 99\r\nTotal paid: 99.00 ILS\r\n"), mailbox.AddOptions{})
			if _, next := c.awaitFinish(c.sync(incremental)); next.Saved != 1 || next.Errors != 0 || next.Scanned != 1 {
				t.Errorf("the next sync did %+v, want one receipt", next)
			}
			w.checkAlive()
			api.checkInvariants()
		})
	}
}

// checkAlive is for a worker that nothing may have ended.
func (w *worker) checkAlive() {
	w.t.Helper()
	select {
	case <-w.ended:
		w.t.Error("the worker died")
	default:
	}
}
