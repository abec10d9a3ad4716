package app_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/prosaas/receipts/pkg/config"
	"github.com/prosaas/receipts/pkg/queue"
	"github.com/prosaas/receipts/pkg/redisclient"
	"github.com/prosaas/receipts/pkg/redistest"
	"github.com/prosaas/receipts/proto"
	"github.com/prosaas/receipts/services/receipts-worker/internal/app"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// settings are those of a worker on redis, with its metrics on a free port.
func settings(t *testing.T, redis string) config.Worker {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := listener.Addr().String()
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	s, err := config.LoadWorker([]string{
		"REDIS_URL=" + redis, "WORKER_ADMIN_ADDR=" + addr, "HEARTBEAT_INTERVAL=20ms", "HEARTBEAT_TTL=2s",
		`TOKEN_KEYS={"keys":[{"kty":"oct","kid":"test","alg":"A256GCMKW","k":"MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE"}]}`,
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// lines is a log that a test can wait on.
type lines chan string

func (l lines) Write(line []byte) (int, error) {
	l <- string(line)
	return len(line), nil
}

func (l lines) await(t *testing.T, word string) {
	t.Helper()
	deadline := time.After(time.Minute)
	for {
		select {
		case line := <-l:
			if strings.Contains(line, word) {
				return
			}
		case <-deadline:
			t.Fatalf("the log never said %q", word)
		}
	}
}

func TestWorkerDoesAJobAndStops(t *testing.T) {
	t.Parallel()
	url := redistest.DB(t)
	s := settings(t, url)
	log := make(lines, 1000)
	ctx, stop := context.WithCancel(t.Context())
	ran := make(chan error, 1)
	go func() { ran <- app.Run(ctx, s, "v1", slog.New(slog.NewTextHandler(log, nil))) }()
	log.await(t, "WORKER_START")

	client, err := redisclient.Open(url, redisclient.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	<-client.Ready()
	answer, err := queue.New(client, proto.MustKeys(proto.DefaultPrefix)).Enqueue(t.Context(), queue.Request{
		Retention: time.Hour, Envelope: proto.Envelope{Version: 1, JobID: "j", Kind: proto.KindNoop, Queue: proto.QueueDefault, Trigger: proto.TriggerVerify},
	})
	if err != nil || answer.Verdict != queue.Queued {
		t.Fatalf("enqueue = %+v, %v", answer, err)
	}
	log.await(t, "JOB_DONE")
	metrics := get(t, "http://"+s.AdminAddr+"/metrics")
	for _, want := range []string{`receipts_worker_info{queue="default",version="v1"} 1`, `receipts_jobs_finished_total{kind="noop",outcome="finished",queue="default"} 1`, "receipts_worker_heartbeat_timestamp_seconds"} {
		if !strings.Contains(metrics, want) {
			t.Errorf("metrics lack %s", want)
		}
	}
	if alive := get(t, "http://"+s.AdminAddr+"/livez"); alive != "ok\n" {
		t.Errorf("livez = %q", alive)
	}
	stop()
	if err := <-ran; err != nil {
		t.Errorf("Run = %v", err)
	}
}

func get(t *testing.T, url string) string {
	t.Helper()
	response, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	defer http.DefaultClient.CloseIdleConnections()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

func TestWorkerRefusesWhatItCannotUse(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	good := settings(t, redistest.DB(t))
	tests := map[string]struct {
		change func(*config.Worker)
		says   string
	}{
		"a taken address":   {func(s *config.Worker) { s.AdminAddr = taken.Addr().String() }, "WORKER_ADMIN_ADDR"},
		"unreadable keys":   {func(s *config.Worker) { s.TokenKeys = "{" }, "token keys"},
		"a prefix, no tag":  {func(s *config.Worker) { s.QueuePrefix = "receipts" }, "{tag}"},
		"a url of no redis": {func(s *config.Worker) { s.RedisURL = "http://127.0.0.1" }, "redis url"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s := good
			tt.change(&s)
			err := app.Run(t.Context(), s, "v1", slog.New(slog.DiscardHandler))
			if err == nil || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("Run = %v, want it to say %q", err, tt.says)
			}
		})
	}
}

func TestHealthcheckIsAPing(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	check := func() error {
		s, err := config.LoadRedis([]string{"REDIS_URL=" + server.URL()})
		if err != nil {
			t.Fatal(err)
		}
		return app.Healthcheck(t.Context(), s)
	}
	if err := check(); err != nil {
		t.Errorf("with redis = %v", err)
	}
	server.Kill()
	if err := check(); !errors.Is(err, redisclient.ErrUnavailable) {
		t.Errorf("without redis = %v, want ErrUnavailable", err)
	}
}
