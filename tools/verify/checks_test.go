package verify

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/prosaas/receipts/pkg/config"
	"github.com/prosaas/receipts/pkg/redistest"
	"github.com/prosaas/receipts/proto"
)

// usual are the groups that break nothing.
func usual() []string {
	return []string{GroupConfig, GroupContainers, GroupDrift, GroupRedis, GroupRegistry, GroupAPI, GroupFlow, GroupMetrics}
}

// look runs groups of checks, and answers the results by name.
func look(t *testing.T, d *Deployment, groups ...string) map[string]Result {
	t.Helper()
	told := map[string]Result{}
	report, err := d.Run(t.Context(), Plan{Only: groups}, func(r Result) { told[r.Name] = r })
	if err != nil {
		t.Fatal(err)
	}
	if len(report.Checks) != len(told) || report.Passed+report.Failed+report.NotChecked != len(told) {
		t.Errorf("%d results were told, the report has %d: %+v", len(told), len(report.Checks), report)
	}
	return told
}

func TestEveryCheckPasses(t *testing.T) {
	t.Parallel()
	s := wellSystem(t)
	s.connect()
	d := s.open(s.settings)
	for name, r := range look(t, d, append(usual(), GroupDrill)...) {
		if r.Outcome != Passed || r.Hint != "" {
			t.Errorf("%s/%s: %+v", r.Group, name, r)
		}
	}
	if states := s.engine.workers(); len(states) != 1 {
		t.Errorf("after the drill the workers are %v", states)
	}
}

// A worker tells the run of Redis that it registered with, which a restart of
// Redis makes another.
func TestSameRedisAfterItsRestart(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t, "--appendonly", "yes", "--appendfsync", "always")
	s := newSystem(t, redis.URL(), []string{})
	redis.Kill()
	redis.Restart()
	d := s.open(s.settings)
	report, err := d.Run(t.Context(), Plan{Only: []string{GroupRegistry}, Wait: patience}, func(r Result) {
		if r.Outcome != Passed {
			t.Errorf("%+v", r)
		}
	})
	if err != nil || !report.OK {
		t.Errorf("Run = %+v, %v", report, err)
	}
}

// On a Cluster each node has a run of its own: the one that keeps the registry
// is compared, and of the others nothing is told.
func TestRedisThatIsACluster(t *testing.T) {
	t.Parallel()
	s := newSystem(t, redistest.Cluster(t), []string{})
	told := look(t, s.open(s.settings), GroupRedis, GroupRegistry)
	for name, want := range map[string]Outcome{
		"PING is answered": Passed, "nothing is evicted": NotChecked, "append-only is on and its last write went well": Failed, "memory is below 80 %": NotChecked,
		"a live worker on each queue": Passed, "API and workers see the same Redis": Passed,
	} {
		if r := told[name]; r.Outcome != want {
			t.Errorf("%s: %+v, want %s", name, r, want)
		}
	}
	settings := throughAPI("/api/receipts/queue/diagnostics", edit(`"redis_run_id":"`, `"redis_run_id":"another`))(t, s)
	r := look(t, s.open(settings), GroupRegistry)["API and workers see the same Redis"]
	if r.Outcome != Failed || !strings.Contains(r.Detail, "sees run another") {
		t.Errorf("with a worker on another Cluster: %+v", r)
	}
}

func TestEveryCheckFails(t *testing.T) {
	t.Parallel()
	well := wellSystem(t)
	for _, tt := range faults() {
		t.Run(tt.check+": "+tt.says, func(t *testing.T) {
			t.Parallel()
			s := well
			if tt.own != nil {
				s = tt.own(t)
			}
			settings := s.settings
			if tt.breaks != nil {
				settings = tt.breaks(t, s)
			}
			d := s.open(settings)
			var r Result
			ctx, enough := context.WithCancel(t.Context())
			_, err := d.Run(ctx, Plan{Only: []string{groupOf(t, d, tt.check)}}, func(told Result) {
				if told.Name == tt.check {
					r = told
					enough()
				}
			})
			if !errors.Is(err, context.Canceled) {
				t.Errorf("Run = %v", err)
			}
			if r.Outcome != Failed || !strings.Contains(r.Detail, tt.says) || r.Hint == "" {
				t.Errorf("%+v, want it failed, with a hint, saying %q", r, tt.says)
			}
			checkHint(t, r.Hint)
		})
	}
}

