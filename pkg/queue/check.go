package queue

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/prosaas/receipts/pkg/internal/plane"
	"github.com/prosaas/receipts/proto"
)

// dumpScript reads the whole plane at one instant: for tests and for the
// diagnosis of a plane in doubt, never on the way of a job.
//
//	KEYS  prefix
//	ARGV  {}
//	returns  {'ok', {key, type, ms to live or -1, {value or values}}, ...}
var dumpScript = plane.Repeatable(`
local out, cursor, seen = {'ok'}, '0', {}
repeat
  local page = redis.call('SCAN', cursor, 'MATCH', string.gsub(P, '[%[%]*?\\]', '\\%0') .. ':*', 'COUNT', 1000)
  cursor = page[1]
  for _, name in ipairs(page[2]) do
    if not seen[name] then
      seen[name] = true
      local kind, value = redis.call('TYPE', name), {}
      kind = kind.ok or kind
      if kind == 'string' then value = {redis.call('GET', name)}
      elseif kind == 'list' then value = redis.call('LRANGE', name, 0, -1)
      elseif kind == 'set' then value = redis.call('SMEMBERS', name)
      elseif kind == 'zset' then value = redis.call('ZRANGE', name, 0, -1, 'WITHSCORES')
      elseif kind == 'hash' then value = redis.call('HGETALL', name) end
      out[#out + 1] = {name, kind, redis.call('PTTL', name), value}
    end
  end
until cursor == '0'
return out
`)

// entry is one key: what it holds, as Redis lists it (a hash and a sorted set
// in pairs).
type entry struct {
	ttl    int64 // ms; -1 for none
	values []string
}

func (e entry) hash() map[string]string {
	h := map[string]string{}
	for pairs := e.values; len(pairs) >= 2; pairs = pairs[2:] {
		h[pairs[0]] = pairs[1]
	}
	return h
}

// Check reads the whole plane and reports, in words, every invariant of the
// protocol that it breaks. It is for planes small enough to read at once.
func (q *Queue) Check(ctx context.Context) ([]string, error) {
	reply, err := q.run(ctx, dumpScript, struct{}{})
	if err != nil {
		return nil, fmt.Errorf("check the queue: %w", err)
	}
	keys := map[string]entry{}
	prefix := q.keys.Prefix() + ":"
	for _, item := range reply.rest {
		parts, err := item.ToArray()
		if err != nil || len(parts) != 4 {
			return nil, fmt.Errorf("check the queue: unexpected reply: %w", err)
		}
		name, _ := parts[0].ToString()
		ttl, _ := parts[2].AsInt64()
		values, err := parts[3].AsStrSlice()
		if err != nil {
			return nil, fmt.Errorf("check the queue: %s: %w", name, err)
		}
		keys[strings.TrimPrefix(name, prefix)] = entry{ttl: ttl, values: values}
	}
	return broken(keys), nil
}

// broken lists what of a whole plane, by key without its prefix, breaks an invariant.
func broken(keys map[string]entry) []string {
	c := checker{keys: keys, jobs: map[string]map[string]string{}, places: map[string][]string{}}
	c.check()
	slices.Sort(c.broken)
	return c.broken
}

type checker struct {
	keys   map[string]entry             // without the prefix
	jobs   map[string]map[string]string // job records
	places map[string][]string          // by job id: the lists it is in
	broken []string
}

func (c *checker) say(format string, args ...any) {
	c.broken = append(c.broken, fmt.Sprintf(format, args...))
}

func (c *checker) check() {
	for name, e := range c.keys {
		if id, ok := strings.CutPrefix(name, "job:"); ok {
			c.jobs[id] = e.hash()
		}
	}
	for name, e := range c.keys {
		c.place(name, e)
	}
	lease, _ := strconv.ParseInt(c.first("lease"), 10, 64)
	for id, h := range c.jobs {
		c.job(id, h, lease)
	}
	for id, places := range c.places {
		if c.jobs[id] == nil {
			c.say("%s holds job %s, which has no record", strings.Join(places, " and "), id)
		}
	}
}

func (c *checker) first(name string) string {
	if e, ok := c.keys[name]; ok && len(e.values) > 0 {
		return e.values[0]
	}
	return ""
}

