package queue

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/prosaas/receipts/pkg/internal/plane"
	"github.com/prosaas/receipts/proto"
)

// Outcome is how a turn of a job came out. proto's doc has the table of what
// each does.
type Outcome string

// The outcomes. Of a job that is flagged for cancel, all but finish end it as canceled.
const (
	Finish  Outcome = "finish"
	Fail    Outcome = "fail"
	Retry   Outcome = "retry"
	Release Outcome = "release"
	Yield   Outcome = "yield"
	Defer   Outcome = "defer"
)

// Settlement is an outcome with what belongs to it.
type Settlement struct {
	Outcome     Outcome
	Result      json.RawMessage // finish; at most 16 KiB
	Error       *proto.JobError // fail, retry
	Final       *proto.JobError // retry: what stands where no attempt is left, nil for Error
	After       time.Duration   // retry, defer: when it is due again
	MaxAttempts int             // retry: how many there are in all
	Progress    *proto.Progress // the last, nil leaves what is there
}

// maxRecord bounds each of a job's result, error and progress, in bytes.
const maxRecord = 16 << 10

type settleArg struct {
	ID          string `json:"id"`
	Worker      string `json:"worker"`
	Lease       string `json:"lease"`
	Outcome     string `json:"outcome"`
	Result      string `json:"result"`
	Error       string `json:"error"`
	Final       string `json:"final"`
	Progress    string `json:"progress"`
	After       int64  `json:"after"` // ms
	MaxAttempts int    `json:"max_attempts"`
}

// owner is the check of whoever writes in a job's name: job, lease and worker
// must match. An outcome repeated with the lease that it settled is 'already'.
const owner = `
local job = key.job(arg.id)
local h = redis.call('HMGET', job, 'state', 'lease', 'worker', 'settled', 'attempts', 'cancel', 'queue')
local owned = h[1] == 'started' and h[2] == arg.lease and h[3] == arg.worker
`

// settleScript writes how a turn of a job came out.
//
//	KEYS  prefix
//	ARGV  settleArg
//	returns  {'ok' | 'already', what it led to} | {'stale', state}
var settleScript = plane.Repeatable(owner + `
if not owned then
  local lease, led_to = string.match(h[4] or '', '^(%d+) (%a+)$')
  if lease == arg.lease then return {'already', led_to} end
  return {'stale', h[1] or ''}
end
redis.call('LREM', key.claimed(arg.worker), 1, arg.id)

-- What this lease led to, so that an outcome repeated is told the same.
local function answer(state)
  redis.call('HSET', job, 'settled', arg.lease .. ' ' .. state)
  return {'ok', state}
end
if arg.progress ~= '' then redis.call('HSET', job, 'progress', arg.progress) end
if arg.error ~= '' then redis.call('HSET', job, 'error', arg.error) else redis.call('HDEL', job, 'error') end

local function later(why)
  redis.call('HSET', job, 'state', 'scheduled', 'run_at', int(now + arg.after), 'why', why)
  redis.call('HDEL', job, 'worker')
  redis.call('ZADD', key.delayed, int(now + arg.after), arg.id)
  return answer('scheduled')
end

if arg.outcome == 'finish' then
  redis.call('HSET', job, 'result', arg.result)
  finish(arg.id, 'finished')
  return answer('finished')
elseif h[6] == '1' then
  finish(arg.id, 'canceled')
  return answer('canceled')
elseif arg.outcome == 'fail' or (arg.outcome == 'retry' and tonumber(h[5]) >= arg.max_attempts) then
  if arg.outcome == 'retry' and arg.final ~= '' then redis.call('HSET', job, 'error', arg.final) end
  finish(arg.id, 'failed')
  return answer('failed')
elseif arg.outcome == 'retry' then
  return later('retry')
end
redis.call('HINCRBY', job, 'attempts', -1)
if arg.outcome == 'defer' then return later('defer') end
requeue(arg.id, h[7], arg.outcome == 'release')
return answer('queued')
`)

// Settle writes how worker's turn of a job came out, and answers the state that
// this led to. It fails with [ErrStale] where the lease is not the job's any more.
// Repeating it is success.
func (q *Queue) Settle(ctx context.Context, worker, jobID string, lease int64, s Settlement) (proto.State, error) {
	arg := settleArg{
		ID: jobID, Worker: worker, Lease: strconv.FormatInt(lease, 10), Outcome: string(s.Outcome),
		Result: bounded(s.Result), After: s.After.Milliseconds(), MaxAttempts: s.MaxAttempts,
	}
	if s.Error != nil {
		arg.Error = encode(s.Error)
	}
	if s.Final != nil {
		arg.Final = encode(s.Final)
	}
	if s.Progress != nil {
		arg.Progress = encode(s.Progress)
	}
	reply, err := q.run(ctx, settleScript, arg)
	if err != nil {
		return "", fmt.Errorf("%s job %s: %w", s.Outcome, jobID, err)
	}
	if reply.word == "stale" {
		return proto.State(reply.text(0)), fmt.Errorf("%s job %s: %w", s.Outcome, jobID, ErrStale)
	}
	return proto.State(reply.text(0)), nil
}

