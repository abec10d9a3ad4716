package queue_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/prosaas/receipts/pkg/queue"
	"github.com/prosaas/receipts/pkg/redisclient"
	"github.com/prosaas/receipts/pkg/redistest"
	"github.com/prosaas/receipts/pkg/registry"
	"github.com/prosaas/receipts/proto"
)

// rueidis closes the connections of a changed topology five seconds later.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/redis/rueidis.(*clusterClient)._refresh.func2"))
}

// journal is a log that a test can wait on.
type journal struct {
	lines chan string
	t     *testing.T
}

func newJournal(t *testing.T) *journal {
	t.Helper()
	return &journal{lines: make(chan string, 1000), t: t}
}

func (j *journal) Write(line []byte) (int, error) {
	j.lines <- string(line)
	return len(line), nil
}

// await reads on until a line has all of words.
func (j *journal) await(words ...string) string {
	j.t.Helper()
	for ctx := testCtx(j.t); ; {
		select {
		case line := <-j.lines:
			missing := false
			for _, w := range words {
				missing = missing || !strings.Contains(line, w)
			}
			if !missing {
				return line
			}
		case <-ctx.Done():
			j.t.Fatalf("the log never said %q", words)
		}
	}
}

// work runs a consumer that does every noop with handle, until the test ends or
// stop is called, which answers what Run did.
func (p *plane) work(handle func(context.Context, *queue.Job) (slog.LogValuer, error)) (log *journal, stop func() error) {
	p.t.Helper()
	log = newJournal(p.t)
	works := map[proto.Kind]queue.Work{proto.KindNoop: {Title: "Nothing", Handle: handle}}
	c := queue.NewConsumer(p.Queue, p.Registry, registry.NewName, works, queue.ConsumerOptions{
		Host: "test", Version: "v1", Slots: 4, Interval: 20 * time.Millisecond, TTL: 2 * time.Second, MaxAttempts: 2,
		Logger: slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	})
	ctx, cancel := context.WithCancel(context.Background())
	ran := make(chan error, 1)
	go func() { ran <- c.Run(ctx); close(ran) }()
	stop = func() error { cancel(); return <-ran }
	p.t.Cleanup(func() { _ = stop() })
	return log, stop
}

func done(context.Context, *queue.Job) (slog.LogValuer, error) {
	return proto.SyncResult{Saved: 7}, nil
}

func (p *plane) job(id string) proto.Job {
	p.t.Helper()
	job, err := p.AnyJob(p.t.Context(), id)
	if err != nil {
		p.t.Fatal(err)
	}
	return job
}

func TestConsumerDoesAJob(t *testing.T) { everywhere(t, testConsumerDoesAJob) }

func testConsumerDoesAJob(t *testing.T, newPlane planes) {
	t.Helper()
	p := newPlane(t)
	log, stop := p.work(func(ctx context.Context, job *queue.Job) (slog.LogValuer, error) {
		if _, err := job.Checkpoint(ctx, proto.Progress{Saved: 7}, true); err != nil {
			return nil, err
		}
		return done(ctx, job)
	})
	log.await("WORKER_START", "version=v1")
	p.enqueue(noop("j"))
	log.await("JOB_START: Nothing", "job_id=j", "attempt=1", "queue_wait=")
	log.await("JOB_DONE", "job_id=j", "duration=", "saved=7")
	job := p.job("j")
	if job.Status != proto.StateFinished || job.Progress.Saved != 7 || !strings.Contains(string(job.Result), `"saved":7`) {
		t.Errorf("record = %s, progress %+v, result %s", job.Status, job.Progress, job.Result)
	}
	if err := stop(); err != nil {
		t.Errorf("Run = %v", err)
	}
}

func TestConsumerOutcomes(t *testing.T) { everywhere(t, testConsumerOutcomes) }