// place checks one key, and notes the jobs that it holds.
func (c *checker) place(name string, e entry) {
	family, rest, _ := strings.Cut(name, ":")
	expires := true
	switch family {
	case "queue":
		expires = false
		c.hold(name, e.values)
	case "claimed":
		expires = false
		c.hold(name, e.values)
		slots, err := strconv.Atoi(c.keys["worker:"+rest].hash()["slots"])
		if err == nil && len(e.values) > slots {
			c.say("%s holds %d jobs, of %d slots", name, len(e.values), slots)
		}
		if !slices.Contains(c.keys["workers"].values, rest) {
			c.say("%s is nobody's: its worker is not indexed, so no reaper finds it", name)
		}
	case "delayed", "dead":
		expires = false
		for i := 0; i < len(e.values); i += 2 {
			c.hold(name, e.values[i:i+1])
		}
	case "wake":
		expires = false
		if len(e.values) > 1 {
			c.say("%s has %d tokens", name, len(e.values))
		}
		if slices.Contains(c.keys["paused"].values, rest) {
			c.say("%s has a token, and the queue is paused", name)
		}
	case "workers":
		expires = false
		for i := 0; rest != "" && i < len(e.values); i += 2 {
			if !slices.Contains(c.keys["workers"].values, e.values[i]) {
				c.say("worker %s listens on %s and is not indexed", e.values[i], rest)
			}
		}
	case "inflight":
		expires = false
		id := c.first(name)
		if h := c.jobs[id]; h == nil || proto.State(h["state"]).Ended() || h["business"] != rest {
			c.say("%s marks job %s, which is %s of business %q", name, id, h["state"], h["business"])
		}
	case "recent":
		if len(e.values) > 50 {
			c.say("%s has %d ids", name, len(e.values))
		}
	case "job":
		expires = proto.State(c.jobs[rest]["state"]).Ended()
		if !expires && e.ttl >= 0 {
			c.say("job %s is %s and would expire", rest, c.jobs[rest]["state"])
		}
	case "paused", "lease", "turn", "beat", "businesses":
		expires = false
	case "worker", "left", "departed", "rate", "idem":
	default:
		c.say("%s is no key of the protocol", name)
	}
	if expires && e.ttl < 0 {
		c.say("%s never expires", name)
	}
}

func (c *checker) hold(name string, ids []string) {
	for _, id := range ids {
		c.places[id] = append(c.places[id], name)
	}
}

// job checks that a job is where its state says, and nowhere else.
func (c *checker) job(id string, h map[string]string, lastLease int64) {
	state := proto.State(h["state"])
	places := c.places[id]
	var want string
	switch state {
	case proto.StateQueued:
		want = "queue:" + h["queue"]
	case proto.StateStarted:
		want = "claimed:" + h["worker"]
	case proto.StateScheduled:
		want = "delayed"
	case proto.StateFailed:
		if len(places) == 0 {
			return // retried from the dead set: its record outlives it
		}
		want = "dead"
	case proto.StateFinished, proto.StateCanceled:
		if len(places) > 0 {
			c.say("job %s is %s and still in %s", id, state, strings.Join(places, " and "))
		}
		return
	default:
		c.say("job %s is in no state of the protocol: %q", id, state)
		return
	}
	if len(places) != 1 || places[0] != want {
		c.say("job %s is %s and in [%s], not in %s alone", id, state, strings.Join(places, " and "), want)
	}
	if state.Ended() {
		return
	}
	if b := h["business"]; b != "" && c.first("inflight:"+b) != id {
		c.say("job %s of business %s is %s, and the marker names %q", id, b, state, c.first("inflight:"+b))
	}
	if crashes, _ := strconv.Atoi(h["crashes"]); crashes >= 3 {
		c.say("job %s is %s after %d crashes", id, state, crashes)
	}
	if attempts, err := strconv.Atoi(h["attempts"]); err != nil || attempts < 0 {
		c.say("job %s counts %q attempts", id, h["attempts"])
	}
	if lease, _ := strconv.ParseInt(h["lease"], 10, 64); lease > lastLease {
		c.say("job %s has lease %d, and the last one handed out is %d", id, lease, lastLease)
	}
}
