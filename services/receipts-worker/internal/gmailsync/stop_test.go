package gmailsync

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/prosaas/receipts/pkg/receiptstore"
	"github.com/prosaas/receipts/proto"
	"github.com/prosaas/receipts/tools/gmailsim/mailbox"
)

// cut is a way to end a turn at its n-th step.
type cut struct {
	name  string
	steps func(w *world) int64 // of an undisturbed turn
	hook  func(w *world, n int64, stop context.CancelCauseFunc) (onCall func(n int64, method, id string), onWrite func(n int64))
}

// cuts are the ways: told to stop at a call to Gmail, or at a write to Redis;
// and dead at a write, so that this one and all after it never come.
func cuts() []cut {
	calls := func(w *world) int64 { return w.calls.Load() }
	writes := func(w *world) int64 { return w.writes.Load() }
	return []cut{
		{"stopped at call", calls, func(_ *world, at int64, stop context.CancelCauseFunc) (func(int64, string, string), func(int64)) {
			return func(n int64, _, _ string) {
				if n == at {
					stop(errStopped)
				}
			}, nil
		}},
		{"stopped at write", writes, func(_ *world, at int64, stop context.CancelCauseFunc) (func(int64, string, string), func(int64)) {
			return nil, func(n int64) {
				if n == at {
					stop(errStopped)
				}
			}
		}},
		{"dead at write", writes, func(w *world, at int64, _ context.CancelCauseFunc) (func(int64, string, string), func(int64)) {
			return nil, func(n int64) {
				if n == at {
					w.raiseFence()
				}
			}
		}},
	}
}

// raiseFence shuts the present lease out, past the client that is watched.
func (w *world) raiseFence() {
	conn, err := (&net.Dialer{}).DialContext(w.t.Context(), "tcp", w.redisAddr)
	if err != nil {
		w.t.Error(err)
		return
	}
	defer func() { _ = conn.Close() }()
	answer := make([]byte, 64)
	for _, command := range []string{"SELECT " + w.redisDB, fmt.Sprintf("HSET %s fence %d", w.keys.Sync(business), w.lease+1)} {
		_, _ = fmt.Fprintf(conn, "%s\r\n", command)
		if n, err := conn.Read(answer); err != nil || answer[0] == '-' {
			w.t.Errorf("%s: %q, %v", command, answer[:n], err)
		}
	}
	w.lease++
}

// reads tells which messages are read although they have an outcome that stands.
type reads struct {
	mu    sync.Mutex
	again []string
}

// watch begins with what has an outcome now; seen is to be told of the calls.
func (w *world) watch() (r *reads, seen func(n int64, method, id string)) {
	known, r := w.hash(w.keys.Outcomes(business)), &reads{}
	return r, func(_ int64, method, id string) {
		if outcome := known[id]; method == "messages.get" && outcome != "" && (outcome[0] == 'r' || outcome[0] == 'n') {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.again = append(r.again, id)
		}
	}
}

// err makes Gmail err in every way that a sync gets over by itself.
func (w *world) err() {
	w.t.Helper()
	for _, spec := range []string{
		"method=messages.get,nth=2,kind=reset", "method=messages.get,nth=4,code=429,retry_after=2",
		"method=messages.list,nth=2,code=503", "method=history.list,nth=1,kind=html",
	} {
		if err := w.sim.AddFault(spec); err != nil {
			w.t.Fatal(err)
		}
	}
}

// lost are the messages that the cursor has passed and that are neither owed nor read.
func (w *world) lost(announced []string) []string {
	w.t.Helper()
	cursor, err := strconv.ParseUint(w.hash(w.keys.Sync(business))["cursor"], 10, 64)
	if err != nil {
		return nil // no cursor yet
	}
	known := w.hash(w.keys.Outcomes(business))
	message := w.redis("ZRANGE", w.keys.Owed(business), "0", "-1")
	owed, err := message.AsStrSlice()
	if err != nil {
		w.t.Fatal(err)
	}
	return slices.DeleteFunc(slices.Clone(announced), func(id string) bool {
		m, err := w.box.Get(id)
		if err != nil {
			w.t.Fatal(err)
		}
		return m.HistoryID > cursor || known[id] != "" || slices.Contains(owed, id)
	})
}

