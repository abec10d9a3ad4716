package queue

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prosaas/receipts/pkg/redisclient"
	"github.com/prosaas/receipts/proto"
)

const (
	callTimeout  = 3 * time.Second  // of one claim or beat
	waitMost     = 5 * time.Second  // of one blocking read
	turnWithin   = 10 * time.Second // how lately the dispatcher must have turned for a beat to be sent
	handlersTime = 1500 * time.Millisecond
	leaveTime    = time.Second // of each step of leaving
	stuckAfter   = time.Minute
)

// session is one registration of the worker, from register to depart or until
// it is reaped.
type session struct {
	*Consumer
	worker proto.Worker
	work   context.Context //nolint:containedctx // the work context, parent of every turn's: a session is a span of time
	stop   context.CancelCauseFunc
	over   context.Context //nolint:containedctx // ends with Run: until then outcomes are repeated
	born   time.Time       // when its registration was sent
	turned atomic.Int64    // when the dispatcher last turned, ns since born: no step of the host's clock moves it

	turnsMu sync.Mutex
	turns   map[string]*turn // by job: claimed, and the outcome not yet acknowledged
	ended   sync.WaitGroup
}

func newSession(over context.Context, c *Consumer, worker proto.Worker, born time.Time) *session {
	s := &session{Consumer: c, over: over, worker: worker, born: born, turns: map[string]*turn{}}
	s.work, s.stop = context.WithCancelCause(context.Background())
	s.turn()
	return s
}

// run dispatches and beats until ctx ends, or the worker is told that it was
// reaped: proto.ErrReaped. One that is stuck leaves, and says so.
func (s *session) run(ctx context.Context) error {
	fetch, stopFetching := context.WithCancelCause(ctx)
	defer stopFetching(nil)
	beatCtx, stopBeating := context.WithCancel(context.WithoutCancel(ctx))
	defer stopBeating()
	dispatched := make(chan struct{})
	go func() {
		defer close(dispatched)
		if err := s.dispatch(fetch); err != nil {
			stopFetching(err)
		}
	}()
	beaten := make(chan struct{})
	go func() {
		defer close(beaten)
		if err := s.beat(beatCtx); err != nil {
			stopFetching(err)
		}
	}()
	<-fetch.Done()
	cause := context.Cause(fetch)
	if errors.Is(cause, proto.ErrReaped) {
		s.stop(ErrLost) // each turn settles for itself, and is told that it is stale
		stopBeating()
		<-beaten
		<-dispatched
		return cause
	}
	s.leave(context.WithoutCancel(ctx), dispatched)
	stopBeating()
	<-beaten
	if errors.Is(cause, errStuck) {
		return fmt.Errorf("worker %s: %w", s.worker.Name, cause)
	}
	return nil
}

// errStuck ends a worker that lives and takes nothing: whoever restarts it
// makes a good one of it.
var errStuck = errors.New("stuck")

// stuck tells whether the worker can take nothing any more, though Redis
// answers: its dispatcher has not turned for a minute, or each of its slots has
// been held for a minute by work that is deaf to the end of its context (past
// JOB_TIMEOUT, lost, or canceled).
func (s *session) stuck(ctx context.Context, now time.Time) error {
	if still := s.still(); still > stuckAfter {
		ctx, cancel := context.WithTimeout(ctx, callTimeout)
		defer cancel()
		if s.queue.client.Ping(ctx) == nil {
			return fmt.Errorf("%w: the dispatcher has not turned for %s", errStuck, still)
		}
	}
	if s.deaf(now.Add(-stuckAfter)) >= s.opts.Slots {
		return fmt.Errorf("%w: every slot is held by work that does not end", errStuck)
	}
	return nil
}

// leave hands everything back and departs: out of the registry first, so that
// the guard stops counting on this worker at once.
func (s *session) leave(ctx context.Context, dispatched <-chan struct{}) {
	step := func(what string, f func(ctx context.Context) error) {
		ctx, cancel := context.WithTimeout(ctx, leaveTime)
		defer cancel()
		if err := f(ctx); err != nil {
			s.log.WarnContext(ctx, "could not leave in order, the reaper will clear up", "step", what, "worker", s.worker.Name, "err", err)
		}
	}
	step("drain", func(ctx context.Context) error { return s.registry.Drain(ctx, s.worker.Name) })
	s.stop(ErrShutdown)
	settled := make(chan struct{})
	go func() {
		<-dispatched // a claim under way may still bring jobs
		s.ended.Wait()
		close(settled)
	}()
	select {
	case <-settled:
	case <-time.After(handlersTime):
		var released sync.WaitGroup
		for _, t := range s.snapshot() {
			released.Go(func() { step("release", t.abandon) })
		}
		released.Wait()
	}
	step("depart", func(ctx context.Context) error { return s.registry.Depart(ctx, s.worker.Name) })
}

