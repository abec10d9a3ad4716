package registry_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/rueidis"

	"github.com/prosaas/receipts/pkg/queue"
	"github.com/prosaas/receipts/pkg/redisclient"
	"github.com/prosaas/receipts/pkg/redistest"
	"github.com/prosaas/receipts/pkg/registry"
	"github.com/prosaas/receipts/proto"
)

const ttl = 10 * time.Second

type fixture struct {
	*registry.Registry
	queue  *queue.Queue
	client *redisclient.Client
	keys   proto.Keys
	t      *testing.T
}

func open(t *testing.T) *fixture { t.Helper(); return openOn(t, redistest.DB(t)) }

func openOn(t *testing.T, url string) *fixture {
	t.Helper()
	client, err := redisclient.Open(url, redisclient.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	<-client.Ready()
	keys := proto.MustKeys("{test}")
	return &fixture{Registry: registry.New(client, keys), queue: queue.New(client, keys), client: client, keys: keys, t: t}
}

func worker(name string, queues ...string) proto.Worker {
	if len(queues) == 0 {
		queues = proto.Queues()
	}
	return proto.Worker{Name: name, Queues: queues, Concurrency: 3, Version: "v1", Protocol: proto.Protocol, Host: "host", PID: 7, RedisRunID: "run", Prefix: "{test}"}
}

func (f *fixture) register(names ...string) {
	f.t.Helper()
	for _, name := range names {
		if err := f.Register(f.t.Context(), worker(name), ttl); err != nil {
			f.t.Fatal(err)
		}
	}
}

func (f *fixture) do(line ...string) *rueidis.RedisMessage {
	f.t.Helper()
	reply, err := f.client.Do(f.t.Context(), func(b rueidis.Builder) rueidis.Completed { return b.Arbitrary(line...).Build() })
	if err != nil && !redisclient.IsNil(err) {
		f.t.Fatalf("%v: %v", line, err)
	}
	return &reply
}

// runOut has the worker's heartbeat run out, in from now, on a Redis that was
// there all the time.
func (f *fixture) runOut(name string, in time.Duration) {
	f.t.Helper()
	at := fmt.Sprint(f.roll().Now.Add(in).UnixMilli())
	for _, key := range []string{f.keys.Workers(), f.keys.QueueWorkers("high"), f.keys.QueueWorkers("default"), f.keys.QueueWorkers("low")} {
		f.do("ZADD", key, "XX", at, name)
	}
	f.do("HSET", f.keys.Beat(), "hold", "0")
}

func (f *fixture) roll() registry.Roll {
	f.t.Helper()
	roll, err := f.Roll(f.t.Context())
	if err != nil {
		f.t.Fatal(err)
	}
	return roll
}

// states tells each worker's state, as name=state.
func (f *fixture) states() string {
	f.t.Helper()
	var all []string
	for _, w := range f.roll().Workers {
		all = append(all, w.Name+"="+string(w.State))
	}
	slices.Sort(all)
	return strings.Join(all, " ")
}

func (f *fixture) listening(q string) bool { f.t.Helper(); return f.roll().Listening(q) }

// hold gives a worker n jobs.
func (f *fixture) hold(name string, n int) []queue.Claimed {
	f.t.Helper()
	for i := range n {
		_, err := f.queue.Enqueue(f.t.Context(), queue.Request{Retention: time.Hour, Envelope: proto.Envelope{
			Version: 1, JobID: fmt.Sprintf("job%d", i), Kind: proto.KindNoop, Queue: proto.QueueDefault, Trigger: proto.TriggerVerify,
		}})
		if err != nil {
			f.t.Fatal(err)
		}
	}
	handed, err := f.queue.Claim(f.t.Context(), name, proto.Queues(), n, nil)
	if err != nil || len(handed.Jobs) != n {
		f.t.Fatalf("claimed %d jobs, want %d: %v", len(handed.Jobs), n, err)
	}
	return handed.Jobs
}

func (f *fixture) job(id string) proto.Job {
	f.t.Helper()
	job, err := f.queue.AnyJob(f.t.Context(), id)
	if err != nil {
		f.t.Fatal(err)
	}
	return job
}

func TestLife(t *testing.T) {
	t.Parallel()
	f := open(t)
	if f.listening("default") || f.states() != "" {
		t.Fatalf("an empty registry tells %q", f.states())
	}
	f.register("w")
	if !f.listening("default") || f.states() != "w=live" {
		t.Errorf("registered: %q", f.states())
	}
	w := worker("w")
	w.Busy = 2
	if _, err := f.Beat(t.Context(), w, ttl); err != nil {
		t.Fatal(err)
	}
	server, err := f.client.Describe(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	got := f.roll().Workers[0]
	w.RedisRunID = server.RunID // of this run, whatever it was registered with
	w.State, w.StartedAt, w.LastHeartbeatAt = proto.WorkerLive, got.StartedAt, got.LastHeartbeatAt
	if diff := cmp.Diff(w, got); diff != "" || got.StartedAt.IsZero() || got.LastHeartbeatAt.IsZero() {
		t.Errorf("details (-want +got):\n%s", diff)
	}
	if err := f.Drain(t.Context(), "w"); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Beat(t.Context(), w, ttl); err != nil { // a late beat must not bring it back
		t.Fatal(err)
	}
	if f.listening("default") || f.states() != "w=draining" {
		t.Errorf("draining: listening %t, %q", f.listening("default"), f.states())
	}
	for range 2 { // a lost reply is answered by asking again
		if err := f.Depart(t.Context(), "w"); err != nil {
			t.Fatal(err)
		}
	}
	if f.states() != "w=departed" {
		t.Errorf("departed: %q", f.states())
	}
	if _, err := f.Beat(t.Context(), w, ttl); !errors.Is(err, proto.ErrReaped) {
		t.Errorf("beat of a departed worker = %v, want ErrReaped", err)
	}
	if f.states() != "w=departed" {
		t.Errorf("the late beat wrote something: %q", f.states())
	}
}

func TestNameIsTakenOnce(t *testing.T) {
	t.Parallel()
	f := open(t)
	f.register("w")
	if err := f.Register(t.Context(), worker("w"), ttl); err != nil {
		t.Errorf("the same registration again, its reply lost = %v", err)
	}
	other := registry.New(f.client, f.keys)
	if err := other.Register(t.Context(), worker("w"), ttl); !errors.Is(err, registry.ErrNameTaken) {
		t.Errorf("another process under the name = %v, want ErrNameTaken", err)
	}
	if err := errors.Join(f.Drain(t.Context(), "w"), f.Depart(t.Context(), "w")); err != nil {
		t.Fatal(err)
	}
	if err := f.Register(t.Context(), worker("w"), ttl); !errors.Is(err, registry.ErrNameTaken) {
		t.Errorf("the name of one that departed = %v, want ErrNameTaken", err)
	}
	if a, b := registry.NewName("host"), registry.NewName("host"); a == b {
		t.Errorf("two new names are both %s", a)
	}
}

func TestDepartIsRefusedWhileHolding(t *testing.T) {
	t.Parallel()
	f := open(t)
	f.register("w")
	f.hold("w", 1)
	if err := f.Depart(t.Context(), "w"); !errors.Is(err, registry.ErrHolding) {
		t.Errorf("depart = %v, want ErrHolding", err)
	}
	if f.states() != "w=live" {
		t.Errorf("it left all the same: %q", f.states())
	}
}

func TestBeatHealsWhatWasLost(t *testing.T) {
	t.Parallel()
	f := open(t)
	f.register("w")
	f.do("DEL", f.keys.QueueWorkers("default"), f.keys.Worker("w"), f.keys.Wake("default"))
	f.do("RPUSH", f.keys.Queue("default"), "somebody")
	if _, err := f.Beat(t.Context(), worker("w"), ttl); err != nil {
		t.Fatal(err)
	}
	if !f.listening("default") || f.states() != "w=live" {
		t.Errorf("after a beat: %q", f.states())
	}
	if tokens, _ := f.do("LLEN", f.keys.Wake("default")).AsInt64(); tokens != 1 {
		t.Errorf("%d wake tokens, want the missing one", tokens)
	}
}

func TestBeatAnswersWhatIsHeld(t *testing.T) {
	t.Parallel()
	f := open(t)
	f.register("w")
	jobs := f.hold("w", 2)
	if _, err := f.queue.Cancel(t.Context(), "", jobs[0].JobID); err != nil {
		t.Fatal(err)
	}
	pulse, err := f.Beat(t.Context(), worker("w"), ttl)
	if err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(pulse.Held, func(a, b proto.Held) int { return strings.Compare(a.JobID, b.JobID) })
	want := []proto.Held{{JobID: jobs[0].JobID, Lease: jobs[0].Lease, Canceled: true}, {JobID: jobs[1].JobID, Lease: jobs[1].Lease}}
	slices.SortFunc(want, func(a, b proto.Held) int { return strings.Compare(a.JobID, b.JobID) })
	if diff := cmp.Diff(want, pulse.Held); diff != "" {
		t.Errorf("held (-want +got):\n%s", diff)
	}
}

func TestReap(t *testing.T) {
	t.Parallel()
	f := open(t)
	f.register("dead", "alive")
	f.hold("dead", 2)
	f.runOut("dead", -time.Second)
	pulse, err := f.Beat(t.Context(), worker("alive"), ttl)
	if err != nil || !slices.Equal(pulse.RanOut, []string{"dead"}) {
		t.Fatalf("pulse = %+v, %v; want dead to have run out", pulse, err)
	}
	if jobs, _, err := f.Reap(t.Context(), "dead", ttl); err != nil || jobs != 2 {
		t.Fatalf("reap = %d, %v; want 2 jobs", jobs, err)
	}
	if f.states() != "alive=live dead=reaped" {
		t.Errorf("states = %q", f.states())
	}
	ids, _ := f.do("LRANGE", f.keys.Queue("default"), "0", "-1").AsStrSlice()
	if !slices.Equal(ids, []string{"job1", "job0"}) {
		t.Errorf("queue = %v, want both at the front, the elder next", ids)
	}
	if job := f.job("job0"); job.Status != proto.StateQueued || job.Crashes != 1 || job.Attempt != 1 {
		t.Errorf("job0 = %s, %d crashes, attempt %d; want queued, 1, 1", job.Status, job.Crashes, job.Attempt)
	}
	if jobs, _, err := f.Reap(t.Context(), "dead", ttl); err != nil || jobs != 0 {
		t.Errorf("reaped twice = %d, %v", jobs, err)
	}
	if _, err := f.Beat(t.Context(), worker("dead"), ttl); !errors.Is(err, proto.ErrReaped) {
		t.Errorf("beat of the reaped = %v, want ErrReaped", err)
	}
}

func TestNobodyIsReaped(t *testing.T) {
	t.Parallel()
	tests := map[string]func(f *fixture){
		"that is alive":                      func(*fixture) {},
		"that ran out but beat again":        func(f *fixture) { f.runOut("w", -time.Second); f.beatOnce("w") },
		"right after Redis was away":         func(f *fixture) { f.runOut("w", -time.Second); f.lastBeat(-time.Minute); f.beatOnce("alive") },
		"right after the clock went back":    func(f *fixture) { f.runOut("w", -time.Second); f.lastBeat(time.Minute); f.beatOnce("alive") },
		"by a reap that Redis executes late": func(f *fixture) { f.runOut("w", -time.Second); f.lastBeat(-time.Minute) },
	}
	for name, prepare := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := open(t)
			f.register("w", "alive")
			f.hold("w", 1)
			prepare(f)
			if jobs, _, err := f.Reap(t.Context(), "w", ttl); err != nil || jobs != 0 {
				t.Errorf("reap = %d, %v; want nothing moved", jobs, err)
			}
			if job := f.job("job0"); job.Status != proto.StateStarted || job.Crashes != 0 {
				t.Errorf("its job is %s with %d crashes", job.Status, job.Crashes)
			}
		})
	}
}

