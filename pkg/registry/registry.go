// Package registry knows which workers live, by queue: heartbeats in, live
// workers out. It is the one truth that the guard of an enqueue, the
// diagnostics, the metrics and the reaper all read.
//
// A worker is live on a queue while its score in that queue's set, the moment
// at which its heartbeat runs out by Redis's own clock, lies ahead. A beat
// rewrites everything, so that whatever was lost heals within one interval. A
// worker that dies is out within its time to live, and whoever beats next hands
// its jobs back to the front of their queues, in the script that removes it.
// One that was reaped is told so by its next beat, writes nothing, and comes
// back under a new name; names are never used twice.
package registry

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/rueidis"

	"github.com/prosaas/receipts/pkg/internal/plane"
	"github.com/prosaas/receipts/pkg/redisclient"
	"github.com/prosaas/receipts/proto"
)

var (
	// ErrNameTaken says that a worker of that name is, or was, registered.
	ErrNameTaken = errors.New("worker name was used before")
	// ErrHolding says that a worker cannot depart: it still holds jobs.
	ErrHolding = errors.New("worker still holds jobs")
)

// Registry reads and writes the heartbeats of one system.
type Registry struct {
	client *redisclient.Client
	keys   proto.Keys
	nonce  string // tells a repeated registration of this process from another's
}

// New makes the registry that lives under keys.
func New(client *redisclient.Client, keys proto.Keys) *Registry {
	return &Registry{client: client, keys: keys, nonce: rand.Text()}
}

// NewName makes a name for one registration: containers share hosts and pids,
// so it ends in random letters.
func NewName(host string) string {
	host = strings.Map(func(r rune) rune {
		if r == '-' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' {
			return r
		}
		return '-'
	}, host)
	return "receipts-worker-" + host[:min(len(host), 24)] + "-" + strings.ToLower(rand.Text()[:10])
}

type beatArg struct {
	Name       string   `json:"name"`
	Queues     []string `json:"queues"`
	AllQueues  []string `json:"all_queues"`
	TTL        int64    `json:"ttl"`     // ms
	Details    []string `json:"details"` // fields and values
	Nonce      string   `json:"nonce"`
	Registered bool     `json:"registered"`
}

// beatScript registers a worker, or beats for one that is registered.
//
//	KEYS  prefix
//	ARGV  beatArg
//	returns  {'taken'} | {'reaped'} | {'ok', {ran out, ...}, id, lease, cancel flag, id, ...}
var beatScript = plane.Repeatable(`
local known = redis.call('ZSCORE', key.workers, arg.name)
local details = key.worker(arg.name)
if arg.registered and not known then return {'reaped'} end
if not arg.registered then
  -- the same registration again, its reply lost, is success
  local born = redis.call('HGET', details, 'nonce')
  if born and (born ~= arg.nonce or not known) then return {'taken'} end
end
redis.call('ZREM', key.workers, '')

-- Nobody beat for a while, or the clock moved: Redis was away, not the workers.
local beat = redis.call('HMGET', key.beat, 'last', 'hold')
local last, hold = tonumber(beat[1]), tonumber(beat[2]) or 0
if not last or last < now - arg.ttl / 2 or last > now or hold > now + AHEAD then
  hold = now + arg.ttl
end
redis.call('HSET', key.beat, 'last', now, 'hold', int(hold))

local draining = redis.call('HGET', details, 'state') == 'draining'
redis.call('ZADD', key.workers, now + arg.ttl, arg.name)
if not draining then
  for _, q in ipairs(arg.queues) do redis.call('ZADD', key.queue_workers(q), now + arg.ttl, arg.name) end
end
redis.call('HSET', details, 'state', draining and 'draining' or 'live', 'last_heartbeat_at', now, 'nonce', arg.nonce, unpack(arg.details))
redis.call('HSETNX', details, 'started_at', now)
redis.call('PEXPIRE', details, 600000)
-- The run that the worker registered in may have ended since.
local run_id = string.match(tostring(redis.pcall('INFO', 'server')), 'run_id:(%x+)')
if run_id then redis.call('HSET', details, 'run_id', run_id) end

promote()
for _, q in ipairs(arg.all_queues) do
  if redis.call('LLEN', key.queue(q)) > 0 then token(q) end
end

local ran_out = {}
if now >= hold then
  for _, w in ipairs(redis.call('ZRANGEBYSCORE', key.workers, '-inf', int(now), 'LIMIT', 0, 16)) do ran_out[#ran_out + 1] = w end
  for _, w in ipairs(redis.call('ZRANGEBYSCORE', key.workers, '(' .. int(now + AHEAD), '+inf', 'LIMIT', 0, 16)) do ran_out[#ran_out + 1] = w end
end
local out = {'ok', ran_out}
for _, id in ipairs(redis.call('LRANGE', key.claimed(arg.name), 0, 99)) do
  local h = redis.call('HMGET', key.job(id), 'lease', 'cancel')
  out[#out + 1] = id
  out[#out + 1] = h[1] or '0'
  out[#out + 1] = h[2] or '0'
end
return out
`)

