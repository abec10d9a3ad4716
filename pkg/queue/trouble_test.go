package queue_test

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prosaas/receipts/pkg/queue"
	"github.com/prosaas/receipts/pkg/redisclient"
	"github.com/prosaas/receipts/pkg/registry"
	"github.com/prosaas/receipts/proto"
)

type handler func(context.Context, *queue.Job) (slog.LogValuer, error)

// world is one consumer behind a network of its own, and a plane that looks on,
// under one moved clock.
type world struct {
	*plane
	network *network
	stop    context.CancelFunc
	ran     chan error
}

// inWorld runs a test in a bubble, with a consumer of two slots that does every
// noop with handle.
func inWorld(t *testing.T, handle handler, opts queue.ConsumerOptions, test func(t *testing.T, w *world)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &simulation{t: t, redis: newSimRedis()}
		redis := s.redis.Miniredis
		w := &world{plane: s.plane(newNetwork(redis)), network: newNetwork(redis), ran: make(chan error, 1)}
		own := s.plane(w.network)
		opts.Slots = 2
		c := queue.NewConsumer(own.Queue, own.Registry, registry.NewName, map[proto.Kind]queue.Work{proto.KindNoop: {Handle: handle}}, opts)
		ctx, stop := context.WithCancel(t.Context())
		w.stop = stop
		go func() { w.ran <- c.Run(ctx); own.client.Close() }()
		synctest.Wait()
		test(t, w)
		stop()
		time.Sleep(20 * time.Minute) // whoever is deaf comes to an end
		w.client.Close()
	})
}

func deaf(context.Context, *queue.Job) (slog.LogValuer, error) {
	time.Sleep(10 * time.Minute)
	return proto.SyncResult{}, nil
}

// A worker whose every slot is held by work that is deaf to its context, a
// minute past JOB_TIMEOUT, leaves and ends itself with an error.
func TestStuckWorkerEndsItself(t *testing.T) {
	inWorld(t, deaf, queue.ConsumerOptions{JobTimeout: time.Minute}, func(t *testing.T, w *world) {
		t.Helper()
		began := time.Now()
		w.enqueue(noop("a"))
		w.enqueue(noop("b"))
		err := <-w.ran
		if took := time.Since(began); err == nil || !strings.Contains(err.Error(), "every slot") || took < 2*time.Minute || took > 3*time.Minute {
			t.Errorf("Run = %v after %s, want it to be stuck after two minutes", err, took)
		}
		for _, id := range []string{"a", "b"} {
			if job := w.job(id); job.Status != proto.StateQueued {
				t.Errorf("job %s is %s, want it back in its queue", id, job.Status)
			}
		}
	})
}

// A job of a newer version waits an hour for a worker that reads it.
func TestNewerJobIsDeadAfterAnHour(t *testing.T) {
	inWorld(t, deaf, queue.ConsumerOptions{}, func(t *testing.T, w *world) {
		t.Helper()
		r := noop("j")
		r.Envelope.Version = proto.EnvelopeVersion + 1
		w.enqueue(r)
		time.Sleep(59*time.Minute + 30*time.Second) // between two tries
		if job := w.job("j"); job.Status != proto.StateScheduled || job.Attempt != 0 {
			t.Errorf("after 59 minutes = %s, attempt %d; want scheduled, 0", job.Status, job.Attempt)
		}
		time.Sleep(3 * time.Minute)
		if job := w.job("j"); job.Status != proto.StateFailed || job.Error.Code != "newer_version" {
			t.Errorf("after 62 minutes = %s, %+v; want failed for its version", job.Status, job.Error)
		}
	})
}

// The reply to a yield is lost, and the same worker claims the job again before
// it has asked once more. Its second turn must not be forgotten for that.
func TestOneTurnOfAJobAtATime(t *testing.T) {
	var turns atomic.Int64
	handle := func(ctx context.Context, job *queue.Job) (slog.LogValuer, error) {
		if job.Envelope().JobID != "j" {
			return proto.SyncResult{}, nil
		}
		if turns.Add(1) == 1 {
			return nil, queue.ErrYield
		}
		<-ctx.Done()
		return nil, ctx.Err()
	}
	inWorld(t, handle, queue.ConsumerOptions{}, func(t *testing.T, w *world) {
		t.Helper()
		w.enqueue(noop("first")) // so that Redis knows the script
		synctest.Wait()
		w.network.loseOf(`"outcome":"yield"`, 100)
		w.enqueue(noop("j"))
		time.Sleep(5 * time.Second)
		w.network.loseOf("", 0)
		time.Sleep(5 * time.Second)
		if turns.Load() != 2 {
			t.Fatalf("the job had %d turns, want a second one before the first was acknowledged", turns.Load())
		}
		w.enqueue(noop("k"))
		time.Sleep(5 * time.Second)
		if w.job("k").Status != proto.StateFinished || turns.Load() != 2 {
			t.Errorf("k is %s; j had %d turns, want finished and 2", w.job("k").Status, turns.Load())
		}
	})
}

