package httpapi

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/prosaas/receipts/pkg/auth"
	"github.com/prosaas/receipts/pkg/queue"
	"github.com/prosaas/receipts/proto"
)

var (
	noJob = problemBody("No such sync", "Start a sync, or look at the list of syncs", "job_not_found")
	ended = problemBody("The sync has ended already", "Look at its result; start another one if you want one", "job_ended")
)

// sync starts a sync and answers its id.
func (s *service) sync(body string) string {
	s.Helper()
	var accepted proto.SyncAccepted
	s.do("POST", syncPath, body).json(s, &accepted)
	return accepted.JobID
}

// finish ends a claimed job well.
func (s *service) finish(worker string, job queue.Claimed) {
	s.Helper()
	result, err := json.Marshal(proto.SyncResult{Scanned: 3, Saved: 2})
	if err != nil {
		s.Fatal(err)
	}
	_, err = s.queue.Settle(s.Context(), worker, job.JobID, job.Lease, queue.Settlement{
		Outcome: queue.Finish, Result: result, Progress: &proto.Progress{Phase: proto.PhaseDone, Scanned: 3, Saved: 2},
	})
	if err != nil {
		s.Fatal(err)
	}
}

func TestJob(t *testing.T) {
	t.Parallel()
	s := live(t)
	id := s.sync(`{"from_date":"2026-01-01","to_date":"2026-01-31"}`)
	path := syncPath + "/" + id

	first := s.do("GET", path, "")
	var got proto.JobAnswer
	first.json(t, &got)
	from, to := "2026-01-01", "2026-01-31"
	diff(t, "job", got.Job, proto.Job{
		JobID: id, Kind: proto.KindGmailSync, Status: proto.StateQueued, Mode: proto.ModeRange, Trigger: proto.TriggerUser, Queue: "default",
		EnqueuedAt: got.Job.EnqueuedAt, FromDate: &from, ToDate: &to, Result: json.RawMessage("null"),
	})
	diff(t, "latest", s.do("GET", syncPath+"/latest", "").body, first.body+"\n")

	etag := first.header.Get("ETag")
	for _, row := range []struct {
		given  string
		status int
	}{
		{etag, 304},
		{"W/" + etag, 304},
		{`"other", ` + etag, 304},
		{"*", 304},
		{`"other"`, 200},
	} {
		if a := s.do("GET", path, "", with("If-None-Match", row.given)); a.status != row.status || (a.status == 304) != (a.body == "") {
			t.Errorf("If-None-Match %s: %d %q, want %d", row.given, a.status, a.body, row.status)
		}
	}

	worker, claimed := s.claim()
	if a := s.do("GET", path, "", with("If-None-Match", etag)); a.status != 200 || !strings.Contains(a.body, `"status":"started"`) {
		t.Errorf("once started: %d %s", a.status, a.body)
	}
	s.finish(worker, claimed)
	s.do("GET", path, "").json(t, &got)
	if got.Job.Status != proto.StateFinished || got.Job.FinishedAt == nil || got.Job.Progress.Saved != 2 {
		t.Errorf("finished job = %+v", got.Job)
	}
}

func TestJobsOfOthersAreNotThere(t *testing.T) {
	t.Parallel()
	s := live(t)
	id := s.sync("")
	stranger := as(t, auth.Principal{BusinessID: "other", Role: auth.RoleOwner})
	for _, row := range []struct {
		method, path string
		change       change
	}{
		{"GET", "/" + id, stranger},
		{"POST", "/" + id + "/cancel", stranger},
		{"GET", "/latest", stranger},
		{"GET", "/01890000-0000-7000-8000-000000000000", nil},
		{"GET", "/a%7Bb", nil},
		{"GET", "/" + strings.Repeat("a", 65), nil},
		{"POST", "/a%7Bb/cancel", nil},
		{"POST", "/nope/cancel", nil},
	} {
		changes := []change{}
		if row.change != nil {
			changes = append(changes, row.change)
		}
		s.do(row.method, syncPath+row.path, "", changes...).want(t, 404, noJob)
	}
	s.do("GET", syncPath, "", stranger).want(t, 200, `{"success":true,"items":[],"next_cursor":null}`)
	if job := s.latest(); job.Status != proto.StateQueued || job.Canceling {
		t.Errorf("a stranger changed the job: %+v", job)
	}
}

func TestNewestJobs(t *testing.T) {
	t.Parallel()
	s := live(t)
	var want []string
	for range 52 {
		id := s.sync("")
		want = append([]string{id}, want...)
		s.do("POST", syncPath+"/"+id+"/cancel", "")
	}
	var list proto.List[proto.Job]
	s.do("GET", syncPath, "").json(t, &list)
	var got []string
	for _, job := range list.Items {
		got = append(got, job.JobID)
	}
	diff(t, "jobs", got, want[:50])
}

func TestCancel(t *testing.T) {
	t.Parallel()
	s := live(t)
	cancel := func(id string) (answer, proto.Job) {
		a := s.do("POST", syncPath+"/"+id+"/cancel", "")
		var got proto.JobAnswer
		a.json(t, &got)
		return a, got.Job
	}

	queued := s.sync("")
	if a, job := cancel(queued); a.status != 200 || job.Status != proto.StateCanceled || job.FinishedAt == nil {
		t.Errorf("a queued job: %d %+v", a.status, job)
	}
	if a, job := cancel(queued); a.status != 200 || job.Status != proto.StateCanceled {
		t.Errorf("once more: %d %+v", a.status, job)
	}

	started := s.sync("")
	worker, claimed := s.claim()
	if a, job := cancel(started); a.status != 200 || job.Status != proto.StateStarted || !job.Canceling {
		t.Errorf("a started job: %d %+v", a.status, job)
	}
	s.finish(worker, claimed)
	a, _ := cancel(started)
	a.want(t, 409, ended)
}