func testConsumerOutcomes(t *testing.T, newPlane planes) {
	t.Helper()
	public := proto.JobError{Code: "reconnect", Message: "Gmail refused", Action: "Reconnect Gmail"}
	tests := []struct {
		name string
		err  error
		says []string
		want proto.State
		code string
	}{
		{"fail", &queue.FailError{Public: public, Cause: errors.New("invalid_grant")}, []string{"JOB_FAIL", "code=reconnect"}, proto.StateFailed, "reconnect"},
		{"retry", &queue.RetryError{Public: public, Cause: errors.New("x")}, []string{"JOB_FAIL", "code=reconnect", "retry_at="}, proto.StateScheduled, "reconnect"},
		{"unexpected", errors.New("private words"), []string{"JOB_FAIL", "code=internal", "retry_at="}, proto.StateScheduled, "internal"},
		{"defer", &queue.DeferError{After: time.Hour, Reason: "quota"}, []string{"JOB_RELEASED", "reason=defer", "until="}, proto.StateScheduled, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := newPlane(t)
			log, _ := p.work(func(context.Context, *queue.Job) (slog.LogValuer, error) { return nil, tt.err })
			log.await("WORKER_START")
			p.enqueue(noop("j"))
			log.await(tt.says...)
			job := p.job("j")
			code := ""
			if job.Error != nil {
				code = job.Error.Code
			}
			if code != tt.code || (tt.want != job.Status && tt.name == "fail") {
				t.Errorf("record = %s, code %q; want %s, %q", job.Status, code, tt.want, tt.code)
			}
			if job.Error != nil && strings.Contains(job.Error.Message, "private") {
				t.Errorf("a person is told %q", job.Error.Message)
			}
		})
	}
}

func TestPanicIsAnAttempt(t *testing.T) { everywhere(t, testPanicIsAnAttempt) }

func testPanicIsAnAttempt(t *testing.T, newPlane planes) {
	t.Helper()
	p := newPlane(t)
	log, _ := p.work(func(context.Context, *queue.Job) (slog.LogValuer, error) { panic("a mail that kills") })
	log.await("WORKER_START")
	p.enqueue(noop("j"))
	log.await("handler panicked")
	log.await("JOB_FAIL", "attempt=1", "retry_at=")
	log.await("JOB_FAIL", "attempt=2")
	if job := p.job("j"); job.Status != proto.StateFailed || job.Attempt != 2 || !strings.Contains(job.Error.Action, "Start the sync again") {
		t.Errorf("after %d attempts: %s, %+v; want failed after 2, and what to do now", job.Attempt, job.Status, job.Error)
	}
}

func TestNewerEnvelopeIsLeftToANewerWorker(t *testing.T) {
	everywhere(t, testNewerEnvelopeIsLeftToANewerWorker)
}

func testNewerEnvelopeIsLeftToANewerWorker(t *testing.T, newPlane planes) {
	t.Helper()
	p := newPlane(t)
	log, _ := p.work(done)
	log.await("WORKER_START")
	r := noop("j")
	r.Envelope.Version = proto.EnvelopeVersion + 1
	p.enqueue(r)
	log.await("JOB_RELEASED", "reason=defer", "newer version")
	if job := p.job("j"); job.Status != proto.StateScheduled || job.Attempt != 0 {
		t.Errorf("record = %s, attempt %d; want scheduled, 0", job.Status, job.Attempt)
	}
}

func TestShutdownHandsJobsBack(t *testing.T) { everywhere(t, testShutdownHandsJobsBack) }

func testShutdownHandsJobsBack(t *testing.T, newPlane planes) {
	t.Helper()
	for name, handle := range map[string]func(ctx context.Context, until <-chan struct{}) error{
		"of a handler that listens": func(ctx context.Context, _ <-chan struct{}) error { <-ctx.Done(); return ctx.Err() },
		"of a handler that does not": func(_ context.Context, until <-chan struct{}) error {
			<-until
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPlane(t)
			began, until := make(chan struct{}), make(chan struct{})
			t.Cleanup(func() { close(until) })
			log, stop := p.work(func(ctx context.Context, _ *queue.Job) (slog.LogValuer, error) {
				close(began)
				return proto.SyncResult{}, handle(ctx, until)
			})
			log.await("WORKER_START")
			p.enqueue(noop("j"))
			<-began
			if err := stop(); err != nil {
				t.Errorf("Run = %v", err)
			}
			log.await("JOB_RELEASED", "reason=shutdown")
			if job := p.job("j"); job.Status != proto.StateQueued || job.Attempt != 0 {
				t.Errorf("record = %s, attempt %d; want queued, 0", job.Status, job.Attempt)
			}
			roll, err := p.Registry.Roll(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if roll.Listening("default") || roll.Workers[0].State != proto.WorkerDeparted {
				t.Errorf("registry = %+v", roll)
			}
			if got := p.enqueue(noop("next")); got.Verdict != queue.NoWorker || !got.WorkerLeft {
				t.Errorf("the next enqueue = %+v, want no worker, one just left", got)
			}
		})
	}
}

