package queue_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/prosaas/receipts/pkg/queue"
	"github.com/prosaas/receipts/pkg/redisclient"
	"github.com/prosaas/receipts/pkg/redistest"
	"github.com/prosaas/receipts/pkg/registry"
	"github.com/prosaas/receipts/proto"
)

// shears cut a connection once: before the nth request reaches Redis, or after
// its reply left it.
type shears struct {
	mu    sync.Mutex
	left  int
	after bool
}

func (s *shears) dial(ctx context.Context, addr string) (net.Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
	return &sheared{Conn: conn, shears: s}, err
}

// now counts one request or reply, and answers whether it is the one to cut.
func (s *shears) now(after bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if after != s.after || s.left == 0 {
		return false
	}
	s.left--
	return s.left == 0
}

// done tells whether the cut was made.
func (s *shears) done() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.left == 0
}

type sheared struct {
	net.Conn
	shears *shears
}

func (c *sheared) Write(b []byte) (int, error) {
	if c.shears.now(false) {
		_ = c.Close()
		return 0, errCut
	}
	return c.Conn.Write(b)
}

func (c *sheared) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if err == nil && c.shears.now(true) {
		_ = c.Close()
		return 0, errCut
	}
	return n, err
}

// TestCutAtEveryCommand runs one scenario that uses every operation, again and
// again, with the connection cut before the first request, the second, ..., and
// after each reply. Callers repeat what failed, as the services do. Each time
// every invariant holds in the end, and every job has ended as it should.
func TestCutAtEveryCommand(t *testing.T) {
	t.Parallel()
	for _, after := range []bool{false, true} {
		t.Run(fmt.Sprintf("after=%t", after), func(t *testing.T) {
			t.Parallel()
			url := redistest.DB(t)
			cuts := 0
			for n := 1; ; n++ {
				s := &shears{left: n, after: after}
				cutScenario(t, url, s, fmt.Sprintf("{cut%d}", n))
				if t.Failed() {
					t.Fatalf("with the cut at %d", n)
				}
				if !s.done() {
					break // the scenario has fewer than n
				}
				cuts++
			}
			if cuts < 40 {
				t.Errorf("the scenario was cut at %d places, want one for each command", cuts)
			}
		})
	}
}

