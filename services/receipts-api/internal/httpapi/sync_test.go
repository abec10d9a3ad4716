package httpapi

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prosaas/receipts/pkg/auth"
	"github.com/prosaas/receipts/pkg/connection"
	"github.com/prosaas/receipts/pkg/queue"
	"github.com/prosaas/receipts/pkg/redistest"
	"github.com/prosaas/receipts/proto"
)

const syncPath = "/api/receipts/sync"

const noWorkerBody = `{"success":false,"error":"Worker not running - receipts sync cannot start",` +
	`"action":"Deploy receipts-worker service listening to '%[1]s' queue",` +
	`"technical_details":"No active workers found listening to '%[1]s' queue"}`

func TestSyncIsQueued(t *testing.T) {
	t.Parallel()
	s := live(t, "SYNC_RATE_LIMIT=6/m")
	a := s.do("POST", syncPath, "", with("X-Request-Id", "req-7"))

	var accepted proto.SyncAccepted
	a.json(t, &accepted)
	diff(t, "answer", accepted, proto.SyncAccepted{
		Success: true, Message: "Sync job queued for processing", JobID: accepted.JobID, Status: proto.StateQueued,
	})
	diff(t, "headers", []string{
		a.header.Get("Location"), a.header.Get("Retry-After"), a.header.Get("RateLimit"), a.header.Get("RateLimit-Policy"), a.header.Get("X-Request-Id"),
	}, []string{syncPath + "/" + accepted.JobID, "1", `"sync";r=5`, `"sync";q=6;w=60`, "req-7"})

	_, claimed := s.claim()
	e, err := proto.DecodeEnvelope(claimed.Envelope)
	if err != nil {
		t.Fatal(err)
	}
	if e.JobID != accepted.JobID || e.BusinessID != business || e.Mode != proto.ModeIncremental || e.Trigger != proto.TriggerUser || e.Headers["request_id"] != "req-7" || !givenTrace.MatchString(e.Headers["traceparent"]) {
		t.Errorf("envelope = %+v", e)
	}
}

// claim takes a job as a worker of its own does.
func (s *service) claim() (worker string, job queue.Claimed) {
	s.Helper()
	worker = s.worker(proto.Queues()...)
	handed, err := s.queue.Claim(s.Context(), worker, proto.Queues(), 1, nil)
	if err != nil || len(handed.Jobs) != 1 {
		s.Fatalf("claimed %d jobs: %v", len(handed.Jobs), err)
	}
	return worker, handed.Jobs[0]
}

