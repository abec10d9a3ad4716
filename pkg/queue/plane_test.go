package queue_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/rueidis"

	"github.com/prosaas/receipts/pkg/queue"
	"github.com/prosaas/receipts/pkg/redisclient"
	"github.com/prosaas/receipts/pkg/redistest"
	"github.com/prosaas/receipts/pkg/registry"
	"github.com/prosaas/receipts/proto"
)

// plane is a queue, its registry and the Redis under both.
type plane struct {
	*queue.Queue
	Registry *registry.Registry
	client   *redisclient.Client
	keys     proto.Keys
	t        *testing.T
}

// planes opens a plane of a test's own.
type planes func(t *testing.T) *plane

// everywhere runs a test on redis-server, on a Cluster of three masters, and on
// miniredis, which the simulation stands on: what holds on one must hold on all.
func everywhere(t *testing.T, test func(t *testing.T, newPlane planes)) {
	t.Helper()
	t.Parallel()
	for name, url := range map[string]func(t *testing.T) string{
		"redis":     func(t *testing.T) string { t.Helper(); return redistest.DB(t) },
		"cluster":   func(t *testing.T) string { t.Helper(); return redistest.Cluster(t) },
		"miniredis": func(t *testing.T) string { t.Helper(); return "redis://" + miniredis.RunT(t).Addr() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, func(t *testing.T) *plane {
				t.Helper()
				p := openPlane(t, url(t))
				t.Cleanup(func() { p.intact() })
				return p
			})
		})
	}
}

// intact fails the test where an invariant of the protocol is broken.
func (p *plane) intact() {
	p.t.Helper()
	broken, err := p.Check(context.Background())
	if err != nil {
		p.t.Error(err)
	}
	for _, fault := range broken {
		p.t.Errorf("invariant: %s", fault)
	}
}

var tests atomic.Int64

