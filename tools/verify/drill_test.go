package verify

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/prosaas/receipts/pkg/config"
)

func TestDrillWithTwoWorkers(t *testing.T) {
	t.Parallel()
	s := wellSystem(t)
	second := s.engine.worker()
	second.await(t, "WORKER_START")
	s.engine.change(func(e *engine) { e.add(serviceWorker, second) })
	before := s.engine.workers()
	d := s.open(s.settings)
	for name, r := range look(t, d, GroupDrill) {
		if r.Outcome != Passed {
			t.Errorf("%s: %+v", name, r)
		}
	}
	if diff := cmp.Diff(before, s.engine.workers()); diff != "" {
		t.Errorf("workers (-before +after):\n%s", diff)
	}
	if len(d.drill.times) != 5 {
		t.Errorf("%d times: %+v", len(d.drill.times), d.drill.times)
	}
}

// drillFault is one way in which a step of the drill fails.
type drillFault struct {
	check  string
	breaks func(t *testing.T, s *system) config.Verify
	says   string
	// stays is set where the fault keeps the drill from putting things back.
	stays bool
}

func docker(asked func(string) error) func(*testing.T, *system) config.Verify {
	return func(_ *testing.T, s *system) config.Verify {
		s.engine.change(func(e *engine) { e.asked = asked })
		return s.settings
	}
}

func drillFaults() []drillFault {
	const verify = "/api/receipts/queue/verify"
	return []drillFault{
		{check: "the deployment is well before", says: "refused: receipts-redis-1 is unhealthy", breaks: func(_ *testing.T, s *system) config.Verify {
			s.engine.change(func(e *engine) { e.all[0].State.Health.Status = "unhealthy" })
			return s.settings
		}},
		{check: "the deployment is well before", says: "refused: ERROR: Redis", breaks: throughAPI("/api/receipts/queue/diagnostics", edit(`"status":"OK"`, `"status":"ERROR: Redis"`))},
		{check: "the deployment is well before", says: "1 workers run here, and the API knows of 2", breaks: func(t *testing.T, s *system) config.Verify {
			t.Helper()
			s.engine.worker().await(t, "WORKER_START")
			return s.settings
		}},
		{check: "workers stopped: 503 as agreed, after GUARD_WAIT", says: "not the agreed body", breaks: throughAPI(verify, edit(`"success":false`, `"success":false,"status":503`))},
		{check: "workers stopped: 503 as agreed, after GUARD_WAIT", says: "without waiting GUARD_WAIT", breaks: func(_ *testing.T, s *system) config.Verify {
			s.engine.change(func(e *engine) { e.service(serviceAPI)["environment"].(map[string]any)["GUARD_WAIT"] = "30s" }) // which the API has not been given
			return s.settings
		}},
		{check: "workers stopped: 503 as agreed, after GUARD_WAIT", says: "no space left", breaks: docker(failsAt("compose stop", "no space left"))},
		{check: "workers started: 202", says: "no space left", breaks: docker(failsAt("compose start", "no space left"))},
		{check: "worker killed in mid-job: another finishes it", says: "no space left", breaks: docker(failsAt("compose up", "no space left"))},
		{check: "worker killed in mid-job: another finishes it", says: "its worker was not missed", breaks: throughAPI("/api/receipts/sync/", func(_ *http.Response, body string) string {
			return strings.NewReplacer(`"crashes":1`, `"crashes":0`, `"status":"started"`, `"status":"finished"`).Replace(body)
		})},
		{check: "everything is as it was", says: "no space left", stays: true, breaks: docker(func(command string) error {
			return failsAt("start ", "no space left")(strings.TrimPrefix(command, "compose "))
		})},
	}
}

func TestDrillFails(t *testing.T) {
	t.Parallel()
	for _, tt := range drillFaults() {
		t.Run(tt.check+": "+tt.says, func(t *testing.T) {
			t.Parallel()
			s := wellSystem(t)
			before := s.engine.workers()
			d := s.open(tt.breaks(t, s))
			results := look(t, d, GroupDrill)
			r := results[tt.check]
			if r.Outcome != Failed || !strings.Contains(r.Detail, tt.says) || r.Hint == "" {
				t.Errorf("%+v, want it failed, with a hint, saying %q", r, tt.says)
			}
			checkHint(t, r.Hint)
			if tt.stays {
				return
			}
			for name, r := range results {
				if r.Outcome == Failed && name != tt.check {
					t.Errorf("%s failed as well: %s", name, r.Detail)
				}
			}
			if diff := cmp.Diff(before, s.engine.workers()); diff != "" {
				t.Errorf("workers (-before +after):\n%s", diff)
			}
		})
	}
}

