package queue

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/prosaas/receipts/pkg/redisclient"
	"github.com/prosaas/receipts/proto"
)

// Job is one turn of a job, in a handler's hands.
type Job struct {
	id       string
	lease    int64
	envelope proto.Envelope
	attempt  int
	session  *session
	progress atomic.Pointer[proto.Progress]
}

// Envelope is what was asked for.
func (j *Job) Envelope() proto.Envelope { return j.envelope }

// Lease is the turn's lease: the fence of every write in its name.
func (j *Job) Lease() int64 { return j.lease }

// Checkpoint tells the job's progress and whether its position moved. It
// answers whether other jobs wait, and fails with [ErrCanceled] or [ErrStale]
// where the turn must stop.
func (j *Job) Checkpoint(ctx context.Context, p proto.Progress, moved bool) (othersWait bool, err error) {
	j.progress.Store(&p)
	mark, err := j.session.queue.Checkpoint(ctx, j.session.worker.Name, j.id, j.lease, j.session.opts.Queues, p, moved)
	if err == nil && mark.Canceled {
		err = ErrCanceled
	}
	return mark.OthersWait, err
}

// turn is a job from its claim until Redis has acknowledged its outcome.
type turn struct {
	job      *Job
	work     Work
	began    time.Time
	log      *slog.Logger
	cancel   context.CancelCauseFunc
	settling atomic.Bool               // the handler has returned, or was given up: one settles, once
	told     atomic.Pointer[time.Time] // when the handler's context ended, while it runs
}

// start begins the turn of a claimed job.
func (s *session) start(c Claimed) {
	envelope, err := proto.DecodeEnvelope(c.Envelope)
	job := &Job{id: c.JobID, lease: c.Lease, envelope: envelope, attempt: c.Attempt, session: s}
	work, known := s.works[envelope.Kind]
	if err == nil && !known {
		err = fmt.Errorf("job %s: no work for kind %q", c.JobID, envelope.Kind)
	}
	ctx, cancel := context.WithCancelCause(s.work)
	t := &turn{job: job, work: work, began: time.Now(), cancel: cancel, log: s.log.With("job_id", c.JobID, "business_id", envelope.BusinessID)}
	s.turnsMu.Lock()
	s.turns[c.JobID] = t
	s.turnsMu.Unlock()
	s.ended.Add(1)
	s.hold(t, true)
	go func() {
		defer s.end(t)
		defer cancel(nil)
		if err != nil {
			s.settle(t, unreadable(err, c.Age))
			return
		}
		t.log.InfoContext(ctx, "🔔 JOB_START: "+work.Title, //nolint:sloglint // people grep for the title
			"mode", envelope.Mode, "attempt", c.Attempt, "queue_wait", c.Waited.String())
		s.metrics.waited(envelope, c.Waited)
		if c.Canceled {
			cancel(ErrCanceled)
		}
		result, err := s.handle(ctx, t)
		s.settle(t, s.decide(ctx, t, result, err))
	}()
}

func (s *session) end(t *turn) {
	s.turnsMu.Lock()
	if s.turns[t.job.id] == t { // not a later turn of the same job: its outcome came first
		delete(s.turns, t.job.id)
	}
	s.turnsMu.Unlock()
	s.hold(t, false)
	select {
	case s.freed <- struct{}{}:
	default:
	}
	s.ended.Done()
}

func (s *session) handle(ctx context.Context, t *turn) (result slog.LogValuer, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, s.opts.JobTimeout, ErrTimeout)
	defer cancel()
	stop := context.AfterFunc(ctx, func() {
		now := time.Now()
		t.told.Store(&now)
	})
	defer stop()
	defer func() {
		if r := recover(); r != nil {
			t.log.ErrorContext(ctx, "handler panicked", "panic", fmt.Sprint(r), "stack", string(debug.Stack()))
			err = fmt.Errorf("job %s: handler panicked", t.job.id)
		}
		ended := errors.Is(err, ErrTimeout) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled)
		if ended && errors.Is(context.Cause(ctx), ErrTimeout) {
			err = &RetryError{Public: proto.JobError{Code: "timeout", Message: "The job ran longer than it may", Action: "It is tried again from where it stood"}, Cause: ErrTimeout}
		}
	}()
	return t.work.Handle(ctx, t.job)
}

