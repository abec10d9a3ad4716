package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/prosaas/receipts/pkg/redistest"
	"github.com/prosaas/receipts/tools/verify"
)

const nowhere = "http://127.0.0.1:1"

// away are settings of a deployment that is not there.
func away() []string { return []string{"API_URL=" + nowhere, "REDIS_URL=redis://127.0.0.1:1/0"} }

func TestExitCodes(t *testing.T) {
	t.Setenv("PATH", t.TempDir()) // without docker
	interrupted, interrupt := context.WithCancel(t.Context())
	interrupt()
	for _, tt := range []struct {
		name    string
		within  func() context.Context
		args    []string
		environ []string
		code    int
		says    string // on standard error
	}{
		{"help", t.Context, []string{"--help"}, nil, exitWell, ""},
		{"a check fails", t.Context, []string{"--only", "api"}, away(), exitFailed, ""},
		{"a check still fails when --wait is over", t.Context, []string{"--only", "api", "--wait", "1ms"}, away(), exitTimedOut, ""},
		{"no such flag", t.Context, []string{"--loud"}, nil, exitUsage, "unknown flag --loud"},
		{"no such group", t.Context, []string{"--only", "kitchen"}, nil, exitUsage, "--only"},
		{"no such format", t.Context, []string{"-o", "xml"}, nil, exitUsage, "--output"},
		{"a wait into the past", t.Context, []string{"--wait", "-1s"}, nil, exitUsage, "--wait"},
		{"no business has that name", t.Context, []string{"--business", "a b"}, nil, exitUsage, "--business"},
		{"a drill by the way", t.Context, []string{"--only", "drill"}, nil, exitUsage, "--drill"},
		{"a setting is wrong", t.Context, nil, []string{"API_URL=receipts"}, exitUsage, "API_URL"},
		{"no docker for what was asked", t.Context, []string{"--only", "config"}, away(), exitNotRun, "no docker here"},
		{"no docker for the drill", t.Context, []string{"--drill", "--only", "api"}, away(), exitNotRun, "no docker here"},
		{"interrupted", func() context.Context { return interrupted }, []string{"--only", "api"}, away(), exitNotRun, "interrupted"},
	} {
		var errs bytes.Buffer
		code := run(tt.within(), tt.args, tt.environ, io.Discard, &errs)
		if code != tt.code || !strings.Contains(errs.String(), tt.says) {
			t.Errorf("%s: exits with %d and says %q; want %d and %q", tt.name, code, errs.String(), tt.code, tt.says)
		}
	}
}

func TestExitCodeOfAReport(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		report verify.Report
		want   int
	}{
		"all well":                      {verify.Report{Passed: 2, NotChecked: 1}, exitWell},
		"one failed":                    {verify.Report{Passed: 2, Failed: 1}, exitFailed},
		"one ran out of time":           {verify.Report{Passed: 2, Failed: 1, TimedOut: 1}, exitTimedOut},
		"one failed, and one timed out": {verify.Report{Failed: 2, TimedOut: 1}, exitFailed},
	} {
		if got := exitCode(tt.report); got != tt.want {
			t.Errorf("%s: exits with %d, want %d", name, got, tt.want)
		}
	}
}

func TestText(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t, "--appendonly", "yes", "--maxmemory-policy", "allkeys-lru", "--maxmemory", "256mb").URL()
	var out bytes.Buffer
	if code := run(t.Context(), []string{"--only", "redis"}, []string{"REDIS_URL=" + redis}, &out, io.Discard); code != exitFailed {
		t.Errorf("exits with %d", code)
	}
	took := regexp.MustCompile(` +[0-9.]+ s`)
	got := took.ReplaceAllString(out.String(), " TIME")
	want := `redis
  ✔ PING is answered TIME  
  ✘ nothing is evicted TIME
      maxmemory-policy is "allkeys-lru": a full Redis throws queued jobs away
      → it wants maxmemory-policy noeviction: edit deploy/redis/redis.conf, then: make prod-up
  ✔ append-only is on and its last write went well TIME  
  ✔ memory is below 80 % TIME  0 % of 256 MiB (maxmemory)

3 passed, 1 failed, 0 not checked in TIME
`
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("text (-want +got):\n%s", diff)
	}
}

func TestColors(t *testing.T) {
	t.Parallel()
	for name, colors := range map[string]bool{"with": true, "without": false} {
		var out bytes.Buffer
		shown := &text{out: &out, colors: colors}
		for _, outcome := range []verify.Outcome{verify.Passed, verify.Failed, verify.NotChecked} {
			shown.result(verify.Result{Group: "api", Outcome: outcome})
		}
		if got := strings.Contains(out.String(), "\x1b["); got != colors {
			t.Errorf("%s colors: %q", name, out.String())
		}
	}
}

