package queue

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/rueidis"

	"github.com/prosaas/receipts/pkg/internal/plane"
	"github.com/prosaas/receipts/proto"
)

// Job reads a job of business. It fails with [ErrNotFound] where there is none,
// or where it is another's.
func (q *Queue) Job(ctx context.Context, business, jobID string) (proto.Job, error) {
	job, err := q.AnyJob(ctx, jobID)
	if err == nil && job.BusinessID != business {
		return proto.Job{}, fmt.Errorf("read job %s: %w", jobID, ErrNotFound)
	}
	return job, err
}

// AnyJob reads a job, whosever it is: for those who look after all of them.
func (q *Queue) AnyJob(ctx context.Context, jobID string) (proto.Job, error) {
	jobs, err := q.Jobs(ctx, []string{jobID})
	if err != nil {
		return proto.Job{}, err
	}
	if len(jobs) == 0 {
		return proto.Job{}, fmt.Errorf("read job %s: %w", jobID, ErrNotFound)
	}
	return jobs[0], nil
}

// fields reads a job's record as it lies in Redis.
func (q *Queue) fields(ctx context.Context, jobID string) (map[string]string, error) {
	reply, err := q.client.Do(ctx, func(b rueidis.Builder) rueidis.Completed { return b.Hgetall().Key(q.keys.Job(jobID)).Build() })
	if err != nil {
		return nil, fmt.Errorf("read job %s: %w", jobID, err)
	}
	fields, err := reply.AsStrMap()
	if err != nil {
		return nil, fmt.Errorf("read job %s: %w", jobID, err)
	}
	if len(fields) == 0 {
		return nil, fmt.Errorf("read job %s: %w", jobID, ErrNotFound)
	}
	return fields, nil
}

// Recent reads the newest jobs of a business, newest first, at most 50. Ids
// whose records have expired are skipped.
func (q *Queue) Recent(ctx context.Context, business string, limit int) ([]proto.Job, error) {
	reply, err := q.client.Do(ctx, func(b rueidis.Builder) rueidis.Completed {
		return b.Lrange().Key(q.keys.Recent(business)).Start(0).Stop(int64(limit) - 1).Build()
	})
	if err != nil {
		return nil, fmt.Errorf("read recent jobs of business %s: %w", business, err)
	}
	ids, err := reply.AsStrSlice()
	if err != nil {
		return nil, fmt.Errorf("read recent jobs of business %s: %w", business, err)
	}
	return q.Jobs(ctx, ids)
}

// Latest reads the newest job of a business, [ErrNotFound] where there is none.
func (q *Queue) Latest(ctx context.Context, business string) (proto.Job, error) {
	jobs, err := q.Recent(ctx, business, 1)
	if err == nil && len(jobs) == 0 { // the newest has expired; a failed one lives longer
		jobs, err = q.Recent(ctx, business, 50)
	}
	if err != nil {
		return proto.Job{}, err
	}
	if len(jobs) == 0 {
		return proto.Job{}, fmt.Errorf("latest job of business %s: %w", business, ErrNotFound)
	}
	return jobs[0], nil
}

// Jobs reads jobs, whosever they are, in one round trip; ids without a record
// are skipped.
func (q *Queue) Jobs(ctx context.Context, ids []string) ([]proto.Job, error) {
	replies, err := q.client.DoMulti(ctx, func(b rueidis.Builder) []rueidis.Completed {
		commands := make([]rueidis.Completed, len(ids))
		for i, id := range ids {
			commands[i] = b.Hgetall().Key(q.keys.Job(id)).Build()
		}
		return commands
	})
	if err != nil {
		return nil, fmt.Errorf("read %d jobs: %w", len(ids), err)
	}
	jobs := make([]proto.Job, 0, len(ids))
	for i, reply := range replies {
		fields, err := reply.AsStrMap()
		if err != nil {
			return nil, fmt.Errorf("read job %s: %w", ids[i], err)
		}
		if len(fields) > 0 {
			jobs = append(jobs, record(ids[i], fields))
		}
	}
	return jobs, nil
}

func record(id string, h map[string]string) proto.Job {
	job := proto.Job{
		JobID: id, Kind: proto.Kind(h["kind"]), Status: proto.State(h["state"]), Mode: proto.Mode(h["mode"]), Trigger: proto.Trigger(h["trigger"]),
		Queue: h["queue"], BusinessID: h["business"], Worker: h["worker"], RetryOf: optional(h["retry_of"]),
		StartedAt: moment(h["started_at"]), FinishedAt: moment(h["finished_at"]), RunAt: moment(h["run_at"]),
	}
	job.Attempt, _ = strconv.Atoi(h["attempts"])
	job.Crashes, _ = strconv.Atoi(h["crashes"])
	job.Canceling = h["cancel"] == "1" && !job.Status.Ended()
	if at := moment(h["enqueued_at"]); at != nil {
		job.EnqueuedAt = *at
	}
	if envelope, err := proto.DecodeEnvelope([]byte(h["envelope"])); err == nil {
		job.FromDate, job.ToDate = optional(envelope.Params.FromDate), optional(envelope.Params.ToDate)
	}
	if text := h["result"]; json.Valid([]byte(text)) {
		job.Result = json.RawMessage(text)
	}
	if text := h["error"]; text != "" {
		job.Error = new(proto.JobError)
		if json.Unmarshal([]byte(text), job.Error) != nil {
			job.Error = &proto.JobError{Code: "unreadable", Message: "The job's error could not be read", Action: "Look at the worker's logs"}
		}
	}
	if text := h["progress"]; text != "" {
		job.Progress = new(proto.Progress)
		if json.Unmarshal([]byte(text), job.Progress) != nil {
			job.Progress = nil
		}
	}
	return job
}

