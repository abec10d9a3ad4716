package httpapi

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/prosaas/receipts/pkg/auth"
	"github.com/prosaas/receipts/pkg/queue"
	"github.com/prosaas/receipts/pkg/receiptstore"
	"github.com/prosaas/receipts/pkg/redistest"
	"github.com/prosaas/receipts/proto"
)

var noSuchJob = problemBody("No such sync", "Start a sync, or look at the list of syncs", "job_not_found")

func messageID(n int) string { return fmt.Sprintf("%016x", n) }

// failing claims the sync in hand as a worker does, and fails to read messages
// for these reasons, the first one being message 1.
func (s *service) failing(codes ...string) (worker string, job queue.Claimed) {
	s.Helper()
	s.redisDo("HSET", s.keys.Connection(business), "state", "connected", "epoch", "1", "address", "a@example.com")
	worker, job = s.claim()
	w := s.receipts.Writer(receiptstore.Fence{Business: business, Job: job.JobID, Lease: job.Lease, Epoch: 1})
	if _, err := w.Begin(s.Context()); err != nil {
		s.Fatal(err)
	}
	for i, code := range codes {
		id := messageID(i + 1)
		if _, err := w.Owe(s.Context(), []string{id}, nil, ""); err != nil {
			s.Fatal(err)
		}
		reason := receiptstore.Reason{Code: code, Message: "It is " + code}
		if _, err := w.Save(s.Context(), receiptstore.Message{ID: id, Outcome: receiptstore.OutcomeFailed, Reason: reason}); err != nil {
			s.Fatal(err)
		}
	}
	return worker, job
}

// failed is a sync that has finished, but for these messages.
func (s *service) failed(codes ...string) (id string) {
	s.Helper()
	id = s.sync("")
	worker, job := s.failing(codes...)
	if _, err := s.queue.Settle(s.Context(), worker, id, job.Lease, queue.Settlement{Outcome: queue.Finish}); err != nil {
		s.Fatal(err)
	}
	return id
}

// owed are the messages that the next sync begins with.
func (s *service) owed() []string {
	s.Helper()
	w := s.receipts.Writer(receiptstore.Fence{Business: business})
	ids, err := w.Owed(s.Context(), "", 100)
	if err != nil {
		s.Fatal(err)
	}
	return ids
}

func errorsPath(job string) string { return syncPath + "/" + job + "/errors" }

func TestFailuresAreListed(t *testing.T) {
	t.Parallel()
	s := live(t)
	job := s.failed("unreadable", "too_large", "too_many_receipts", "crashed_reader", "new_to_us")
	item := func(n int, code, action string) proto.SyncFailure {
		return proto.SyncFailure{GmailMessageID: messageID(n), Code: code, Message: "It is " + code, Action: action}
	}
	all := []proto.SyncFailure{
		item(5, "new_to_us", "Try again; if it fails again, look at the mail in Gmail"),
		item(4, "crashed_reader", "Try again after the next update; until then look at the mail in Gmail"),
		item(3, "too_many_receipts", "Look at the mail in Gmail: it holds too many receipts to be read at once"),
		item(2, "too_large", "Look at the mail in Gmail: it is too large to be read from there"),
		item(1, "unreadable", "Try again; if it fails again, look at the mail in Gmail"),
	}
	for _, query := range []string{"", "?limit=1", "?limit=2", "?limit=5", "?limit=200"} {
		var got []proto.SyncFailure
		pages, at := 0, errorsPath(job)+query
		for next := at; next != "" && pages <= len(all); pages++ {
			var list proto.List[proto.SyncFailure]
			s.do("GET", next, "").json(t, &list)
			got, next = append(got, list.Items...), ""
			if list.NextCursor != nil {
				next = at + "&cursor=" + *list.NextCursor
			}
		}
		diff(t, "failures "+query, got, all)
		if want := map[string]int{"?limit=1": 5, "?limit=2": 3}[query]; pages != max(want, 1) {
			t.Errorf("%d pages with %q", pages, query)
		}
	}

	s.do("GET", errorsPath(s.sync("")), "").want(t, 200, `{"success":true,"items":[],"next_cursor":null}`)
	for query, want := range map[string]string{
		"limit=0":      problemBody("Field 'limit' must be 1 to 200", "Correct 'limit' and send the request again", "invalid_field"),
		"cursor=a%20b": problemBody("Field 'cursor' must be the next_cursor of the page before", "Correct 'cursor' and send the request again", "invalid_field"),
		"page=2":       problemBody("Unknown field 'page'", "Leave 'page' out, or correct its name", "unknown_field"),
	} {
		s.do("GET", errorsPath(job)+"?"+query, "").want(t, 400, want)
	}
}

