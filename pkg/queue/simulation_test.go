package queue_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"hash/crc32"
	"log/slog"
	"math/rand/v2"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	lua "github.com/yuin/gopher-lua"

	"github.com/prosaas/receipts/pkg/queue"
	"github.com/prosaas/receipts/pkg/redisclient"
	"github.com/prosaas/receipts/pkg/registry"
	"github.com/prosaas/receipts/proto"
)

var (
	histories = flag.Int("sim.histories", 2000, "how many random histories to simulate")
	simSteps  = flag.Int("sim.steps", 50, "how many steps a history has")
	simSeed   = flag.Uint64("sim.seed", 0, "replay the one history of this seed")
)

const simTTL = 20 * time.Second // of the workers' heartbeats

// TestSimulation runs random histories of enqueuers, real consumers and Redis
// under one moved clock: workers start, stop, die between any two requests,
// freeze, lose requests and replies, and what they had given up on arrives late;
// Redis goes away for longer than a time to live, its clock is set both ways,
// its memory fills. After every step every invariant holds, no living worker was
// reaped and no wake-up lost; in the end all goes on by itself, and every
// accepted job ends, once. A failing seed is printed; -sim.seed replays it.
func TestSimulation(t *testing.T) {
	first, last := uint64(1), uint64(*histories)
	if *simSeed != 0 {
		first, last = *simSeed, *simSeed
	}
	// A history is short and its garbage small; so are the scripts' stacks.
	percent := debug.SetGCPercent(400)
	stack := lua.RegistrySize
	lua.RegistrySize = 256
	t.Cleanup(func() {
		lua.RegistrySize = stack
		debug.SetGCPercent(percent)
	})
	const lanes = 4
	t.Run("histories", func(t *testing.T) {
		for lane := range uint64(lanes) {
			t.Run(fmt.Sprint("lane", lane), func(t *testing.T) {
				t.Parallel()
				for seed := first + lane; seed <= last && !t.Failed(); seed += lanes {
					synctest.Test(t, func(t *testing.T) { simulate(t, seed) })
				}
			})
		}
	})
}

type simulation struct {
	t       *testing.T
	seed    uint64
	rng     *rand.Rand
	redis   *simRedis
	api     *plane
	lossy   *network     // the api's
	workers []*simWorker // alive
	gone    []*simWorker
	history []string

	accepted []string               // job ids, in order
	ended    map[string]proto.State // as first seen
	troubled time.Time              // until when somebody was in trouble, of whatever kind
	outage   time.Time              // until when Redis was away, or its clock moved

	mu    sync.Mutex
	calm  bool           // from here on every handler finishes
	turns map[string]int // of each job so far
}

// simWorker is a worker, from start to end.
type simWorker struct {
	network  *network
	client   *redisclient.Client
	stop     context.CancelFunc
	ran      chan struct{}
	born     time.Time
	died     time.Time
	troubled time.Time // until when it was in trouble of its own

	mu      sync.Mutex
	names   []string        // of its registrations
	running map[string]bool // jobs whose handler runs
	dying   bool            // a job has killed it
}

func simulate(t *testing.T, seed uint64) {
	t.Helper()
	s := &simulation{t: t, seed: seed, rng: rand.New(rand.NewPCG(seed, 0)), redis: newSimRedis(), ended: map[string]proto.State{}, turns: map[string]int{}}
	defer func() {
		if t.Failed() {
			t.Logf("seed %d:\n%s", seed, strings.Join(s.history, "\n"))
		}
	}()
	s.lossy = newNetwork(s.redis.Miniredis)
	s.api = s.plane(s.lossy)
	defer s.lossy.kill()
	defer s.api.client.Close()
	s.api.connect("b0", "b1", "b2")
	s.startWorker()
	synctest.Wait()
	for range *simSteps {
		s.step()
		synctest.Wait()
		s.bury()
		s.verify()
		if t.Failed() {
			break
		}
	}
	s.calmDown()
}

func (s *simulation) plane(n *network) *plane {
	client, err := redisclient.Open("redis://simulated:1/0", redisclient.Options{Dial: n.dial})
	if err != nil {
		s.t.Fatal(err)
	}
	<-client.Ready()
	keys := proto.MustKeys("{sim}")
	return &plane{Queue: queue.New(client, keys), Registry: registry.New(client, keys), client: client, keys: keys, t: s.t}
}

