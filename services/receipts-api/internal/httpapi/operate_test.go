package httpapi

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/prosaas/receipts/pkg/auth"
	"github.com/prosaas/receipts/pkg/queue"
	"github.com/prosaas/receipts/pkg/redistest"
	"github.com/prosaas/receipts/proto"
)

const (
	verifyPath = "/api/receipts/queue/verify"
	jobsPath   = "/api/receipts/queue/jobs"
)

func admin(t *testing.T) change {
	t.Helper()
	return as(t, auth.Principal{Subject: "ops", Role: auth.RoleSystemAdmin})
}

// verify asks for a noop with the diagnostic key, and answers its id.
func (s *service) verify(body string) string {
	s.Helper()
	a := s.do("POST", verifyPath, body, withKey...)
	var accepted proto.SyncAccepted
	a.json(s, &accepted)
	a.want(s, 202, `{"success":true,"message":"Sync job queued for processing","job_id":"`+accepted.JobID+`","status":"queued"}`)
	diff(s, "headers", []string{a.header.Get("Location"), a.header.Get("Retry-After"), a.header.Get("RateLimit")}, []string{syncPath + "/" + accepted.JobID, "1", ""})
	return accepted.JobID
}

func TestVerify(t *testing.T) {
	t.Parallel()
	s := serve(t, "SYNC_QUEUE=high", "SYNC_RATE_LIMIT=1/h").ready() // no business is connected
	s.worker("high")
	first := s.verify(`{"seconds":30}`)
	second := s.verify("")

	worker, job := s.claim()
	envelope, err := proto.DecodeEnvelope(job.Envelope)
	if err != nil {
		t.Fatal(err)
	}
	diff(t, "envelope", envelope, proto.Envelope{
		Version: proto.EnvelopeVersion, JobID: first, Kind: proto.KindNoop, Params: proto.Params{Seconds: 30}, Queue: "high", Trigger: proto.TriggerVerify,
		EnqueuedAt: envelope.EnqueuedAt, Headers: envelope.Headers,
	})
	if _, err := s.queue.Settle(t.Context(), worker, first, job.Lease, queue.Settlement{Outcome: queue.Finish, Result: []byte("{}")}); err != nil {
		t.Fatal(err)
	}

	var got proto.JobAnswer
	s.do("GET", syncPath+"/"+first, "", withKey...).json(t, &got)
	if got.Job.Status != proto.StateFinished || got.Job.Kind != proto.KindNoop || string(got.Job.Result) != "{}" {
		t.Errorf("verified job = %+v", got.Job)
	}
	a := s.do("POST", syncPath+"/"+second+"/cancel", "", admin(t))
	if a.json(t, &got); a.status != http.StatusOK || got.Job.Status != proto.StateCanceled {
		t.Errorf("cancel answered %d %s", a.status, a.body)
	}
}

func TestWhoSeesANoop(t *testing.T) {
	t.Parallel()
	s := live(t)
	noop, sync := s.verify(""), s.sync("")
	stranger := problemBody("No such sync", "Start a sync, or look at the list of syncs", "job_not_found")
	for _, row := range []struct {
		name    string
		id      string
		changes []change
		status  int
	}{
		{"the key", noop, withKey, 200},
		{"the key beside a bad token", noop, []change{with("Authorization", "Bearer x"), with("X-Diagnostic-Key", diagnosticKey)}, 200},
		{"a system admin", noop, []change{admin(t)}, 200},
		{"a system admin with a business", noop, []change{as(t, auth.Principal{BusinessID: business, Role: auth.RoleSystemAdmin})}, 200},
		{"an owner", noop, []change{as(t, auth.Principal{BusinessID: business, Role: auth.RoleOwner})}, 404},
		{"a wrong key", noop, []change{with("X-Diagnostic-Key", diagnosticKey+"x")}, 404},
		{"the key sees no business's job", sync, withKey, 404},
		{"a system admin sees no business's job", sync, []change{admin(t)}, 404},
		{"a system admin sees that of the business in the token", sync, []change{as(t, auth.Principal{BusinessID: business, Role: auth.RoleSystemAdmin})}, 200},
		{"a member with the key", sync, []change{with("X-Diagnostic-Key", diagnosticKey)}, 200},
	} {
		t.Run(row.name, func(t *testing.T) {
			job := s.do("GET", syncPath+"/"+row.id, "", row.changes...)
			if row.status == 404 {
				job.want(t, 404, stranger)
				s.do("GET", syncPath+"/"+row.id+"/events", "", row.changes...).want(t, 404, stranger)
				s.do("POST", syncPath+"/"+row.id+"/cancel", "", row.changes...).want(t, 404, stranger)
				return
			}
			if job.status != row.status {
				t.Errorf("answer = %d %s", job.status, job.body)
			}
			s.follow(row.id, row.changes...).close()
		})
	}
}

