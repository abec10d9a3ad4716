package app

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/prosaas/receipts/pkg/auth"
	"github.com/prosaas/receipts/pkg/config"
	"github.com/prosaas/receipts/pkg/queue"
	"github.com/prosaas/receipts/pkg/redisclient"
	"github.com/prosaas/receipts/pkg/redistest"
	"github.com/prosaas/receipts/pkg/registry"
	"github.com/prosaas/receipts/proto"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const secret = "a-secret-of-these-tests-0123456789"

func settings(t *testing.T, redisURL string, more ...string) config.API {
	t.Helper()
	cfg, err := config.LoadAPI(append([]string{
		"JWT_SECRET=" + secret, "REDIS_URL=" + redisURL, "API_ADDR=127.0.0.1:0", "API_ADMIN_ADDR=127.0.0.1:0", "SHUTDOWN_TIMEOUT=20s",
	}, more...))
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

// journal is a log that a test can wait on.
type journal chan string

func (j journal) Write(line []byte) (int, error) {
	j <- string(line)
	return len(line), nil
}

func (j journal) await(t *testing.T, words ...string) string {
	t.Helper()
	for timeout := time.After(20 * time.Second); ; {
		select {
		case line := <-j:
			missing := false
			for _, w := range words {
				missing = missing || !strings.Contains(line, w)
			}
			if !missing {
				return line
			}
		case <-timeout:
			t.Fatalf("the log never said %q", words)
		}
	}
}

// start runs a service until the test ends.
func start(t *testing.T, cfg config.API) (*App, journal) {
	t.Helper()
	log := make(journal, 10000)
	a, err := New(cfg, slog.New(slog.NewJSONHandler(log, nil)), "v1.2.3")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := a.Stop(); err != nil {
			t.Error(err)
		}
	})
	if err := a.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return a, log
}

// request is one of a member of acme, on a connection of its own.
func request(t *testing.T, method, url string) *http.Request {
	t.Helper()
	token, err := auth.Sign([]byte(secret), auth.Principal{BusinessID: "acme", Role: auth.RoleMember}, time.Hour, auth.Options{})
	if err != nil {
		t.Fatal(err)
	}
	r, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	r.Close = true
	return r
}

func ask(t *testing.T, method, url string) (int, string) {
	t.Helper()
	r := request(t, method, url)
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, string(body)
}

func TestRedisMayBeDownAtStart(t *testing.T) {
	t.Parallel()
	server := redistest.Reserve(t)
	a, log := start(t, settings(t, server.URL()))
	url := "http://" + a.Addr()
	for path, want := range map[string]int{"/livez": 200, "/readyz": 503, "/": 200, "/api/receipts/sync/latest": 503} {
		if status, body := ask(t, "GET", url+path); status != want {
			t.Errorf("GET %s without redis: %d %s", path, status, body)
		}
	}
	if _, body := ask(t, "GET", "http://"+a.AdminAddr()+"/metrics"); !strings.Contains(body, "receipts_registry_scrape_success 0\n") {
		t.Error("metrics do not tell that redis is away")
	}

	server.Restart()
	var found struct {
		RunID  string `json:"run_id"`
		Prefix string `json:"prefix"`
		DB     int    `json:"db"`
	}
	if err := json.Unmarshal([]byte(log.await(t, `"msg":"redis found"`)), &found); err != nil || len(found.RunID) != 40 || found.Prefix != "{receipts}" {
		t.Errorf("redis found: %+v, %v", found, err)
	}
	for path, want := range map[string]int{"/readyz": 200, "/api/receipts/sync/latest": 404} {
		if status, body := ask(t, "GET", url+path); status != want {
			t.Errorf("GET %s with redis: %d %s", path, status, body)
		}
	}
	if _, body := ask(t, "GET", "http://"+a.AdminAddr()+"/metrics"); !strings.Contains(body, "receipts_registry_scrape_success 1\n") {
		t.Error("metrics do not tell that redis is there")
	}
}