// A sync stopped at any call to Gmail or write to Redis, or dead at any write,
// while Gmail errs too, and gone on with by another lease, comes to what an
// undisturbed one comes to, with the same counts; no message is read again whose
// outcome was written, and wherever it stopped the cursor has passed none that is
// not owed.
func TestStopAnywhereAndGoOn(t *testing.T) {
	t.Parallel()
	full, incremental, between := envelope("j1", proto.ModeFull), envelope("j1", proto.ModeIncremental), envelope("j1", proto.ModeRange)
	full.Params.MonthsBack = 1
	now := time.Now().In(mustZone(t))
	between.Params.FromDate, between.Params.ToDate = now.AddDate(0, 0, -20).Format(time.DateOnly), now.AddDate(0, 0, -5).Format(time.DateOnly)
	arrivals := func(n int) func(w *world) []string {
		return func(w *world) (ids []string) {
			w.mustSync(envelope("first", proto.ModeIncremental))
			for i := range n {
				ids = append(ids, w.box.Add(receiptMail("Your receipt", fmt.Sprintf("%d.00", i+1)), mailbox.AddOptions{Date: w.arrival(i)}))
			}
			return ids
		}
	}
	scenarios := []struct {
		name    string
		prepare func(w *world) (announced []string)
		job     proto.Envelope
	}{
		{"full", func(*world) []string { return nil }, full},
		{"range", func(*world) []string { return nil }, between},
		{"incremental", arrivals(5), incremental},
		{"history expired", func(w *world) []string {
			ids := arrivals(3)(w)
			w.box.ExpireHistory()
			return ids
		}, incremental},
	}
	source := mails(8, 40)
	for _, sc := range scenarios {
		t.Run(sc.name, func(t *testing.T) {
			t.Parallel()
			start := func(t *testing.T) (w *world, announced []string) {
				t.Helper()
				w = newWorld(t, options{source: source})
				announced = sc.prepare(w)
				w.sim.ResetLedger()
				w.calls.Store(0)
				w.writes.Store(0)
				return w, announced
			}
			undisturbed, _ := start(t)
			_, want := undisturbed.mustSync(sc.job)
			wantState := undisturbed.state()
			erring, _ := start(t)
			erring.err()
			erring.mustSync(sc.job)
			for _, cut := range cuts() {
				for at := int64(1); at <= cut.steps(erring); at++ {
					t.Run(fmt.Sprintf("%s %d", cut.name, at), func(t *testing.T) {
						w, announced := start(t)
						w.err()
						ctx, stop := context.WithCancelCause(t.Context())
						defer stop(nil)
						w.hook(cut.hook(w, at, stop))
						_, _, err := w.turn(ctx, sc.job)
						if err != nil && !errors.Is(err, errStopped) && !errors.Is(err, receiptstore.ErrFenced) {
							t.Fatalf("stopped sync = %v", err)
						}
						if lost := w.lost(announced); len(lost) != 0 {
							t.Errorf("the cursor has passed %v, which nobody is to read", lost)
						}
						reads, seen := w.watch()
						w.hook(seen, nil)
						_, got := w.mustSync(sc.job)
						got.Units = want.Units // what a call in hand cost may be counted or not
						if diff := cmp.Diff(want, got); diff != "" {
							t.Errorf("result:\n%s", diff)
						}
						if diff := cmp.Diff(wantState, w.state()); diff != "" {
							t.Errorf("state:\n%s", diff)
						}
						if len(reads.again) != 0 {
							t.Errorf("read again although the outcome was written: %v", reads.again)
						}
						if _, st := w.begin("next"); len(st.Marked) != 0 {
							t.Errorf("left marked: %v", st.Marked)
						}
					})
				}
			}
		})
	}
}
