package registry

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/prosaas/receipts/pkg/internal/plane"
	"github.com/prosaas/receipts/proto"
)

// Roll is the registry at one instant.
type Roll struct {
	Now     time.Time                 // Redis's clock
	Live    map[string]map[string]int // live workers by queue, each with the milliseconds left to it
	Workers []proto.Worker            // every worker, and those that left or died in the last ten minutes
}

// Listening tells whether a live worker listens on queue.
func (r Roll) Listening(queue string) bool { return len(r.Live[queue]) > 0 }

// Count is how many live workers there are.
func (r Roll) Count() int {
	n := 0
	for _, w := range r.Workers {
		if w.State == proto.WorkerLive {
			n++
		}
	}
	return n
}

// rollScript reads the whole registry.
//
//	KEYS  prefix
//	ARGV  nameArg
//	returns  {now, {{name, ms left, ...} for each queue}, {{name, indexed live?, field, value, ...}, ...}}
var rollScript = plane.Repeatable(`
local queues, workers, seen = {}, {}, {}
for _, q in ipairs(arg.all_queues) do
  local alive = {}
  local scored = redis.call('ZRANGEBYSCORE', key.queue_workers(q), '(' .. int(now), int(now + AHEAD), 'WITHSCORES', 'LIMIT', 0, 300)
  for i = 1, #scored, 2 do
    alive[#alive + 1] = scored[i]
    alive[#alive + 1] = int(tonumber(scored[i + 1]) - now)
  end
  queues[#queues + 1] = alive
end
local function add(w, alive)
  if seen[w] then return end
  seen[w] = true
  local fields = redis.call('HGETALL', key.worker(w))
  if #fields > 0 then workers[#workers + 1] = {w, alive and '1' or '0', fields} end
end
local scored = redis.call('ZREVRANGE', key.workers, 0, 299, 'WITHSCORES')
for i = 1, #scored, 2 do add(scored[i], live(tonumber(scored[i + 1]))) end
for _, w in ipairs(redis.call('ZREVRANGE', key.departed, 0, 99)) do add(w, false) end
return {int(now), queues, workers}
`)

// Roll reads the registry in one round trip. What it calls live is what an
// enqueue at that instant would have called live.
func (r *Registry) Roll(ctx context.Context) (Roll, error) {
	message, err := r.client.Run(ctx, rollScript, []string{r.keys.Prefix()}, plane.Arg(nameArg{AllQueues: proto.Queues()}))
	if err != nil {
		return Roll{}, fmt.Errorf("read registry: %w", err)
	}
	parts, err := message.ToArray()
	if err != nil || len(parts) != 3 {
		return Roll{}, fmt.Errorf("read registry: unexpected reply: %w", err)
	}
	now, err := parts[0].AsInt64()
	if err != nil {
		return Roll{}, fmt.Errorf("read registry: %w", err)
	}
	roll := Roll{Now: time.UnixMilli(now).UTC(), Live: map[string]map[string]int{}, Workers: []proto.Worker{}}
	queues, _ := parts[1].ToArray()
	for i, queue := range proto.Queues() {
		roll.Live[queue] = map[string]int{}
		alive, _ := queues[i].AsStrSlice()
		for ; len(alive) >= 2; alive = alive[2:] {
			roll.Live[queue][alive[0]], _ = strconv.Atoi(alive[1])
		}
	}
	workers, _ := parts[2].ToArray()
	for _, entry := range workers {
		fields, _ := entry.ToArray()
		name, _ := fields[0].ToString()
		alive, _ := fields[1].ToString()
		facts, _ := fields[2].AsStrMap()
		roll.Workers = append(roll.Workers, worker(name, alive == "1", facts))
	}
	return roll, nil
}

func worker(name string, alive bool, facts map[string]string) proto.Worker {
	w := proto.Worker{
		Name: name, Queues: strings.Split(facts["queues"], ","), State: proto.WorkerState(facts["state"]), Version: facts["version"],
		Host: facts["host"], RedisRunID: facts["run_id"], Prefix: facts["prefix"],
		StartedAt: millis(facts["started_at"]), LastHeartbeatAt: millis(facts["last_heartbeat_at"]),
	}
	w.Protocol, _ = strconv.Atoi(facts["protocol"])
	w.Concurrency, _ = strconv.Atoi(facts["slots"])
	w.Busy, _ = strconv.Atoi(facts["busy"])
	w.PID, _ = strconv.Atoi(facts["pid"])
	w.RedisDB, _ = strconv.Atoi(facts["db"])
	if at := facts["last_claim_at"]; at != "" {
		t := millis(at)
		w.LastClaimAt = &t
	}
	if !alive && (w.State == proto.WorkerLive || w.State == proto.WorkerDraining) {
		w.State = proto.WorkerReaped // ran out, though nobody was there to reap it yet
	}
	return w
}

func millis(s string) time.Time {
	n, _ := strconv.ParseInt(s, 10, 64)
	return time.UnixMilli(n).UTC()
}