func TestCanceledJobStops(t *testing.T) { everywhere(t, testCanceledJobStops) }

func testCanceledJobStops(t *testing.T, newPlane planes) {
	t.Helper()
	p := newPlane(t)
	cause := make(chan error, 1)
	log, _ := p.work(func(ctx context.Context, _ *queue.Job) (slog.LogValuer, error) {
		<-ctx.Done()
		cause <- context.Cause(ctx)
		return nil, ctx.Err()
	})
	log.await("WORKER_START")
	p.enqueue(noop("j"))
	log.await("JOB_START")
	if _, err := p.Cancel(t.Context(), "", "j"); err != nil {
		t.Fatal(err)
	}
	log.await("JOB_CANCELED", "job_id=j")
	if err := <-cause; !errors.Is(err, queue.ErrCanceled) {
		t.Errorf("the handler was stopped for %v", err)
	}
	if job := p.job("j"); job.Status != proto.StateCanceled {
		t.Errorf("record = %s, want canceled", job.Status)
	}
}

// A worker that was away for longer than its time to live finds its job with
// somebody else: it stops, writes nothing, and comes back under a new name.
func TestReapedWorkerStopsAndComesBack(t *testing.T) {
	everywhere(t, testReapedWorkerStopsAndComesBack)
}

func testReapedWorkerStopsAndComesBack(t *testing.T, newPlane planes) {
	t.Helper()
	p := newPlane(t)
	stopped, resume := make(chan error, 2), make(chan struct{})
	log, _ := p.work(func(ctx context.Context, job *queue.Job) (slog.LogValuer, error) {
		select {
		case <-ctx.Done():
			stopped <- context.Cause(ctx)
			<-resume
		case <-resume:
		}
		return done(ctx, job)
	})
	name := field(log.await("WORKER_START"), "name")
	p.enqueue(noop("j"))
	log.await("JOB_START")
	p.listen("other")
	p.do("HSET", p.keys.Beat(), "hold", "0")
	for jobs := 0; jobs == 0; { // its own beats renew it in between
		p.runOut(name, -time.Second) // never after it was reaped: that would bring it back
		var err error
		if jobs, _, err = p.Registry.Reap(t.Context(), name, 2*time.Second); err != nil {
			t.Fatal(err)
		}
	}
	if err := <-stopped; !errors.Is(err, queue.ErrLost) {
		t.Errorf("the handler was stopped for %v, want ErrLost", err)
	}
	if again := field(log.await("WORKER_START"), "name"); again == name {
		t.Errorf("it registered as %s again", name)
	}
	close(resume)
	log.await("JOB_DONE", "job_id=j")
	if job := p.job("j"); job.Status != proto.StateFinished || job.Crashes != 1 {
		t.Errorf("record = %s with %d crashes, want finished with 1", job.Status, job.Crashes)
	}
}

func field(line, name string) string {
	_, rest, _ := strings.Cut(line, " "+name+"=")
	value, _, _ := strings.Cut(rest, " ")
	return strings.TrimSpace(value)
}

func TestWorkerWaitsForRedis(t *testing.T) {
	t.Parallel()
	server := redistest.Reserve(t)
	client, err := redisclient.Open(server.URL(), redisclient.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	keys := proto.MustKeys("{test}")
	p := &plane{Queue: queue.New(client, keys), Registry: registry.New(client, keys), client: client, keys: keys, t: t}
	log, stop := p.work(done)
	server.Restart()
	log.await("WORKER_START")
	p.enqueue(noop("j"))
	log.await("JOB_DONE")
	server.Kill()
	log.await("trying again")
	server.Restart() // empty: the worker is unknown to it
	log.await("WORKER_START")
	p.enqueue(noop("again"))
	log.await("JOB_DONE", "job_id=again")
	if err := stop(); err != nil {
		t.Errorf("Run = %v", err)
	}
}
