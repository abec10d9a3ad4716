package gmailsync

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/prosaas/receipts/pkg/queue"
	"github.com/prosaas/receipts/pkg/receiptmail"
	"github.com/prosaas/receipts/pkg/receiptstore"
	"github.com/prosaas/receipts/proto"
	"github.com/prosaas/receipts/tools/gmailsim/mailbox"
)

// ofTurn is the key of what a turn's context carries to tell its own crash by.
type ofTurn struct{}

// crashing makes a reader on which mails that hold the word crash the worker:
// [world.turnThatMayCrash] is told, and what it has in hand stays so until the
// test ends.
func (w *world) crashing(word string) {
	extract, over := w.extract, w.t.Context()
	w.extract = func(ctx context.Context, raw []byte, received time.Time) (receiptmail.Result, error) {
		if bytes.Contains(raw, []byte(word)) {
			select {
			case ctx.Value(ofTurn{}).(chan struct{}) <- struct{}{}:
			default: // it is dead already
			}
			<-over.Done()
		}
		return extract(ctx, raw, received)
	}
}

// turnThatMayCrash does a turn, and tells whether its worker crashed.
func (w *world) turnThatMayCrash(e proto.Envelope) (result proto.SyncResult, dead bool) {
	w.t.Helper()
	crashed := make(chan struct{}, 1)
	type end struct {
		result proto.SyncResult
		err    error
	}
	ended := make(chan end, 1)
	w.lease++
	j := &job{envelope: e, lease: w.lease}
	worker := w.Syncer
	go func() {
		// A process that is gone hears of no cancel, and writes nothing at its end.
		result, err := worker.Sync(context.WithValue(context.WithoutCancel(w.t.Context()), ofTurn{}, crashed), j)
		ended <- end{result, err}
	}()
	select {
	case <-crashed:
		restarted := *w.Syncer // another process holds nothing of the dead one's
		restarted.apart = semaphore.NewWeighted(everyReader)
		w.Syncer = &restarted
		return proto.SyncResult{}, true
	case e := <-ended:
		if e.err != nil {
			w.t.Fatal(e.err)
		}
		return e.result, false
	}
}

// A mail that kills its reader fails alone, after two crashes, and its business
// syncs on; two of them too, each in its turn.
func TestMailThatKillsItsReader(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name  string
		mode  proto.Mode
		mails int
	}{{"behind the cursor", proto.ModeIncremental, 1}, {"two behind the cursor", proto.ModeIncremental, 2}, {"in a window", proto.ModeFull, 1}} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, options{source: alike{9}, read: true})
			poison := map[string]bool{}
			if row.mode == proto.ModeIncremental {
				w.mustSync(envelope("first", proto.ModeIncremental))
			}
			for i := range 6 {
				w.box.Add(receiptMail("Your receipt", "1.00"), mailbox.AddOptions{Date: w.arrival(i)})
				if i < row.mails {
					poison[w.box.Add(receiptMail("Your receipt, poison", "1.00"), mailbox.AddOptions{Date: w.arrival(i)})] = true
				}
			}
			w.crashing("poison")
			deaths := 0
			var result proto.SyncResult
			for dead := true; dead; {
				if result, dead = w.turnThatMayCrash(envelope("j1", row.mode)); dead {
					deaths++
				}
				if deaths > 10 {
					t.Fatal("it crashes for ever")
				}
			}
			// Those that were in hand together crash the first time together.
			if most := crashes * row.mails; deaths > most || deaths < crashes {
				t.Errorf("%d crashes, want %d to %d", deaths, crashes, most)
			}
			failures, err := w.store.Failures(t.Context(), business, "j1", "", 10)
			if err != nil || len(failures) != len(poison) || result.Errors != len(poison) {
				t.Errorf("failures %v (%v), result %+v, want %d", failures, err, result, len(poison))
			}
			for _, failure := range failures {
				if !poison[failure.MessageID] || failure.Reason.Code != "crashed_reader" {
					t.Errorf("failure %+v, want only what crashes", failure)
				}
			}
			if counts := w.outcomes(); counts["f"] != len(poison) || counts["r"] < 6 {
				t.Errorf("outcomes %v, want all others read", counts)
			}
			if _, st := w.begin("next"); st.Owed != 0 || len(st.Marked) != 0 {
				t.Errorf("left behind: %+v", st)
			}
		})
	}
}