func TestBadVerifyBodies(t *testing.T) {
	t.Parallel()
	s := serve(t, "DIAGNOSTIC_KEYS="+diagnosticKey)
	for body, want := range map[string]string{
		`{"seconds":-1}`:  problemBody("Field 'seconds' must be 0 to 30", "Correct 'seconds' and send the request again", "invalid_field"),
		`{"seconds":31}`:  problemBody("Field 'seconds' must be 0 to 30", "Correct 'seconds' and send the request again", "invalid_field"),
		`{"seconds":1.5}`: problemBody("Field 'seconds' must be a whole number", "Correct 'seconds' and send the request again", "invalid_field"),
		`{"minutes":1}`:   problemBody("Unknown field 'minutes'", "Leave 'minutes' out, or correct its name", "unknown_field"),
		`[]`:              problemBody("The body is not one JSON object", "Send one JSON object, or no body at all", "invalid_body"),
	} {
		s.do("POST", verifyPath, body, withKey...).want(t, 400, want)
	}
}

func TestVerifyIsRefusedAsASyncIs(t *testing.T) {
	t.Parallel()
	s := serve(t).ready()
	s.worker("low")
	s.do("POST", verifyPath, "", withKey...).want(t, 503, fmt.Sprintf(noWorkerBody, "default"))

	away := serveOn(t, redistest.Reserve(t).URL())
	away.do("POST", verifyPath, "", withKey...).want(t, 503, noRedisBody)
}

func TestVerifyWaitsForAWorkerThatRestarts(t *testing.T) {
	t.Parallel()
	s := restarting(t, "GUARD_WAIT=1m")
	looks := s.looked("default")
	answers := make(chan answer, 1)
	go func() { answers <- s.do("POST", verifyPath, "", withKey...) }()
	<-looks
	s.worker("default")
	if a := <-answers; a.status != http.StatusAccepted {
		t.Errorf("answer = %d %s", a.status, a.body)
	}
}

// kill has a worker fail the next job for good.
func (s *service) kill() {
	s.Helper()
	worker, job := s.claim()
	_, err := s.queue.Settle(s.Context(), worker, job.JobID, job.Lease, queue.Settlement{
		Outcome: queue.Fail, Error: &proto.JobError{Code: "reconnect", Message: "Gmail refuses", Action: "Reconnect Gmail"},
	})
	if err != nil {
		s.Fatal(err)
	}
}

