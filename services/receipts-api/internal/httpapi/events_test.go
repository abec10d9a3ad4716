package httpapi

import (
	"bufio"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/prosaas/receipts/pkg/auth"
	"github.com/prosaas/receipts/pkg/redistest"
	"github.com/prosaas/receipts/proto"
)

// events is the stream of a job, as a client reads it.
type events struct {
	testing.TB
	body  io.ReadCloser
	lines *bufio.Scanner
}

// follow opens the stream of a job.
func (s *service) follow(id string, changes ...change) *events {
	s.Helper()
	response, err := s.send("GET", syncPath+"/"+id+"/events", "", changes...)
	if err != nil {
		s.Fatal(err)
	}
	s.Cleanup(func() { _ = response.Body.Close() })
	if response.StatusCode != http.StatusOK || response.Header.Get("Content-Type") != "text/event-stream" {
		s.Fatalf("events of %s: %s, %s", id, response.Status, response.Header.Get("Content-Type"))
	}
	return &events{s, response.Body, bufio.NewScanner(response.Body)}
}

func (e *events) close() { _ = e.body.Close() }

// next reads up to the next empty line: an event of a job, or else a comment.
// Neither is the end.
func (e *events) next() (job *proto.Job, comment string) {
	e.Helper()
	var lines []string
	for e.lines.Scan() && e.lines.Text() != "" {
		lines = append(lines, e.lines.Text())
	}
	switch {
	case len(lines) == 0:
		return nil, ""
	case len(lines) == 1 && strings.HasPrefix(lines[0], ": "):
		return nil, lines[0][2:]
	case len(lines) != 2 || lines[0] != "event: job" || !strings.HasPrefix(lines[1], "data: "):
		e.Fatalf("the stream says %q", lines)
	}
	data := []byte(lines[1][len("data: "):])
	var value any
	if err := json.Unmarshal(data, &value); err != nil {
		e.Fatalf("data of an event: %v", err)
	}
	if err := document(e).Components.Schemas["Job"].Value.VisitJSON(value, openapi3.EnableJSONSchema2020()); err != nil {
		e.Errorf("an event is not as openapi.yaml has it: %v\n%s", err, data)
	}
	job = new(proto.Job)
	if err := json.Unmarshal(data, job); err != nil {
		e.Fatalf("data of an event: %v", err)
	}
	return job, ""
}

// job reads the next event.
func (e *events) job() proto.Job {
	e.Helper()
	job, comment := e.next()
	if job == nil {
		e.Fatalf("no event of a job, but %q", comment)
	}
	return *job
}

// wantEnd fails unless the stream has ended, as a whole answer does.
func (e *events) wantEnd() {
	e.Helper()
	if job, comment := e.next(); job != nil || comment != "" || e.lines.Err() != nil {
		e.Errorf("instead of its end the stream says %+v %q, %v", job, comment, e.lines.Err())
	}
}

func TestEvents(t *testing.T) {
	t.Parallel()
	s := live(t)
	id := s.sync("")
	e := s.follow(id)
	if job := e.job(); job.JobID != id || job.Status != proto.StateQueued {
		t.Errorf("first event = %+v", job)
	}
	worker, claimed := s.claim()
	if job := e.job(); job.Status != proto.StateStarted || job.Attempt != 1 {
		t.Errorf("event of the claim = %+v", job)
	}
	progress := proto.Progress{Phase: proto.PhaseReading, Scanned: 2, Saved: 1}
	if _, err := s.queue.Checkpoint(t.Context(), worker, id, claimed.Lease, proto.Queues(), progress, true); err != nil {
		t.Fatal(err)
	}
	diff(t, "progress", e.job().Progress, &progress)
	second := s.follow(id) // begins with the last state
	diff(t, "progress", second.job().Progress, &progress)

	s.finish(worker, claimed)
	var whole proto.JobAnswer
	s.do("GET", syncPath+"/"+id, "").json(t, &whole)
	for _, each := range []*events{e, second, s.follow(id)} { // the last one begins after the end
		diff(t, "last event", each.job(), whole.Job)
		each.wantEnd()
	}
}

func TestEventsOfACanceledJob(t *testing.T) {
	t.Parallel()
	s := live(t)
	id := s.sync("")
	e := s.follow(id)
	e.job()
	s.do("POST", syncPath+"/"+id+"/cancel", "")
	if job := e.job(); job.Status != proto.StateCanceled {
		t.Errorf("last event = %+v", job)
	}
	e.wantEnd()
}

func TestEventsEndWithTheRecord(t *testing.T) {
	t.Parallel()
	s := live(t)
	id := s.sync("")
	e := s.follow(id)
	e.job()
	s.redisDo("DEL", s.keys.Job(id))
	e.wantEnd()
}

func TestEventsOutliveRedisThatIsAway(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	s := serveOn(t, server.URL()).ready()
	s.connect(business)
	s.worker(proto.Queues()...)
	id := s.sync("")
	e := s.follow(id)
	e.job()

	server.Freeze()
	if job, comment := e.next(); job != nil || comment != "redis does not answer, trying again" {
		t.Errorf("while redis is away: %+v %q", job, comment)
	}
	s.log.await(t, `"level":"WARN"`, "redis does not answer")
	refused := s.do("GET", syncPath+"/"+id+"/events", "")
	refused.want(t, 503, problemBody("Redis not available", "Try again in a moment; if it goes on, start Redis or correct REDIS_URL", "redis_unavailable"))
	server.Thaw()

	s.claim()
	if job := e.job(); job.Status != proto.StateStarted {
		t.Errorf("once redis is back: %+v", job)
	}
}

func TestStopEndsEvents(t *testing.T) {
	t.Parallel()
	s := live(t)
	id := s.sync("")
	streams := []*events{s.follow(id), s.follow(id)}
	for _, e := range streams {
		e.job()
	}
	s.api.Stop()
	for _, e := range streams {
		e.wantEnd()
	}
	s.do("GET", syncPath+"/"+id+"/events", "").want(t, 503, problemBody("The service is stopping", "Try again in a moment", "stopping"))
}

func TestTooManyEvents(t *testing.T) {
	t.Parallel()
	s := live(t)
	id := s.sync("")
	streams := make([]*events, maxBusinessFollowers)
	for i := range streams {
		streams[i] = s.follow(id)
	}
	refused := s.do("GET", syncPath+"/"+id+"/events", "")
	refused.want(t, 429, problemBody("Too many streams of events are open", "Close some, or ask for the job itself now and then", "too_many_streams"))
	diff(t, "Retry-After", refused.header.Get("Retry-After"), "10")

	other := as(t, auth.Principal{BusinessID: "other", Role: auth.RoleMember})
	s.connect("other")
	var accepted proto.SyncAccepted
	s.do("POST", syncPath, "", other).json(t, &accepted)
	s.follow(accepted.JobID, other).close()

	streams[0].close()
	s.log.await(t, "request answered", "/events", `"status":200`) // the server has seen it
	s.log.await(t, "request answered", "/events", `"status":200`)
	s.follow(id)
}
