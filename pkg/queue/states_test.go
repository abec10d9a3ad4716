package queue_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/prosaas/receipts/pkg/queue"
	"github.com/prosaas/receipts/proto"
)

// TestSettle holds each row of the table of states whose from is started: the
// whole plane after it, from one job of business b that worker w has claimed.
func TestSettle(t *testing.T) { everywhere(t, testSettle) }

func testSettle(t *testing.T, newPlane planes) {
	t.Helper()
	why := &proto.JobError{Code: "c", Message: "m", Action: "a"}
	tests := []struct {
		name    string
		flagged bool
		settle  queue.Settlement
		want    proto.State
		state   string
	}{
		{
			name: "finish", settle: queue.Settlement{Outcome: queue.Finish, Result: []byte(`{}`)}, want: proto.StateFinished,
			state: lines("job:j finished attempts=1 crashes=0 expires", "recent:b j"),
		},
		{
			name: "finish of a flagged job won", flagged: true, settle: queue.Settlement{Outcome: queue.Finish, Result: []byte(`{}`)}, want: proto.StateFinished,
			state: lines("job:j finished attempts=1 crashes=0 cancel=1 expires", "recent:b j"),
		},
		{
			name: "fail", settle: queue.Settlement{Outcome: queue.Fail, Error: why}, want: proto.StateFailed,
			state: lines("dead j", "job:j failed attempts=1 crashes=0 expires", "recent:b j"),
		},
		{
			name: "retry, attempts left", settle: queue.Settlement{Outcome: queue.Retry, Error: why, After: time.Hour, MaxAttempts: 2}, want: proto.StateScheduled,
			state: lines("delayed j", "inflight:b j", "job:j scheduled attempts=1 crashes=0 why=retry", "recent:b j"),
		},
		{
			name: "retry, none left", settle: queue.Settlement{Outcome: queue.Retry, Error: why, After: time.Hour, MaxAttempts: 1}, want: proto.StateFailed,
			state: lines("dead j", "job:j failed attempts=1 crashes=0 expires", "recent:b j"),
		},
		{
			name: "release goes to the front", settle: queue.Settlement{Outcome: queue.Release}, want: proto.StateQueued,
			state: lines("inflight:b j", "job:j queued attempts=0 crashes=0", "job:other queued attempts=0 crashes=0", "queue:default other,j", "recent:b j", "wake:default 1"),
		},
		{
			name: "yield goes to the back", settle: queue.Settlement{Outcome: queue.Yield}, want: proto.StateQueued,
			state: lines("inflight:b j", "job:j queued attempts=0 crashes=0", "job:other queued attempts=0 crashes=0", "queue:default j,other", "recent:b j", "wake:default 1"),
		},
		{
			name: "defer", settle: queue.Settlement{Outcome: queue.Defer, After: time.Hour}, want: proto.StateScheduled,
			state: lines("delayed j", "inflight:b j", "job:j scheduled attempts=0 crashes=0 why=defer", "recent:b j"),
		},
		{
			name: "fail of a flagged job", flagged: true, settle: queue.Settlement{Outcome: queue.Fail, Error: why}, want: proto.StateCanceled,
			state: lines("job:j canceled attempts=1 crashes=0 cancel=1 expires", "recent:b j"),
		},
		{
			name: "retry of a flagged job", flagged: true, settle: queue.Settlement{Outcome: queue.Retry, After: time.Hour, MaxAttempts: 5}, want: proto.StateCanceled,
			state: lines("job:j canceled attempts=1 crashes=0 cancel=1 expires", "recent:b j"),
		},
		{
			name: "release of a flagged job", flagged: true, settle: queue.Settlement{Outcome: queue.Release}, want: proto.StateCanceled,
			state: lines("job:j canceled attempts=1 crashes=0 cancel=1 expires", "recent:b j"),
		},
		{
			name: "yield of a flagged job", flagged: true, settle: queue.Settlement{Outcome: queue.Yield}, want: proto.StateCanceled,
			state: lines("job:j canceled attempts=1 crashes=0 cancel=1 expires", "recent:b j"),
		},
		{
			name: "defer of a flagged job", flagged: true, settle: queue.Settlement{Outcome: queue.Defer, After: time.Hour}, want: proto.StateCanceled,
			state: lines("job:j canceled attempts=1 crashes=0 cancel=1 expires", "recent:b j"),
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := newPlane(t)
			p.listen("w")
			p.connect("b")
			p.enqueue(syncOf("j", "b"))
			job := p.claimOne("w")
			if tt.flagged {
				if state, err := p.Cancel(t.Context(), "b", "j"); err != nil || state != proto.StateStarted {
					t.Fatalf("cancel = %s, %v", state, err)
				}
			}
			if tt.settle.Outcome == queue.Release || tt.settle.Outcome == queue.Yield {
				if !tt.flagged {
					p.enqueue(noop("other"))
				}
			}
			if got := p.settle("w", job, tt.settle); got != tt.want {
				t.Errorf("state = %s, want %s", got, tt.want)
			}
			if diff := cmp.Diff(tt.state, p.state()); diff != "" {
				t.Errorf("plane (-want +got):\n%s", diff)
			}
			if got := p.settle("w", job, tt.settle); got != tt.want {
				t.Errorf("repeated: state = %s, want %s", got, tt.want)
			}
			if diff := cmp.Diff(tt.state, p.state()); diff != "" {
				t.Errorf("repeated: plane (-want +got):\n%s", diff)
			}
		})
	}
}

