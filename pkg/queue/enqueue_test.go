package queue_test

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sync/errgroup"

	"github.com/prosaas/receipts/pkg/queue"
	"github.com/prosaas/receipts/proto"
)

func TestEnqueue(t *testing.T) { everywhere(t, testEnqueue) }

func testEnqueue(t *testing.T, newPlane planes) {
	t.Helper()
	full := func(id, business string) queue.Request {
		r := syncOf(id, business)
		r.Envelope.Mode = proto.ModeFull
		return r
	}
	scheduled := func(id, business string) queue.Request {
		r := syncOf(id, business)
		r.Envelope.Trigger = proto.TriggerSchedule
		return r
	}
	tests := []struct {
		name    string
		before  func(p *plane)
		request queue.Request
		want    queue.Enqueued
		state   string
	}{
		{
			name:    "accepted",
			before:  func(p *plane) { p.listen("w"); p.connect("b") },
			request: syncOf("j", "b"),
			want:    queue.Enqueued{Verdict: queue.Queued, JobID: "j", State: proto.StateQueued},
			state:   lines("inflight:b j", "job:j queued attempts=0 crashes=0", "queue:default j", "recent:b j", "wake:default 1"),
		},
		{
			name:    "a noop needs no business",
			before:  func(p *plane) { p.listen("w") },
			request: noop("j"),
			want:    queue.Enqueued{Verdict: queue.Queued, JobID: "j", State: proto.StateQueued},
			state:   lines("job:j queued attempts=0 crashes=0", "queue:default j", "wake:default 1"),
		},
		{
			name:    "the same id again is success",
			before:  func(p *plane) { p.listen("w"); p.enqueue(noop("j")) },
			request: noop("j"),
			want:    queue.Enqueued{Verdict: queue.Queued, JobID: "j", State: proto.StateQueued},
			state:   lines("job:j queued attempts=0 crashes=0", "queue:default j", "wake:default 1"),
		},
		{
			name:    "no worker ever",
			before:  func(p *plane) { p.connect("b") },
			request: syncOf("j", "b"),
			want:    queue.Enqueued{Verdict: queue.NoWorker},
		},
		{
			name: "a worker on other queues only",
			before: func(p *plane) {
				err := p.Registry.Register(p.t.Context(), proto.Worker{Name: "w", Queues: []string{"high", "low"}}, time.Minute)
				if err != nil {
					p.t.Fatal(err)
				}
			},
			request: noop("j"),
			want:    queue.Enqueued{Verdict: queue.NoWorker},
		},
		{
			name: "a worker that drains has left",
			before: func(p *plane) {
				p.listen("w")
				if err := p.Registry.Drain(p.t.Context(), "w"); err != nil {
					p.t.Fatal(err)
				}
			},
			request: noop("j"),
			want:    queue.Enqueued{Verdict: queue.NoWorker, WorkerLeft: true},
			state:   lines("left:default w", "left:high w", "left:low w"),
		},
		{
			name:    "a worker that ran out a second ago",
			before:  func(p *plane) { p.listen("w"); p.runOut("w", -time.Second) },
			request: noop("j"),
			want:    queue.Enqueued{Verdict: queue.NoWorker, WorkerLeft: true},
		},
		{
			name:    "a worker that ran out a minute ago",
			before:  func(p *plane) { p.listen("w"); p.runOut("w", -time.Minute) },
			request: noop("j"),
			want:    queue.Enqueued{Verdict: queue.NoWorker},
		},
		{
			name:    "a heartbeat from before the clock went back",
			before:  func(p *plane) { p.listen("w"); p.runOut("w", 2*time.Minute) },
			request: noop("j"),
			want:    queue.Enqueued{Verdict: queue.NoWorker, WorkerLeft: true},
		},
		{
			name:    "the worker is asked before the connection",
			before:  func(*plane) {},
			request: syncOf("j", "stranger"),
			want:    queue.Enqueued{Verdict: queue.NoWorker},
		},
		{
			name:    "not connected",
			before:  func(p *plane) { p.listen("w") },
			request: syncOf("j", "b"),
			want:    queue.Enqueued{Verdict: queue.NotConnected},
		},
		{
			name:    "the same is in flight",
			before:  func(p *plane) { p.listen("w"); p.connect("b"); p.enqueue(full("first", "b")) },
			request: full("j", "b"),
			want:    queue.Enqueued{Verdict: queue.InFlight, JobID: "first", State: proto.StateQueued},
			state:   lines("inflight:b first", "job:first queued attempts=0 crashes=0", "queue:default first", "recent:b first", "wake:default 1"),
		},
		{
			name:    "incremental asked while a full one runs",
			before:  func(p *plane) { p.listen("w"); p.connect("b"); p.enqueue(full("first", "b")); p.claimOne("w") },
			request: syncOf("j", "b"),
			want:    queue.Enqueued{Verdict: queue.InFlight, JobID: "first", State: proto.StateStarted},
			state:   lines("claimed:w first", "inflight:b first", "job:first started attempts=1 crashes=0 worker=w", "recent:b first"),
		},
		{
			name:    "something else is in flight",
			before:  func(p *plane) { p.listen("w"); p.connect("b"); p.enqueue(syncOf("first", "b")) },
			request: full("j", "b"),
			want:    queue.Enqueued{Verdict: queue.Conflict, JobID: "first", State: proto.StateQueued},
			state:   lines("inflight:b first", "job:first queued attempts=0 crashes=0", "queue:default first", "recent:b first", "wake:default 1"),
		},
		{
			name: "what is in flight is being canceled",
			before: func(p *plane) {
				p.listen("w")
				p.connect("b")
				p.enqueue(syncOf("first", "b"))
				p.claimOne("w")
				if _, err := p.Cancel(p.t.Context(), "b", "first"); err != nil {
					p.t.Fatal(err)
				}
			},
			request: syncOf("j", "b"),
			want:    queue.Enqueued{Verdict: queue.Canceling, JobID: "first", State: proto.StateStarted},
			state:   lines("claimed:w first", "inflight:b first", "job:first started attempts=1 crashes=0 worker=w cancel=1", "recent:b first"),
		},
		{
			name:    "the scheduler's job that waits makes room",
			before:  func(p *plane) { p.listen("w"); p.connect("b"); p.enqueue(scheduled("first", "b")) },
			request: full("j", "b"),
			want:    queue.Enqueued{Verdict: queue.Queued, JobID: "j", State: proto.StateQueued},
			state: lines("inflight:b j", "job:first canceled attempts=0 crashes=0 expires", "job:j queued attempts=0 crashes=0",
				"queue:default j", "recent:b j,first", "wake:default 1"),
		},
		{
			name: "a person's job that waits for its back-off is promoted",
			before: func(p *plane) {
				p.listen("w")
				p.connect("b")
				p.enqueue(syncOf("first", "b"))
				p.settle("w", p.claimOne("w"), queue.Settlement{Outcome: queue.Retry, After: time.Hour, MaxAttempts: 5})
			},
			request: syncOf("j", "b"),
			want:    queue.Enqueued{Verdict: queue.InFlight, JobID: "first", State: proto.StateQueued},
			state:   lines("inflight:b first", "job:first queued attempts=1 crashes=0", "queue:default first", "recent:b first", "wake:default 1"),
		},
		{
			name: "a wait that Gmail named stays",
			before: func(p *plane) {
				p.listen("w")
				p.connect("b")
				p.enqueue(syncOf("first", "b"))
				p.settle("w", p.claimOne("w"), queue.Settlement{Outcome: queue.Defer, After: time.Hour})
			},
			request: syncOf("j", "b"),
			want:    queue.Enqueued{Verdict: queue.InFlight, JobID: "first", State: proto.StateScheduled},
			state:   lines("delayed first", "inflight:b first", "job:first scheduled attempts=0 crashes=0 why=defer", "recent:b first"),
		},
		{
			name: "a marker whose job is gone counts as none",
			before: func(p *plane) {
				p.listen("w")
				p.connect("b")
				p.do("SET", p.keys.Inflight("b"), "vanished")
			},
			request: syncOf("j", "b"),
			want:    queue.Enqueued{Verdict: queue.Queued, JobID: "j", State: proto.StateQueued},
			state:   lines("inflight:b j", "job:j queued attempts=0 crashes=0", "queue:default j", "recent:b j", "wake:default 1"),
		},
		{
			name:    "at the depth limit",
			before:  func(p *plane) { p.listen("w"); p.enqueue(noop("first")) },
			request: func() queue.Request { r := noop("j"); r.DepthLimit = 1; return r }(),
			want:    queue.Enqueued{Verdict: queue.Full},
			state:   lines("job:first queued attempts=0 crashes=0", "queue:default first", "wake:default 1"),
		},
		{
			name:    "a paused queue takes jobs and gives no token",
			before:  func(p *plane) { p.listen("w"); p.do("SADD", p.keys.Paused(), "default") },
			request: noop("j"),
			want:    queue.Enqueued{Verdict: queue.Queued, JobID: "j", State: proto.StateQueued, Paused: true},
			state:   lines("job:j queued attempts=0 crashes=0", "paused default", "queue:default j"),
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := newPlane(t)
			tt.before(p)
			got := p.enqueue(tt.request)
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("answer (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tt.state, p.state()); diff != "" {
				t.Errorf("state (-want +got):\n%s", diff)
			}
		})
	}
}

