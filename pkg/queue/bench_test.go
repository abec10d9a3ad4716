package queue_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/redis/rueidis"

	"github.com/prosaas/receipts/pkg/queue"
	"github.com/prosaas/receipts/pkg/redisclient"
	"github.com/prosaas/receipts/pkg/redistest"
	"github.com/prosaas/receipts/pkg/registry"
	"github.com/prosaas/receipts/proto"
)

func benchPlane(b *testing.B) *plane {
	b.Helper()
	client, err := redisclient.Open(redistest.DB(b), redisclient.Options{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(client.Close)
	<-client.Ready()
	keys := proto.MustKeys("{bench}")
	p := &plane{Queue: queue.New(client, keys), Registry: registry.New(client, keys), client: client, keys: keys}
	worker := proto.Worker{Name: "w", Queues: proto.Queues(), Concurrency: 100}
	if err := p.Registry.Register(context.Background(), worker, time.Minute); err != nil {
		b.Fatal(err)
	}
	return p
}

// BenchmarkEnqueue compares a guarded enqueue with the least that any queue
// does: a hash and a push, pipelined. Its ratio is what the guard, the marker,
// the depth limit and the wake token cost.
func BenchmarkEnqueue(b *testing.B) {
	p := benchPlane(b)
	ctx := context.Background()
	envelope, err := noop("x").Envelope.Encode()
	if err != nil {
		b.Fatal(err)
	}
	var bare, guarded time.Duration
	n := 0
	for b.Loop() {
		id := fmt.Sprint("j", n)
		n++
		start := time.Now()
		if _, err := p.client.DoMulti(ctx, func(rb rueidis.Builder) []rueidis.Completed {
			return []rueidis.Completed{
				rb.Hset().Key("bare:"+id).FieldValue().FieldValue("envelope", string(envelope)).Build(),
				rb.Lpush().Key("bare:list").Element(id).Build(),
			}
		}); err != nil {
			b.Fatal(err)
		}
		bare += time.Since(start)
		start = time.Now()
		if got, err := p.Enqueue(ctx, noop(id)); err != nil || got.Verdict != queue.Queued {
			b.Fatal(got, err)
		}
		guarded += time.Since(start)
	}
	b.ReportMetric(float64(guarded)/float64(bare), "x-bare")
}

// BenchmarkJob compares a job's whole turn (enqueue, claim, finish) with the
// bare list moves it stands on (LPUSH, LMOVE, LREM).
func BenchmarkJob(b *testing.B) {
	p := benchPlane(b)
	ctx := context.Background()
	var bare, whole time.Duration
	n := 0
	for b.Loop() {
		id := fmt.Sprint("j", n)
		n++
		start := time.Now()
		for _, line := range [][]string{{"LPUSH", "bare:list", id}, {"LMOVE", "bare:list", "bare:claimed", "RIGHT", "LEFT"}, {"LREM", "bare:claimed", "1", id}} {
			if _, err := p.client.Do(ctx, func(rb rueidis.Builder) rueidis.Completed { return rb.Arbitrary(line...).Build() }); err != nil {
				b.Fatal(err)
			}
		}
		bare += time.Since(start)
		start = time.Now()
		if got, err := p.Enqueue(ctx, noop(id)); err != nil || got.Verdict != queue.Queued {
			b.Fatal(got, err)
		}
		handed, err := p.Claim(ctx, "w", proto.Queues(), 1, nil)
		if err != nil || len(handed.Jobs) != 1 {
			b.Fatal(handed, err)
		}
		if _, err := p.Settle(ctx, "w", id, handed.Jobs[0].Lease, queue.Settlement{Outcome: queue.Finish, Result: []byte("{}")}); err != nil {
			b.Fatal(err)
		}
		whole += time.Since(start)
	}
	b.ReportMetric(float64(whole)/float64(bare), "x-bare")
}
