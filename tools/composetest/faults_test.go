//go:build compose

package composetest

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prosaas/receipts/proto"
)

// Three workers, and every way to lose one in the middle of a job: another one
// does it, and the lost one comes back by itself.
func TestLosingAWorker(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	s.set("WORKER_REPLICAS", "3")
	s.mustProdUp()
	s.awaitWorkers(3)

	for _, way := range []struct {
		name       string
		lose, mend []string // of docker; the container comes last
	}{
		{"kill -9", []string{"kill"}, []string{"start"}},
		{"freeze", []string{"pause"}, []string{"unpause"}},
		{"cut off", []string{"network", "disconnect", s.project + "_redis"}, []string{"network", "connect", s.project + "_redis"}},
	} {
		t.Run(way.name, func(t *testing.T) {
			s := s.in(t)
			job := s.hold(5)
			lost := s.busy()
			s.must("docker", append(way.lose, lost)...)
			s.eventually("the lost worker is out of the registry", func() bool {
				live := s.live()
				_, there := live[lost]
				return len(live) == 2 && !there
			})
			s.awaitState(job, proto.StateFinished)
			s.must("docker", append(way.mend, lost)...)
			s.awaitWorkers(3)
			for line := range strings.Lines(s.must("docker", "logs", lost)) {
				if strings.Contains(line, "JOB_DONE") && strings.Contains(line, job) {
					t.Errorf("the lost worker says that it did the job: %s", line)
				}
			}
		})
	}
}

// Redis is killed with jobs in every state; with its volume it comes back, and
// nothing that was accepted is lost.
func TestRedisIsKilledAndComesBack(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	s.set("WORKER_CONCURRENCY", "2")
	s.mustProdUp()
	var jobs []string
	for range 10 {
		jobs = append(jobs, s.hold(1))
	}
	s.busy()
	redis := s.of("redis")[0]
	s.must("docker", "kill", redis)
	s.eventually("the API is not ready", func() bool {
		a, err := s.try(http.MethodGet, "/readyz", "")
		return err == nil && a.status == http.StatusServiceUnavailable
	})
	s.must("docker", "start", redis)
	for _, job := range jobs {
		s.awaitState(job, proto.StateFinished)
	}
	s.serves()
}

// A worker is never restarted for its health: not where Redis is slow to come,
// not where it is away, and not where nobody knows of the worker.
func TestHealthNeverRestartsAGoodWorker(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	s.mustProdUp()

	t.Run("twenty starts with a slow Redis", func(t *testing.T) {
		s := s.in(t)
		redis := s.of("redis")[0]
		s.must("docker", "pause", redis)
		s.must("docker", "compose", "up", "--detach", "--no-deps", "--no-recreate", "--scale", "receipts-worker=20", "receipts-worker")
		wait(t, 15*time.Second) // three healthchecks of each fail meanwhile
		s.must("docker", "unpause", redis)
		s.awaitHealthy(20)
		s.awaitWorkers(20)
		s.must("docker", "compose", "up", "--detach", "--no-deps", "--no-recreate", "--scale", "receipts-worker=1", "receipts-worker")
		s.awaitWorkers(1)
	})

	t.Run("Redis away for a minute", func(t *testing.T) {
		s := s.in(t)
		before := s.of("receipts-worker")
		redis := s.of("redis")[0]
		s.must("docker", "stop", redis)
		wait(t, time.Minute)
		s.must("docker", "start", redis)
		s.awaitHealthy(1)
		s.awaitWorkers(1)
		if after := s.of("receipts-worker"); len(after) != 1 || after[0] != before[0] {
			t.Errorf("the worker was replaced: %q, then %q", before, after)
		}
		s.serves()
	})

	t.Run("registration deleted by hand", func(t *testing.T) {
		s := s.in(t)
		keys := proto.MustKeys(proto.DefaultPrefix)
		deleted := []string{"del", keys.Workers()}
		for _, queue := range proto.Queues() {
			deleted = append(deleted, keys.QueueWorkers(queue))
		}
		if got := s.redis(deleted...); got != strconv.Itoa(len(deleted)-1) {
			t.Fatalf("deleted %s keys", got)
		}
		s.awaitHealthy(1)
		s.awaitWorkers(1)
		s.serves()
	})
}