func TestOldLeaseWritesNothing(t *testing.T) { everywhere(t, testOldLeaseWritesNothing) }

func testOldLeaseWritesNothing(t *testing.T, newPlane planes) {
	t.Helper()
	p := newPlane(t)
	p.listen("w")
	p.listen("v")
	p.enqueue(noop("j"))
	old := p.claimOne("w")
	p.settle("w", old, queue.Settlement{Outcome: queue.Release})
	fresh := p.claimOne("v")
	if fresh.Lease <= old.Lease {
		t.Errorf("lease %d after %d: leases must grow", fresh.Lease, old.Lease)
	}
	before := p.state()
	writes := map[string]func() error{
		"another worker with the lease": func() error {
			_, err := p.Settle(t.Context(), "w", "j", fresh.Lease, queue.Settlement{Outcome: queue.Finish})
			return err
		},
		"the worker with another lease": func() error {
			_, err := p.Settle(t.Context(), "v", "j", fresh.Lease+1, queue.Settlement{Outcome: queue.Finish})
			return err
		},
		"checkpoint in the old name": func() error {
			_, err := p.Checkpoint(t.Context(), "w", "j", old.Lease, proto.Queues(), proto.Progress{Saved: 7}, true)
			return err
		},
		"a job that never was": func() error {
			_, err := p.Settle(t.Context(), "v", "nobody", fresh.Lease, queue.Settlement{Outcome: queue.Finish})
			return err
		},
	}
	for name, write := range writes {
		if err := write(); !errors.Is(err, queue.ErrStale) {
			t.Errorf("%s = %v, want ErrStale", name, err)
		}
	}
	if diff := cmp.Diff(before, p.state()); diff != "" {
		t.Errorf("plane changed (-before +after):\n%s", diff)
	}
}

func TestClaimIsSafeToRepeat(t *testing.T) { everywhere(t, testClaimIsSafeToRepeat) }

func testClaimIsSafeToRepeat(t *testing.T, newPlane planes) {
	t.Helper()
	p := newPlane(t)
	p.listen("w")
	for _, id := range []string{"a", "b", "c"} {
		p.enqueue(noop(id))
	}
	lost := p.claim("w", 2) // imagine that this reply never came
	again := p.claim("w", 2)
	ids := func(jobs []queue.Claimed) (ids []string) {
		for _, j := range jobs {
			ids = append(ids, j.JobID)
		}
		slices.Sort(ids)
		return ids
	}
	if diff := cmp.Diff(ids(lost), ids(again)); diff != "" {
		t.Errorf("repeated claim (-first +second):\n%s", diff)
	}
	for _, j := range again {
		if j.Attempt != 1 {
			t.Errorf("job %s: attempt %d, want 1", j.JobID, j.Attempt)
		}
	}
	if more := p.claim("w", 3, ids(again)...); len(more) != 1 || more[0].JobID != "c" {
		t.Errorf("with one slot more = %v, want c alone", ids(more))
	}
}

func TestClaimOrder(t *testing.T) { everywhere(t, testClaimOrder) }

func testClaimOrder(t *testing.T, newPlane planes) {
	t.Helper()
	p := newPlane(t)
	p.listen("w")
	for i := range 17 {
		for _, q := range proto.Queues() {
			r := noop(q + string(rune('a'+i)))
			r.Envelope.Queue = q
			p.enqueue(r)
		}
	}
	var got []string
	for range 17 {
		job := p.claimOne("w")
		p.settle("w", job, queue.Settlement{Outcome: queue.Finish})
		record, err := p.AnyJob(t.Context(), job.JobID)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, record.Queue)
	}
	want := slices.Repeat([]string{"high"}, 17)
	want[15] = "low" // the sixteenth walks the order backwards
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("order (-want +got):\n%s", diff)
	}
}

func TestClaimLeavesOneTokenWhereJobsAreLeft(t *testing.T) {
	everywhere(t, testClaimLeavesOneTokenWhereJobsAreLeft)
}

func testClaimLeavesOneTokenWhereJobsAreLeft(t *testing.T, newPlane planes) {
	t.Helper()
	p := newPlane(t)
	p.listen("w")
	p.enqueue(noop("a"))
	p.enqueue(noop("b"))
	tokens := func() int { return len(p.strings("LRANGE", p.keys.Wake("default"), "0", "-1")) }
	p.do("DEL", p.keys.Wake("default")) // as the worker that woke took it
	p.claim("w", 1)
	if tokens() != 1 {
		t.Errorf("%d tokens with a job left, want 1", tokens())
	}
	p.claim("w", 2, "a")
	if tokens() != 0 {
		t.Errorf("%d tokens with no job left, want 0", tokens())
	}
}

