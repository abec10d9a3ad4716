package verify

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/prosaas/receipts/pkg/config"
	"github.com/prosaas/receipts/proto"
)

// openDeployed prepares to look at the system as make verify does. The container
// verify is a second Deployment, which sees what the processes have.
func (s *system) openDeployed() *Deployment {
	s.t.Helper()
	composition := filepath.Join(s.engine.deploy, ".deployed", "compose.yaml")
	if err := os.WriteFile(composition, nil, 0o600); err != nil {
		s.t.Fatal(err)
	}
	s.engine.change(func(e *engine) {
		environment := e.service(serviceAPI)["environment"].(map[string]any)
		environment["DIAGNOSTIC_KEYS"], environment["JWT_SECRET"] = diagnosticKey, jwtSecret
		e.inside = func(args []string) string {
			var plan Plan
			for i, arg := range args {
				switch arg {
				case "--only":
					plan.Only = append(plan.Only, args[i+1])
				case "--failed":
					plan.Failed = append(plan.Failed, args[i+1])
				}
			}
			report, err := s.open(s.settings).Run(s.t.Context(), plan, func(Result) {})
			if err != nil {
				return err.Error()
			}
			text, _ := encoded(report)
			return text
		}
		for _, b := range e.all {
			b.Config.Labels["com.docker.compose.project.config_files"] = composition
			e.create(b)
			if b.service() == serviceAPI {
				host, port, _ := net.SplitHostPort(strings.TrimPrefix(s.settings.APIURL, "http://"))
				_ = json.Unmarshal([]byte(`{"Ports": {"8080/tcp": [{"HostIp": "`+host+`", "HostPort": "`+port+`"}]}}`), &b.NetworkSettings)
			}
		}
	})
	d, err := Open(config.Verify{Redis: config.Redis{RedisURL: "redis://127.0.0.1:1/0"}, QueuePrefix: proto.DefaultPrefix, APIURL: dead},
		Options{Docker: s.engine.docker, Files: composition, Deployed: true, Business: business})
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(d.Close)
	return d
}

// The host and the container give one report, with the settings of what is
// deployed.
func TestDeployed(t *testing.T) {
	t.Parallel()
	s := wellSystem(t)
	s.connect()
	report, err := s.openDeployed().Run(t.Context(), Plan{}, func(Result) {})
	if err != nil || !report.OK || report.NotChecked > 0 {
		t.Errorf("Run = %+v, %v", report, err)
	}
	groups := map[string]bool{}
	for _, r := range report.Checks {
		groups[r.Group] = true
	}
	if len(groups) != len(usual()) {
		t.Errorf("the report has the groups %v", groups)
	}
}

// One cause is one red line, which names what to do, and what needs it is not
// checked.
func TestOneCauseOneFailure(t *testing.T) {
	t.Parallel()
	of := func(i int, change func(*box)) func(*testing.T, *system) {
		return func(_ *testing.T, s *system) { s.engine.change(func(e *engine) { change(e.all[i]) }) }
	}
	exited := func(b *box) { b.State.Status, b.State.Health, b.State.ExitCode = "exited", nil, 137 }
	for name, tt := range map[string]struct {
		breaks     func(*testing.T, *system)
		want, hint string
	}{
		"Redis stopped":  {of(0, exited), redisRuns, "up -d --wait"},
		"Redis paused":   {of(0, func(b *box) { b.State.Status, b.State.Health = "paused", nil }), redisRuns, "docker unpause receipts-redis-1"},
		"API stopped":    {of(1, exited), apiRuns, "up -d --wait"},
		"no worker":      {of(2, exited), workerRuns, "up -d --wait"},
		"Redis cut off":  {func(_ *testing.T, s *system) { s.settings.RedisURL = "redis://127.0.0.1:1/0" }, pingAnswered, "redis_url_verify"},
		"worker's Redis": {of(2, func(b *box) { b.State.Health.Status = "unhealthy" }), allHealthy, "logs"},
		"image of verify": {func(_ *testing.T, s *system) {
			s.engine.change(func(e *engine) { e.inside = func([]string) string { return "no such image" } })
		}, pingAnswered, "ps --all"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := wellSystem(t)
			s.connect()
			d := s.openDeployed()
			tt.breaks(t, s)
			report, err := d.Run(t.Context(), Plan{}, func(Result) {})
			if err != nil {
				t.Fatal(err)
			}
			var failed []string
			for _, r := range report.Checks {
				switch {
				case r.Outcome == Failed:
					failed = append(failed, r.Name)
					if !strings.Contains(r.Hint, tt.hint) {
						t.Errorf("the hint is %q", r.Hint)
					}
				case r.Outcome == NotChecked && r.Detail != "needs "+tt.want:
					t.Errorf("not checked: %+v", r)
				}
			}
			if diff := cmp.Diff([]string{tt.want}, failed); diff != "" || report.NotChecked == 0 {
				t.Errorf("failed (-want +got):\n%s\n%+v", diff, report)
			}
			if report.Seconds > 15 {
				t.Errorf("it took %.1f s", report.Seconds)
			}
		})
	}
}