func TestBadSyncBodies(t *testing.T) {
	t.Parallel()
	s := live(t)
	problem := func(text, action, code string) string {
		return `{"success":false,"error":"` + text + `","action":"` + action + `","technical_details":"` + code + `; request_id={id}"}`
	}
	field := func(name, must string) string {
		return problem("Field '"+name+"' "+must, "Correct '"+name+"' and send the request again", "invalid_field")
	}
	notJSON := problem("The body is not one JSON object", "Send one JSON object, or no body at all", "invalid_body")
	day := "must be a day as YYYY-MM-DD, from 2004 to 2099"
	for _, row := range []struct {
		name, body string
		status     int
		want       string
	}{
		{"not JSON", `mode=full`, 400, notJSON},
		{"cut short", `{"mode":`, 400, notJSON},
		{"an array", `[]`, 400, notJSON},
		{"null", `null`, 400, notJSON},
		{"something after it", `{} {}`, 400, notJSON},
		{"an unknown field", `{"mod":"full"}`, 400, problem("Unknown field 'mod'", "Leave 'mod' out, or correct its name", "unknown_field")},
		{"a name in capitals", `{"Mode":"full"}`, 400, problem("Unknown field 'Mode'", "Leave 'Mode' out, or correct its name", "unknown_field")},
		{"a tenant", `{"business_id":"other"}`, 400, problem("Unknown field 'business_id'", "Leave 'business_id' out, or correct its name", "unknown_field")},
		{"a number for a string", `{"mode":1}`, 400, field("mode", "must be a string")},
		{"a string for a number", `{"months_back":"12"}`, 400, field("months_back", "must be a whole number")},
		{"a fraction", `{"max_messages":1.5}`, 400, field("max_messages", "must be a whole number")},
		{"a string for a boolean", `{"force":"yes"}`, 400, field("force", "must be true or false")},
		{"a wrong mode", `{"mode":"everything"}`, 400, field("mode", "must be 'incremental' or 'full'")},
		{"range is no mode", `{"mode":"range"}`, 400, field("mode", "must be 'incremental' or 'full'")},
		{"no months", `{"months_back":0}`, 400, field("months_back", "must be 1 to 120")},
		{"too many months", `{"mode":"full","months_back":121}`, 400, field("months_back", "must be 1 to 120")},
		{"no messages", `{"max_messages":0}`, 400, field("max_messages", "must be 1 to 100000")},
		{"too many messages", `{"max_messages":100001}`, 400, field("max_messages", "must be 1 to 100000")},
		{"no date", `{"from_date":"soon"}`, 400, field("from_date", day)},
		{"no such day", `{"to_date":"2026-02-29"}`, 400, field("to_date", day)},
		{"a time", `{"to_date":"2026-02-28T00:00:00Z"}`, 400, field("to_date", day)},
		{"before Gmail", `{"from_date":"1026-01-01"}`, 400, field("from_date", day)},
		{"from after to", `{"from_date":"2026-02-02","to_date":"2026-02-01"}`, 400, field("from_date", "must not be after to_date, or after today")},
		{"from after today", `{"from_date":"2098-01-01"}`, 400, field("from_date", "must not be after to_date, or after today")},
		{"dates with full", `{"mode":"full","to_date":"2026-02-01"}`, 400, field("mode", "must not be 'full' together with from_date or to_date")},
		{
			"a megabyte", `{"mode":"` + strings.Repeat("x", 1<<20) + `"}`, 413,
			problem("The body is larger than 64 KiB", "Send a smaller body", "body_too_large"),
		},
	} {
		t.Run(row.name, func(t *testing.T) {
			s.do("POST", syncPath, row.body).want(t, row.status, row.want)
		})
	}
	if jobs, err := s.queue.Recent(t.Context(), business, 50); err != nil || len(jobs) > 0 {
		t.Errorf("bad bodies made %d jobs, %v", len(jobs), err)
	}
	s.wantResult("invalid", 26)
}

