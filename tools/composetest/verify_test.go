//go:build compose

package composetest

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// check is what verify reports of one check.
type check struct {
	Group, Name, Outcome, Detail, Hint string
}

// verification is what make verify reports.
type verification struct {
	OK      bool
	Error   string
	Seconds float64
	Checks  []check
}

// failed lists the names of what failed.
func (v verification) failed() []string {
	var names []string
	for _, c := range v.Checks {
		if c.Outcome == "failed" {
			names = append(names, c.Name)
		}
	}
	return names
}

// verify runs make verify, on a host without Go.
func (s *stack) verify() verification {
	s.t.Helper()
	s.write("Makefile", original(s.t, "Makefile"))
	s.write("path/go", "#!/bin/sh\necho 'there is no Go here' >&2\nexit 127\n")
	s.must("chmod", "+x", "path/go")
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	cmd := s.command(ctx, "make", "--no-print-directory", "verify", "OUTPUT=json")
	for i, entry := range cmd.Env {
		if path, ok := strings.CutPrefix(entry, "PATH="); ok {
			cmd.Env[i] = "PATH=" + s.dir + "/path:" + path
		}
		if strings.HasPrefix(entry, "COMPOSE_FILE=") {
			cmd.Env[i] = "IGNORED="
		}
	}
	var errs strings.Builder
	cmd.Stderr = &errs
	out, err := cmd.Output()
	var v verification
	if wrong := json.Unmarshal(out, &v); wrong != nil {
		s.t.Fatalf("make verify: %v, %v\n%s%s", err, wrong, out, errs.String())
	}
	if (err == nil) != v.OK {
		s.t.Errorf("make verify exits with %v, and its report says ok: %t", err, v.OK)
	}
	return v
}

// wantFailed runs make verify, which must fail in these checks and no others.
func (s *stack) wantFailed(says string, names ...string) verification {
	s.t.Helper()
	v := s.verify()
	if diff := cmp.Diff(names, v.failed()); diff != "" {
		s.t.Errorf("failed checks (-want +got):\n%s\n%+v", diff, v)
	}
	found := false
	for _, c := range v.Checks {
		found = found || c.Outcome == "failed" && strings.Contains(c.Detail, says)
		if c.Outcome == "failed" {
			s.t.Logf("✘ %s: %s → %s", c.Name, c.Detail, c.Hint)
		}
	}
	if !found && says != "" {
		s.t.Errorf("no failed check says %q: %+v", says, v)
	}
	return v
}

// wantWell runs make verify until all is well.
func (s *stack) wantWell() {
	s.t.Helper()
	var v verification
	s.eventually("make verify finds nothing", func() bool {
		v = s.verify()
		if !v.OK {
			s.t.Logf("not yet well: %v", v.failed())
		}
		return v.OK
	})
}

// One cause is one red line, whatever is away.
func TestOneCauseIsOneFailure(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	if v := s.noDeployment(); v != "nothing is deployed here: make prod-up" {
		t.Errorf("before anything is deployed make verify says %q", v)
	}
	s.mustProdUp()
	s.wantWell()
	network := s.project + "_redis"
	for _, tt := range []struct {
		name, of   string
		lose, mend []string // of docker; the container comes last
		says       string
		want       []string
	}{
		{"Redis stopped", "redis", []string{"stop"}, []string{"start"}, "is exited", []string{"redis runs"}},
		{"Redis paused", "redis", []string{"pause"}, []string{"unpause"}, "is paused", []string{"redis runs"}},
		{"API stopped", "receipts-api", []string{"stop"}, []string{"start"}, "is exited", []string{"receipts-api runs"}},
		{"API paused", "receipts-api", []string{"pause"}, []string{"unpause"}, "is paused", []string{"receipts-api runs"}},
		{"worker stopped", "receipts-worker", []string{"stop"}, []string{"start"}, "is exited", []string{"receipts-worker runs"}},
		{"Redis cut off", "redis", []string{"network", "disconnect", network}, []string{"network", "connect", "--alias", "redis", network}, "receipts-worker-1 is unhealthy", []string{"every container is healthy"}},
		{"worker cut off", "receipts-worker", []string{"network", "disconnect", network}, []string{"network", "connect", "--alias", "receipts-worker", network}, "receipts-worker-1 is unhealthy", []string{"every container is healthy"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := s.in(t)
			container := s.of(tt.of)[0]
			s.must("docker", append(tt.lose, container)...)
			if strings.HasSuffix(tt.name, "cut off") {
				s.eventually("the worker is unhealthy", func() bool { return s.health(s.of("receipts-worker"))[0].Status == "unhealthy" })
			}
			s.wantFailed(tt.says, tt.want...)
			s.must("docker", append(tt.mend, container)...)
			s.wantWell()
		})
	}
	t.Run("somebody else listens in the API's place", func(t *testing.T) {
		s := s.in(t)
		api := s.of("receipts-api")[0]
		s.must("docker", "stop", api)
		listener, err := net.Listen("tcp", strings.TrimPrefix(s.api, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		other := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { t.Errorf("was sent %s", r.URL) }))
		other.Listener = listener
		other.Start()
		s.wantFailed("is exited", "receipts-api runs")
		other.Close()
		s.must("docker", "start", api)
		s.wantWell()
	})
}

// noDeployment returns what make verify says where nothing is deployed.
func (s *stack) noDeployment() string {
	s.t.Helper()
	s.write("Makefile", original(s.t, "Makefile"))
	ctx, cancel := context.WithTimeout(s.t.Context(), time.Minute)
	defer cancel()
	out, err := s.run(ctx, "make", "--no-print-directory", "verify")
	if err == nil || !strings.Contains(err.Error(), "2") {
		s.t.Errorf("make verify: %v", err)
	}
	said, _, _ := strings.Cut(out, "\n")
	return said
}

// A worker that the kernel killed for memory runs again, and verify reports it.
func TestKilledForMemory(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	s.mustProdUp()
	s.wantWell()
	worker := s.of("receipts-worker")[0]
	limit := s.inspect("{{.HostConfig.Memory}}", worker)[0]
	s.must("docker", "stop", worker)
	s.must("docker", "update", "--memory", "16m", "--memory-swap", "16m", worker)
	s.must("docker", "start", worker)
	s.eventually("it was killed and restarted", func() bool {
		return s.inspect("{{.State.OOMKilled}} {{gt .RestartCount 0}}", worker)[0] == "true true"
	})
	s.eventually("it has its memory again", func() bool {
		_, err := s.run(t.Context(), "docker", "update", "--memory", limit, "--memory-swap", limit, worker)
		return err == nil
	})
	s.eventually("it is healthy", func() bool { return s.health([]string{worker})[0].Status == "healthy" })
	s.awaitWorkers(1)
	s.wantFailed("was killed for memory", "no container was killed for memory")
}