// TestJSON holds the shape that scripts read.
func TestJSON(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t, "--appendonly", "no", "--maxmemory", "256mb").URL()
	var out bytes.Buffer
	if code := run(t.Context(), []string{"-o", "json", "--only", "redis"}, []string{"REDIS_URL=" + redis}, &out, io.Discard); code != exitFailed {
		t.Errorf("exits with %d", code)
	}
	var got map[string]any
	if err := json.Unmarshal(out.Bytes(), &got); err != nil {
		t.Fatalf("%s: %v", out.String(), err)
	}
	checks, _ := got["checks"].([]any)
	if len(checks) != 4 {
		t.Fatalf("checks %v", checks)
	}
	passed, failed := checks[1].(map[string]any), checks[2].(map[string]any)
	for _, m := range []map[string]any{got, passed, failed} {
		if seconds, ok := m["seconds"].(float64); !ok || seconds <= 0 {
			t.Errorf("seconds %v", m["seconds"])
		}
		delete(m, "seconds")
	}
	delete(got, "checks")
	if hint, _ := failed["hint"].(string); !strings.Contains(hint, "appendonly yes") {
		t.Errorf("hint %q", hint)
	}
	delete(failed, "hint")
	for name, tt := range map[string]struct{ want, got map[string]any }{
		"report": {map[string]any{"ok": false, "passed": 3., "failed": 1., "timed_out": 0., "not_checked": 0.}, got},
		"passed": {map[string]any{"group": "redis", "name": "nothing is evicted", "outcome": "passed", "detail": ""}, passed},
		"failed": {map[string]any{
			"group": "redis", "name": "append-only is on and its last write went well", "outcome": "failed",
			"detail": "append-only is off: jobs that were accepted are lost with a restart",
		}, failed},
	} {
		if diff := cmp.Diff(tt.want, tt.got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestWell(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t, "--appendonly", "yes", "--maxmemory", "256mb").URL()
	var out bytes.Buffer
	if code := run(t.Context(), []string{"-o", "json", "--only", "redis"}, []string{"REDIS_URL=" + redis}, &out, io.Discard); code != exitWell || !strings.Contains(out.String(), `"ok": true`) {
		t.Errorf("exits with %d: %s", code, out.String())
	}
}

func TestDrillChoosesItsGroups(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ args, want []string }{
		"everything":            {nil, nil},
		"some":                  {[]string{"--only", "api,flow"}, []string{"api", "flow"}},
		"each":                  {[]string{"--only", "api", "--only", "flow"}, []string{"api", "flow"}},
		"the drill":             {[]string{"--drill"}, []string{"config", "containers", "api", "flow", "drill"}},
		"the drill after some":  {[]string{"--drill", "--only", "api"}, []string{"api", "drill"}},
		"the drill and no more": {[]string{"--drill", "--only", "drill"}, []string{"drill"}},
	} {
		f, done, err := parse(tt.args, io.Discard)
		if diff := cmp.Diff(tt.want, f.Only); err != nil || done || diff != "" {
			t.Errorf("%s: %v, done %v (-want +got):\n%s", name, err, done, diff)
		}
	}
}

// TestJSONIsOneDocument holds that scripts read one document, whatever went wrong.
func TestJSONIsOneDocument(t *testing.T) {
	t.Setenv("PATH", t.TempDir()) // without docker
	for name, tt := range map[string]struct {
		args, environ []string
		code          int
		says          string
	}{
		"a flag is wrong":       {[]string{"-o", "json", "--loud"}, nil, exitUsage, "unknown flag"},
		"a flag before":         {[]string{"--loud", "--output=json"}, nil, exitUsage, "unknown flag"},
		"a setting is wrong":    {[]string{"-o", "json"}, []string{"API_URL=receipts"}, exitUsage, "API_URL"},
		"no docker":             {[]string{"-o", "json", "--deployed"}, away(), exitNotRun, "no docker here"},
		"no docker for a group": {[]string{"-o", "json", "--only", "config"}, away(), exitNotRun, "no docker here"},
		"a check fails":         {[]string{"-o", "json", "--only", "api"}, away(), exitFailed, ""},
	} {
		var out bytes.Buffer
		code := run(t.Context(), tt.args, tt.environ, &out, io.Discard)
		decoder := json.NewDecoder(&out)
		var report verify.Report
		if err := decoder.Decode(&report); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if rest, err := io.ReadAll(io.MultiReader(decoder.Buffered(), &out)); err != nil || strings.TrimSpace(string(rest)) != "" {
			t.Errorf("%s: more than one document: %q", name, rest)
		}
		if code != tt.code || report.OK || !strings.Contains(report.Error, tt.says) {
			t.Errorf("%s: exits with %d and says %q; want %d and %q", name, code, report.Error, tt.code, tt.says)
		}
	}
}
