package httpapi

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/prosaas/receipts/pkg/logging"
	"github.com/prosaas/receipts/pkg/queue"
	"github.com/prosaas/receipts/pkg/redisclient"
)

// ② The guard itself stands in the one script that pushes. What is here makes
// it bearable: a worker that is restarting is waited for, and an index that a
// crash left behind is mended.

// wish is a job that is asked for: on which queue, for whom, and by what script.
// Every ask is for the same job id, so that whatever came of one whose reply was
// lost, there is one job.
type wish struct {
	queue, business string
	ask             func(context.Context) (queue.Enqueued, error)
}

// enqueue asks for a new job until the answer stands.
func (a *API) enqueue(ctx context.Context, r queue.Request) (queue.Enqueued, error) {
	return a.pursue(ctx, wish{r.Envelope.Queue, r.Envelope.BusinessID, func(ctx context.Context) (queue.Enqueued, error) {
		return a.ask(ctx, r)
	}})
}

func (a *API) ask(ctx context.Context, r queue.Request) (queue.Enqueued, error) {
	ctx, cancel := context.WithTimeout(ctx, redisPatience)
	defer cancel()
	return a.Queue.Enqueue(ctx, r)
}

// pursue asks until the answer stands.
func (a *API) pursue(ctx context.Context, w wish) (queue.Enqueued, error) {
	answer, err := w.ask(ctx)
	if err == nil && answer.Verdict == queue.NoWorker && answer.WorkerLeft {
		answer, err = a.askAgain(ctx, w, answer)
	}
	if err != nil || answer.Verdict != queue.NotConnected {
		return answer, err
	}
	connected, err := a.repair(ctx, w.business)
	if errors.Is(err, redisclient.ErrStoreUnavailable) {
		return answer, nil // nothing else is known than what the queue's index says
	}
	if err != nil || !connected {
		return answer, err
	}
	return w.ask(ctx)
}

// askAgain waits up to GUARD_WAIT for a worker, and asks once more whether one
// came or not.
func (a *API) askAgain(ctx context.Context, w wish, answer queue.Enqueued) (queue.Enqueued, error) {
	a.Logger.InfoContext(ctx, "sync waits for a worker to come back", logging.KeyQueue, w.queue, logging.KeyBusinessID, w.business)
	wait, cancel := context.WithTimeout(ctx, a.settings.GuardWait)
	defer cancel()
	var err error
	for came := true; came && err == nil && answer.Verdict == queue.NoWorker; {
		came = a.returning[w.queue].await(wait)
		answer, err = w.ask(ctx)
	}
	return answer, err
}

func (a *API) repair(ctx context.Context, business string) (connected bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, redisPatience)
	defer cancel()
	return a.Connection.Repair(ctx, business)
}

// workerListens tells whether a live worker listens on a queue.
func (a *API) workerListens(ctx context.Context, name string) bool {
	ctx, cancel := context.WithTimeout(ctx, redisPatience)
	defer cancel()
	roll, err := a.Registry.Roll(ctx)
	if err != nil {
		a.Logger.DebugContext(ctx, "cannot look for a worker, trying again", logging.KeyQueue, name, logging.KeyError, err)
		return false
	}
	return roll.Listening(name)
}

const (
	watchEvery = 100 * time.Millisecond
	maxWaiting = 1000
)

// watch looks for something on behalf of all who wait for it: one goroutine,
// and only while somebody waits.
type watch struct {
	there   func(context.Context) bool
	ctx     context.Context //nolint:containedctx // it is the watch's own life, which ends with stop
	cancel  context.CancelFunc
	looking sync.WaitGroup

	mu      sync.Mutex
	waiting int
	came    chan struct{} // closed once it is there; nil while nobody looks
}

func newWatch(there func(context.Context) bool) *watch {
	w := &watch{there: there}
	w.ctx, w.cancel = context.WithCancel(context.Background())
	return w
}

// await waits until it is there, and tells so. It gives up with ctx, with the
// watch's stop, and at once where a thousand wait already.
func (w *watch) await(ctx context.Context) bool {
	w.mu.Lock()
	if w.waiting >= maxWaiting || w.ctx.Err() != nil {
		w.mu.Unlock()
		return false
	}
	w.waiting++
	if w.came == nil {
		w.came = make(chan struct{})
		w.looking.Go(w.look)
	}
	came := w.came
	w.mu.Unlock()

	defer func() {
		w.mu.Lock()
		w.waiting--
		w.mu.Unlock()
	}()
	select {
	case <-came:
		return true
	case <-ctx.Done():
		return false
	case <-w.ctx.Done():
		return false
	}
}

func (w *watch) look() {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for there := false; ; there = w.there(w.ctx) {
		w.mu.Lock()
		if there {
			close(w.came)
		}
		if there || w.waiting == 0 {
			w.came = nil
			w.mu.Unlock()
			return
		}
		w.mu.Unlock()
		select {
		case <-tick.C:
		case <-w.ctx.Done():
			return
		}
	}
}

// stop answers all who wait, and waits until nobody looks any more.
func (w *watch) stop() {
	w.mu.Lock()
	w.cancel()
	w.mu.Unlock()
	w.looking.Wait()
}