// Register puts a new worker into the registry of its queues. It fails with
// [ErrNameTaken] for a name that was there before.
func (r *Registry) Register(ctx context.Context, w proto.Worker, ttl time.Duration) error {
	_, err := r.beat(ctx, w, ttl, false)
	return err
}

// Beat renews a worker for ttl and heals whatever was lost of it. It answers
// the jobs that Redis holds to be the worker's, and workers to reap. A worker
// that is draining stays out of its queues' sets, whatever a late beat says.
func (r *Registry) Beat(ctx context.Context, w proto.Worker, ttl time.Duration) (proto.Pulse, error) {
	return r.beat(ctx, w, ttl, true)
}

func (r *Registry) beat(ctx context.Context, w proto.Worker, ttl time.Duration, registered bool) (proto.Pulse, error) {
	arg := beatArg{Name: w.Name, Queues: w.Queues, AllQueues: proto.Queues(), TTL: ttl.Milliseconds(), Registered: registered, Nonce: r.nonce, Details: details(w)}
	reply, err := r.run(ctx, beatScript, arg)
	if err != nil {
		return proto.Pulse{}, fmt.Errorf("beat of worker %s: %w", w.Name, err)
	}
	switch reply.status {
	case "taken":
		return proto.Pulse{}, fmt.Errorf("register worker %s: %w", w.Name, ErrNameTaken)
	case "reaped":
		return proto.Pulse{}, fmt.Errorf("beat of worker %s: %w", w.Name, proto.ErrReaped)
	}
	ranOut, err := reply.rest[0].AsStrSlice()
	if err != nil {
		return proto.Pulse{}, fmt.Errorf("beat of worker %s: %w", w.Name, err)
	}
	pulse := proto.Pulse{RanOut: ranOut}
	for held := reply.rest[1:]; len(held) >= 3; held = held[3:] {
		id, _ := held[0].ToString()
		lease, _ := held[1].AsInt64()
		canceled, _ := held[2].ToString()
		pulse.Held = append(pulse.Held, proto.Held{JobID: id, Lease: lease, Canceled: canceled == "1"})
	}
	return pulse, nil
}

type nameArg struct {
	Name      string   `json:"name"`
	AllQueues []string `json:"all_queues"`
	MaxCrash  int      `json:"max_crash,omitempty"`
	TTL       int64    `json:"ttl,omitempty"` // ms
}

// offQueues takes a worker off its queues, and notes of each that one left.
const offQueues = `
local function off_queues(w)
  for _, q in ipairs(arg.all_queues) do
    if redis.call('ZREM', key.queue_workers(q), w) == 1 then
      redis.call('SET', key.left(q), w, 'PX', 30000)
    end
  end
end
`

// drainScript takes a worker off its queues; it stays indexed until it departs.
//
//	KEYS  prefix
//	ARGV  nameArg
//	returns  {'reaped'} | {'ok'}
var drainScript = plane.Repeatable(offQueues + `
if not redis.call('ZSCORE', key.workers, arg.name) then return {'reaped'} end
off_queues(arg.name)
redis.call('HSET', key.worker(arg.name), 'state', 'draining')
return {'ok'}
`)

// Drain takes a worker off its queues at once: from here on the guard does not
// count it, and no claim of its hands out a job.
func (r *Registry) Drain(ctx context.Context, name string) error {
	return r.leave(ctx, drainScript, "drain", name)
}

// departScript takes a worker that holds nothing out of the registry.
//
//	KEYS  prefix
//	ARGV  nameArg
//	returns  {'reaped'} | {'holding'} | {'ok'}
var departScript = plane.Repeatable(offQueues + departed + `
if redis.call('LLEN', key.claimed(arg.name)) > 0 then return {'holding'} end
local state = redis.call('HGET', key.worker(arg.name), 'state')
if not redis.call('ZSCORE', key.workers, arg.name) then
  return {state == 'departed' and 'ok' or 'reaped'}
end
redis.call('ZREM', key.workers, arg.name)
off_queues(arg.name)
depart(arg.name, 'departed')
return {'ok'}
`)

// departed keeps who left or died listed for ten minutes, a hundred at most.
const departed = `
local function depart(w, state)
  redis.call('ZADD', key.departed, now, w)
  redis.call('ZREMRANGEBYSCORE', key.departed, '-inf', int(now - 600000))
  redis.call('ZREMRANGEBYRANK', key.departed, 0, -101)
  redis.call('PEXPIRE', key.departed, 600000)
  if redis.call('EXISTS', key.worker(w)) == 1 then
    redis.call('HSET', key.worker(w), 'state', state)
    redis.call('PEXPIRE', key.worker(w), 600000)
  end
end
`