// dispatch claims jobs while there are slots, and waits for a wake token
// otherwise.
func (s *session) dispatch(ctx context.Context) error {
	pause := backoff()
	emptyHanded := 0
	for ctx.Err() == nil {
		s.turn()
		free := s.opts.Slots - s.running()
		if free <= 0 {
			select {
			case <-s.freed:
			case <-time.After(waitMost):
			case <-ctx.Done():
			}
			continue
		}
		handed, err := s.claim(ctx, free)
		if errors.Is(err, proto.ErrReaped) {
			return err
		}
		if err != nil {
			s.log.Log(ctx, redisclient.LevelOf(err), "could not claim, trying again", "worker", s.worker.Name, "err", err)
			_ = pause(ctx)
			continue
		}
		for _, job := range handed.Jobs {
			s.start(job)
		}
		switch {
		case len(handed.Jobs) > 0:
			pause, emptyHanded = backoff(), 0
		case emptyHanded >= 2: // tokens that bring nothing: somebody else is quicker
			_ = pause(ctx)
		default:
			pause = backoff()
		}
		if len(handed.Jobs) >= free {
			continue
		}
		most := waitMost
		if handed.NextDue >= 0 {
			most = min(most, max(handed.NextDue, time.Millisecond))
		}
		s.turn()
		token, err := s.queue.Wait(ctx, s.opts.Queues, most)
		switch {
		case ctx.Err() != nil:
		case err != nil:
			s.log.Log(ctx, redisclient.LevelOf(err), "could not wait for work, trying again", "worker", s.worker.Name, "err", err)
			_ = pause(ctx)
		case token:
			emptyHanded++
		default:
			emptyHanded = 0
		}
	}
	return nil
}

// claim asks for jobs for every free slot. A shutdown does not cut it off: what
// Redis hands out must reach somebody.
func (s *session) claim(ctx context.Context, free int) (Handed, error) {
	s.turnsMu.Lock()
	known := make([]string, 0, len(s.turns))
	for id := range s.turns {
		known = append(known, id)
	}
	s.turnsMu.Unlock()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), callTimeout)
	defer cancel()
	return s.queue.Claim(ctx, s.worker.Name, s.opts.Queues, free, known)
}

// beat keeps the worker registered, stops what was canceled or lost, and reaps
// the dead. No job can hold it up. It ends with ctx, or when told that the
// worker was reaped.
func (s *session) beat(ctx context.Context) error {
	ticker := time.NewTicker(s.opts.Interval)
	defer ticker.Stop()
	accepted := s.born // when the last accepted beat was sent
	for failing := false; ; {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		sent := time.Now()
		for _, t := range s.snapshot() {
			// Neither a beat nor a claim was accepted for a time to live: others
			// may have been given the job by now.
			if sent.Sub(accepted) > s.opts.TTL && sent.Sub(t.began) > s.opts.TTL {
				t.cancel(ErrLost)
			}
		}
		if err := s.stuck(ctx, sent); err != nil {
			return err
		}
		if s.still() > turnWithin {
			s.metrics.failures.Inc()
			s.log.ErrorContext(ctx, "dispatcher does not turn, so no heartbeat is sent: a worker that takes nothing must not look well", "worker", s.worker.Name)
			continue
		}
		pulse, err := s.pulse(ctx)
		switch {
		case errors.Is(err, proto.ErrReaped):
			return err
		case ctx.Err() != nil:
			return nil
		case err != nil:
			s.metrics.failures.Inc()
			if !failing {
				s.log.Log(ctx, redisclient.LevelOf(err), "heartbeat was not taken, trying again", "worker", s.worker.Name, "err", err)
			}
			failing = true
			continue
		}
		failing, accepted = false, sent
		s.metrics.beat(s.opts.Queues)
		s.reconcile(pulse, sent)
		s.reap(ctx, pulse)
	}
}

func (s *session) pulse(ctx context.Context) (proto.Pulse, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	worker := s.worker
	worker.Busy = s.running()
	return s.registry.Beat(ctx, worker, s.opts.TTL)
}

// reconcile stops the turns that Redis says were canceled, or are another's now.
func (s *session) reconcile(pulse proto.Pulse, sent time.Time) {
	held := map[string]proto.Held{}
	for _, h := range pulse.Held {
		held[h.JobID] = h
	}
	for _, t := range s.snapshot() {
		h, ok := held[t.job.id]
		switch {
		case !t.began.Before(sent) || t.settling.Load(): // younger than the beat, or just leaving
		case !ok || h.Lease != t.job.lease:
			t.cancel(ErrLost)
		case h.Canceled:
			t.cancel(ErrCanceled)
		}
	}
}

// reap gives back the jobs of workers that died. What it cannot do in the time
// of one call is left to the next beat: it must not hold up its own.
func (s *session) reap(ctx context.Context, pulse proto.Pulse) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	for _, name := range pulse.RanOut {
		if name == s.worker.Name {
			continue
		}
		jobs, reaped, err := s.registry.Reap(ctx, name, s.opts.TTL)
		if err != nil {
			s.log.Log(ctx, redisclient.LevelOf(err), "could not reap, the next beat tries again", "worker", name, "err", err)
			return
		}
		if reaped {
			s.metrics.recovered.Add(float64(jobs))
			s.log.WarnContext(ctx, "reaped a worker whose heartbeat ran out", "worker", name, "jobs", jobs)
		}
	}
}

// turn notes that the dispatcher turns.
func (s *session) turn() { s.turned.Store(int64(time.Since(s.born))) }

// still is for how long the dispatcher has not turned.
func (s *session) still() time.Duration { return time.Since(s.born) - time.Duration(s.turned.Load()) }

func (s *session) snapshot() []*turn {
	s.turnsMu.Lock()
	defer s.turnsMu.Unlock()
	turns := make([]*turn, 0, len(s.turns))
	for _, t := range s.turns {
		turns = append(turns, t)
	}
	return turns
}