func TestDrainedWorkerIsHandedNothing(t *testing.T) { everywhere(t, testDrainedWorkerIsHandedNothing) }

func testDrainedWorkerIsHandedNothing(t *testing.T, newPlane planes) {
	t.Helper()
	p := newPlane(t)
	p.listen("w")
	p.enqueue(noop("j"))
	if err := p.Registry.Drain(t.Context(), "w"); err != nil {
		t.Fatal(err)
	}
	if jobs := p.claim("w", 5); len(jobs) != 0 {
		t.Errorf("a draining worker was handed %d jobs", len(jobs))
	}
	if err := p.Registry.Depart(t.Context(), "w"); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Claim(t.Context(), "w", proto.Queues(), 5, nil); !errors.Is(err, proto.ErrReaped) {
		t.Errorf("late claim of a departed worker = %v, want ErrReaped", err)
	}
}

func TestDueJobIsPromotedAndTheNextIsTold(t *testing.T) {
	everywhere(t, testDueJobIsPromotedAndTheNextIsTold)
}

func testDueJobIsPromotedAndTheNextIsTold(t *testing.T, newPlane planes) {
	t.Helper()
	p := newPlane(t)
	p.listen("w")
	for _, id := range []string{"due", "later"} {
		p.enqueue(noop(id))
		after := time.Duration(0)
		if id == "later" {
			after = time.Hour
		}
		p.settle("w", p.claimOne("w"), queue.Settlement{Outcome: queue.Defer, After: after})
	}
	handed, err := p.Claim(t.Context(), "w", proto.Queues(), 5, nil)
	if err != nil || len(handed.Jobs) != 1 || handed.Jobs[0].JobID != "due" {
		t.Fatalf("claim = %+v, %v; want the due job alone", handed, err)
	}
	if handed.NextDue < 59*time.Minute || handed.NextDue > time.Hour {
		t.Errorf("next due in %s, want about an hour", handed.NextDue)
	}
}

func TestCancelOfWhatWaits(t *testing.T) { everywhere(t, testCancelOfWhatWaits) }

func testCancelOfWhatWaits(t *testing.T, newPlane planes) {
	t.Helper()
	for _, from := range []string{"queued", "scheduled"} {
		t.Run(from, func(t *testing.T) {
			t.Parallel()
			p := newPlane(t)
			p.listen("w")
			p.connect("b")
			p.enqueue(syncOf("j", "b"))
			want := lines("job:j canceled attempts=0 crashes=0 expires", "recent:b j", "wake:default 1")
			if from == "scheduled" {
				p.settle("w", p.claimOne("w"), queue.Settlement{Outcome: queue.Defer, After: time.Hour})
				want = lines("job:j canceled attempts=0 crashes=0 expires", "recent:b j")
			}
			if _, err := p.Cancel(t.Context(), "another", "j"); !errors.Is(err, queue.ErrNotFound) {
				t.Errorf("cancel by another business = %v, want ErrNotFound", err)
			}
			for range 2 { // a lost reply is answered by asking again
				if state, err := p.Cancel(t.Context(), "b", "j"); err != nil || state != proto.StateCanceled {
					t.Errorf("cancel = %s, %v", state, err)
				}
			}
			if diff := cmp.Diff(want, p.state()); diff != "" {
				t.Errorf("plane (-want +got):\n%s", diff)
			}
		})
	}
}

func TestCancelOfWhatEnded(t *testing.T) { everywhere(t, testCancelOfWhatEnded) }

func testCancelOfWhatEnded(t *testing.T, newPlane planes) {
	t.Helper()
	p := newPlane(t)
	p.listen("w")
	p.enqueue(noop("j"))
	p.settle("w", p.claimOne("w"), queue.Settlement{Outcome: queue.Finish})
	if state, err := p.Cancel(t.Context(), "", "j"); !errors.Is(err, queue.ErrEnded) || state != proto.StateFinished {
		t.Errorf("cancel = %s, %v; want finished, ErrEnded", state, err)
	}
}

func TestCheckpointThatMovedForgivesAttempts(t *testing.T) {
	everywhere(t, testCheckpointThatMovedForgivesAttempts)
}

func testCheckpointThatMovedForgivesAttempts(t *testing.T, newPlane planes) {
	t.Helper()
	p := newPlane(t)
	p.listen("w")
	p.enqueue(noop("j"))
	p.settle("w", p.claimOne("w"), queue.Settlement{Outcome: queue.Retry, MaxAttempts: 5})
	job := p.claimOne("w")
	p.enqueue(noop("other"))
	mark, err := p.Checkpoint(t.Context(), "w", "j", job.Lease, proto.Queues(), proto.Progress{Saved: 3}, true)
	if err != nil || mark.Canceled || !mark.OthersWait {
		t.Errorf("checkpoint = %+v, %v; want others waiting", mark, err)
	}
	record, err := p.AnyJob(t.Context(), "j")
	if err != nil {
		t.Fatal(err)
	}
	if record.Attempt != 1 || record.Progress == nil || record.Progress.Saved != 3 {
		t.Errorf("record = attempt %d, progress %+v; want 1 and 3 saved", record.Attempt, record.Progress)
	}
}