func TestMetricsHaveAListenerOfTheirOwn(t *testing.T) {
	t.Parallel()
	a, _ := start(t, settings(t, redistest.DB(t)))
	for url, want := range map[string]int{
		"http://" + a.Addr() + "/metrics":                        404,
		"http://" + a.AdminAddr() + "/livez":                     404,
		"http://" + a.AdminAddr() + "/api/receipts":              404,
		"http://" + a.AdminAddr() + "/metrics":                   200,
		"http://" + a.Addr() + "/openapi.yaml":                   200,
		"http://" + a.Addr() + "/api/receipts/queue/diagnostics": 403,
	} {
		if status, _ := ask(t, "GET", url); status != want {
			t.Errorf("GET %s: %d, want %d", url, status, want)
		}
	}
}

func TestStopAnswersWhoWaitsForAWorker(t *testing.T) {
	t.Parallel()
	cfg := settings(t, redistest.DB(t), "GUARD_WAIT=1m")
	a, log := start(t, cfg)
	log.await(t, "redis found")
	leave(t, a.redis)

	answers := make(chan int, 1)
	go func() {
		status, _ := ask(t, "POST", "http://"+a.Addr()+"/api/receipts/sync")
		answers <- status
	}()
	log.await(t, "sync waits for a worker")
	if err := a.Stop(); err != nil {
		t.Error(err)
	}
	if status := <-answers; status != http.StatusServiceUnavailable {
		t.Errorf("the request was answered %d", status)
	}
}

// A stream lasts as long as its job, and must not hold up a stop until its limit,
// which would be an error.
func TestStopEndsStreams(t *testing.T) {
	t.Parallel()
	keys := proto.MustKeys(proto.DefaultPrefix)
	a, log := start(t, settings(t, redistest.DB(t)))
	log.await(t, "redis found")
	listen(t, registry.New(a.redis, keys))
	_, err := queue.New(a.redis, keys).Enqueue(t.Context(), queue.Request{Envelope: proto.Envelope{
		Version: 1, JobID: "job-1", Kind: proto.KindErase, BusinessID: "acme", Queue: proto.QueueDefault, Trigger: proto.TriggerUser,
	}})
	if err != nil {
		t.Fatal(err)
	}

	r := request(t, "GET", "http://"+a.Addr()+"/api/receipts/sync/job-1/events")
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	if err := a.Stop(); err != nil {
		t.Error(err)
	}
	if body, err := io.ReadAll(answer.Body); err != nil || !strings.HasPrefix(string(body), "event: job\ndata: {") {
		t.Errorf("the stream: %s, %v", body, err)
	}
}

// listen has a worker listen on every queue.
func listen(t *testing.T, workers *registry.Registry) proto.Worker {
	t.Helper()
	w := proto.Worker{Name: registry.NewName("test"), Queues: proto.Queues()}
	if err := workers.Register(t.Context(), w, time.Minute); err != nil {
		t.Fatal(err)
	}
	return w
}

// leave has a worker listen on every queue and leave in order.
func leave(t *testing.T, redis *redisclient.Client) {
	t.Helper()
	workers := registry.New(redis, proto.MustKeys(proto.DefaultPrefix))
	w := listen(t, workers)
	if err := workers.Drain(t.Context(), w.Name); err != nil {
		t.Fatal(err)
	}
	if err := workers.Depart(t.Context(), w.Name); err != nil {
		t.Fatal(err)
	}
}

func TestRunEndsWithItsContext(t *testing.T) {
	t.Parallel()
	cfg := settings(t, redistest.DB(t))
	for range 20 {
		ctx, cancel := context.WithCancel(t.Context())
		log := make(journal, 10000)
		ended := make(chan error, 1)
		go func() { ended <- Run(ctx, cfg, slog.New(slog.NewJSONHandler(log, nil)), "v1.2.3") }()
		log.await(t, "receipts-api listens")
		cancel()
		if err := <-ended; err != nil {
			t.Fatal(err)
		}
	}
}

func TestAddressInUse(t *testing.T) {
	t.Parallel()
	taken, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	for _, variable := range []string{"API_ADDR", "API_ADMIN_ADDR"} {
		cfg := settings(t, redistest.DB(t), variable+"="+taken.Addr().String())
		err := Run(t.Context(), cfg, slog.New(slog.DiscardHandler), "v1.2.3")
		if err == nil || !strings.Contains(err.Error(), taken.Addr().String()) {
			t.Errorf("%s in use: %v", variable, err)
		}
	}
}
