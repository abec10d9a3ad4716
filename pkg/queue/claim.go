package queue

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/rueidis"

	"github.com/prosaas/receipts/pkg/internal/plane"
	"github.com/prosaas/receipts/pkg/redisclient"
	"github.com/prosaas/receipts/proto"
)

// Claimed is a job that was handed to a worker.
type Claimed struct {
	JobID    string
	Lease    int64
	Envelope []byte
	Attempt  int           // 1 for the first
	Waited   time.Duration // in its queue
	Age      time.Duration // since it was enqueued
	Canceled bool          // asked to stop, while an earlier claim's reply was lost
}

// Handed is what a claim answers.
type Handed struct {
	Jobs    []Claimed
	NextDue time.Duration // until the next delayed job is due; negative where none waits
}

type claimArg struct {
	Worker string          `json:"worker"`
	Free   int             `json:"free"`
	Queues []string        `json:"queues"`
	Known  map[string]bool `json:"known"`
}

// claimScript hands jobs to a worker, up to its free slots. What its list holds and
// it does not know (a claim whose reply was lost) it gets first, as it was. It
// leaves one wake token where jobs are left, for the next worker, and none
// elsewhere.
//
//	KEYS  prefix
//	ARGV  claimArg
//	returns  {'reaped'} | {'ok', ms until the next delayed job or -1, id, lease, envelope, attempts, cancel flag, waited ms, age ms, id, ...}
var claimScript = plane.Script(`
if not redis.call('ZSCORE', key.workers, arg.worker) then return {'reaped'} end
local out = {'ok', -1}
local function hand(id)
  local h = redis.call('HMGET', key.job(id), 'lease', 'envelope', 'attempts', 'cancel', 'queued_at', 'enqueued_at')
  for _, v in ipairs({id, h[1] or '0', h[2] or '', h[3] or '0', h[4] or '0', now - (tonumber(h[5]) or now), now - (tonumber(h[6]) or now)}) do
    out[#out + 1] = v
  end
end

local claimed = key.claimed(arg.worker)
local held = redis.call('LRANGE', claimed, 0, 99)
local free = math.min(arg.free, 100 - #held)
for _, id in ipairs(held) do
  if not arg.known[id] then
    local h = redis.call('HMGET', key.job(id), 'state', 'worker')
    if h[1] == 'started' and h[2] == arg.worker then
      hand(id)
      free = free - 1
    else -- its record was lost, or went on without this list: nobody could settle it
      redis.call('LREM', claimed, 1, id)
    end
  end
end

local draining = redis.call('HGET', key.worker(arg.worker), 'state') == 'draining'
if free > 0 and not draining then
  promote()
  local order = arg.queues
  if tonumber(redis.call('GET', key.turn) or '0') % 16 == 15 then
    order = {}
    for i = #arg.queues, 1, -1 do order[#order + 1] = arg.queues[i] end
  end
  local lease = tonumber(redis.call('GET', key.lease) or '0')
  local took = false
  for _, q in ipairs(order) do
    while free > 0 and not paused(q) do
      local id = redis.call('LMOVE', key.queue(q), claimed, 'RIGHT', 'LEFT')
      if not id then break end
      local job = key.job(id)
      if redis.call('HGET', job, 'state') == 'queued' then
        lease = math.max(lease + 1, now_us)
        redis.call('HSET', job, 'state', 'started', 'worker', arg.worker, 'lease', int(lease), 'claimed_at', now)
        redis.call('HSETNX', job, 'started_at', now)
        redis.call('HINCRBY', job, 'attempts', 1)
        hand(id)
        free, took = free - 1, true
      else
        redis.call('LREM', claimed, 1, id)
      end
    end
  end
  if took then
    redis.call('SET', key.lease, int(lease))
    redis.call('INCR', key.turn)
    redis.call('HSET', key.worker(arg.worker), 'last_claim_at', now)
  end
end

local idle = {}
for _, q in ipairs(arg.queues) do
  if redis.call('LLEN', key.queue(q)) > 0 then token(q) else idle[#idle + 1] = key.wake(q) end
end
if #idle > 0 then redis.call('DEL', unpack(idle)) end
local due = redis.call('ZRANGE', key.delayed, 0, 0, 'WITHSCORES')[2]
if due then out[2] = math.max(tonumber(due) - now, 0) end
return out
`)

// Claim hands worker jobs from queues, in strict order, for its free slots;
// every sixteenth claim that hands out a job walks the order backwards, so that
// the last queue never starves. known are the jobs that the worker holds and
// whose outcome Redis has not acknowledged: whatever else its list holds is
// answered first. It fails with [proto.ErrReaped] for a worker that was reaped,
// and must not run twice at once for one worker.
func (q *Queue) Claim(ctx context.Context, worker string, queues []string, free int, known []string) (Handed, error) {
	arg := claimArg{Worker: worker, Free: free, Queues: queues, Known: map[string]bool{}}
	for _, id := range known {
		arg.Known[id] = true
	}
	reply, err := q.run(ctx, claimScript, arg)
	if err != nil {
		return Handed{}, fmt.Errorf("claim for worker %s: %w", worker, err)
	}
	if reply.word == "reaped" {
		return Handed{}, fmt.Errorf("claim for worker %s: %w", worker, proto.ErrReaped)
	}
	handed := Handed{NextDue: time.Duration(reply.number(0)) * time.Millisecond}
	for i := 1; i+6 < len(reply.rest); i += 7 {
		lease, err := strconv.ParseInt(reply.text(i+1), 10, 64)
		if err != nil {
			return Handed{}, fmt.Errorf("claim for worker %s: lease of job %s: %w", worker, reply.text(i), err)
		}
		handed.Jobs = append(handed.Jobs, Claimed{
			JobID: reply.text(i), Lease: lease, Envelope: []byte(reply.text(i + 2)), Attempt: int(reply.number(i + 3)),
			Canceled: reply.text(i+4) == "1", Waited: time.Duration(reply.number(i+5)) * time.Millisecond, Age: time.Duration(reply.number(i+6)) * time.Millisecond,
		})
	}
	return handed, nil
}

// Wait blocks until it takes a wake token of one of queues, or for at most
// timeout, and answers whether there was one. Its deadline stands two seconds
// later: without one a frozen Redis would hold it for far longer.
func (q *Queue) Wait(ctx context.Context, queues []string, timeout time.Duration) (bool, error) {
	keys := make([]string, len(queues))
	for i, queue := range queues {
		keys[i] = q.keys.Wake(queue)
	}
	ctx, cancel := context.WithTimeout(ctx, timeout+2*time.Second)
	defer cancel()
	_, err := q.client.Do(ctx, func(b rueidis.Builder) rueidis.Completed {
		return b.Blpop().Key(keys...).Timeout(timeout.Seconds()).Build()
	})
	switch {
	case redisclient.IsNil(err):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("wait for work: %w", err)
	}
	return true, nil
}