func TestFailuresAreTheBusinesssOwn(t *testing.T) {
	t.Parallel()
	s := live(t)
	job := s.failed("unreadable")
	stranger := as(t, auth.Principal{BusinessID: "other", Role: auth.RoleOwner})
	for _, row := range []struct {
		name, id string
		status   int
		want     string
		changes  []change
	}{
		{"another business", job, 404, noSuchJob, []change{stranger}},
		{"an operator with a key", job, 401, problemBody("Not signed in", "Sign in", "not_signed_in"), withKey},
		{"a job that runs through the queue alone", s.verify(""), 404, noSuchJob, nil},
		{"no such job", "nope", 404, noSuchJob, nil},
		{"no id", "a%7Bb", 404, noSuchJob, nil},
	} {
		t.Run(row.name, func(t *testing.T) {
			s.do("GET", errorsPath(row.id), "", row.changes...).want(t, row.status, row.want)
			s.do("POST", errorsPath(row.id)+"/retry", "", row.changes...).want(t, row.status, row.want)
		})
	}
	if owed := s.owed(); len(owed) > 0 {
		t.Errorf("strangers made %v owed", owed)
	}
}

func TestRetryOfFailures(t *testing.T) {
	t.Parallel()
	s := live(t, "SYNC_RATE_LIMIT=6/m")
	failed, other := s.failed("unreadable", "too_large"), s.failed()
	retry := func(changes ...change) answer {
		return s.do("POST", errorsPath(failed)+"/retry", "", changes...)
	}

	first := retry(with("Idempotency-Key", "k-1"))
	id := s.latest().JobID
	first.want(t, 202, `{"success":true,"message":"Sync job queued for processing","job_id":"`+id+`","status":"queued","retried":2}`)
	diff(t, "headers", []string{first.header.Get("Location"), first.header.Get("Retry-After"), first.header.Get("RateLimit")},
		[]string{syncPath + "/" + id, "1", `"sync";r=3`})
	diff(t, "owed", s.owed(), []string{messageID(2), messageID(1)})

	// A repeat is the same sync, and adds nothing.
	again := `{"success":true,"message":"Sync job queued for processing","job_id":"` + id + `","status":"queued"`
	retry(with("Idempotency-Key", "k-1")).want(t, 202, again+`,"retried":0}`)
	retry().want(t, 202, again+`,"deduplicated":true,"retried":0}`)
	if a := s.do("POST", errorsPath(other)+"/retry", "", with("Idempotency-Key", "k-1")); a.status != http.StatusUnprocessableEntity {
		t.Errorf("the key of one sync's retry took another's: %d %s", a.status, a.body)
	}

	_, job := s.claim()
	e, err := proto.DecodeEnvelope(job.Envelope)
	if err != nil || e.JobID != id || e.Mode != proto.ModeIncremental || e.Trigger != proto.TriggerUser || e.Params != (proto.Params{}) {
		t.Errorf("envelope = %+v, %v", e, err)
	}
	var list proto.List[proto.SyncFailure]
	s.do("GET", errorsPath(failed), "").json(t, &list)
	if len(list.Items) != 2 {
		t.Errorf("the list of the sync that failed on them has %d", len(list.Items))
	}
}

