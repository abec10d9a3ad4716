// Package plane holds what the scripts of the queue and of the registry share:
// the key table, Redis's clock, wake tokens, and how a job ends or goes back.
//
// A script that begins with [Source] gets KEYS[1], the prefix, from which every
// other key of the plane follows (they all share its hash tag), and ARGV[1], a
// JSON object. Redis rolls nothing back, so all checks stand before the first
// write; and what ends or hands back a job writes LREM or ZREM first, which
// even a full Redis takes, and with it the rest of the script.
package plane

import (
	"encoding/json"

	"github.com/prosaas/receipts/pkg/redisclient"
	"github.com/prosaas/receipts/proto"
)

const shared = `
local arg = cjson.decode(ARGV[1])
local clock = redis.call('TIME')
local now_us = clock[1] * 1000000 + clock[2]
local now = math.floor(now_us / 1000)
local int = function(n) return string.format('%.0f', n) end

-- How far ahead a heartbeat may run out: the longest HEARTBEAT_TTL. A score
-- beyond it was written before the clock went back, and counts as run out.
local AHEAD = 60000
local DEAD_KEEP, DEAD_MOST = 30 * 86400000, 10000

local function live(score) return score > now and score <= now + AHEAD end

local held_back
local function paused(q)
  if not held_back then
    held_back = {}
    for _, name in ipairs(redis.call('SMEMBERS', key.paused)) do held_back[name] = true end
  end
  return held_back[q]
end

-- One wake token, if there is none and the queue is not paused.
local function token(q)
  if not paused(q) and redis.call('LLEN', key.wake(q)) == 0 then
    redis.call('LPUSH', key.wake(q), '1')
  end
end

-- Puts a job back into its queue, to the front (claimed next) or the back.
local function requeue(id, q, front)
  redis.call('HSET', key.job(id), 'state', 'queued', 'queued_at', now)
  redis.call('HDEL', key.job(id), 'worker', 'run_at', 'why')
  redis.call(front and 'RPUSH' or 'LPUSH', key.queue(q), id)
  token(q)
end

-- Ends a job: its state is final, its marker cleared, its record expires. The
-- caller has already taken it out of whatever list it was in.
local function finish(id, state)
  local job = key.job(id)
  local h = redis.call('HMGET', job, 'business', 'keep')
  redis.call('HSET', job, 'state', state, 'finished_at', now)
  redis.call('HDEL', job, 'worker', 'run_at', 'why')
  local keep = tonumber(h[2]) or DEAD_KEEP
  if state == 'failed' then
    keep = math.max(keep, DEAD_KEEP)
    redis.call('ZADD', key.dead, now, id)
    local old = redis.call('ZRANGEBYSCORE', key.dead, '-inf', int(now - DEAD_KEEP), 'LIMIT', 0, 50)
    local over = redis.call('ZCARD', key.dead) - #old - DEAD_MOST
    if over > 0 then
      old = redis.call('ZRANGE', key.dead, 0, #old + math.min(over, 50) - 1)
    end
    for _, gone in ipairs(old) do
      redis.call('ZREM', key.dead, gone)
      redis.call('DEL', key.job(gone))
    end
  end
  redis.call('PEXPIRE', job, int(keep))
  if h[1] and h[1] ~= '' then
    if redis.call('GET', key.inflight(h[1])) == id then redis.call('DEL', key.inflight(h[1])) end
    redis.call('PEXPIRE', key.recent(h[1]), int(math.max(keep, DEAD_KEEP)))
  end
end

-- Moves what is due (at most 100) from the delayed set to its queue's back.
local function promote()
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', key.delayed, '-inf', int(now), 'LIMIT', 0, 100)) do
    redis.call('ZREM', key.delayed, id)
    local h = redis.call('HMGET', key.job(id), 'state', 'queue')
    if h[1] == 'scheduled' then requeue(id, h[2], false) end
  end
end
`

// Source is a whole script: the key table, what is shared, and body.
func Source(body string) string { return proto.Lua + shared + body }

// Script makes a script that must not be repeated blindly.
func Script(body string) *redisclient.Script { return redisclient.NewScript(Source(body)) }

// Repeatable makes a script that does the same when it runs twice.
func Repeatable(body string) *redisclient.Script {
	return redisclient.NewRepeatableScript(Source(body))
}

// Arg encodes a script's argument.
func Arg(v any) string {
	data, err := json.Marshal(v)
	if err != nil { // structs of strings, numbers and bools, all ours
		panic(err)
	}
	return string(data)
}