func (s *simulation) say(format string, args ...any) {
	s.history = append(s.history, fmt.Sprintf("%s  ", time.Now().Format("15:04:05.000"))+fmt.Sprintf(format, args...))
}

// step does one thing at random. Every third history troubles Redis alone, so
// that the quiet between two troubles is long enough to hold the workers to it.
func (s *simulation) step() {
	n := s.rng.IntN(100)
	if n < 50 || len(s.workers) == 0 {
		s.goOn(n)
		return
	}
	w := s.workers[s.rng.IntN(len(s.workers))]
	switch {
	case n < 60:
		s.operate(n - 50)
	case n < 70:
		s.troubleRedis(n - 60)
	case s.seed%3 == 0:
		s.pass(time.Duration(s.rng.IntN(3000)) * time.Millisecond)
	default:
		s.trouble(w, n-70)
	}
}

// goOn is what happens on a good day.
func (s *simulation) goOn(n int) {
	switch {
	case n < 28:
		s.enqueue()
	case n < 42:
		s.pass(time.Duration(s.rng.IntN(3000)) * time.Millisecond)
	case n < 45:
		s.pass(time.Duration(s.rng.IntN(20)) * time.Second)
	default:
		s.startWorker()
	}
}

// operate is what users and operators do.
func (s *simulation) operate(n int) {
	switch {
	case n < 4:
		s.cancel()
	case n < 6:
		q := proto.Queues()[s.rng.IntN(3)]
		s.say("pause %s", q)
		s.must(s.api.Pause(s.t.Context(), q))
	case n < 8:
		s.resume()
	default:
		s.retryOrDeleteDead()
	}
}

// troubleRedis has everybody see the same trouble.
func (s *simulation) troubleRedis(n int) {
	if n >= 5 { // as often as not
		s.pass(time.Duration(s.rng.IntN(3000)) * time.Millisecond)
		return
	}
	if n == 4 {
		still := time.Duration(s.rng.IntN(30)) * time.Second
		s.say("redis is full for %s", still)
		for _, w := range s.workers {
			if !s.well(w) {
				s.note(w, still) // a full Redis claims nothing, not even again
			}
		}
		s.redis.setFull(true)
		s.pass(still)
		synctest.Wait()
		s.note(nil, 0)
		s.verify() // who is there stays there, and what is done is settled
		s.redis.setFull(false)
		return
	}
	if time.Since(s.outage) < 3*simTTL {
		// A second one before all have beaten again can take a living worker's
		// registration: it heals, and no promise is broken.
		for _, w := range s.workers {
			s.note(w, 0)
		}
	}
	switch {
	case n < 2:
		away := time.Duration(s.rng.IntN(20)) * time.Second
		s.say("redis is away for %s", away)
		for _, w := range s.workers {
			w.network.freeze()
		}
		s.pass(away)
		for _, w := range s.workers {
			w.network.thaw()
		}
	default:
		by := time.Duration(s.rng.IntN(120)-60) * time.Second
		s.say("redis's clock is set by %s", by)
		s.redis.setClock(by)
	}
	s.outage = time.Now()
	s.note(nil, 0)
}

// note notes trouble, of one worker or of all.
func (s *simulation) note(w *simWorker, lasting time.Duration) {
	until := time.Now().Add(lasting)
	if until.After(s.troubled) {
		s.troubled = until
	}
	if w != nil && until.After(w.troubled) {
		w.troubled = until
	}
}

// trouble is one worker's own.
func (s *simulation) trouble(w *simWorker, n int) {
	still := time.Duration(0)
	switch {
	case n < 4:
		s.say("stop a worker")
		s.end(w)
	case n < 7:
		requests := 1 + s.rng.IntN(4)
		s.say("stop a worker, and kill it %d requests later", requests)
		w.network.killAfter(requests)
		s.end(w)
	case n < 12:
		s.say("kill a worker")
		w.network.kill()
		s.end(w)
	case n < 17:
		s.say("lose a reply")
		w.network.lose()
	case n < 21:
		s.say("cut a worker's connections")
		w.network.cut()
	default:
		still = time.Duration(s.rng.IntN(30)) * time.Second
		s.say("a worker stands still for %s", still)
		w.network.freeze()
		time.AfterFunc(still, w.network.thaw)
	}
	s.note(w, still)
}