func TestEnqueueRate(t *testing.T) { everywhere(t, testEnqueueRate) }

func testEnqueueRate(t *testing.T, newPlane planes) {
	t.Helper()
	p := newPlane(t)
	p.listen("w")
	p.connect("b")
	request := func(id string) queue.Request {
		r := syncOf(id, "b")
		r.RateLimit, r.RateWindow = 2, time.Minute
		return r
	}
	for i, id := range []string{"one", "two"} {
		if got := p.enqueue(request(id)); got.Verdict != queue.Queued || got.Remaining != 1-i {
			t.Fatalf("enqueue %s = %+v, want queued with %d remaining", id, got, 1-i)
		}
		p.settle("w", p.claimOne("w"), queue.Settlement{Outcome: queue.Finish, Result: []byte("{}")})
	}
	got := p.enqueue(request("three"))
	if got.Verdict != queue.Limited || got.RetryAfter <= 0 || got.RetryAfter > time.Minute {
		t.Errorf("third = %+v, want limited with the rest of the minute", got)
	}
}

func TestEnqueueIdempotency(t *testing.T) { everywhere(t, testEnqueueIdempotency) }

func testEnqueueIdempotency(t *testing.T, newPlane planes) {
	t.Helper()
	p := newPlane(t)
	request := func(id, body string) queue.Request {
		r := syncOf(id, "b")
		r.IdempotencyKey, r.BodyHash = "key", body
		return r
	}
	p.connect("b")
	if got := p.enqueue(request("refused", "body")); got.Verdict != queue.NoWorker {
		t.Fatalf("without a worker = %+v", got)
	}
	p.listen("w")
	if got := p.enqueue(request("first", "other body")); got.Verdict != queue.Queued {
		t.Fatalf("a refusal must keep nothing of its key: %+v", got)
	}
	p.settle("w", p.claimOne("w"), queue.Settlement{Outcome: queue.Finish, Result: []byte("{}")})
	if got := p.enqueue(request("second", "other body")); got.Verdict != queue.Repeated || got.JobID != "first" {
		t.Errorf("repeated = %+v, want the first job", got)
	}
	if got := p.enqueue(request("third", "body")); got.Verdict != queue.Mismatch {
		t.Errorf("another body = %+v, want mismatch", got)
	}
}

func TestEnqueueTwentyAtOnceMakeOneJob(t *testing.T) {
	everywhere(t, testEnqueueTwentyAtOnceMakeOneJob)
}

func testEnqueueTwentyAtOnceMakeOneJob(t *testing.T, newPlane planes) {
	t.Helper()
	p := newPlane(t)
	p.listen("w")
	p.connect("b")
	var made, named atomic.Int64
	var group errgroup.Group
	for i := range 20 {
		group.Go(func() error {
			got, err := p.Enqueue(testCtx(t), syncOf("j"+string(rune('a'+i)), "b"))
			switch {
			case err != nil:
				return err
			case got.Verdict == queue.Queued:
				made.Add(1)
			case got.Verdict == queue.InFlight && got.JobID != "":
				named.Add(1)
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	if made.Load() != 1 || named.Load() != 19 {
		t.Errorf("made %d jobs, %d answers named it; want 1 and 19", made.Load(), named.Load())
	}
}