func cutScenario(t *testing.T, url string, s *shears, prefix string) {
	t.Helper()
	ctx := testCtx(t)
	client, err := redisclient.Open(url, redisclient.Options{Dial: s.dial})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	<-client.Ready()
	keys := proto.MustKeys(prefix)
	q, r := queue.New(client, keys), registry.New(client, keys)

	sound := openPlane(t, url) // never cut: looks on
	sound.keys, sound.Queue, sound.Registry = keys, queue.New(sound.client, keys), registry.New(sound.client, keys)
	defer sound.client.Close()
	sound.connect("b")

	// again repeats until Redis has answered, as every caller does.
	again := func(what string, f func() error) {
		t.Helper()
		for {
			err := f()
			switch {
			case err == nil:
				return
			case !errors.Is(err, redisclient.ErrUnavailable):
				t.Fatalf("%s: %v", what, err)
			}
		}
	}
	register := func(name string) {
		again("register", func() error {
			return r.Register(ctx, proto.Worker{Name: name, Queues: proto.Queues(), Concurrency: 10}, 10*time.Second)
		})
	}
	enqueue := func(request queue.Request) {
		again("enqueue", func() error {
			got, err := q.Enqueue(ctx, request)
			if err == nil && got.Verdict != queue.Queued {
				err = fmt.Errorf("%+v", got)
			}
			return err
		})
	}
	held := map[string]queue.Claimed{}
	claim := func(worker string) {
		again("claim", func() error {
			known := make([]string, 0, len(held))
			for id := range held {
				known = append(known, id)
			}
			handed, err := q.Claim(ctx, worker, proto.Queues(), 10, known)
			for _, job := range handed.Jobs {
				if _, twice := held[job.JobID]; twice {
					t.Errorf("job %s was handed out twice", job.JobID)
				}
				held[job.JobID] = job
			}
			return err
		})
	}
	settle := func(worker, id string, s queue.Settlement) {
		again(string(s.Outcome), func() error {
			_, err := q.Settle(ctx, worker, id, held[id].Lease, s)
			return err
		})
		delete(held, id)
	}

	register("w")
	enqueue(syncOf("finish", "b"))
	for _, id := range []string{"fail", "retry", "release", "yield", "defer", "flagged", "reaped"} {
		enqueue(noop(id))
	}
	claim("w")
	again("checkpoint", func() error {
		_, err := q.Checkpoint(ctx, "w", "finish", held["finish"].Lease, proto.Queues(), proto.Progress{Saved: 1}, true)
		return err
	})
	again("cancel", func() error { _, err := q.CancelAny(ctx, "flagged"); return err })
	settle("w", "finish", queue.Settlement{Outcome: queue.Finish, Result: []byte("{}")})
	settle("w", "fail", queue.Settlement{Outcome: queue.Fail, Error: &proto.JobError{Code: "c"}})
	settle("w", "retry", queue.Settlement{Outcome: queue.Retry, MaxAttempts: 5})
	settle("w", "release", queue.Settlement{Outcome: queue.Release})
	settle("w", "yield", queue.Settlement{Outcome: queue.Yield})
	settle("w", "defer", queue.Settlement{Outcome: queue.Defer})
	settle("w", "flagged", queue.Settlement{Outcome: queue.Release})
	again("retry dead", func() error {
		got, err := q.RetryDead(ctx, "fail", "fail2", queue.Request{Retention: time.Hour})
		if err == nil && got.Verdict != queue.Queued {
			err = fmt.Errorf("%+v", got)
		}
		return err
	})
	again("pause", func() error { return q.Pause(ctx, proto.QueueLow) })
	again("resume", func() error { return q.Resume(ctx, proto.QueueLow) })

	register("v")
	sound.runOut("w", -time.Second) // w died, with the job reaped
	sound.do("ZREM", keys.Workers(), "v")
	sound.do("ZADD", keys.Workers(), fmt.Sprint(sound.now().Add(10*time.Second).UnixMilli()), "v")
	sound.do("HSET", keys.Beat(), "hold", "0")
	again("beat", func() error {
		_, err := r.Beat(ctx, proto.Worker{Name: "v", Queues: proto.Queues(), Concurrency: 10}, 10*time.Second)
		return err
	})
	again("reap", func() error { _, _, err := r.Reap(ctx, "w", 10*time.Second); return err })
	clear(held)
	claim("v")
	for _, id := range []string{"reaped", "retry", "release", "yield", "defer", "fail2"} {
		settle("v", id, queue.Settlement{Outcome: queue.Finish, Result: []byte("{}")})
	}
	enqueue(noop("dead"))
	claim("v")
	settle("v", "dead", queue.Settlement{Outcome: queue.Fail, Error: &proto.JobError{Code: "c"}})
	again("delete", func() error {
		err := q.DeleteDead(ctx, "dead")
		if errors.Is(err, queue.ErrNotFound) {
			return nil // a reply was lost: it is gone
		}
		return err
	})
	again("drain", func() error { return r.Drain(ctx, "v") })
	again("depart", func() error { return r.Depart(ctx, "v") })

	sound.intact()
	want := map[string]proto.State{"fail": proto.StateFailed, "flagged": proto.StateCanceled}
	for _, id := range []string{"finish", "reaped", "retry", "release", "yield", "defer", "fail2", "fail", "flagged"} {
		state := want[id]
		if state == "" {
			state = proto.StateFinished
		}
		if job := sound.job(id); job.Status != state {
			t.Errorf("job %s ended as %s, want %s", id, job.Status, state)
		}
	}
	if dead := sound.strings("ZRANGE", keys.Dead(), "0", "-1"); len(dead) != 0 {
		t.Errorf("dead = %v, want none", dead)
	}
	if jobs := sound.job("reaped"); jobs.Crashes != 1 {
		t.Errorf("the reaped job counts %d crashes, want 1", jobs.Crashes)
	}
	if rest := sound.strings("LRANGE", keys.Queue(proto.QueueDefault), "0", "-1"); len(rest) != 0 {
		t.Errorf("left in the queue: %v", rest)
	}
}
