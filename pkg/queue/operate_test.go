package queue_test

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/prosaas/receipts/pkg/queue"
	"github.com/prosaas/receipts/proto"
)

func TestPauseAndResume(t *testing.T) { everywhere(t, testPauseAndResume) }

func testPauseAndResume(t *testing.T, newPlane planes) {
	t.Helper()
	p := newPlane(t)
	p.listen("w")
	p.enqueue(noop("j"))
	if err := p.Pause(t.Context(), "default"); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(lines("job:j queued attempts=0 crashes=0", "paused default", "queue:default j"), p.state()); diff != "" {
		t.Errorf("paused (-want +got):\n%s", diff)
	}
	if jobs := p.claim("w", 5); len(jobs) != 0 {
		t.Errorf("a paused queue handed out %d jobs", len(jobs))
	}
	if err := p.Resume(t.Context(), "default"); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(lines("job:j queued attempts=0 crashes=0", "queue:default j", "wake:default 1"), p.state()); diff != "" {
		t.Errorf("resumed (-want +got):\n%s", diff)
	}
	p.claimOne("w")
}

func TestRetryOfADeadJob(t *testing.T) { everywhere(t, testRetryOfADeadJob) }

func testRetryOfADeadJob(t *testing.T, newPlane planes) {
	t.Helper()
	p := newPlane(t)
	p.listen("w")
	p.connect("b")
	request := queue.Request{Retention: noop("").Retention}
	retry := func(dead, id string) queue.Enqueued {
		t.Helper()
		got, err := p.RetryDead(t.Context(), dead, id, request)
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	p.enqueue(syncOf("j", "b"))
	p.settle("w", p.claimOne("w"), queue.Settlement{Outcome: queue.Fail, Error: &proto.JobError{Code: "c"}})

	p.enqueue(syncOf("other", "b"))
	if got := retry("j", "again"); got.Verdict != queue.InFlight || got.JobID != "other" {
		t.Errorf("while another is in flight = %+v", got)
	}
	if diff := cmp.Diff([]string{"j"}, p.strings("ZRANGE", p.keys.Dead(), "0", "-1")); diff != "" {
		t.Errorf("the dead job must stay where it is (-want +got):\n%s", diff)
	}
	p.settle("w", p.claimOne("w"), queue.Settlement{Outcome: queue.Finish})

	for range 2 { // a lost reply is answered by asking again
		if got := retry("j", "again"); got.Verdict != queue.Queued || got.JobID != "again" {
			t.Errorf("retry = %+v, want queued", got)
		}
	}
	if got := retry("j", "third"); got.Verdict != queue.NotDead {
		t.Errorf("retry of what is not dead any more = %+v", got)
	}
	job, err := p.AnyJob(t.Context(), "again")
	if err != nil || job.RetryOf == nil || *job.RetryOf != "j" || job.Mode != proto.ModeIncremental || job.BusinessID != "b" {
		t.Errorf("the new job = %+v, %v", job, err)
	}
}

func TestDeleteOfADeadJob(t *testing.T) { everywhere(t, testDeleteOfADeadJob) }

func testDeleteOfADeadJob(t *testing.T, newPlane planes) {
	t.Helper()
	p := newPlane(t)
	p.listen("w")
	p.enqueue(noop("j"))
	if err := p.DeleteDead(t.Context(), "j"); !errors.Is(err, queue.ErrNotFound) {
		t.Errorf("delete of a living job = %v, want ErrNotFound", err)
	}
	p.settle("w", p.claimOne("w"), queue.Settlement{Outcome: queue.Fail})
	if err := p.DeleteDead(t.Context(), "j"); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff("", p.state()); diff != "" {
		t.Errorf("left behind (-want +got):\n%s", diff)
	}
}