func TestParallelSyncsAreOneJob(t *testing.T) {
	t.Parallel()
	s := live(t)
	var wg sync.WaitGroup
	answers := make([]answer, 20)
	for i := range answers {
		wg.Go(func() {
			var err error
			if answers[i], err = s.try("POST", syncPath, "{}"); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()

	ids, deduplicated := map[string]bool{}, 0
	for _, a := range answers {
		var accepted proto.SyncAccepted
		a.json(t, &accepted)
		if a.status != http.StatusAccepted {
			t.Errorf("answer = %d %s", a.status, a.body)
		}
		ids[accepted.JobID] = true
		if accepted.Deduplicated {
			deduplicated++
		}
	}
	if len(ids) != 1 || deduplicated != 19 {
		t.Errorf("%d jobs, %d deduplicated: want 1 and 19", len(ids), deduplicated)
	}
	s.wantResult("queued", 1)
	s.wantResult("in_flight", 19)
}

func TestSyncWhileOneIsInFlight(t *testing.T) {
	t.Parallel()
	s := live(t)
	var first proto.SyncAccepted
	s.do("POST", syncPath, `{"mode":"full"}`).json(t, &first)
	_, job := s.claim()

	for _, row := range []struct{ name, body string }{
		{"the same", `{"mode":"full"}`},
		{"the same, said otherwise", `{"mode":"full_backfill","months_back":36,"force":false}`},
		{"incremental", ``},
	} {
		t.Run(row.name, func(t *testing.T) {
			s.do("POST", syncPath, row.body).want(t, 202,
				`{"success":true,"message":"Sync job queued for processing","job_id":"`+first.JobID+`","status":"started","deduplicated":true}`)
		})
	}
	s.do("POST", syncPath, `{"mode":"full","months_back":12}`).want(t, 409,
		`{"success":false,"error":"Another sync is in progress","action":"Wait until it has ended, or cancel it","technical_details":"in_flight; request_id={id}","job_id":"`+first.JobID+`"}`)

	if a := s.do("POST", syncPath+"/"+job.JobID+"/cancel", ""); a.status != http.StatusOK {
		t.Fatalf("cancel answered %d %s", a.status, a.body)
	}
	a := s.do("POST", syncPath, "")
	a.want(t, 409, `{"success":false,"error":"The sync before is still being canceled","action":"Try again in a moment","technical_details":"canceling; request_id={id}","job_id":"`+first.JobID+`"}`)
	diff(t, "Retry-After", a.header.Get("Retry-After"), "2")
}

// One line at INFO says who asked for which job, also for one that was there already.
func TestAcceptedSyncIsLogged(t *testing.T) {
	t.Parallel()
	s := live(t)
	for _, again := range []bool{false, true} {
		var accepted proto.SyncAccepted
		if err := json.Unmarshal([]byte(s.do("POST", syncPath, "").body), &accepted); err != nil {
			t.Fatal(err)
		}
		type fields struct {
			Level        string
			JobID        string `json:"job_id"`
			BusinessID   string `json:"business_id"`
			Role         string
			Deduplicated bool
		}
		var line fields
		if err := json.Unmarshal([]byte(s.log.await(t, "job accepted")), &line); err != nil {
			t.Fatal(err)
		}
		diff(t, "line", line, fields{"INFO", accepted.JobID, business, "member", again})
	}
}

func TestSyncWithoutWorker(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"default", "high"} {
		s := serve(t, "SYNC_QUEUE="+name, "GUARD_WAIT=1m").ready()
		s.connect(business)
		s.worker("low") // listens, but not there

		a := s.do("POST", syncPath, "{}")
		a.want(t, 503, fmt.Sprintf(noWorkerBody, name))
		diff(t, "X-Error-Code", a.header.Get("X-Error-Code"), "no_worker")
		if line := s.log.await(t, `"msg":"`); !strings.Contains(line, "request answered") { // the first line: nothing was waited for
			t.Errorf("not refused at once: %s", line)
		}
		diff(t, "Retry-After", a.header.Get("Retry-After"), "10")
		s.wantResult("no_worker", 1)
	}
}

func TestSyncWithoutConnection(t *testing.T) {
	t.Parallel()
	s := serve(t).ready()
	s.worker("default")
	s.do("POST", syncPath, "").want(t, 409,
		`{"success":false,"error":"Gmail is not connected","action":"Connect Gmail, then start the sync","technical_details":"not_connected; request_id={id}"}`)
}

func TestSyncMendsTheIndexOfConnectedBusinesses(t *testing.T) {
	t.Parallel()
	s := serve(t).ready()
	s.worker("default")
	s.redisDo("HSET", s.keys.Connection(business), "state", "connected", "epoch", "1", "address", "a@example.com")
	if a := s.do("POST", syncPath, ""); a.status != http.StatusAccepted {
		t.Errorf("answer = %d %s", a.status, a.body)
	}
}

func TestSyncLimits(t *testing.T) {
	t.Parallel()
	t.Run("rate", func(t *testing.T) {
		t.Parallel()
		s := live(t, "SYNC_RATE_LIMIT=1/h")
		var first proto.SyncAccepted
		s.do("POST", syncPath, "").json(t, &first)
		s.do("POST", syncPath+"/"+first.JobID+"/cancel", "")
		a := s.do("POST", syncPath, "")
		a.want(t, 429, `{"success":false,"error":"Too many syncs in a short time","action":"Wait before you start the next one","technical_details":"rate_limited; request_id={id}"}`)
		wait := a.header.Get("Retry-After")
		if got, want := a.header.Get("RateLimit"), `"sync";r=0;t=`+wait; got != want || wait == "" {
			t.Errorf("RateLimit = %s, want %s", got, want)
		}
	})
	t.Run("depth", func(t *testing.T) {
		t.Parallel()
		s := live(t, "QUEUE_DEPTH_LIMIT=1")
		s.connect("other")
		s.do("POST", syncPath, "")
		a := s.do("POST", syncPath, "", as(t, auth.Principal{BusinessID: "other", Role: auth.RoleMember}))
		a.want(t, 503, `{"success":false,"error":"Too many syncs are waiting","action":"Try again in a while; if it goes on, start more workers","technical_details":"queue_full; request_id={id}"}`)
	})
}

func TestIdempotencyKey(t *testing.T) {
	t.Parallel()
	s := live(t)
	key := with("Idempotency-Key", "k-1")
	first := s.do("POST", syncPath, `{"mode":"full","force":true}`, key)
	s.do("POST", syncPath, `{ "force": true, "mode": "full" }`, key).want(t, 202, strings.TrimSpace(first.body))
	s.do("POST", syncPath, `{"mode":"full"}`, key).want(t, 422,
		`{"success":false,"error":"The Idempotency-Key was used with another body","action":"Use a new key for a new request","technical_details":"idempotency_mismatch; request_id={id}","job_id":"`+s.latest().JobID+`"}`)
	s.do("POST", syncPath, ``, with("Idempotency-Key", strings.Repeat("k", 256))).want(t, 400,
		`{"success":false,"error":"Field 'Idempotency-Key' must be at most 255 characters","action":"Correct 'Idempotency-Key' and send the request again","technical_details":"invalid_field; request_id={id}"}`)
}

func (s *service) latest() proto.Job {
	s.Helper()
	job, err := s.queue.Latest(s.Context(), business)
	if err != nil {
		s.Fatal(err)
	}
	return job
}

func TestRefusedSyncKeepsNoIdempotencyKey(t *testing.T) {
	t.Parallel()
	s := serve(t).ready()
	s.connect(business)
	key := with("Idempotency-Key", "k-1")
	if a := s.do("POST", syncPath, `{"mode":"full"}`, key); a.status != http.StatusServiceUnavailable {
		t.Fatalf("answer = %d %s", a.status, a.body)
	}
	s.worker("default")
	if a := s.do("POST", syncPath, `{}`, key); a.status != http.StatusAccepted {
		t.Errorf("answer = %d %s", a.status, a.body)
	}
}

const noRedisBody = `{"success":false,"error":"Redis not available - receipts sync cannot start",` +
	`"action":"Try again in a moment; if it goes on, start Redis or correct REDIS_URL","technical_details":"redis_unavailable; request_id={id}"}`

func TestSyncWithoutRedis(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name string
		lose func(*testing.T) *service
	}{
		{"never there", func(t *testing.T) *service {
			t.Helper()
			return serveOn(t, redistest.Reserve(t).URL())
		}},
		{"killed", func(t *testing.T) *service {
			t.Helper()
			server := redistest.Start(t)
			s := serveOn(t, server.URL()).ready()
			server.Kill()
			return s
		}},
		{"frozen", func(t *testing.T) *service {
			t.Helper()
			server := redistest.Start(t)
			s := serveOn(t, server.URL()).ready()
			server.Freeze()
			return s
		}},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			s := row.lose(t)
			s.do("POST", syncPath, "").want(t, 503, noRedisBody)
			s.wantResult("unavailable", 1)
		})
	}
}