// verdict is how a turn came out, and how the log tells it.
type verdict struct {
	Settlement
	reason string // of a release
	result slog.LogValuer
	cause  error
}

func (v verdict) code() string {
	if v.Error == nil {
		return ""
	}
	return v.Error.Code
}

// newerFor is how long a job of a newer version waits for a worker that reads it.
const newerFor = time.Hour

func unreadable(err error, age time.Duration) verdict {
	if errors.Is(err, proto.ErrNewerVersion) {
		if age < newerFor {
			return verdict{Settlement: Settlement{Outcome: Defer, After: time.Minute}, reason: "defer", cause: err}
		}
		return verdict{Settlement: Settlement{Outcome: Fail, Error: &proto.JobError{
			Code: "newer_version", Message: "The job is of a newer version than any worker that took it for an hour", Action: "Deploy the receipts-worker release that matches receipts-api, then retry the job",
		}}, cause: err}
	}
	return verdict{Settlement: Settlement{Outcome: Fail, Error: &proto.JobError{
		Code: "unreadable_job", Message: "The job could not be read", Action: "Start the sync again",
	}}, cause: err}
}

// decide turns what a handler returned into an outcome.
func (s *session) decide(ctx context.Context, t *turn, result slog.LogValuer, err error) verdict {
	v := verdict{Settlement: Settlement{Progress: t.job.progress.Load(), MaxAttempts: s.opts.MaxAttempts}, result: result, cause: err}
	var failed *FailError
	var retried *RetryError
	var deferred *DeferError
	cause := context.Cause(ctx)
	switch {
	case err == nil:
		v.Outcome = Finish
		v.Result, err = json.Marshal(result)
		if err != nil {
			v.Outcome, v.cause = Fail, fmt.Errorf("encode result of job %s: %w", t.job.id, err)
			v.Error = &proto.JobError{Code: "internal", Message: "The result could not be kept", Action: "Look at the worker's logs"}
		}
	case errors.Is(cause, ErrShutdown):
		v.Outcome, v.reason = Release, "shutdown"
	case errors.Is(cause, ErrLost), errors.Is(cause, ErrCanceled), errors.Is(err, ErrCanceled):
		v.Outcome, v.reason = Release, "lost" // a flagged job is ended by the release
	case errors.Is(err, ErrYield):
		v.Outcome, v.reason = Yield, "yield"
	case errors.As(err, &deferred):
		v.Outcome, v.After, v.reason = Defer, deferred.After, "defer"
	case errors.As(err, &failed):
		v.Outcome, v.Error = Fail, &failed.Public
	case errors.Is(err, redisclient.ErrUnavailable), errors.Is(err, redisclient.ErrFull), errors.Is(err, ErrStale):
		// Redis's trouble is never a job's attempt. It waits a little: the queue
		// may be well while the business's slot is not.
		v.Outcome, v.After, v.reason = Defer, 2*time.Second+rand.N(8*time.Second), "lost" //nolint:gosec // spreads load, keeps no secret
		v.Error = storeTrouble(err)
	case errors.As(err, &retried):
		v.Outcome, v.Error = Retry, &retried.Public
	default:
		v.Outcome = Retry
		v.Error = &proto.JobError{Code: "internal", Message: "The sync stopped on an unexpected error", Action: "It is tried again; if it fails for good, look at the worker's logs"}
	}
	if v.Outcome == Retry {
		v.After = jitter(t.job.attempt)
		final := *v.Error
		final.Action = "Start the sync again; if it fails again, look at the worker's logs"
		v.Final = &final
	}
	return v
}

// storeTrouble returns why a job waits for the store, for a person; nil where err is
// of the queue's own Redis, whose trouble the API reports by itself.
func storeTrouble(err error) *proto.JobError {
	switch {
	case errors.Is(err, redisclient.ErrStoreFull):
		return &proto.JobError{Code: "store_full", Message: "The store of receipts has no memory left", Action: "It goes on by itself when there is room: have the operator give the store more memory (maxmemory)"}
	case errors.Is(err, redisclient.ErrStoreUnavailable):
		return &proto.JobError{Code: "store_unavailable", Message: "The store of receipts does not answer", Action: "It goes on by itself when the store is back: have the operator look at the Redis of STORE_REDIS_URL"}
	default:
		return nil
	}
}

