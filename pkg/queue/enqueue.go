package queue

import (
	"context"
	"fmt"
	"time"

	"github.com/prosaas/receipts/pkg/internal/plane"
	"github.com/prosaas/receipts/proto"
)

// Request is a job to enqueue, with everything that is asked of it in the one script.
type Request struct {
	Envelope proto.Envelope
	// Retention is how long the record outlives the job's end.
	Retention time.Duration
	// DepthLimit is how many jobs may wait in the queue; 0 is no limit.
	DepthLimit int
	// RateLimit is how many jobs the business may make in RateWindow; 0 is no limit.
	RateLimit  int
	RateWindow time.Duration
	// IdempotencyKey is the hash of route and key, "" for none; BodyHash is of
	// what was asked with it.
	IdempotencyKey, BodyHash string
}

// Verdict is what became of a request.
type Verdict string

// The verdicts of an enqueue. Only [Queued] made a job.
const (
	Queued       Verdict = "queued"
	Repeated     Verdict = "repeated"      // the idempotency key already made JobID
	Mismatch     Verdict = "mismatch"      // the idempotency key was used with another body
	NoWorker     Verdict = "no_worker"     // no live worker listens; WorkerLeft tells whether one just did
	NotConnected Verdict = "not_connected" // the business is not among the connected ones
	InFlight     Verdict = "in_flight"     // JobID does what was asked
	Conflict     Verdict = "conflict"      // JobID, of the same business, does something else
	Canceling    Verdict = "canceling"     // JobID, of the same business, is being canceled
	Full         Verdict = "full"          // the queue is at its depth limit
	Limited      Verdict = "limited"       // the business is over its rate; RetryAfter tells until when
	NotDead      Verdict = "not_dead"      // the job to retry is not in the dead set
)

// Enqueued is the answer to a request.
type Enqueued struct {
	Verdict    Verdict
	JobID      string
	State      proto.State   // of JobID
	Paused     bool          // the job waits for its queue to be resumed
	WorkerLeft bool          // no_worker: one left or ran out within 30 s, so one may come back
	RetryAfter time.Duration // limited
	Remaining  int           // of the rate, after this request
}

type enqueueArg struct {
	ID         string `json:"id"`
	Queue      string `json:"queue"`
	Kind       string `json:"kind"`
	Business   string `json:"business"`
	Mode       string `json:"mode"`
	Trigger    string `json:"trigger"`
	Sameness   string `json:"sameness"`
	Envelope   string `json:"envelope"`
	Version    int    `json:"version"`
	RetryOf    string `json:"retry_of"`
	Keep       int64  `json:"keep"` // ms
	DepthLimit int    `json:"depth_limit"`
	RateLimit  int    `json:"rate_limit"`
	RateWindow int64  `json:"rate_window"` // ms
	Idem       string `json:"idem"`
	BodyHash   string `json:"body_hash"`
}

