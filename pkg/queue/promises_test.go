package queue_test

import (
	"context"
	"fmt"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prosaas/receipts/pkg/queue"
	"github.com/prosaas/receipts/pkg/registry"
	"github.com/prosaas/receipts/proto"
)

// What the protocol promises in seconds, with the default settings, under a
// clock that makes them exact.
const (
	interval   = 2 * time.Second
	timeToLive = 10 * time.Second
)

func untilDone(ctx context.Context, _ *queue.Job) (slog.LogValuer, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

// phases are moments within one interval of heartbeats.
func phases() []time.Duration {
	return []time.Duration{0, interval / 4, interval / 2, interval - time.Millisecond}
}

func TestCanceledJobStopsWithinAnInterval(t *testing.T) {
	t.Parallel()
	for _, phase := range phases() {
		t.Run(phase.String(), func(t *testing.T) {
			inWorld(t, untilDone, queue.ConsumerOptions{}, func(t *testing.T, w *world) {
				t.Helper()
				w.enqueue(noop("j"))
				time.Sleep(timeToLive + phase)
				if _, err := w.Cancel(t.Context(), "", "j"); err != nil {
					t.Fatal(err)
				}
				time.Sleep(interval)
				synctest.Wait()
				if job := w.job("j"); job.Status != proto.StateCanceled {
					t.Errorf("an interval after its cancel the job is %s", job.Status)
				}
			})
		})
	}
}

// Jobs that wait in a paused queue, and their workers, ask as little of Redis as
// an empty queue does: nobody claims over and over what is not handed out.
func TestPausedQueueCostsNothing(t *testing.T) {
	inWorld(t, deaf, queue.ConsumerOptions{}, func(t *testing.T, w *world) {
		t.Helper()
		cost := func() int {
			time.Sleep(timeToLive) // what has just happened has its echo
			synctest.Wait()
			before := w.network.redis.CommandCount()
			time.Sleep(time.Minute)
			synctest.Wait()
			return w.network.redis.CommandCount() - before
		}
		empty := cost()
		if err := w.Pause(t.Context(), "default"); err != nil {
			t.Fatal(err)
		}
		for i := range 50 {
			w.enqueue(noop(fmt.Sprint("j", i)))
		}
		// Each beat and each claim looks once whether the queue is paused, and that is all.
		if paused := cost(); paused > empty+empty/10 {
			t.Errorf("a minute costs %d commands, and %d while the queue is empty", paused, empty)
		}
		if err := w.Resume(t.Context(), "default"); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if job := w.job("j0"); job.Status != proto.StateStarted {
			t.Errorf("after the resume the job is %s, want started at once", job.Status)
		}
	})
}

// A job that is due starts within two seconds where a slot is free, whether the
// worker that waits has heard of it or not.
func TestDueJobStartsWithinTwoSeconds(t *testing.T) {
	t.Parallel()
	for _, after := range []time.Duration{time.Second, 3 * time.Second, 7 * time.Second, 90 * time.Second} {
		t.Run(after.String(), func(t *testing.T) {
			var turns []time.Time
			handle := func(context.Context, *queue.Job) (slog.LogValuer, error) {
				turns = append(turns, time.Now())
				if len(turns) == 1 {
					return nil, &queue.DeferError{After: after, Reason: "quota"}
				}
				return proto.SyncResult{}, nil
			}
			inWorld(t, handle, queue.ConsumerOptions{}, func(t *testing.T, w *world) {
				t.Helper()
				time.Sleep(timeToLive)
				w.enqueue(noop("j"))
				time.Sleep(after + 2*time.Second)
				synctest.Wait()
				if len(turns) != 2 || turns[1].Sub(turns[0]) < after {
					t.Errorf("it was started at %v, want again %s after the first, or up to two seconds later", turns, after)
				}
			})
		})
	}
}

// A worker that dies is out of the registry within its time to live, and its job
// is somebody else's within an interval more.
func TestDeadWorkersJobIsBackWithinTwelveSeconds(t *testing.T) {
	t.Parallel()
	for _, phase := range phases() {
		t.Run(phase.String(), func(t *testing.T) {
			inWorld(t, untilDone, queue.ConsumerOptions{}, func(t *testing.T, w *world) {
				t.Helper()
				w.enqueue(noop("j"))
				time.Sleep(timeToLive + phase) // until when nobody is reaped, since nobody had beaten before
				synctest.Wait()
				dead := w.job("j").Worker
				works := map[proto.Kind]queue.Work{proto.KindNoop: {Handle: untilDone}}
				ctx, stop := context.WithCancel(t.Context())
				ran := make(chan error, 1)
				go func() {
					ran <- queue.NewConsumer(w.Queue, w.Registry, registry.NewName, works, queue.ConsumerOptions{}).Run(ctx)
				}()
				synctest.Wait()
				w.network.kill()

				time.Sleep(timeToLive)
				roll, err := w.Registry.Roll(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				if _, live := roll.Live["default"][dead]; live || len(roll.Live["default"]) != 1 {
					t.Errorf("after a time to live the registry holds %v", roll.Live)
				}
				time.Sleep(interval)
				synctest.Wait()
				if job := w.job("j"); job.Status != proto.StateStarted || job.Worker == dead || job.Crashes != 1 {
					t.Errorf("an interval later the job is %s, with %s, after %d crashes", job.Status, job.Worker, job.Crashes)
				}
				stop()
				if err := <-ran; err != nil {
					t.Errorf("Run = %v", err)
				}
			})
		})
	}
}