// Where the business's slot of Redis is in trouble and the queue's is not, a
// job waits a little and is not charged for it.
func TestTroubleOfTheStoreIsNoHotLoop(t *testing.T) {
	var turns atomic.Int64
	handle := func(context.Context, *queue.Job) (slog.LogValuer, error) {
		turns.Add(1)
		return nil, fmt.Errorf("write receipts: %w", redisclient.ErrFull)
	}
	inWorld(t, handle, queue.ConsumerOptions{}, func(t *testing.T, w *world) {
		t.Helper()
		w.enqueue(noop("j"))
		time.Sleep(time.Minute)
		if n := turns.Load(); n < 4 || n > 31 {
			t.Errorf("%d turns in a minute, want one each two to ten seconds", n)
		}
		if job := w.job("j"); job.Status.Ended() || job.Attempt > 1 {
			t.Errorf("the job is %s after %d attempts", job.Status, job.Attempt)
		}
	})
}

// An id in a claimed list that nobody could settle, since its record was lost,
// is dropped: it would be handed out for ever.
func TestClaimedJobWithoutRecordIsDropped(t *testing.T) {
	inWorld(t, deaf, queue.ConsumerOptions{}, func(t *testing.T, w *world) {
		t.Helper()
		roll, err := w.Registry.Roll(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		name := roll.Workers[0].Name
		w.do("LPUSH", w.keys.Claimed(name), "ghost")
		w.enqueue(noop("j"))
		time.Sleep(time.Second)
		if held := w.strings("LRANGE", w.keys.Claimed(name), "0", "-1"); len(held) != 1 || held[0] != "j" {
			t.Errorf("claimed = %v, want j alone", held)
		}
	})
}

// Redis was away for longer than a time to live; what is claimed as soon as it
// is back, before the next beat, is not lost.
func TestJobClaimedAfterAnOutageRunsOn(t *testing.T) {
	var turns atomic.Int64
	handle := func(ctx context.Context, _ *queue.Job) (slog.LogValuer, error) {
		turns.Add(1)
		select {
		case <-time.After(30 * time.Second):
			return proto.SyncResult{}, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	inWorld(t, handle, queue.ConsumerOptions{Interval: 15 * time.Second, TTL: 60 * time.Second}, func(t *testing.T, w *world) {
		t.Helper()
		time.Sleep(time.Second) // from here the next beat is 14 s away
		w.network.freeze()
		time.Sleep(80 * time.Second)    // the beat of a quarter past was given up by then
		w.runOut("nobody", time.Minute) // somebody listens, so that a job is accepted
		w.enqueue(noop("j"))
		w.network.thaw()
		time.Sleep(time.Minute)
		if job := w.job("j"); job.Status != proto.StateFinished || turns.Load() != 1 {
			t.Errorf("the job is %s after %d turns, want finished after 1", job.Status, turns.Load())
		}
	})
}

// Ten seconds are not spent on jobs one by one: a worker whose Redis is away
// and whose work is deaf is gone in under five all the same.
func TestStopIsBoundedWithoutRedis(t *testing.T) {
	inWorld(t, deaf, queue.ConsumerOptions{}, func(t *testing.T, w *world) {
		t.Helper()
		w.enqueue(noop("a"))
		w.enqueue(noop("b"))
		synctest.Wait()
		w.network.freeze()
		began := time.Now()
		w.stop()
		if err := <-w.ran; err != nil {
			t.Errorf("Run = %v", err)
		}
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("gone after %s, want under 5s", took)
		}
		w.network.kill()
	})
}

// lossy registers, and is stopped or reaped before it hears of it.
type lossy struct {
	*registry.Registry
	before func(name string) error
}

func (l *lossy) Register(ctx context.Context, w proto.Worker, ttl time.Duration) error {
	if err := l.Registry.Register(context.WithoutCancel(ctx), w, ttl); err != nil || l.before == nil {
		return err
	}
	before := l.before
	l.before = nil
	if err := before(w.Name); err != nil {
		return err
	}
	return ctx.Err() // as a client answers whose call was cut off
}

func TestStopWhileRegisteringLeavesInOrder(t *testing.T) { everywhere(t, testStopWhileRegistering) }

func testStopWhileRegistering(t *testing.T, newPlane planes) {
	t.Helper()
	p := newPlane(t)
	ctx, stop := context.WithCancel(testCtx(t))
	r := &lossy{Registry: p.Registry, before: func(string) error { stop(); return nil }}
	if err := queue.NewConsumer(p.Queue, r, registry.NewName, nil, queue.ConsumerOptions{}).Run(ctx); err != nil {
		t.Fatal(err)
	}
	roll, err := p.Registry.Roll(t.Context())
	if err != nil || roll.Listening("default") || len(roll.Workers) != 1 || roll.Workers[0].State != proto.WorkerDeparted {
		t.Errorf("registry = %+v, %v; want it departed", roll, err)
	}
}

func TestReapedBeforeItHeardOfItsRegistration(t *testing.T) { everywhere(t, testReapedUnheard) }

func testReapedUnheard(t *testing.T, newPlane planes) {
	t.Helper()
	p := newPlane(t)
	log := newJournal(t)
	ctx, stop := context.WithCancel(testCtx(t))
	r := &lossy{Registry: p.Registry, before: func(name string) error {
		p.do("ZREM", p.keys.Workers(), name)
		return redisclient.ErrUnavailable
	}}
	ran := make(chan error, 1)
	c := queue.NewConsumer(p.Queue, r, registry.NewName, nil, queue.ConsumerOptions{Logger: slog.New(slog.NewTextHandler(log, nil))})
	go func() { ran <- c.Run(ctx) }()
	log.await("WORKER_START")
	stop()
	if err := <-ran; err != nil {
		t.Errorf("Run = %v", err)
	}
	for _, q := range proto.Queues() { // what the registration left behind of the name
		p.do("DEL", p.keys.QueueWorkers(q))
	}
}