// awaitHealthy waits until so many workers run, and makes sure that the first
// healthcheck of each from then on finds nothing, nor any did that brought one down.
func (s *stack) awaitHealthy(n int) {
	s.t.Helper()
	s.eventually(strconv.Itoa(n)+" healthy workers", func() bool {
		workers := s.of("receipts-worker")
		return len(workers) == n && !slices.ContainsFunc(s.health(workers), func(h health) bool { return h.Status != "healthy" })
	})
	since := time.Now()
	workers := s.of("receipts-worker")
	var found []health
	s.eventually("another healthcheck of each", func() bool {
		found = s.health(workers)
		return !slices.ContainsFunc(found, func(h health) bool { return !h.Log[len(h.Log)-1].Start.After(since) })
	})
	for i, h := range found {
		if h.Status != "healthy" || h.FailingStreak != 0 {
			s.t.Errorf("worker %.12s is %s, after %d healthchecks that failed", workers[i], h.Status, h.FailingStreak)
		}
	}
	for i, restarts := range s.inspect("{{.RestartCount}}", workers...) {
		if restarts != "0" {
			s.t.Errorf("worker %.12s was restarted %s times", workers[i], restarts)
		}
	}
}

// health is what the engine knows of a container's health.
type health struct {
	Status        string
	FailingStreak int
	Log           []struct{ Start time.Time }
}

func (s *stack) health(containers []string) []health {
	s.t.Helper()
	var all []health
	for _, line := range s.inspect("{{json .State.Health}}", containers...) {
		var one health
		if err := json.Unmarshal([]byte(line), &one); err != nil {
			s.t.Fatalf("health %s: %v", line, err)
		}
		all = append(all, one)
	}
	return all
}

// wait lets real time pass, which is what these tests are about: nothing that
// happens meanwhile could be waited for.
func wait(t *testing.T, d time.Duration) {
	t.Helper()
	select {
	case <-time.After(d):
	case <-t.Context().Done():
	}
}

// A new worker is rolled out under a steady load, over two workers and over one:
// no request is refused, and every job that was accepted is done.
func TestRollingOutAWorkerRefusesNobody(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	for _, replicas := range []string{"2", "1"} {
		t.Run(replicas+" workers", func(t *testing.T) {
			s := s.in(t)
			s.set("WORKER_REPLICAS", replicas)
			s.mustProdUp()
			before := s.of("receipts-worker")

			traffic := s.startTraffic(50 * time.Millisecond)
			s.change("receipts-worker", "LABEL rolled="+replicas)
			s.mustProdUp()
			jobs := traffic.stop()

			for _, worker := range s.of("receipts-worker") {
				for _, old := range before {
					if worker == old {
						t.Errorf("worker %.12s was not replaced", worker)
					}
				}
			}
			if len(jobs) < 20 {
				t.Errorf("only %d requests were made meanwhile", len(jobs))
			}
			for _, job := range jobs {
				s.awaitState(job, proto.StateFinished)
			}
		})
	}
}

// traffic posts jobs at a steady rate, and waits for no answer.
type traffic struct {
	s      *stack
	cancel context.CancelFunc
	done   sync.WaitGroup
	posted atomic.Int64

	mu   sync.Mutex
	jobs []string
}

func (s *stack) startTraffic(every time.Duration) *traffic {
	ctx, cancel := context.WithCancel(s.t.Context())
	t := &traffic{s: s, cancel: cancel}
	s.t.Cleanup(func() { t.stop() }) // of a test that ended early
	t.done.Go(func() {
		tick := time.NewTicker(every)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				t.posted.Add(1)
				t.done.Go(t.post)
			}
		}
	})
	return t
}

func (t *traffic) post() {
	a, err := t.s.try(http.MethodPost, "/api/receipts/queue/verify", `{"seconds": 0}`)
	if err != nil || a.status != http.StatusAccepted {
		t.s.t.Errorf("a request was answered %d %s, %v", a.status, a.body, err)
		return
	}
	var accepted proto.SyncAccepted
	if err := json.Unmarshal(a.body, &accepted); err != nil {
		t.s.t.Errorf("an answer cannot be read: %v", err)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.jobs = append(t.jobs, accepted.JobID)
}

// await waits until so many requests were made.
func (t *traffic) await(n int64) {
	t.s.t.Helper()
	t.s.eventually(fmt.Sprintf("%d requests", n), func() bool { return t.posted.Load() >= n })
}

// stop ends the load, and answers the jobs that were accepted.
func (t *traffic) stop() []string {
	t.cancel()
	t.done.Wait()
	return t.jobs
}