func openPlane(t *testing.T, url string) *plane {
	t.Helper()
	client, err := redisclient.Open(url, redisclient.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	<-client.Ready()
	keys := proto.MustKeys(fmt.Sprintf("{test%d}", tests.Add(1))) // a Cluster has one database
	return &plane{Queue: queue.New(client, keys), Registry: registry.New(client, keys), client: client, keys: keys, t: t}
}

// do runs one Redis command, given as a line whose second word is a key.
func (p *plane) do(line ...string) *rueidis.RedisMessage {
	p.t.Helper()
	reply, err := p.client.Do(p.t.Context(), func(b rueidis.Builder) rueidis.Completed {
		return b.Arbitrary(line[0]).Keys(line[1]).Args(line[2:]...).Build()
	})
	if err != nil && !redisclient.IsNil(err) {
		p.t.Fatalf("%v: %v", line, err)
	}
	return &reply
}

// eval runs a script on the node that holds the plane.
func (p *plane) eval(script string) []string {
	p.t.Helper()
	reply, err := p.client.Run(p.t.Context(), redisclient.NewScript(script), []string{p.keys.Prefix()})
	if err != nil {
		p.t.Fatal(err)
	}
	list, err := reply.AsStrSlice()
	if err != nil {
		p.t.Fatal(err)
	}
	return list
}

func (p *plane) strings(line ...string) []string {
	p.t.Helper()
	list, err := p.do(line...).AsStrSlice()
	if err != nil {
		p.t.Fatalf("%v: %v", line, err)
	}
	return list
}

// listen registers a worker of the given name on every queue.
func (p *plane) listen(name string) {
	p.t.Helper()
	worker := proto.Worker{Name: name, Queues: proto.Queues(), Concurrency: 10, Version: "test"}
	if err := p.Registry.Register(p.t.Context(), worker, 10*time.Second); err != nil {
		p.t.Fatal(err)
	}
}

func noop(id string) queue.Request {
	return queue.Request{Retention: time.Hour, Envelope: proto.Envelope{
		Version: 1, JobID: id, Kind: proto.KindNoop, Queue: proto.QueueDefault, Trigger: proto.TriggerVerify,
	}}
}

func syncOf(id, business string) queue.Request {
	r := noop(id)
	r.Envelope.Kind, r.Envelope.BusinessID, r.Envelope.Mode, r.Envelope.Trigger = proto.KindGmailSync, business, proto.ModeIncremental, proto.TriggerUser
	return r
}

func (p *plane) enqueue(r queue.Request) queue.Enqueued {
	p.t.Helper()
	answer, err := p.Enqueue(p.t.Context(), r)
	if err != nil {
		p.t.Fatal(err)
	}
	return answer
}

func (p *plane) claim(worker string, slots int, known ...string) []queue.Claimed {
	p.t.Helper()
	handed, err := p.Claim(p.t.Context(), worker, proto.Queues(), slots, known)
	if err != nil {
		p.t.Fatal(err)
	}
	return handed.Jobs
}

// claimOne claims the one job there is.
func (p *plane) claimOne(worker string) queue.Claimed {
	p.t.Helper()
	jobs := p.claim(worker, 1)
	if len(jobs) != 1 {
		p.t.Fatalf("claimed %d jobs, want 1", len(jobs))
	}
	return jobs[0]
}

// connect marks businesses as connected.
func (p *plane) connect(businesses ...string) {
	for _, b := range businesses {
		p.do("ZADD", p.keys.Businesses(), "0", b)
	}
}

// state is the whole queue plane in short, a line a fact, without what the
// clock makes: leases, times and heartbeats.
func (p *plane) state() string {
	p.t.Helper()
	var lines []string
	prefix := p.keys.Prefix() + ":"
	for _, name := range p.eval(`return redis.call('KEYS', KEYS[1] .. ':*')`) {
		short := strings.TrimPrefix(name, prefix)
		kind, _ := p.do("TYPE", name).ToString()
		family, _, _ := strings.Cut(short, ":")
		switch {
		case family == "job":
			h, err := p.do("HGETALL", name).AsStrMap()
			if err != nil {
				p.t.Fatal(err)
			}
			line := fmt.Sprintf("%s %s attempts=%s crashes=%s", short, h["state"], h["attempts"], h["crashes"])
			for _, field := range []string{"worker", "cancel", "why"} {
				if h[field] != "" {
					line += " " + field + "=" + h[field]
				}
			}
			if ttl, _ := p.do("PTTL", name).AsInt64(); ttl > 0 {
				line += " expires"
			}
			lines = append(lines, line)
		case family == "workers" || family == "worker" || family == "beat" || family == "lease" || family == "turn" || family == "businesses" || family == "departed":
		case kind == "list":
			lines = append(lines, short+" "+strings.Join(p.strings("LRANGE", name, "0", "-1"), ","))
		case kind == "zset":
			lines = append(lines, short+" "+strings.Join(p.strings("ZRANGE", name, "0", "-1"), ","))
		case kind == "set":
			lines = append(lines, short+" "+strings.Join(p.strings("SMEMBERS", name), ","))
		default:
			value, _ := p.do("GET", name).ToString()
			lines = append(lines, short+" "+value)
		}
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

func lines(s ...string) string { return strings.Join(s, "\n") }

// testCtx is a context that ends with the test, or after a minute.
func testCtx(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// runOut sets when a worker's heartbeat runs out, from now.
func (p *plane) runOut(worker string, in time.Duration) {
	p.t.Helper()
	at := fmt.Sprint(p.now().Add(in).UnixMilli())
	p.do("ZADD", p.keys.Workers(), at, worker)
	for _, q := range proto.Queues() {
		p.do("ZADD", p.keys.QueueWorkers(q), at, worker)
	}
}

func (p *plane) now() time.Time {
	p.t.Helper()
	parts := p.eval(`return redis.call('TIME')`)
	var s, us int64
	if _, err := fmt.Sscan(parts[0]+" "+parts[1], &s, &us); err != nil {
		p.t.Fatal(err)
	}
	return time.Unix(s, us*1000)
}

func (p *plane) settle(worker string, job queue.Claimed, s queue.Settlement) proto.State {
	p.t.Helper()
	state, err := p.Settle(p.t.Context(), worker, job.JobID, job.Lease, s)
	if err != nil {
		p.t.Fatal(err)
	}
	return state
}
