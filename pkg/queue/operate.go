package queue

import (
	"context"
	"fmt"

	"github.com/prosaas/receipts/pkg/internal/plane"
	"github.com/prosaas/receipts/proto"
)

type queueArg struct {
	Queue string `json:"queue"`
}

// pauseScript has a queue hand out nothing.
//
//	KEYS  prefix
//	ARGV  queueArg
//	returns  {'ok'}
var pauseScript = plane.Repeatable(`
redis.call('SADD', key.paused, arg.queue)
redis.call('DEL', key.wake(arg.queue))
return {'ok'}
`)

// resumeScript has a queue hand out jobs again.
//
//	KEYS  prefix
//	ARGV  queueArg
//	returns  {'ok'}
var resumeScript = plane.Repeatable(`
redis.call('SREM', key.paused, arg.queue)
if redis.call('LLEN', key.queue(arg.queue)) > 0 then token(arg.queue) end
return {'ok'}
`)

// Pause has a queue hand out nothing until it is resumed. What runs goes on,
// and jobs are still accepted.
func (q *Queue) Pause(ctx context.Context, queue string) error {
	if _, err := q.run(ctx, pauseScript, queueArg{queue}); err != nil {
		return fmt.Errorf("pause queue %s: %w", queue, err)
	}
	return nil
}

// Resume has a queue hand out its jobs again.
func (q *Queue) Resume(ctx context.Context, queue string) error {
	if _, err := q.run(ctx, resumeScript, queueArg{queue}); err != nil {
		return fmt.Errorf("resume queue %s: %w", queue, err)
	}
	return nil
}

// RetryDead makes a new job, newID, of what a dead one asked for; everything
// else of r.Envelope comes from the dead job. Where the answer is anything but
// [Queued], the dead job stays where it is.
func (q *Queue) RetryDead(ctx context.Context, deadID, newID string, r Request) (Enqueued, error) {
	job, err := q.fields(ctx, deadID)
	if err != nil {
		return Enqueued{}, err
	}
	envelope, err := proto.DecodeEnvelope([]byte(job["envelope"]))
	if err != nil {
		return Enqueued{}, fmt.Errorf("retry job %s: %w", deadID, err)
	}
	headers := r.Envelope.Headers
	r.Envelope = envelope
	r.Envelope.JobID, r.Envelope.RetryOf, r.Envelope.Headers = newID, deadID, headers
	return q.Enqueue(ctx, r)
}

// deleteScript forgets a dead job.
//
//	KEYS  prefix
//	ARGV  {id}
//	returns  {'unknown'} | {'ok'}
var deleteScript = plane.Script(`
if redis.call('ZREM', key.dead, arg.id) == 0 then return {'unknown'} end
redis.call('DEL', key.job(arg.id))
return {'ok'}
`)

// DeleteDead forgets a dead job, with its record. It fails with [ErrNotFound]
// for a job that is not in the dead set.
func (q *Queue) DeleteDead(ctx context.Context, jobID string) error {
	reply, err := q.run(ctx, deleteScript, map[string]string{"id": jobID})
	if err != nil {
		return fmt.Errorf("delete dead job %s: %w", jobID, err)
	}
	if reply.word == "unknown" {
		return fmt.Errorf("delete dead job %s: %w", jobID, ErrNotFound)
	}
	return nil
}