// jitter is the back-off before attempt + 1: exponential from 2 s, with full
// jitter, 15 min at most.
func jitter(attempt int) time.Duration {
	most := 15 * time.Minute
	if attempt < 10 {
		most = min(most, time.Second<<attempt)
	}
	return rand.N(most) //nolint:gosec // spreads load, keeps no secret
}

// settle writes the outcome, again and again until Redis has answered or the
// consumer is over: Redis's troubles are not the job's.
func (s *session) settle(t *turn, v verdict) {
	if !t.settling.CompareAndSwap(false, true) {
		return // it was given up at shutdown
	}
	ctx := s.over
	level := slog.LevelWarn // once a job; what repeats is the outage, which the client logs
	for wait := backoff(); ; {
		call, cancel := context.WithTimeout(ctx, callTimeout)
		state, err := s.queue.Settle(call, s.worker.Name, t.job.id, t.job.lease, v.Settlement)
		cancel()
		if err == nil || errors.Is(err, ErrStale) || ctx.Err() != nil {
			s.tell(ctx, t, v, state, err)
			return
		}
		t.log.Log(ctx, level, "outcome was not taken, trying again", "outcome", v.Outcome, "err", err)
		level = redisclient.LevelOf(err)
		_ = wait(ctx)
	}
}

// abandon releases the job of a handler that does not return. What the handler
// still writes is refused: the lease is not the job's any more.
func (t *turn) abandon(ctx context.Context) error {
	if !t.settling.CompareAndSwap(false, true) {
		return nil
	}
	s := t.job.session
	v := verdict{Settlement: Settlement{Outcome: Release, Progress: t.job.progress.Load()}, reason: "shutdown"}
	state, err := s.queue.Settle(ctx, s.worker.Name, t.job.id, t.job.lease, v.Settlement)
	s.tell(ctx, t, v, state, err)
	return err
}

// tell counts how the turn came out, and writes the one line that ends what
// JOB_START began.
func (s *session) tell(ctx context.Context, t *turn, v verdict, state proto.State, err error) {
	took := time.Since(t.began)
	level, line, outcome := slog.LevelInfo, "🔔 JOB_RELEASED", "released"
	attrs := []slog.Attr{slog.String("duration", took.String())}
	switch {
	case err != nil:
		level, outcome = slog.LevelWarn, "lost"
		attrs = append(attrs, slog.String("reason", "lost"), slog.Any("err", err))
	case state == proto.StateFinished:
		line, outcome = "🔔 JOB_DONE", "finished"
		attrs = append(attrs, slog.Any("", v.result)) // its group is inlined
	case state == proto.StateCanceled:
		line, outcome = "🔔 JOB_CANCELED", "canceled"
	case state == proto.StateFailed:
		level, line, outcome = slog.LevelError, "🔔 JOB_FAIL", "failed"
		attrs = append(attrs, slog.String("code", v.code()), slog.Int("attempt", t.job.attempt), slog.Any("err", v.cause))
	case v.Outcome == Retry:
		level, line, outcome = slog.LevelWarn, "🔔 JOB_FAIL", "retried"
		attrs = append(attrs, slog.String("code", v.code()), slog.Int("attempt", t.job.attempt), slog.Time("retry_at", time.Now().Add(v.After).UTC()), slog.Any("err", v.cause))
		s.metrics.retries.Inc()
	default:
		attrs = append(attrs, slog.String("reason", v.reason), slog.Any("cause", v.cause))
		if v.Outcome == Defer {
			attrs = append(attrs, slog.Time("until", time.Now().Add(v.After).UTC()))
		}
	}
	s.metrics.ended(t.job.envelope, outcome, took)
	t.log.LogAttrs(ctx, level, line, attrs...) //nolint:sloglint // one of the four above
}
