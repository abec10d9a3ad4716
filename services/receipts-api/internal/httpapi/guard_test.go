package httpapi

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prosaas/receipts/proto"
)

// restarting is a service whose only worker has just left in order.
func restarting(t *testing.T, settings ...string) *service {
	t.Helper()
	s := serve(t, settings...).ready()
	s.connect(business)
	name := s.worker(proto.Queues()...)
	if err := s.registry.Drain(t.Context(), name); err != nil {
		t.Fatal(err)
	}
	if err := s.registry.Depart(t.Context(), name); err != nil {
		t.Fatal(err)
	}
	return s
}

// looked tells, over and over, that the watch looked for a worker on a queue.
func (s *service) looked(name string) <-chan struct{} {
	looks := make(chan struct{}, 1000)
	returning := s.api.returning[name]
	there := returning.there
	returning.there = func(ctx context.Context) bool {
		looks <- struct{}{}
		return there(ctx)
	}
	return looks
}

func TestSyncWaitsForAWorkerThatRestarts(t *testing.T) {
	t.Parallel()
	s := restarting(t, "GUARD_WAIT=1m")
	looks := s.looked("default")
	answers := make(chan answer, 3)
	for range cap(answers) {
		go func() { answers <- s.do("POST", syncPath, "") }()
	}
	<-looks
	<-looks
	s.worker("default")

	ids := map[string]bool{}
	for range cap(answers) {
		a := <-answers
		var accepted proto.SyncAccepted
		a.json(t, &accepted)
		if a.status != http.StatusAccepted {
			t.Errorf("answer = %d %s", a.status, a.body)
		}
		ids[accepted.JobID] = true
	}
	if len(ids) != 1 {
		t.Errorf("%d jobs, want 1", len(ids))
	}
}

func TestSyncIsRefusedWhereNoWorkerCameBack(t *testing.T) {
	t.Parallel()
	s := restarting(t, "GUARD_WAIT=100ms")
	a := s.do("POST", syncPath, "")
	a.want(t, 503, fmt.Sprintf(noWorkerBody, "default"))
	diff(t, "Retry-After", a.header.Get("Retry-After"), "10")
	s.log.await(t, "sync waits for a worker to come back")
	s.wantResult("no_worker", 1)
}

func TestStopAnswersThoseWhoWait(t *testing.T) {
	t.Parallel()
	s := restarting(t, "GUARD_WAIT=1m")
	looks := s.looked("default")
	answers := make(chan answer, 1)
	go func() { answers <- s.do("POST", syncPath, "") }()
	<-looks
	s.api.Stop()
	waited := <-answers
	waited.want(t, 503, fmt.Sprintf(noWorkerBody, "default"))
	s.do("GET", "/readyz", "").want(t, 503,
		`{"success":false,"error":"The service is stopping","action":"Try again in a moment","technical_details":"stopping; request_id={id}"}`)
	late := s.do("POST", syncPath, "")
	late.want(t, 503, fmt.Sprintf(noWorkerBody, "default"))
}

// While it drains it answers as ever, and asks clients to close their connections.
func TestDraining(t *testing.T) {
	t.Parallel()
	s := serve(t)
	for _, draining := range []bool{false, true} {
		if draining {
			s.api.Drain()
		}
		response, err := s.send("GET", "/livez", "")
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		if response.StatusCode != http.StatusOK || response.Close != draining {
			t.Errorf("draining %v: answered %d, and closes the connection: %v", draining, response.StatusCode, response.Close)
		}
	}
}

func TestWatchLooksOnceForAll(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var looks, came, refused atomic.Int64
		w := newWatch(func(context.Context) bool { return looks.Add(1) == 3 })
		var wg sync.WaitGroup
		for range maxWaiting + 5 {
			wg.Go(func() {
				if w.await(t.Context()) {
					came.Add(1)
				} else {
					refused.Add(1)
				}
			})
		}
		synctest.Wait()
		if got := refused.Load(); got != 5 {
			t.Errorf("%d were refused, want the 5 over the limit", got)
		}
		wg.Wait()
		if came.Load() != maxWaiting || looks.Load() != 3 {
			t.Errorf("%d saw it come after %d looks, want %d after 3", came.Load(), looks.Load(), maxWaiting)
		}
		w.stop()
	})
}

func TestWatchEndsWithItsWaiters(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		looks := 0
		w := newWatch(func(context.Context) bool { looks++; return false })
		ctx, cancel := context.WithTimeout(t.Context(), 10*watchEvery)
		defer cancel()
		if w.await(ctx) {
			t.Error("it came")
		}
		time.Sleep(time.Hour) // nobody waits: nobody looks
		synctest.Wait()
		if looks == 0 || looks > 11 {
			t.Errorf("%d looks in ten intervals and a bit", looks)
		}
		w.looking.Wait()

		again, cancel := context.WithTimeout(t.Context(), 10*watchEvery)
		defer cancel()
		if seen := looks; w.await(again) || looks == seen {
			t.Error("it came, or nobody looked any more")
		}
		w.stop()
		if w.await(t.Context()) {
			t.Error("a stopped watch saw it come")
		}
	})
}
