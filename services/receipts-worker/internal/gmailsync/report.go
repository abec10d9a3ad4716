package gmailsync

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/prosaas/receipts/pkg/queue"
	"github.com/prosaas/receipts/pkg/receiptstore"
	"github.com/prosaas/receipts/proto"
)

const (
	// reportEvery is how often progress is told while messages are read.
	reportEvery = time.Second
	// turnTime is how long a sync runs while others wait.
	turnTime = 15 * time.Second
)

// reporter tells a job's progress and learns whether it must give way.
type reporter struct {
	turn  *turn
	began time.Time

	mu           sync.Mutex
	doing        proto.Phase
	moved        bool // something was written since the last checkpoint
	told         time.Time
	waitingUntil *time.Time
	waitingFor   *string
}

func (r *reporter) phase(p proto.Phase) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.doing = p
}

// wrote notes that something was written for good.
func (r *reporter) wrote() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.moved = true
}

// checkpoint tells the progress, at once or if it was not told for a while. It
// fails with [queue.ErrYield] where the turn has to give way: after fifteen
// seconds to others that wait, and after half of JOB_TIMEOUT in any case.
func (r *reporter) checkpoint(ctx context.Context, atOnce bool) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.turn.clock.now()
	if !atOnce && now.Sub(r.told) < reportEvery {
		return nil
	}
	counts, owed, wanted, err := r.turn.writer.Progress(ctx)
	if err != nil {
		return err
	}
	others, err := r.turn.job.Checkpoint(ctx, r.progress(counts, owed+wanted, now), r.moved)
	if err != nil {
		return err
	}
	r.told, r.moved = now, false
	ran := now.Sub(r.began)
	if (others && ran >= turnTime) || ran >= r.turn.halftime {
		return queue.ErrYield
	}
	return nil
}

// wait sits out a wait in the slot, and says so. Where the turn has to give way
// the job waits in the queue instead.
func (r *reporter) wait(ctx context.Context, until time.Time, why string) error {
	r.waiting(&until, &why)
	defer r.waiting(nil, nil)
	left := until.Sub(r.turn.clock.now())
	err := r.checkpoint(ctx, true)
	if errors.Is(err, queue.ErrYield) && left > 0 {
		return &queue.DeferError{After: left, Reason: why}
	}
	if err != nil {
		return err
	}
	return r.turn.clock.sleep(ctx, until.Sub(r.turn.clock.now()))
}

// deferred tells until when the job will wait in its queue, and why. That it
// waits does not depend on its being told.
func (r *reporter) deferred(ctx context.Context, d *queue.DeferError) {
	until := r.turn.clock.now().Add(d.After).UTC()
	r.waiting(&until, &d.Reason)
	_ = r.checkpoint(ctx, true)
}

func (r *reporter) waiting(until *time.Time, why *string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.waitingUntil, r.waitingFor = until, why
}

// done tells the last progress and answers the job's counts. What the
// checkpoint answers no longer matters: the job is done.
func (r *reporter) done(ctx context.Context) (receiptstore.Counts, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	counts, owed, wanted, err := r.turn.writer.Progress(ctx)
	if err != nil {
		return receiptstore.Counts{}, err
	}
	r.doing = proto.PhaseDone
	_, _ = r.turn.job.Checkpoint(ctx, r.progress(counts, owed+wanted, r.turn.clock.now()), true)
	return counts, nil
}

// progress tells what is so. r.mu is held.
func (r *reporter) progress(c receiptstore.Counts, pending int, now time.Time) proto.Progress {
	place, all := r.turn.at()
	p := proto.Progress{
		Phase: r.doing, WindowsDone: place, WindowsTotal: all,
		Listed: c.Listed, Pending: pending, Scanned: c.Scanned, Saved: c.Saved, Updated: c.Updated, Duplicates: c.Duplicates,
		NotReceipts: c.NotReceipts, Gone: c.Gone, Errors: c.Errors, Units: c.Units,
		WaitingUntil: r.waitingUntil, WaitingReason: r.waitingFor,
	}
	p.Percent = percent(p)
	p.ETA = eta(p, r.turn.quota, now)
	return p
}

// eta is when the quota allows to be done: what is known is still to be read, and
// what the windows that are not listed yet will cost if they are like those
// listed so far. It is unknown where nothing is left, none is listed yet, or
// there is no limit, and of a job that is done there is none.
func eta(p proto.Progress, quota tariff, now time.Time) *time.Time {
	left := p.WindowsTotal - p.WindowsDone
	if p.Phase == proto.PhaseDone || quota.perMinute == 0 || (left == 0 && p.Pending == 0) || (left > 0 && p.WindowsDone == 0) {
		return nil
	}
	units := p.Pending * quota.price[methodGet]
	if left > 0 {
		units += left * (len(searches())*quota.price[methodList] + p.Listed*quota.price[methodGet]/p.WindowsDone)
	}
	from := now
	if p.WaitingUntil != nil && p.WaitingUntil.After(now) {
		from = *p.WaitingUntil
	}
	at := from.Add(time.Duration(float64(units) / quota.perSecond() * float64(time.Second))).UTC()
	return &at
}

// percent is how far the job is: windows, as far as what they listed is read.
// It is unknown until something was listed.
func percent(p proto.Progress) *float64 {
	share := 1.0
	switch {
	case p.Phase == proto.PhaseDone:
	case p.Listed == 0 && p.WindowsDone == 0:
		return nil
	default:
		if p.WindowsTotal > 0 {
			share = float64(p.WindowsDone) / float64(p.WindowsTotal)
		}
		if p.Listed > 0 {
			share *= float64(max(p.Listed-p.Pending, 0)) / float64(p.Listed)
		}
	}
	rounded := float64(int(share*1000)) / 10
	return &rounded
}
