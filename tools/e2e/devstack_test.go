package e2e

import (
	"net/http"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/prosaas/receipts/pkg/redistest"
	"github.com/prosaas/receipts/proto"
)

// What devstack tells a person.
var (
	signInLink   = regexp.MustCompile(`(http://[^/\s]+)/signin#token=(\S+)`)
	operatorsKey = regexp.MustCompile(`X-Diagnostic-Key: ([^'\s]+)`)
)

// oneStarts: devstack takes the first free port of a row, and two that look at
// the same instant would take the same.
var oneStarts sync.Mutex

// startDevstack starts it and answers, as a client, whom its link signs in.
func startDevstack(t *testing.T, environ []string, args ...string) (*process, *client) {
	t.Helper()
	oneStarts.Lock()
	defer oneStarts.Unlock()
	p := launch(t, "devstack", environ, args...)
	found := signInLink.FindStringSubmatch(p.awaitLine("a sign-in link", signInLink.MatchString))
	c := (&api{process: p, url: found[1]}).as("demo")
	c.token = found[2]
	return p, c
}

// itsWorker is the process id of devstack's worker, as the diagnostics tell it.
func itsWorker(t *testing.T, p *process, c *client) int {
	t.Helper()
	key := operatorsKey.FindStringSubmatch(p.awaitLine("the key of an operator", operatorsKey.MatchString))[1]
	d := decode[proto.Diagnostics](t, c.call(http.MethodGet, "/api/receipts/queue/diagnostics", "", "X-Diagnostic-Key", key), http.StatusOK)
	if len(d.Workers) != 1 || d.Workers[0].PID <= 0 {
		t.Fatalf("devstack has the workers %+v", d.Workers)
	}
	return d.Workers[0].PID
}

// consent connects Gmail as a person does, who presses Allow.
func (c *client) consent() {
	c.t.Helper()
	start := decode[proto.OAuthStart](c.t, c.call(http.MethodGet, "/api/gmail/oauth/start", ""), http.StatusOK)
	asked, err := url.Parse(start.AuthURL)
	if err != nil {
		c.t.Fatal(err)
	}
	r, err := c.http.PostForm(start.AuthURL, url.Values{"account": {"demo@example.com"}, "scope": {asked.Query().Get("scope")}, "answer": {"allow"}})
	if err != nil {
		c.t.Fatal(err)
	}
	defer func() { _ = r.Body.Close() }()
	if r.Request.URL.Query().Get("connected") != "true" {
		c.t.Fatalf("connecting ended at %s", r.Request.URL)
	}
}

func TestDevstack(t *testing.T) {
	t.Parallel()
	p, c := startDevstack(t, nil)
	c.consent()
	if _, result := c.awaitFinish(c.latest()); result.Saved == 0 || result.Errors != 0 {
		t.Errorf("the first sync did %+v", result)
	}
	for _, r := range c.receipts() {
		if r.Total == nil || !decimalPattern.MatchString(*r.Total) {
			t.Errorf("receipt %s has no total", r.ID)
		}
	}
	worker := itsWorker(t, p, c)
	if code := p.end(syscall.SIGINT, patience); code != 0 {
		t.Errorf("devstack ended with %d", code)
	}
	log := strings.Join(p.log(), "\n")
	stopped := []int{strings.Index(log, "receipts-api stops"), strings.Index(log, "worker stopped")}
	if stopped[0] < 0 || stopped[1] < stopped[0] {
		t.Errorf("the API and then the worker should have stopped: %v", stopped)
	}
	if syscall.Kill(worker, 0) == nil {
		t.Error("its worker still runs")
	}
	if a, err := c.try(http.MethodGet, "/livez", ""); err == nil {
		t.Errorf("its API still answers: %+v", a)
	}
}

func TestDevstackOnARealRedis(t *testing.T) {
	t.Parallel()
	p, c := startDevstack(t, []string{"REDIS_URL=" + redistest.DB(t)}, "--mailbox", "seed:60")
	c.consent()
	c.awaitFinish(c.latest())
	p.awaitLine("a real Redis", func(line string) bool {
		return strings.Contains(line, "redis found") && !strings.Contains(line, "run_id=unknown")
	})
}

func TestDevstackEndsWithItsParts(t *testing.T) {
	t.Parallel()
	p, c := startDevstack(t, nil, "--mailbox", "seed:30")
	if err := syscall.Kill(itsWorker(t, p, c), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if code := p.awaitEnd(patience); code != 1 {
		t.Errorf("devstack ended with %d", code)
	}
	p.awaitLine("which part ended", func(line string) bool {
		return strings.HasPrefix(line, "devstack:") && strings.Contains(line, "receipts-worker ended by itself: signal: killed")
	})
}

func TestDevstackWithoutItsMailbox(t *testing.T) {
	t.Parallel()
	p := launch(t, "devstack", nil, "--mailbox", filepath.Join(t.TempDir(), "missing"))
	if code := p.awaitEnd(patience); code != 1 || !strings.Contains(strings.Join(p.log(), "\n"), "open the mailbox") {
		t.Errorf("devstack ended with %d, saying %q", code, p.log())
	}
}
