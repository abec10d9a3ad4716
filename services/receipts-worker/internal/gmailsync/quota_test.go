package gmailsync

import (
	"context"
	"testing"
	"time"

	"github.com/prosaas/receipts/proto"
	"github.com/prosaas/receipts/tools/gmailsim"
)

// With Gmail counting quota too: over ten minutes nine tenths of the ceiling,
// and no rate error.
func TestKeepsToTheQuota(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{source: alike{3000}, quota: Quota2026, sim: gmailsim.Options{Quota: gmailsim.Quota2026}})
	began := w.moved.now()
	_, result := w.mustSync(envelope("j1", proto.ModeIncremental))
	took := w.moved.now().Sub(began)
	ledger := w.sim.Ledger()
	if ledger.RateErrors != 0 || ledger.MaxConcurrency > mostConcurrency || took < 10*time.Minute {
		t.Errorf("%d rate errors, %d calls at once, in %s", ledger.RateErrors, ledger.MaxConcurrency, took)
	}
	if used := float64(ledger.Units) / took.Minutes(); used < 0.9*6000 || ledger.Units != result.Units {
		t.Errorf("%.0f units a minute over %s, want nine tenths of 6000; counted %d of %d", used, took, result.Units, ledger.Units)
	}
}

// A turn begins with no fresh bucket, and leaves none of what it took unspent.
func TestBucketOutlivesTheTurn(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{source: alike{3}, quota: Quota2026})
	w.mustSync(envelope("j1", proto.ModeIncremental))
	if slept := len(w.moved.slept); slept != 0 {
		t.Fatalf("three messages waited %d times", slept)
	}
	limit := limit(w.quota.perMinute)
	left := limit.Burst - w.sim.Ledger().Units
	for _, step := range []struct {
		units int
		waits bool
	}{{left - 1, false}, {2, true}} {
		grant, err := w.meters.Mailbox(w.box.Address(), limit).Take(t.Context(), w.moved.now(), step.units)
		if err != nil || (grant.Wait > 0) != step.waits {
			t.Errorf("%d of %d units left: %+v (%v), want a wait: %v", step.units, left, grant, err, step.waits)
		}
	}
}

// A rate error met by one worker stops every worker that has the mailbox, for as
// long as Gmail asked, and no other mailbox.
func TestRateErrorPausesTheMailboxForAllWorkers(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{source: alike{6}})
	if err := w.sim.AddFault("method=messages.get,nth=2,code=429,retry_after=300"); err != nil {
		t.Fatal(err)
	}
	if _, _, err := w.turn(t.Context(), envelope("j1", proto.ModeIncremental)); how(err) != "defer gmail_quota" {
		t.Fatalf("sync = %v", err)
	}
	w.sim.ResetLedger()
	_ = w.moved.sleep(t.Context(), 290*time.Second)
	other := *w.Syncer
	other.open = func(ctx context.Context, business string) (Mailbox, error) {
		box, err := w.open(ctx, business)
		box.Address = "another@business.example"
		return box, err
	}
	j := &job{envelope: envelope("j1", proto.ModeIncremental), lease: 100}
	if _, err := other.Sync(t.Context(), j); err != nil || w.sim.Ledger().Calls["messages.get"] == 0 {
		t.Errorf("another mailbox waits too: %v", err)
	}
	slept := len(w.moved.slept)
	w.lease = 100
	w.mustSync(envelope("j2", proto.ModeIncremental))
	if waits := w.moved.slept[slept:]; len(waits) != 1 || waits[0] > 10*time.Second || waits[0] < 9*time.Second {
		t.Errorf("the mailbox waited %v, want the ten seconds that were left", waits)
	}
}

// More at a time after a good run, fewer after a refusal, one at least.
func TestGate(t *testing.T) {
	t.Parallel()
	g := newGate()
	now := time.Now()
	free := func() (n int) {
		t.Helper()
		for ; len(g.places) > 0; n++ {
			if err := g.enter(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		for range n {
			g.leave()
		}
		return n
	}
	good := func(n int, waited bool) {
		for range n {
			g.answered(waited)
		}
	}
	steps := []struct {
		name string
		do   func()
		want int
	}{
		{"at first", func() {}, startConcurrency},
		{"a good run", func() { good(growAfter, false) }, startConcurrency + 1},
		{"waits for quota", func() { good(10*growAfter, true) }, startConcurrency + 1},
		{"as many as there may be", func() { good(20*growAfter, false) }, mostConcurrency},
		{"refused", func() { g.refused(now, now) }, mostConcurrency / 2},
		{"another that was under way", func() { g.refused(now.Add(-time.Second), now.Add(time.Second)) }, mostConcurrency / 2},
		{"again and again", func() {
			for i := range 5 {
				at := now.Add(time.Duration(i+1) * time.Minute)
				g.refused(at, at)
			}
		}, 1},
		{"well again", func() { good(growAfter, false) }, 2},
		{"refused while all are taken", func() {
			_, _ = g.enter(t.Context()), g.enter(t.Context())
			g.refused(now.Add(time.Hour), now.Add(time.Hour))
			g.leave()
			g.leave()
		}, 1},
	}
	for _, step := range steps {
		step.do()
		if got := free(); got != step.want {
			t.Errorf("%s: %d at a time, want %d", step.name, got, step.want)
		}
	}
	_ = g.enter(t.Context())
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errStopped)
	if err := g.enter(ctx); err != errStopped { //nolint:errorlint // the cause itself
		t.Errorf("nobody leaves, and the turn is over: %v", err)
	}
}