func (s *simulation) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Error(err)
	}
}

func (s *simulation) pass(d time.Duration) {
	s.say("%s pass", d)
	time.Sleep(d)
}

// end has a worker stop. Of one whose network is dead nothing more is heard.
func (s *simulation) end(w *simWorker) {
	w.stop()
	w.died = time.Now()
	s.workers = slices.DeleteFunc(s.workers, func(other *simWorker) bool { return other == w })
	s.gone = append(s.gone, w)
}

// bury ends the workers that their jobs have killed.
func (s *simulation) bury() {
	for _, w := range slices.Clone(s.workers) {
		w.mu.Lock()
		dying := w.dying
		w.mu.Unlock()
		if dying {
			s.say("a job has killed its worker")
			s.end(w)
			s.note(nil, 0)
		}
	}
}

func (s *simulation) startWorker() {
	if len(s.workers) >= 3 {
		return
	}
	s.say("start a worker")
	n := newNetwork(s.redis.Miniredis)
	p := s.plane(n)
	host := fmt.Sprint("w", len(s.workers)+len(s.gone)+1)
	ctx, cancel := context.WithCancel(context.Background())
	w := &simWorker{born: time.Now(), network: n, client: p.client, stop: cancel, ran: make(chan struct{}), running: map[string]bool{}}
	work := queue.Work{Title: "simulated", Handle: func(ctx context.Context, job *queue.Job) (slog.LogValuer, error) { return s.handle(ctx, w, job) }}
	c := queue.NewConsumer(p.Queue, p.Registry, w.newName, map[proto.Kind]queue.Work{proto.KindNoop: work, proto.KindGmailSync: work}, queue.ConsumerOptions{
		Host: host, Slots: 2, Interval: simTTL / 4, TTL: simTTL, MaxAttempts: 3, JobTimeout: time.Minute,
	})
	s.workers = append(s.workers, w)
	go func() {
		defer close(w.ran)
		s.must(c.Run(ctx))
		p.client.Close()
	}()
}

func (w *simWorker) newName(host string) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.names = append(w.names, fmt.Sprint(host, ".", len(w.names)+1))
	return w.names[len(w.names)-1]
}

// hold notes whether a job's handler runs.
func (w *simWorker) hold(id string, runs bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if runs {
		w.running[id] = true
	} else {
		delete(w.running, id)
	}
}