// Depart takes a worker out of the registry. It fails with [ErrHolding] while
// the worker holds jobs: those would be nobody's.
func (r *Registry) Depart(ctx context.Context, name string) error {
	return r.leave(ctx, departScript, "depart", name)
}

func (r *Registry) leave(ctx context.Context, script *redisclient.Script, what, name string) error {
	reply, err := r.run(ctx, script, nameArg{Name: name, AllQueues: proto.Queues()})
	if err != nil {
		return fmt.Errorf("%s worker %s: %w", what, name, err)
	}
	switch reply.status {
	case "reaped":
		return fmt.Errorf("%s worker %s: %w", what, name, proto.ErrReaped)
	case "holding":
		return fmt.Errorf("%s worker %s: %w", what, name, ErrHolding)
	}
	return nil
}

// MaxCrashes is how often a job may lose its worker, since its position last
// moved, before it is held to be the cause.
const MaxCrashes = 3

// reapScript removes a worker whose heartbeat ran out, and gives back its jobs.
//
//	KEYS  prefix
//	ARGV  nameArg
//	returns  {'gone'} | {'held'} | {'alive'} | {'ok', jobs back in their queues, jobs ended}
var reapScript = plane.Repeatable(offQueues + departed + `
local score = tonumber(redis.call('ZSCORE', key.workers, arg.name))
if not score then return {'gone'} end
if live(score) then return {'alive'} end
local beat = redis.call('HMGET', key.beat, 'last', 'hold')
local last, hold = tonumber(beat[1]), tonumber(beat[2]) or 0
if not last or last < now - arg.ttl / 2 or last > now or now < hold then return {'held'} end

local back, ended = 0, 0
for _, id in ipairs(redis.call('LRANGE', key.claimed(arg.name), 0, 99)) do
  redis.call('LREM', key.claimed(arg.name), 1, id)
  local h = redis.call('HMGET', key.job(id), 'state', 'worker', 'cancel', 'crashes', 'queue')
  if h[1] == 'started' and h[2] == arg.name then
    local crashes = (tonumber(h[4]) or 0) + 1
    redis.call('HSET', key.job(id), 'crashes', crashes)
    if h[3] == '1' then
      finish(id, 'canceled')
      ended = ended + 1
    elseif crashes >= arg.max_crash then
      redis.call('HSET', key.job(id), 'error', '{"code":"crashed_workers","message":"Every worker that ran this job died","action":"Look at the workers\' logs, then retry the job"}')
      finish(id, 'failed')
      ended = ended + 1
    else
      requeue(id, h[5], true)
      back = back + 1
    end
  end
end
redis.call('ZREM', key.workers, arg.name)
off_queues(arg.name)
depart(arg.name, 'reaped')
return {'ok', back, ended}
`)

// Reap removes a worker whose heartbeat ran out and gives its jobs back to the
// front of their queues; one that lost its third worker fails. It answers
// whether it did, and how many jobs it moved. Any number of reapers may try: the
// script checks again, also that somebody beat within half of ttl, so that Redis
// was not away.
func (r *Registry) Reap(ctx context.Context, name string, ttl time.Duration) (jobs int, reaped bool, err error) {
	reply, err := r.run(ctx, reapScript, nameArg{Name: name, AllQueues: proto.Queues(), MaxCrash: MaxCrashes, TTL: ttl.Milliseconds()})
	if err != nil {
		return 0, false, fmt.Errorf("reap worker %s: %w", name, err)
	}
	for _, n := range reply.rest {
		moved, _ := n.AsInt64()
		jobs += int(moved)
	}
	return jobs, reply.status == "ok", nil
}

type reply struct {
	status string
	rest   []rueidis.RedisMessage
}

func (r *Registry) run(ctx context.Context, script *redisclient.Script, arg any) (reply, error) {
	message, err := r.client.Run(ctx, script, []string{r.keys.Prefix()}, plane.Arg(arg))
	if err != nil {
		return reply{}, err
	}
	parts, err := message.ToArray()
	if err != nil {
		return reply{}, err
	}
	status, err := parts[0].ToString()
	return reply{status: status, rest: parts[1:]}, err
}

func details(w proto.Worker) []string {
	return []string{
		"host", w.Host, "pid", strconv.Itoa(w.PID), "version", w.Version, "protocol", strconv.Itoa(w.Protocol),
		"queues", strings.Join(w.Queues, ","), "slots", strconv.Itoa(w.Concurrency), "busy", strconv.Itoa(w.Busy),
		"run_id", w.RedisRunID, "db", strconv.Itoa(w.RedisDB), "prefix", w.Prefix,
	}
}