// Where the API does not run, nothing is sent to whoever listens in its place.
func TestKeyGoesToTheDeployedAPIOnly(t *testing.T) {
	t.Parallel()
	s := wellSystem(t)
	other := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { t.Errorf("was sent %s", r.URL) }))
	t.Cleanup(other.Close)
	d := s.openDeployed()
	d.settings.APIURL = other.URL
	s.engine.change(func(e *engine) {
		e.all[1].State.Status = "exited"
		_ = json.Unmarshal([]byte(`{"Ports": {"8080/tcp": [{"HostIp": "127.0.0.1", "HostPort": "`+other.URL[strings.LastIndex(other.URL, ":")+1:]+`"}]}}`), &e.all[1].NetworkSettings)
	})
	for _, only := range [][]string{nil, {GroupFlow}} {
		if report, err := d.Run(t.Context(), Plan{Only: only}, func(Result) {}); err != nil || report.OK {
			t.Errorf("Run = %+v, %v", report, err)
		}
	}
}

func TestNothingDeployed(t *testing.T) {
	t.Parallel()
	for name, breaks := range map[string]func(*Deployment, *engine){
		"no composition":  func(d *Deployment, _ *engine) { _ = os.Remove(d.compose.files) },
		"nothing runs":    func(_ *Deployment, e *engine) { e.all = nil },
		"nobody's folder": func(d *Deployment, _ *engine) { d.compose.files = filepath.Join(t.TempDir(), "compose.yaml") },
	} {
		s := engineOf(func(*engine) {})(t)
		d := s.openDeployed()
		s.engine.change(func(e *engine) { breaks(d, e) })
		began := time.Now()
		if _, err := d.Run(t.Context(), Plan{}, func(Result) { t.Errorf("%s: something was checked", name) }); !errors.Is(err, ErrNothingDeployed) || err.Error() != "nothing is deployed here: make prod-up" {
			t.Errorf("%s: %v after %s", name, err, time.Since(began))
		}
	}
}

// An interrupt while the container checks is no failure.
func TestInterruptedInside(t *testing.T) {
	t.Parallel()
	s := wellSystem(t)
	d := s.openDeployed()
	ctx, interrupt := context.WithCancel(t.Context())
	s.engine.change(func(e *engine) {
		e.inside = func([]string) string {
			interrupt()
			return ""
		}
	})
	report, err := d.Run(ctx, Plan{Only: []string{GroupRedis, GroupAPI}}, func(Result) {})
	if !errors.Is(err, context.Canceled) || report.OK || report.Failed > 0 || report.NotChecked != len(report.Checks) {
		t.Errorf("Run = %+v, %v", report, err)
	}
}