func TestScoreFromBeforeTheClockWentBackIsReaped(t *testing.T) {
	t.Parallel()
	f := open(t)
	f.register("w", "alive")
	f.hold("w", 1)
	f.runOut("w", 2*time.Minute)
	pulse, err := f.Beat(t.Context(), worker("alive"), ttl)
	if err != nil || !slices.Equal(pulse.RanOut, []string{"w"}) {
		t.Fatalf("pulse = %+v, %v; want w to have run out", pulse, err)
	}
	if jobs, _, err := f.Reap(t.Context(), "w", ttl); err != nil || jobs != 1 {
		t.Errorf("reap = %d, %v; want its job back", jobs, err)
	}
}

func TestThirdCrashIsTheJobsOwn(t *testing.T) {
	t.Parallel()
	f := open(t)
	f.register("alive")
	for i := range registry.MaxCrashes {
		name := fmt.Sprintf("w%d", i)
		f.register(name)
		if i == 0 {
			f.hold(name, 1)
		} else if handed, err := f.queue.Claim(t.Context(), name, proto.Queues(), 1, nil); err != nil || len(handed.Jobs) != 1 {
			t.Fatalf("claim %d = %+v, %v", i, handed, err)
		}
		f.runOut(name, -time.Second)
		f.beatOnce("alive")
		if jobs, _, err := f.Reap(t.Context(), name, ttl); err != nil || jobs != 1 {
			t.Fatalf("reap %d = %d, %v", i, jobs, err)
		}
	}
	job := f.job("job0")
	if job.Status != proto.StateFailed || job.Error == nil || job.Error.Code != "crashed_workers" {
		t.Errorf("job = %s, %+v; want failed for its crashes", job.Status, job.Error)
	}
	if dead, _ := f.do("ZRANGE", f.keys.Dead(), "0", "-1").AsStrSlice(); !slices.Equal(dead, []string{"job0"}) {
		t.Errorf("dead = %v", dead)
	}
}

func TestCanceledJobOfADeadWorkerEnds(t *testing.T) {
	t.Parallel()
	f := open(t)
	f.register("w", "alive")
	f.hold("w", 1)
	if _, err := f.queue.Cancel(t.Context(), "", "job0"); err != nil {
		t.Fatal(err)
	}
	f.runOut("w", -time.Second)
	f.beatOnce("alive")
	if jobs, _, err := f.Reap(t.Context(), "w", ttl); err != nil || jobs != 1 {
		t.Fatalf("reap = %d, %v", jobs, err)
	}
	if job := f.job("job0"); job.Status != proto.StateCanceled {
		t.Errorf("job = %s, want canceled", job.Status)
	}
}

func (f *fixture) beatOnce(name string) {
	f.t.Helper()
	if _, err := f.Beat(f.t.Context(), worker(name), ttl); err != nil {
		f.t.Fatal(err)
	}
}

// lastBeat moves the moment at which anybody last beat.
func (f *fixture) lastBeat(by time.Duration) {
	f.t.Helper()
	f.do("HSET", f.keys.Beat(), "last", fmt.Sprint(f.roll().Now.Add(by).UnixMilli()), "hold", "0")
}