func optional(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

func moment(ms string) *time.Time {
	n, err := strconv.ParseInt(ms, 10, 64)
	if err != nil {
		return nil
	}
	t := time.UnixMilli(n).UTC()
	return &t
}

// Depth is how one queue stands.
type Depth struct {
	Waiting, Claimed, Delayed, Dead int
	Oldest                          *time.Time // since when the job that is next has waited
	Paused                          bool
}

// Depths is how the queues stand, by Redis's clock.
type Depths struct {
	Now    time.Time
	Queues map[string]Depth
}

// depthScript reads what is quickly told of each queue.
//
//	KEYS  prefix
//	ARGV  {queues}
//	returns  {now, waiting, since when the next has waited or '', paused, waiting, ...}
var depthScript = plane.Repeatable(`
local out = {int(now)}
for _, q in ipairs(arg.queues) do
  local id = redis.call('LINDEX', key.queue(q), -1)
  out[#out + 1] = redis.call('LLEN', key.queue(q))
  out[#out + 1] = id and redis.call('HGET', key.job(id), 'queued_at') or ''
  out[#out + 1] = paused(q) and 1 or 0
end
return out
`)

// Depths reads how every queue stands.
func (q *Queue) Depths(ctx context.Context) (Depths, error) {
	reply, err := q.run(ctx, depthScript, map[string][]string{"queues": proto.Queues()})
	if err != nil {
		return Depths{}, fmt.Errorf("read the queues' depths: %w", err)
	}
	now := moment(reply.word)
	if now == nil || len(reply.rest) != 3*len(proto.Queues()) {
		return Depths{}, fmt.Errorf("read the queues' depths: unexpected answer of %d parts", len(reply.rest))
	}
	depths := Depths{Now: *now, Queues: map[string]Depth{}}
	for i, name := range proto.Queues() {
		depths.Queues[name] = Depth{Waiting: int(reply.number(3 * i)), Oldest: moment(reply.text(3*i + 1)), Paused: reply.number(3*i+2) == 1}
	}
	lists, err := q.client.DoMulti(ctx, func(b rueidis.Builder) []rueidis.Completed {
		return []rueidis.Completed{
			b.Zrange().Key(q.keys.Delayed()).Min("0").Max("9999").Build(),
			b.Zrange().Key(q.keys.Dead()).Min("0").Max("9999").Build(),
			b.Zrange().Key(q.keys.Workers()).Min("0").Max("299").Build(),
		}
	})
	if err != nil {
		return Depths{}, fmt.Errorf("read the queues' depths: %w", err)
	}
	workers, err := lists[2].AsStrSlice()
	if err != nil {
		return Depths{}, fmt.Errorf("read the queues' depths: %w", err)
	}
	held, err := q.client.DoMulti(ctx, func(b rueidis.Builder) []rueidis.Completed {
		commands := make([]rueidis.Completed, len(workers))
		for i, w := range workers {
			commands[i] = b.Lrange().Key(q.keys.Claimed(w)).Start(0).Stop(-1).Build()
		}
		return commands
	})
	if err != nil {
		return Depths{}, fmt.Errorf("read the queues' depths: %w", err)
	}
	counts := []struct {
		lists []rueidis.RedisMessage
		add   func(*Depth)
	}{
		{lists[:1], func(d *Depth) { d.Delayed++ }},
		{lists[1:2], func(d *Depth) { d.Dead++ }},
		{held, func(d *Depth) { d.Claimed++ }},
	}
	for _, count := range counts {
		names, err := q.queuesOf(ctx, count.lists)
		if err != nil {
			return Depths{}, fmt.Errorf("read the queues' depths: %w", err)
		}
		for _, name := range names {
			if depth, ok := depths.Queues[name]; ok {
				count.add(&depth)
				depths.Queues[name] = depth
			}
		}
	}
	return depths, nil
}

// queuesOf answers the queue of each job in lists of ids.
func (q *Queue) queuesOf(ctx context.Context, lists []rueidis.RedisMessage) ([]string, error) {
	var ids []string
	for _, list := range lists {
		more, err := list.AsStrSlice()
		if err != nil {
			return nil, err
		}
		ids = append(ids, more...)
	}
	replies, err := q.client.DoMulti(ctx, func(b rueidis.Builder) []rueidis.Completed {
		commands := make([]rueidis.Completed, len(ids))
		for i, id := range ids {
			commands[i] = b.Hget().Key(q.keys.Job(id)).Field("queue").Build()
		}
		return commands
	})
	if err != nil {
		return nil, err
	}
	names := make([]string, 0, len(ids))
	for _, reply := range replies {
		if name, err := reply.ToString(); err == nil { // nil: the job has ended meanwhile
			names = append(names, name)
		}
	}
	return names, nil
}