func groupOf(t *testing.T, d *Deployment, check string) string {
	t.Helper()
	for _, group := range d.Groups() {
		if slices.ContainsFunc(group.Checks, func(c Check) bool { return c.Name == check }) {
			return group.Name
		}
	}
	t.Fatalf("there is no check %q", check)
	return ""
}

// TestEveryCheckHasAFault holds the tables together: that each check passes is
// TestEveryCheckPasses, which runs them all.
func TestEveryCheckHasAFault(t *testing.T) {
	t.Parallel()
	var have, want []string
	for _, tt := range faults() {
		have = append(have, tt.check)
	}
	for _, tt := range drillFaults() {
		have = append(have, tt.check)
	}
	d := engineOf(func(*engine) {})(t).open(config.Verify{Redis: config.Redis{RedisURL: "redis://127.0.0.1:1/0"}, QueuePrefix: proto.DefaultPrefix})
	for _, group := range d.Groups() {
		for _, check := range group.Checks {
			want = append(want, check.Name)
		}
	}
	slices.Sort(have)
	slices.Sort(want)
	if diff := cmp.Diff(want, slices.Compact(have)); diff != "" {
		t.Errorf("checks that have a fault (-all +those):\n%s", diff)
	}
}

func TestWhatCannotBeSeenFromHere(t *testing.T) {
	t.Parallel()
	bare := engineOf(func(e *engine) { e.asked = failsAt("compose", "'compose' is not a docker command") })(t)
	idle := engineOf(func(e *engine) { e.all = nil })(t)
	for name, s := range map[string]*system{"no compose": bare, "nothing runs": idle} {
		report, err := s.open(s.settings).Run(t.Context(), Plan{}, func(Result) {})
		if err != nil {
			t.Fatal(err)
		}
		var failed []string
		for _, r := range report.Checks {
			if r.Outcome == Failed {
				failed = append(failed, r.Name)
			}
		}
		if diff := cmp.Diff([]string{pingAnswered, alive}, failed); diff != "" || report.OK || report.Passed != 0 {
			t.Errorf("%s: failed (-want +got):\n%s\n%+v", name, diff, report)
		}
	}
	if _, err := bare.open(bare.settings).Run(t.Context(), Plan{Only: []string{GroupConfig}}, func(Result) {}); !errors.Is(err, ErrNotHere) {
		t.Errorf("group config without compose: %v", err)
	}
}

func TestWaitTriesAgain(t *testing.T) {
	t.Parallel()
	tries := 0
	flaky := Check{Group: GroupAPI, Run: func(context.Context) (string, error) {
		if tries++; tries < 3 {
			return "", errors.New("not yet")
		}
		return "well", nil
	}}
	if r := attempt(t.Context(), flaky, time.Now().Add(patience)); r.Outcome != Passed || r.Detail != "well" || tries != 3 {
		t.Errorf("after %d tries: %+v", tries, r)
	}
}

// What ran out of time is told from what failed.
func TestTimedOut(t *testing.T) {
	t.Parallel()
	over := time.Now().Add(-time.Second)
	fails := func(context.Context) (string, error) { return "", errors.New("not yet") }
	lasts := func(ctx context.Context) (string, error) { <-ctx.Done(); return "", context.Cause(ctx) }
	for name, tt := range map[string]struct {
		check    Check
		deadline time.Time
		want     bool
	}{
		"it failed":                         {Check{Run: fails}, time.Time{}, false},
		"it failed until the wait was over": {Check{Run: fails}, over, true},
		"a step of the drill failed":        {Check{Group: GroupDrill, Run: fails}, over, false},
		"it took too long":                  {Check{Limit: time.Millisecond, Run: lasts}, time.Time{}, true},
		"a step of the drill took too long": {Check{Group: GroupDrill, Limit: time.Millisecond, Run: lasts}, over, true},
		"it was not checked, and took long": {Check{Limit: time.Millisecond, Run: func(ctx context.Context) (string, error) { <-ctx.Done(); return "", errInterrupted }}, over, false},
	} {
		var report Report
		report.add(attempt(t.Context(), tt.check, tt.deadline))
		if r := report.Checks[0]; r.Outcome == Passed || r.TimedOut != tt.want || report.TimedOut > 0 != tt.want {
			t.Errorf("%s: %+v, want timed out %t", name, report, tt.want)
		}
	}
}