// handle does a job in one of many ways, some of them rude.
func (s *simulation) handle(ctx context.Context, w *simWorker, job *queue.Job) (slog.LogValuer, error) {
	id := job.Envelope().JobID
	w.hold(id, true)
	defer w.hold(id, false)
	s.mu.Lock()
	calm := s.calm
	s.turns[id]++
	// Of the job alone, so that a replay does not depend on who is scheduled first.
	rng := rand.New(rand.NewPCG(s.seed, crc(id)+uint64(s.turns[id])))
	s.mu.Unlock()
	n, took := rng.IntN(13), time.Duration(rng.IntN(8000))*time.Millisecond
	switch {
	case s.seed%3 != 0 && crc32.ChecksumIEEE([]byte(id))%16 == 0:
		n = 13 // each of its turns
	case calm:
		return proto.SyncResult{}, nil
	}
	if n < 5 {
		if _, err := job.Checkpoint(ctx, proto.Progress{Saved: n}, n < 3); err != nil {
			return nil, err
		}
	}
	if n == 6 {
		time.Sleep(took) // deaf
		return proto.SyncResult{}, nil
	}
	select {
	case <-time.After(took):
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	switch n {
	case 7:
		return nil, &queue.FailError{Public: proto.JobError{Code: "simulated"}}
	case 8, 9:
		return nil, errors.New("simulated")
	case 10:
		return nil, queue.ErrYield
	case 11:
		return nil, &queue.DeferError{After: took}
	case 5:
		panic("simulated")
	case 13:
		w.mu.Lock()
		w.dying = true
		w.mu.Unlock()
		w.network.kill()
	}
	return proto.SyncResult{}, nil
}

// enqueue asks for a job, and holds the answer against the registry at that instant.
func (s *simulation) enqueue() {
	kind, business, queueName := s.rng.IntN(4), fmt.Sprint("b", s.rng.IntN(3)), proto.Queues()[s.rng.IntN(3)]
	id := fmt.Sprint("j", len(s.history))
	r := noop(id)
	if kind > 0 {
		r = aSync(id, business, kind)
	}
	r.Envelope.Queue = queueName
	if s.rng.IntN(20) == 0 {
		s.lossy.lose() // the client asks once more by itself: the same id again is success
	}
	asked := time.Now()
	listening := s.listening(queueName)
	got := s.api.enqueue(r)
	s.say("enqueue %s on %s (%s %s): %s %s", id, queueName, r.Envelope.Kind, r.Envelope.Mode, got.Verdict, got.JobID)
	if time.Since(asked) == 0 { // else the registry may have changed since
		if got.Verdict == queue.Queued && !listening {
			s.t.Errorf("%s was accepted, and nobody listens on %s", id, queueName)
		}
		if got.Verdict == queue.NoWorker && listening {
			s.t.Errorf("%s was refused for want of a worker, and one listens on %s", id, queueName)
		}
	}
	if got.Verdict == queue.Queued {
		s.accepted = append(s.accepted, id)
	}
}

func crc(id string) uint64 { return uint64(crc32.ChecksumIEEE([]byte(id))) << 8 }

func aSync(id, business string, kind int) queue.Request {
	r := syncOf(id, business)
	if kind == 2 {
		r.Envelope.Mode = proto.ModeFull
	}
	if kind == 3 {
		r.Envelope.Trigger = proto.TriggerSchedule
	}
	return r
}

func (s *simulation) cancel() {
	if len(s.accepted) == 0 {
		return
	}
	id := s.accepted[s.rng.IntN(len(s.accepted))]
	job, err := s.api.AnyJob(s.t.Context(), id)
	if errors.Is(err, queue.ErrNotFound) {
		return
	}
	s.must(err)
	state, err := s.api.Cancel(s.t.Context(), job.BusinessID, id)
	s.say("cancel %s: %s %v", id, state, err)
	if err != nil && !errors.Is(err, queue.ErrEnded) {
		s.t.Error(err)
	}
}

func (s *simulation) resume() {
	s.say("resume")
	paused, _ := s.redis.DB(0).Members(s.api.keys.Paused()) // an error: nothing ever was
	for _, q := range paused {
		s.must(s.api.Resume(s.t.Context(), q))
	}
}

// retryOrDeleteDead takes the first of the dead set.
func (s *simulation) retryOrDeleteDead() {
	dead, err := s.redis.DB(0).SortedSet(s.api.keys.Dead())
	if err != nil { // nothing ever died
		return
	}
	for _, id := range s.accepted {
		if _, ok := dead[id]; !ok {
			continue
		}
		if s.rng.IntN(2) == 0 {
			s.say("delete dead %s", id)
			s.must(s.api.DeleteDead(s.t.Context(), id))
			return
		}
		again := fmt.Sprint("j", len(s.history))
		got, err := s.api.RetryDead(s.t.Context(), id, again, noop(again))
		s.must(err)
		s.say("retry dead %s as %s: %s", id, again, got.Verdict)
		if got.Verdict == queue.Queued {
			s.accepted = append(s.accepted, again)
		}
		return
	}
}

// calmDown heals everything, sees every accepted job to its end, and has every
// worker leave in order.
func (s *simulation) calmDown() {
	s.mu.Lock()
	s.calm = true
	s.mu.Unlock()
	s.say("calm")
	for _, w := range s.workers {
		w.network.heal()
	}
	s.resume()
	for range 60 {
		if len(s.ended) == len(s.accepted) || s.t.Failed() {
			break
		}
		if len(s.workers) == 0 {
			s.startWorker()
		}
		time.Sleep(5 * time.Second)
		synctest.Wait()
		s.bury()
		s.verify()
	}
	if len(s.ended) != len(s.accepted) && !s.t.Failed() {
		s.t.Errorf("%d of %d accepted jobs never ended:\n%s", len(s.accepted)-len(s.ended), len(s.accepted), s.api.state())
	}
	for len(s.workers) > 0 {
		s.end(s.workers[0])
	}
	for _, w := range s.gone {
		w.network.heal()
		<-w.ran
		w.network.kill() // a connection that was being made while its client closed, too
	}
	time.Sleep(10 * time.Second) // the deaf outlive their worker
}
