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
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alicebob/miniredis/v2"

	"github.com/prosaas/receipts/pkg/queue"
	"github.com/prosaas/receipts/pkg/redisclient"
	"github.com/prosaas/receipts/pkg/registry"
	"github.com/prosaas/receipts/proto"
)

var (
	histories = flag.Int("sim.histories", 60, "how many random histories to simulate")
	simSteps  = flag.Int("sim.steps", 50, "how many steps a history has")
	simSeed   = flag.Uint64("sim.seed", 0, "replay the one history of this seed")
)

// TestSimulation runs random histories of enqueuers, real consumers and Redis
// under one moved clock: workers start, stop, are killed, freeze, lose requests
// and replies; Redis goes away for longer than a time to live; its clock steps.
// After every step every invariant holds, and in the end every accepted job has
// ended, once. A failing seed is printed; -sim.seed replays it.
func TestSimulation(t *testing.T) {
	first, last := uint64(1), uint64(*histories)
	if *simSeed != 0 {
		first, last = *simSeed, *simSeed
	}
	percent := debug.SetGCPercent(400) // a history is short, and its garbage small
	t.Cleanup(func() { debug.SetGCPercent(percent) })
	const lanes = 4
	for lane := range uint64(lanes) {
		t.Run(fmt.Sprint("lane", lane), func(t *testing.T) {
			t.Parallel()
			for seed := first + lane; seed <= last && !t.Failed(); seed += lanes {
				synctest.Test(t, func(t *testing.T) { simulate(t, seed) })
			}
		})
	}
}

type simulation struct {
	t       *testing.T
	seed    uint64
	rng     *rand.Rand
	redis   *miniredis.Miniredis
	api     *plane // on a network that never fails
	workers []*simWorker
	made    int
	history []string

	accepted []string               // job ids, in order
	ended    map[string]proto.State // as first seen

	mu    sync.Mutex
	calm  bool           // from here on every handler finishes
	turns map[string]int // of each job so far
}

type simWorker struct {
	network *network
	client  *redisclient.Client
	stop    context.CancelFunc
	ran     chan struct{}
}