func TestDrillRefusesWhatFailedBefore(t *testing.T) {
	t.Parallel()
	s := wellSystem(t)
	asked := func(command string) error {
		if strings.HasPrefix(command, "compose config --quiet") {
			return errors.New("invalid")
		}
		if strings.HasPrefix(command, "compose stop") {
			t.Error("the drill stopped the workers")
		}
		return nil
	}
	s.engine.change(func(e *engine) { e.asked = asked })
	results := look(t, s.open(s.settings), GroupConfig, GroupDrill)
	outcomes := map[Outcome]int{}
	for _, r := range results {
		if r.Group == GroupDrill {
			outcomes[r.Outcome]++
		}
	}
	if want := map[Outcome]int{Failed: 1, NotChecked: 4}; !maps.Equal(outcomes, want) {
		t.Errorf("the drill's steps came out as %v, want %v", outcomes, want)
	}
}

// An interrupted drill goes on with putting back, and with that alone.
func TestDrillInterrupted(t *testing.T) {
	t.Parallel()
	for _, at := range []string{"compose stop", "compose up", "kill --signal KILL"} {
		t.Run(at, func(t *testing.T) {
			t.Parallel()
			s := wellSystem(t)
			before := s.engine.workers()
			ctx, interrupt := context.WithCancel(t.Context())
			asked := func(command string) error {
				if strings.HasPrefix(command, at) {
					interrupt()
				}
				return nil
			}
			s.engine.change(func(e *engine) { e.asked = asked })
			report, err := s.open(s.settings).Run(ctx, Plan{Only: []string{GroupDrill}}, func(Result) {})
			if !errors.Is(err, context.Canceled) || report.OK {
				t.Errorf("Run = %v, ok %v", err, report.OK)
			}
			last := report.Checks[len(report.Checks)-1]
			if last.Outcome != Passed || !slices.ContainsFunc(report.Checks, func(r Result) bool { return r.Detail == string(errInterrupted) && r.Outcome == NotChecked }) {
				t.Errorf("checks %+v", report.Checks)
			}
			if diff := cmp.Diff(before, s.engine.workers()); diff != "" {
				t.Errorf("workers (-before +after):\n%s", diff)
			}
		})
	}
}

// An engine goes on with a stop whose client was interrupted: a worker that is
// found running is gone a moment later, and nobody but the drill starts it again.
func TestDrillInterruptedWhileItStops(t *testing.T) {
	t.Parallel()
	s := wellSystem(t)
	before := s.engine.workers()
	ctx, interrupt := context.WithCancel(t.Context())
	var looks atomic.Int64
	asked := func(command string) error {
		switch {
		case command == "compose stop "+serviceWorker:
			s.worker.end(syscall.SIGTERM) // of which the engine knows later
			interrupt()
			return errors.New("terminated")
		case strings.HasPrefix(command, "inspect") && ctx.Err() != nil && looks.Add(1) == 2:
			s.engine.change(func(e *engine) { e.named(e.ids(serviceWorker))[0].end(syscall.SIGTERM) })
		}
		return nil
	}
	s.engine.change(func(e *engine) { e.asked = asked })
	report, err := s.open(s.settings).Run(ctx, Plan{Only: []string{GroupDrill}}, func(Result) {})
	if last := report.Checks[len(report.Checks)-1]; !errors.Is(err, context.Canceled) || last.Outcome != Passed {
		t.Errorf("Run = %v, and putting back %+v", err, last)
	}
	if diff := cmp.Diff(before, s.engine.workers()); diff != "" {
		t.Errorf("workers (-before +after):\n%s", diff)
	}
	if looks.Load() < 2 {
		t.Errorf("it was looked %d times", looks.Load())
	}
}