func TestRetryOfADeadJob(t *testing.T) {
	t.Parallel()
	s := live(t, "SYNC_RATE_LIMIT=1/h") // which the retry does not count to
	dead := s.sync(`{"from_date":"2026-01-01","to_date":"2026-01-31"}`)
	retry := func(id string, changes ...change) answer {
		return s.do("POST", jobsPath+"/"+id+"/retry", "", append([]change{admin(t)}, changes...)...)
	}
	notDead := problemBody("No such failed job", "Look at the job: only one that failed, and was not retried yet, can be retried", "job_not_dead")
	retry(dead).want(t, 404, notDead)
	s.kill()

	var before, after proto.JobAnswer
	s.do("GET", jobsPath+"/"+dead, "", admin(t)).json(t, &before)
	if before.Job.Status != proto.StateFailed || before.Job.Error.Code != "reconnect" {
		t.Errorf("dead job = %+v", before.Job)
	}
	a := retry(dead, with("X-Request-Id", "req-8"))
	var accepted proto.SyncAccepted
	a.json(t, &accepted)
	a.want(t, 202, `{"success":true,"message":"Sync job queued for processing","job_id":"`+accepted.JobID+`","status":"queued"}`)
	if accepted.JobID == dead || a.header.Get("Location") != syncPath+"/"+accepted.JobID || a.header.Get("RateLimit") != "" {
		t.Errorf("the new job is %s, its headers %v", accepted.JobID, a.header)
	}
	s.do("GET", syncPath+"/"+accepted.JobID, "").json(t, &after) // it is the business's, as the dead one was
	from, to := "2026-01-01", "2026-01-31"
	diff(t, "new job", after.Job, proto.Job{
		JobID: accepted.JobID, Kind: proto.KindGmailSync, Status: proto.StateQueued, Mode: proto.ModeRange, Trigger: proto.TriggerUser, Queue: "default",
		EnqueuedAt: after.Job.EnqueuedAt, FromDate: &from, ToDate: &to, RetryOf: &dead, Result: []byte("null"),
	})
	_, job := s.claim()
	if e, err := proto.DecodeEnvelope(job.Envelope); err != nil || e.Headers["request_id"] != "req-8" {
		t.Errorf("envelope = %+v, %v", e, err)
	}

	retry(dead).want(t, 404, notDead) // not twice
	for _, id := range []string{"nope", "a%7Bb"} {
		retry(id).want(t, 404, noJob)
		s.do("GET", jobsPath+"/"+id, "", admin(t)).want(t, 404, noJob)
	}
}

func TestRetryIsRefusedAsASyncIs(t *testing.T) {
	t.Parallel()
	s := live(t, "GUARD_WAIT=1m")
	dead := s.sync(`{"mode":"full"}`)
	s.kill()
	path := jobsPath + "/" + dead + "/retry"
	other := s.sync("")
	s.do("POST", path, "", admin(t)).want(t, 409,
		`{"success":false,"error":"Another sync is in progress","action":"Wait until it has ended, or cancel it","technical_details":"in_flight; request_id={id}","job_id":"`+other+`"}`)
	s.do("POST", syncPath+"/"+other+"/cancel", "")

	s.redisDo("ZREM", s.keys.Businesses(), business)
	s.do("POST", path, "", admin(t)).want(t, 409,
		`{"success":false,"error":"Gmail is not connected","action":"Connect Gmail, then start the sync","technical_details":"not_connected; request_id={id}"}`)
	s.connect(business)

	s.redisDo("DEL", s.keys.QueueWorkers("default"))
	s.do("POST", path, "", admin(t)).want(t, 503, fmt.Sprintf(noWorkerBody, "default"))
	s.worker("default")
	if a := s.do("POST", path, "", admin(t)); a.status != http.StatusAccepted {
		t.Errorf("the dead job was lost: %d %s", a.status, a.body)
	}
}

// A job that the scheduler made died on another queue than that of syncs: it is
// for that queue that a worker is waited for.
func TestRetryWaitsForAWorkerOfItsOwnQueue(t *testing.T) {
	t.Parallel()
	s := live(t, "GUARD_WAIT=1m")
	request := queue.Request{Envelope: proto.Envelope{
		Version: 1, JobID: "scheduled-1", Kind: proto.KindGmailSync, BusinessID: business, Mode: proto.ModeIncremental, Queue: "low", Trigger: proto.TriggerSchedule,
	}}
	if _, err := s.queue.Enqueue(t.Context(), request); err != nil {
		t.Fatal(err)
	}
	s.kill()
	s.redisDo("DEL", s.keys.QueueWorkers("low"))
	s.redisDo("SET", s.keys.Left("low"), "1")
	looks := s.looked("low")
	answers := make(chan answer, 1)
	go func() { answers <- s.do("POST", jobsPath+"/scheduled-1/retry", "", admin(t)) }()
	<-looks
	s.worker("low")
	if a := <-answers; a.status != http.StatusAccepted {
		t.Errorf("answer = %d %s", a.status, a.body)
	}
}

func TestRetryOfAJobOfANewerRelease(t *testing.T) {
	t.Parallel()
	s := live(t)
	dead := s.sync("")
	s.kill()
	s.redisDo("HSET", s.keys.Job(dead), "envelope", `{"v":99,"job_id":"`+dead+`"}`)
	s.do("POST", jobsPath+"/"+dead+"/retry", "", admin(t)).want(t, 409,
		problemBody("The job was written by a newer release", "Deploy that release, then try again", "newer_version"))
}