type checkpointArg struct {
	ID       string   `json:"id"`
	Worker   string   `json:"worker"`
	Lease    string   `json:"lease"`
	Progress string   `json:"progress"`
	Moved    bool     `json:"moved"`
	Queues   []string `json:"queues"`
}

// checkpointScript tells a running job's progress.
//
//	KEYS  prefix
//	ARGV  checkpointArg
//	returns  {'stale'} | {'ok', cancel flag, do others wait}
var checkpointScript = plane.Repeatable(owner + `
if not owned then return {'stale'} end
redis.call('HSET', job, 'progress', arg.progress)
if arg.moved then redis.call('HSET', job, 'attempts', 1, 'crashes', 0) end
local others = 0
for _, q in ipairs(arg.queues) do
  if not paused(q) and redis.call('LLEN', key.queue(q)) > 0 then others = 1 end
end
return {'ok', h[6] or '0', others}
`)

// Mark is what a checkpoint answers.
type Mark struct {
	Canceled   bool // the job was asked to stop
	OthersWait bool // a job waits in one of the worker's queues
}

// Checkpoint tells the progress of a job that worker runs. Where its position
// moved, its attempts and crashes count afresh: a long job must not die of a
// few hiccups in hours.
func (q *Queue) Checkpoint(ctx context.Context, worker, jobID string, lease int64, queues []string, p proto.Progress, moved bool) (Mark, error) {
	reply, err := q.run(ctx, checkpointScript, checkpointArg{
		ID: jobID, Worker: worker, Lease: strconv.FormatInt(lease, 10), Progress: encode(p), Moved: moved, Queues: queues,
	})
	if err != nil {
		return Mark{}, fmt.Errorf("checkpoint of job %s: %w", jobID, err)
	}
	if reply.word == "stale" {
		return Mark{}, fmt.Errorf("checkpoint of job %s: %w", jobID, ErrStale)
	}
	return Mark{Canceled: reply.text(0) == "1", OthersWait: reply.number(1) == 1}, nil
}

type cancelArg struct {
	ID       string `json:"id"`
	Business string `json:"business"`
	Any      bool   `json:"any"`
}

// cancelScript cancels a job that waits, and flags one that runs.
//
//	KEYS  prefix
//	ARGV  cancelArg
//	returns  {'unknown'} | {'ended', state} | {'ok', state}
var cancelScript = plane.Repeatable(`
local job = key.job(arg.id)
local h = redis.call('HMGET', job, 'state', 'queue', 'business')
if not h[1] or not (arg.any or h[3] == arg.business) then return {'unknown'} end
if h[1] == 'started' then
  redis.call('ZREM', key.delayed, arg.id) -- it is not there: a full Redis takes the rest too
  redis.call('HSET', job, 'cancel', '1')
  return {'ok', 'started'}
elseif h[1] == 'queued' or h[1] == 'scheduled' then
  redis.call('LREM', key.queue(h[2]), 0, arg.id)
  redis.call('ZREM', key.delayed, arg.id)
  finish(arg.id, 'canceled')
  return {'ok', 'canceled'}
elseif h[1] == 'canceled' then
  return {'ok', 'canceled'}
end
return {'ended', h[1]}
`)

// Cancel ends a job of business that waits, at once, and asks one that runs to
// stop: it does so within one heartbeat. It answers the job's state, with
// [ErrNotFound] for another business's job and [ErrEnded] for one that ended otherwise.
func (q *Queue) Cancel(ctx context.Context, business, jobID string) (proto.State, error) {
	return q.cancel(ctx, cancelArg{ID: jobID, Business: business})
}

// CancelAny is [Queue.Cancel] for whosever job: for those who look after all of them.
func (q *Queue) CancelAny(ctx context.Context, jobID string) (proto.State, error) {
	return q.cancel(ctx, cancelArg{ID: jobID, Any: true})
}

func (q *Queue) cancel(ctx context.Context, arg cancelArg) (proto.State, error) {
	jobID := arg.ID
	reply, err := q.run(ctx, cancelScript, arg)
	if err != nil {
		return "", fmt.Errorf("cancel job %s: %w", jobID, err)
	}
	state := proto.State(reply.text(0))
	switch reply.word {
	case "unknown":
		return "", fmt.Errorf("cancel job %s: %w", jobID, ErrNotFound)
	case "ended":
		return state, fmt.Errorf("cancel job %s: %w", jobID, ErrEnded)
	}
	return state, nil
}

func encode(v any) string { return bounded(json.RawMessage(plane.Arg(v))) }

// bounded refuses a record that is too large rather than cutting it into
// something that cannot be read.
func bounded(data json.RawMessage) string {
	if len(data) > maxRecord {
		return `{"code":"too_large"}`
	}
	return string(data)
}