// Whatever becomes of the sync, what is owed is told, and is there for the next.
func TestRetryOfFailuresIsRefusedAsASyncIs(t *testing.T) {
	t.Parallel()
	noWorker := strings.TrimSuffix(fmt.Sprintf(noWorkerBody, "default"), "}") + `,"retried":1}`
	for _, row := range []struct {
		name     string
		settings string
		spoil    func(s *service)
		status   int
		want     string
	}{
		{"no worker", "GUARD_WAIT=1m", func(s *service) { s.redisDo("DEL", s.keys.QueueWorkers("default")) }, 503, noWorker},
		{
			"not connected", "GUARD_WAIT=1m", func(s *service) {
				s.redisDo("ZREM", s.keys.Businesses(), business)
				s.redisDo("HSET", s.keys.Connection(business), "state", "reconnect")
			}, 409,
			`{"success":false,"error":"Gmail is not connected","action":"Connect Gmail, then start the sync","technical_details":"not_connected; request_id={id}","retried":1}`,
		},
		{
			"over the limit", "SYNC_RATE_LIMIT=1/h", func(*service) {}, 429,
			`{"success":false,"error":"Too many syncs in a short time","action":"Wait before you start the next one","technical_details":"rate_limited; request_id={id}","retried":1}`,
		},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			s := live(t, row.settings)
			failed := s.failed("unreadable")
			row.spoil(s)
			key := with("Idempotency-Key", "k-1")
			s.do("POST", errorsPath(failed)+"/retry", "", key).want(t, row.status, row.want)
			diff(t, "owed", s.owed(), []string{messageID(1)})
			s.do("POST", errorsPath(failed)+"/retry", "", key).want(t, row.status, strings.Replace(row.want, `"retried":1`, `"retried":0`, 1))
		})
	}
}

func TestRetryOfFailuresWaitsForAWorkerThatRestarts(t *testing.T) {
	t.Parallel()
	s := live(t, "GUARD_WAIT=1m")
	failed := s.failed("unreadable")
	s.redisDo("DEL", s.keys.QueueWorkers("default"))
	s.redisDo("SET", s.keys.Left("default"), "1")
	looks := s.looked("default")
	answers := make(chan answer, 1)
	go func() { answers <- s.do("POST", errorsPath(failed)+"/retry", "") }()
	<-looks
	s.worker("default")
	if a := <-answers; a.status != http.StatusAccepted {
		t.Errorf("answer = %d %s", a.status, a.body)
	}
}

// What a sync that runs fails on again it would count twice.
func TestNoRetryOfWhatRuns(t *testing.T) {
	t.Parallel()
	s := live(t)
	id := s.sync("")
	s.failing("unreadable")
	s.do("POST", errorsPath(id)+"/retry", "").want(t, 409,
		`{"success":false,"error":"The sync has not ended yet","action":"Wait until it has ended, or cancel it","technical_details":"in_flight; request_id={id}","job_id":"`+id+`"}`)
	if owed := s.owed(); slices.Contains(owed, messageID(1)) {
		t.Errorf("owed %v", owed)
	}
}

func TestBadRetryOfFailures(t *testing.T) {
	t.Parallel()
	s := live(t)
	path := errorsPath(s.failed("unreadable")) + "/retry"
	s.do("POST", path, `{"mode":"full"}`).want(t, 400, problemBody("Unknown field 'mode'", "Leave 'mode' out, or correct its name", "unknown_field"))
	s.do("POST", path, `{}`, with("Idempotency-Key", strings.Repeat("k", 256))).want(t, 400,
		problemBody("Field 'Idempotency-Key' must be at most 255 characters", "Correct 'Idempotency-Key' and send the request again", "invalid_field"))
	if owed := s.owed(); len(owed) > 0 {
		t.Errorf("requests at fault made %v owed", owed)
	}
}

func TestRetryOfFailuresWithoutRedis(t *testing.T) {
	t.Parallel()
	s := serveOn(t, redistest.Reserve(t).URL())
	s.do("POST", errorsPath("any")+"/retry", "").want(t, 503, noRedisBody)
	s.wantResult("unavailable", 1)

	server := redistest.Start(t)
	full := serveOn(t, server.URL()).ready()
	full.connect(business)
	full.worker(proto.Queues()...)
	failed := full.failed("unreadable")
	fill(t, server.Addr)
	full.do("POST", errorsPath(failed)+"/retry", "").want(t, 503,
		problemBody("Redis has no memory left", "Give Redis more memory (maxmemory), or remove old data", "redis_full"))
}