// enqueueScript accepts a job, or says why not. The same id again is success.
//
//	KEYS  prefix
//	ARGV  enqueueArg
//	returns  {verdict, job id, its state, paused, worker left, retry after ms, remaining}
var enqueueScript = plane.Repeatable(`
local q, b = arg.queue, arg.business
local function say(verdict, id, state, more)
  more = more or {}
  return {verdict, id or '', state or '', paused(q) and 1 or 0, more.left or 0, more.retry or 0, more.remaining or 0}
end

local again = redis.call('HGET', key.job(arg.id), 'state')
if again then return say('queued', arg.id, again) end
if arg.retry_of ~= '' and not redis.call('ZSCORE', key.dead, arg.retry_of) then return say('not_dead') end

if arg.idem ~= '' then
  local first = redis.call('GET', key.idempotency(b, arg.idem))
  if first then
    local id, body = string.match(first, '^(%S+) (.*)$')
    if body ~= arg.body_hash then return say('mismatch', id) end
    return say('repeated', id, 'queued')
  end
end

if redis.call('ZCOUNT', key.queue_workers(q), '(' .. int(now), int(now + AHEAD)) == 0 then
  local left = redis.call('EXISTS', key.left(q)) == 1
    or redis.call('ZCOUNT', key.queue_workers(q), int(now - 30000), int(now)) > 0
    or redis.call('ZCOUNT', key.queue_workers(q), '(' .. int(now + AHEAD), '+inf') > 0
  return say('no_worker', '', '', {left = left and 1 or 0})
end

if arg.kind == 'gmail_sync' and not redis.call('ZSCORE', key.businesses, b) then return say('not_connected') end

local superseded
local other = b ~= '' and redis.call('GET', key.inflight(b))
if other then
  local h = redis.call('HMGET', key.job(other), 'state', 'cancel', 'trigger', 'sameness', 'kind', 'why', 'queue')
  local state = h[1]
  if state == 'queued' or state == 'started' or state == 'scheduled' then
    if h[2] == '1' then return say('canceling', other, state) end
    if h[3] == 'schedule' and state ~= 'started' and arg.trigger ~= 'schedule' then
      superseded = {id = other, queue = h[7]}
    elseif h[4] == arg.sameness or (arg.mode == 'incremental' and h[5] == 'gmail_sync') then
      if state == 'scheduled' and h[6] == 'retry' and arg.trigger ~= 'schedule' then
        redis.call('ZREM', key.delayed, other)
        requeue(other, h[7], false)
        state = 'queued'
      end
      return say('in_flight', other, state)
    else
      return say('conflict', other, state)
    end
  end
end

if arg.depth_limit > 0 and redis.call('LLEN', key.queue(q)) >= arg.depth_limit then return say('full') end

local used = 0
if arg.rate_limit > 0 then
  used = tonumber(redis.call('GET', key.rate(b)) or '0')
  if used >= arg.rate_limit then
    return say('limited', '', '', {retry = math.max(redis.call('PTTL', key.rate(b)), 0)})
  end
end

if superseded then
  redis.call('LREM', key.queue(superseded.queue), 0, superseded.id)
  redis.call('ZREM', key.delayed, superseded.id)
  finish(superseded.id, 'canceled')
end
redis.call('HSET', key.job(arg.id), 'state', 'queued', 'envelope', arg.envelope, 'v', arg.version, 'queue', q, 'kind', arg.kind,
  'business', b, 'mode', arg.mode, 'trigger', arg.trigger, 'sameness', arg.sameness, 'retry_of', arg.retry_of, 'keep', int(arg.keep),
  'attempts', 0, 'crashes', 0, 'enqueued_at', now, 'queued_at', now)
redis.call('LPUSH', key.queue(q), arg.id)
token(q)
if b ~= '' then
  redis.call('SET', key.inflight(b), arg.id)
  redis.call('LPUSH', key.recent(b), arg.id)
  redis.call('LTRIM', key.recent(b), 0, 49)
  redis.call('PEXPIRE', key.recent(b), int(math.max(arg.keep, DEAD_KEEP)))
end
if arg.retry_of ~= '' then redis.call('ZREM', key.dead, arg.retry_of) end
if arg.idem ~= '' then redis.call('SET', key.idempotency(b, arg.idem), arg.id .. ' ' .. arg.body_hash, 'PX', 86400000) end
if arg.rate_limit > 0 then
  used = redis.call('INCR', key.rate(b))
  if used == 1 then redis.call('PEXPIRE', key.rate(b), int(arg.rate_window)) end
end
return say('queued', arg.id, 'queued', {remaining = math.max(arg.rate_limit - used, 0)})
`)

// Enqueue accepts a job or says why not, in one round trip. Nothing can change
// between the guard and the push; what is refused leaves no trace. A lost
// reply is answered by asking again with the same job id.
func (q *Queue) Enqueue(ctx context.Context, r Request) (Enqueued, error) {
	e := r.Envelope
	if !proto.ValidQueue(e.Queue) {
		return Enqueued{}, fmt.Errorf("enqueue job %s: no queue is called %q", e.JobID, e.Queue)
	}
	envelope, err := e.Encode()
	if err != nil {
		return Enqueued{}, fmt.Errorf("enqueue job %s: %w", e.JobID, err)
	}
	reply, err := q.run(ctx, enqueueScript, enqueueArg{
		ID: e.JobID, Queue: e.Queue, Kind: string(e.Kind), Business: e.BusinessID, Mode: string(e.Mode), Trigger: string(e.Trigger),
		Sameness: e.Sameness(), Envelope: string(envelope), Version: e.Version, RetryOf: e.RetryOf, Keep: r.Retention.Milliseconds(),
		DepthLimit: r.DepthLimit, RateLimit: r.RateLimit, RateWindow: r.RateWindow.Milliseconds(), Idem: r.IdempotencyKey, BodyHash: r.BodyHash,
	})
	if err != nil {
		return Enqueued{}, fmt.Errorf("enqueue job %s: %w", e.JobID, err)
	}
	return Enqueued{
		Verdict: Verdict(reply.word), JobID: reply.text(0), State: proto.State(reply.text(1)), Paused: reply.number(2) == 1,
		WorkerLeft: reply.number(3) == 1, RetryAfter: time.Duration(reply.number(4)) * time.Millisecond, Remaining: int(reply.number(5)),
	}, nil
}