func TestSyncOnFullRedis(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	s := serveOn(t, server.URL()).ready()
	s.connect(business)
	s.worker("default")
	fill(t, server.Addr)
	s.do("POST", syncPath, "").want(t, 503,
		`{"success":false,"error":"Redis has no memory left","action":"Give Redis more memory (maxmemory), or remove old data","technical_details":"redis_full; request_id={id}"}`)
}

// fill leaves a Redis no memory: a script may not do this.
func fill(t *testing.T, addr string) {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if _, err := fmt.Fprint(conn, "CONFIG SET maxmemory 1\r\n"); err != nil {
		t.Fatal(err)
	}
	if reply, err := bufio.NewReader(conn).ReadString('\n'); err != nil || reply != "+OK\r\n" {
		t.Fatalf("CONFIG SET: %q, %v", reply, err)
	}
}

// Days are those of the business: today is another one in each of these zones.
func TestTodayIsTheBusinesss(t *testing.T) {
	t.Parallel()
	const ahead = "Pacific/Kiritimati"
	zone, err := time.LoadLocation(ahead)
	if err != nil {
		t.Fatal(err)
	}
	s := live(t, "DEFAULT_TIME_ZONE=Pacific/Niue")
	today := time.Now().In(zone).Format(time.DateOnly)
	body := `{"from_date":"` + today + `"}`
	s.do("POST", syncPath, body).want(t, 400,
		problemBody("Field 'from_date' must not be after to_date, or after today", "Correct 'from_date' and send the request again", "invalid_field"))
	s.choose("other", connection.Settings{TimeZone: ahead})
	if a := s.do("POST", syncPath, body); a.status != http.StatusBadRequest {
		t.Errorf("it is today where another business is: %d %s", a.status, a.body)
	}
	s.choose(business, connection.Settings{TimeZone: ahead})
	s.sync(body)
	if job := s.latest(); job.FromDate == nil || *job.FromDate != today || job.ToDate == nil || *job.ToDate < today {
		t.Errorf("from %v to %v, want today, %s", job.FromDate, job.ToDate, today)
	}

	s.redisDo("HSET", s.keys.Settings(business), "time_zone", "Nowhere/City")
	if a := s.do("POST", syncPath, body); a.status != http.StatusInternalServerError {
		t.Errorf("nowhere it is today: %d %s", a.status, a.body)
	}
}

