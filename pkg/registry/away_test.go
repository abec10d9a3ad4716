package registry_test

import (
	"testing"
	"time"

	"github.com/prosaas/receipts/pkg/redistest"
	"github.com/prosaas/receipts/proto"
)

// A Redis that stood still, or whose clock was set, finds every heartbeat run
// out. Whoever beats first afterwards reaps nobody.
func TestRedisWasAwayNotTheWorkers(t *testing.T) {
	t.Parallel()
	const ttl = time.Second
	for name, trouble := range map[string]func(s *redistest.Server){
		"it stood still":       func(s *redistest.Server) { s.Freeze(); <-time.After(ttl + ttl/2); s.Thaw() },
		"its clock went ahead": func(s *redistest.Server) { s.StepClock(time.Minute) },
		"its clock went back":  func(s *redistest.Server) { s.StepClock(-time.Minute) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := redistest.StartWithClock(t)
			f := openOn(t, server.URL())
			for _, name := range []string{"w", "other"} {
				if err := f.Register(t.Context(), worker(name), ttl); err != nil {
					t.Fatal(err)
				}
			}
			f.hold("w", 1)
			f.do("HSET", f.keys.Beat(), "hold", "0") // Redis has been there for long
			trouble(server)

			pulse, err := f.Beat(t.Context(), worker("other"), ttl)
			if err != nil || len(pulse.RanOut) != 0 {
				t.Errorf("the first beat = %+v, %v; want nobody to have run out", pulse, err)
			}
			if _, reaped, err := f.Reap(t.Context(), "w", ttl); err != nil || reaped {
				t.Errorf("reap = %t, %v; want it refused", reaped, err)
			}
			if pulse, err := f.Beat(t.Context(), worker("w"), ttl); err != nil || len(pulse.Held) != 1 {
				t.Errorf("its next beat = %+v, %v; want its job", pulse, err)
			}
			if job := f.job("job0"); job.Status != proto.StateStarted || job.Crashes != 0 {
				t.Errorf("its job is %s with %d crashes", job.Status, job.Crashes)
			}
		})
	}
}
