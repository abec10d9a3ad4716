package queue_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/prosaas/receipts/pkg/queue"
	"github.com/prosaas/receipts/pkg/redisclient"
	"github.com/prosaas/receipts/pkg/redistest"
	"github.com/prosaas/receipts/proto"
)

// Over maxmemory whatever ends or hands back a job, and whatever keeps the
// registry true, is taken all the same: Redis would never come free otherwise.
func TestFullRedisTakesWhatEndsOrHandsBack(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, "--maxmemory-policy", "noeviction")
	settle := func(s queue.Settlement) func(p *plane, j queue.Claimed) error {
		return func(p *plane, j queue.Claimed) error {
			_, err := p.Settle(p.t.Context(), "w", j.JobID, j.Lease, s)
			return err
		}
	}
	for _, tt := range []struct {
		name   string
		before func(p *plane) // while there is room
		do     func(p *plane, j queue.Claimed) error
		state  string
	}{
		{name: "finish", do: settle(queue.Settlement{Outcome: queue.Finish, Result: []byte(`{}`)}), state: "job:j finished attempts=1 crashes=0 expires"},
		{name: "fail", do: settle(queue.Settlement{Outcome: queue.Fail, Error: &proto.JobError{Code: "c"}}), state: lines("dead j", "job:j failed attempts=1 crashes=0 expires")},
		{name: "retry", do: settle(queue.Settlement{Outcome: queue.Retry, After: time.Hour, MaxAttempts: 2}), state: lines("delayed j", "job:j scheduled attempts=1 crashes=0 why=retry")},
		{name: "defer", do: settle(queue.Settlement{Outcome: queue.Defer, After: time.Hour}), state: lines("delayed j", "job:j scheduled attempts=0 crashes=0 why=defer")},
		{name: "release", do: settle(queue.Settlement{Outcome: queue.Release}), state: lines("job:j queued attempts=0 crashes=0", "queue:default j", "wake:default 1")},
		{name: "yield", do: settle(queue.Settlement{Outcome: queue.Yield}), state: lines("job:j queued attempts=0 crashes=0", "queue:default j", "wake:default 1")},
		{name: "promote and beat", do: func(p *plane, j queue.Claimed) error {
			if err := settle(queue.Settlement{Outcome: queue.Defer})(p, j); err != nil {
				return err
			}
			_, err := p.Registry.Beat(p.t.Context(), proto.Worker{Name: "w", Queues: proto.Queues()}, 10*time.Second)
			return err
		}, state: lines("job:j queued attempts=0 crashes=0", "queue:default j", "wake:default 1")},
		{name: "cancel of what waits", do: func(p *plane, j queue.Claimed) error {
			if err := settle(queue.Settlement{Outcome: queue.Release})(p, j); err != nil {
				return err
			}
			_, err := p.Cancel(p.t.Context(), "", "j")
			return err
		}, state: lines("job:j canceled attempts=0 crashes=0 expires", "wake:default 1")},
		{name: "cancel of what runs", do: func(p *plane, _ queue.Claimed) error {
			_, err := p.Cancel(p.t.Context(), "", "j")
			return err
		}, state: lines("claimed:w j", "job:j started attempts=1 crashes=0 worker=w cancel=1")},
		{name: "reap", before: func(p *plane) {
			p.do("HSET", p.keys.Beat(), "hold", "0")
			p.runOut("w", -time.Second)
		}, do: func(p *plane, _ queue.Claimed) error {
			_, reaped, err := p.Registry.Reap(p.t.Context(), "w", 10*time.Second)
			if !reaped {
				p.t.Error("it was not reaped")
			}
			return err
		}, state: lines("job:j queued attempts=1 crashes=1", "left:default w", "left:high w", "left:low w", "queue:default j", "wake:default 1")},
		{name: "drain and depart", do: func(p *plane, j queue.Claimed) error {
			return errors.Join(p.Registry.Drain(p.t.Context(), "w"), settle(queue.Settlement{Outcome: queue.Release})(p, j), p.Registry.Depart(p.t.Context(), "w"))
		}, state: lines("job:j queued attempts=0 crashes=0", "left:default w", "left:high w", "left:low w", "queue:default j", "wake:default 1")},
	} {
		t.Run(tt.name, func(t *testing.T) { // not in parallel: one server is full for all
			p := openPlane(t, server.URL())
			p.listen("w")
			p.listen("other")
			p.enqueue(noop("j"))
			j := p.claimOne("w")
			p.do("DEL", p.keys.Wake("default"))
			if tt.before != nil {
				tt.before(p)
			}
			server.LimitMemory(1)
			err := tt.do(p, j)
			server.LimitMemory(0)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.state, p.state()); diff != "" {
				t.Errorf("plane (-want +got):\n%s", diff)
			}
			p.intact()
		})
	}
}

// What is refused over maxmemory leaves nothing behind, and is taken once there
// is room.
func TestFullRedisRefusesWhatIsNew(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, "--maxmemory-policy", "noeviction")
	p := openPlane(t, server.URL())
	p.listen("w")
	p.enqueue(noop("j"))
	before := p.state()
	server.LimitMemory(1)
	if _, err := p.Enqueue(t.Context(), noop("new")); !errors.Is(err, redisclient.ErrFull) {
		t.Errorf("enqueue = %v, want ErrFull", err)
	}
	if _, err := p.Claim(t.Context(), "w", proto.Queues(), 1, nil); !errors.Is(err, redisclient.ErrFull) {
		t.Errorf("claim = %v, want ErrFull", err)
	}
	if diff := cmp.Diff(before, p.state()); diff != "" {
		t.Errorf("plane (-before +after):\n%s", diff)
	}
	server.LimitMemory(0)
	p.claimOne("w")
	if got := p.enqueue(noop("new")); got.Verdict != queue.Queued {
		t.Errorf("enqueue with room = %+v, want queued", got)
	}
	p.intact()
}