func (s *service) choose(business string, settings connection.Settings) {
	s.Helper()
	if err := s.api.Connection.Choose(s.Context(), business, settings); err != nil {
		s.Fatal(err)
	}
}

func TestPlan(t *testing.T) {
	t.Parallel()
	str := func(s string) *string { return &s }
	num := func(n int) *int { return &n }
	zone, err := time.LoadLocation("Asia/Jerusalem")
	if err != nil {
		t.Fatal(err)
	}
	// In Jerusalem it is the next day already.
	today := func() (time.Time, error) { return time.Date(2026, 3, 30, 22, 30, 0, 0, time.UTC).In(zone), nil }
	yes, no := true, false
	for _, row := range []struct {
		name string
		ask  proto.SyncRequest
		mode proto.Mode
		want proto.Params
	}{
		{"nothing", proto.SyncRequest{}, proto.ModeIncremental, proto.Params{}},
		{"incremental does not look back", proto.SyncRequest{Mode: str("incremental"), MonthsBack: num(3)}, proto.ModeIncremental, proto.Params{}},
		{"full", proto.SyncRequest{Mode: str("full")}, proto.ModeFull, proto.Params{MonthsBack: 36}},
		{"full, by its old name", proto.SyncRequest{Mode: str("full_backfill"), MonthsBack: num(36), Force: &no}, proto.ModeFull, proto.Params{MonthsBack: 36}},
		{"limits", proto.SyncRequest{MaxMessages: num(100000), Force: &yes}, proto.ModeIncremental, proto.Params{MaxMessages: 100000, Force: true}},
		{"a range", proto.SyncRequest{FromDate: str("2024-02-29"), ToDate: str("2024-02-29"), MonthsBack: num(5)}, proto.ModeRange, proto.Params{FromDate: "2024-02-29", ToDate: "2024-02-29"}},
		{"from a day to today", proto.SyncRequest{Mode: str("incremental"), FromDate: str("2026-03-31")}, proto.ModeRange, proto.Params{FromDate: "2026-03-31", ToDate: "2026-03-31"}},
		{"up to a day", proto.SyncRequest{ToDate: str("2026-03-15")}, proto.ModeRange, proto.Params{FromDate: "2023-03-15", ToDate: "2026-03-15"}},
		{"a month back to a short month", proto.SyncRequest{ToDate: str("2026-03-31"), MonthsBack: num(1)}, proto.ModeRange, proto.Params{FromDate: "2026-02-28", ToDate: "2026-03-31"}},
		{"over the turn of the year", proto.SyncRequest{ToDate: str("2026-01-31"), MonthsBack: num(2)}, proto.ModeRange, proto.Params{FromDate: "2025-11-30", ToDate: "2026-01-31"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			mode, params, err := plan(row.ask, today)
			if err != nil {
				t.Fatal(err)
			}
			diff(t, "mode", mode, row.mode)
			diff(t, "params", params, row.want)
		})
	}
}