func simulate(t *testing.T, seed uint64) {
	t.Helper()
	redis := miniredis.NewMiniRedis()
	redis.ClockTTL(true)
	s := &simulation{t: t, seed: seed, rng: rand.New(rand.NewPCG(seed, 0)), redis: redis, ended: map[string]proto.State{}, turns: map[string]int{}}
	defer func() {
		if t.Failed() {
			t.Logf("seed %d:\n%s", seed, strings.Join(s.history, "\n"))
		}
	}()
	s.api = s.plane(newNetwork(redis))
	defer s.api.client.Close()
	s.api.connect("b0", "b1", "b2")
	s.startWorker()
	synctest.Wait()
	for range *simSteps {
		s.step()
		synctest.Wait()
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

// step does one thing at random.
func (s *simulation) step() {
	worker := func() *simWorker {
		if len(s.workers) == 0 {
			return nil
		}
		return s.workers[s.rng.IntN(len(s.workers))]
	}
	w := worker()
	switch n := s.rng.IntN(100); {
	case n < 34:
		s.enqueue()
	case n < 54:
		s.pass(time.Duration(s.rng.IntN(5000)) * time.Millisecond)
	case n < 58:
		s.pass(time.Duration(s.rng.IntN(20)) * time.Second)
	case n < 66:
		s.startWorker()
	case w == nil:
	case n < 69:
		s.say("stop a worker")
		w.stop()
	case n < 74:
		s.say("kill a worker")
		w.network.kill()
		w.stop()
		s.forget(w)
	case n < 79:
		s.say("lose a reply")
		w.network.lose()
	case n < 82:
		s.say("cut a worker's connections")
		w.network.cut()
	case n < 87:
		still := time.Duration(s.rng.IntN(30)) * time.Second
		s.say("a worker stands still for %s", still)
		w.network.freeze()
		time.AfterFunc(still, w.network.thaw)
	case n < 92:
		s.cancel()
	case n < 94:
		q := proto.Queues()[s.rng.IntN(3)]
		s.say("pause %s", q)
		s.must(s.api.Pause(s.t.Context(), q))
	case n < 97:
		for _, q := range proto.Queues() {
			s.must(s.api.Resume(s.t.Context(), q))
		}
		s.say("resume")
	default:
		away := time.Duration(s.rng.IntN(20)) * time.Second
		s.say("redis is away for %s", away)
		for _, w := range s.workers {
			w.network.freeze()
		}
		s.pass(away)
		for _, w := range s.workers {
			w.network.thaw()
		}
	}
}

func (s *simulation) must(err error) {
	if err != nil {
		s.t.Error(err)
	}
}

func (s *simulation) pass(d time.Duration) {
	s.say("%s pass", d)
	time.Sleep(d)
}

func (s *simulation) forget(w *simWorker) {
	for i, other := range s.workers {
		if other == w {
			s.workers = append(s.workers[:i], s.workers[i+1:]...)
			return
		}
	}
}

func (s *simulation) startWorker() {
	if len(s.workers) >= 3 {
		return
	}
	s.say("start a worker")
	n := newNetwork(s.redis)
	p := s.plane(n)
	names := 0
	s.made++
	host := fmt.Sprint("w", s.made)
	newName := func(string) string { names++; return fmt.Sprint(host, ".", names) }
	noops := queue.Work{Title: "simulated", Handle: s.handle}
	c := queue.NewConsumer(p.Queue, p.Registry, newName, map[proto.Kind]queue.Work{proto.KindNoop: noops, proto.KindGmailSync: noops}, queue.ConsumerOptions{
		Host: host, Slots: 2, Interval: 4 * time.Second, TTL: 16 * time.Second, MaxAttempts: 3, JobTimeout: time.Minute,
	})
	ctx, cancel := context.WithCancel(context.Background())
	w := &simWorker{network: n, client: p.client, stop: cancel, ran: make(chan struct{})}
	s.workers = append(s.workers, w)
	go func() {
		defer close(w.ran)
		s.must(c.Run(ctx))
		p.client.Close()
	}()
}

// handle does a job in one of many ways, some of them rude.
func (s *simulation) handle(ctx context.Context, job *queue.Job) (slog.LogValuer, error) {
	id := job.Envelope().JobID
	s.mu.Lock()
	calm := s.calm
	s.turns[id]++
	// Of the job alone, so that a replay does not depend on who is scheduled first.
	rng := rand.New(rand.NewPCG(s.seed, crc(id)+uint64(s.turns[id])))
	s.mu.Unlock()
	n, took := rng.IntN(20), time.Duration(rng.IntN(8000))*time.Millisecond
	if calm {
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
	case 12:
		panic("simulated")
	default:
		return proto.SyncResult{}, nil
	}
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
	listening := s.listening(queueName)
	got := s.api.enqueue(r)
	s.say("enqueue %s on %s (%s %s): %s %s", id, queueName, r.Envelope.Kind, r.Envelope.Mode, got.Verdict, got.JobID)
	if got.Verdict == queue.Queued && !listening {
		s.t.Errorf("%s was accepted, and nobody listens on %s", id, queueName)
	}
	if got.Verdict == queue.NoWorker && listening {
		s.t.Errorf("%s was refused for want of a worker, and one listens on %s", id, queueName)
	}
	if got.Verdict == queue.Queued {
		s.accepted = append(s.accepted, id)
	}
}

// listening is the guard's question, asked without its script.
func (s *simulation) listening(queueName string) bool {
	scores, err := s.redis.DB(0).SortedSet(s.api.keys.QueueWorkers(queueName))
	if err != nil { // nobody ever registered
		return false
	}
	now := time.Now().UnixMilli()
	for _, score := range scores {
		if int64(score) > now && int64(score) <= now+60000 {
			return true
		}
	}
	return false
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

// verify holds the plane against the invariants, and the ends against what was
// seen before: ended states never change. It reads past Redis's protocol: by
// scripts it would take most of the simulation's time.
func (s *simulation) verify() {
	plane := map[string][]string{}
	prefix := s.api.keys.Prefix() + ":"
	db := s.redis.DB(0)
	for _, name := range db.Keys() {
		plane[strings.TrimPrefix(name, prefix)] = s.values(db, name)
	}
	for _, fault := range queue.Broken(plane, func(key string) bool { return db.TTL(prefix+key) > 0 }) {
		s.t.Errorf("invariant: %s", fault)
	}
	for _, id := range s.accepted {
		state := proto.State(db.HGet(s.api.keys.Job(id), "state"))
		switch was := s.ended[id]; {
		case state == "" && was == "":
			s.t.Errorf("accepted job %s is gone", id)
		case state != "" && was != "" && state != was:
			s.t.Errorf("job %s had ended as %s and is %s", id, was, state)
		case state.Ended():
			s.ended[id] = state
		}
	}
}

func (s *simulation) values(db *miniredis.RedisDB, name string) (values []string) {
	var err error
	switch kind := db.Type(name); kind {
	case "string":
		var value string
		value, err = db.Get(name)
		values = []string{value}
	case "list":
		values, err = db.List(name)
	case "set":
		values, err = db.Members(name)
	case "zset":
		var scores map[string]float64
		scores, err = db.SortedSet(name)
		for member, score := range scores {
			values = append(values, member, fmt.Sprintf("%.0f", score))
		}
	case "hash":
		var fields []string
		fields, err = db.HKeys(name)
		for _, field := range fields {
			values = append(values, field, db.HGet(name, field))
		}
	default:
		s.t.Errorf("%s is a %s", name, kind)
	}
	s.must(err)
	return values
}

// calmDown heals everything, and sees every accepted job to its end.
func (s *simulation) calmDown() {
	s.mu.Lock()
	s.calm = true
	s.mu.Unlock()
	for _, w := range s.workers {
		w.network.thaw()
		w.stop()
		<-w.ran
	}
	s.workers = nil
	for _, q := range proto.Queues() {
		s.must(s.api.Resume(s.t.Context(), q))
	}
	s.startWorker()
	for range 40 {
		if len(s.ended) == len(s.accepted) || s.t.Failed() {
			break
		}
		time.Sleep(5 * time.Second)
		synctest.Wait()
		s.verify()
	}
	if len(s.ended) != len(s.accepted) && !s.t.Failed() {
		s.t.Errorf("%d of %d accepted jobs never ended:\n%s", len(s.accepted)-len(s.ended), len(s.accepted), s.api.state())
	}
	w := s.workers[0]
	w.stop()
	<-w.ran
	time.Sleep(10 * time.Second) // the deaf outlive their worker
}