// What a job crashed with is read before anything else, and while it is in hand
// nothing else can be, of another business neither.
func TestSuspectIsReadFirstAndAlone(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{source: alike{4}})
	w.mustSync(envelope("first", proto.ModeIncremental))
	arrive := func(first, n int) {
		for i := range n {
			w.box.Add(receiptMail("Your receipt", fmt.Sprintf("%d.00", first+i)), mailbox.AddOptions{Date: w.arrival(first + i)})
		}
	}
	arrive(0, 6)
	w.crashing("Total paid: 0.00")
	if _, dead := w.turnThatMayCrash(envelope("j1", proto.ModeIncremental)); !dead {
		t.Fatal("nothing crashed")
	}
	_, st := w.begin("j1")
	var alone []bool
	var hand sync.Mutex
	w.extract = func(ctx context.Context, raw []byte, received time.Time) (receiptmail.Result, error) {
		hand.Lock()
		defer hand.Unlock()
		other := w.apart.TryAcquire(1)
		if other {
			w.apart.Release(1)
		}
		alone = append(alone, !other)
		return light(ctx, raw, received)
	}
	arrive(6, 3)
	w.mustSync(envelope("j1", proto.ModeIncremental))
	if len(st.Suspects) == 0 || len(alone) < len(st.Suspects)+3 {
		t.Fatalf("%d suspects, %d read", len(st.Suspects), len(alone))
	}
	for i, got := range alone {
		if got != (i < len(st.Suspects)) {
			t.Errorf("reading %d of %d, the first %d of suspects: alone %v", i, len(alone), len(st.Suspects), got)
		}
	}
}

// begin looks at the business as a job with a newer lease would.
func (w *world) begin(id string) (*receiptstore.Writer, receiptstore.State) {
	w.t.Helper()
	w.lease++
	writer := w.store.Writer(receiptstore.Fence{Business: business, Job: id, Lease: w.lease, Epoch: epoch})
	state, err := writer.Begin(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	return writer, state
}

// A turn that ends in order suspects nothing: of what it had in hand no mark is
// left, and a job that was canceled wants nothing any more.
func TestTurnThatEndsLeavesNoMarks(t *testing.T) {
	t.Parallel()
	rows := []struct {
		name string
		end  func(w *world, stop context.CancelCauseFunc) // at the third message
		want error
		left bool // whether what it wanted stays
	}{
		{"shutdown", func(_ *world, stop context.CancelCauseFunc) { stop(queue.ErrShutdown) }, queue.ErrShutdown, true},
		{"canceled", func(_ *world, stop context.CancelCauseFunc) { stop(queue.ErrCanceled) }, queue.ErrCanceled, false},
		{"gmail away", func(w *world, _ context.CancelCauseFunc) {
			if err := w.sim.AddFault("method=messages.get,code=403,reason=domainPolicy"); err != nil {
				w.t.Error(err)
			}
		}, nil, true},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, options{source: alike{40}})
			ctx, stop := context.WithCancelCause(t.Context())
			defer stop(nil)
			gets := w.nth("messages.get", 3, func() { row.end(w, stop) })
			_, _, err := w.turn(ctx, envelope("j1", proto.ModeIncremental))
			if err == nil || (row.want != nil && !errors.Is(err, row.want)) || gets.Load() < 3 {
				t.Fatalf("sync = %v after %d reads, want %v", err, gets.Load(), row.want)
			}
			_, st := w.begin("j1")
			if len(st.Marked) != 0 || (st.Wanted > 0) != row.left {
				t.Errorf("marked %v, %d wanted", st.Marked, st.Wanted)
			}
		})
	}
}
