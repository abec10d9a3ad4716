package httpapi

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/prosaas/receipts/pkg/redistest"
	"github.com/prosaas/receipts/proto"
)

func TestRoutesAreThoseOfTheDocument(t *testing.T) {
	t.Parallel()
	var routes, documented []string
	for _, r := range serve(t).api.routes() {
		var path []string
		for part := range strings.SplitSeq(r.path, "/") {
			if name, isParam := strings.CutPrefix(part, ":"); isParam {
				part = "{" + name + "}"
			}
			path = append(path, part)
		}
		routes = append(routes, r.method+" "+strings.Join(path, "/"))
	}
	for path, item := range document(t).Paths.Map() {
		for method := range item.Operations() {
			documented = append(documented, method+" "+path)
		}
	}
	slices.Sort(routes)
	slices.Sort(documented)
	diff(t, "routes", routes, documented)
}

func TestHealth(t *testing.T) {
	t.Parallel()
	s := serve(t).ready()
	s.do("GET", "/livez", "", anonymous).want(t, 200, `{"status":"ok"}`)
	s.do("GET", "/readyz", "", anonymous).want(t, 200, `{"status":"ready"}`)
	s.do("GET", "/version", "", anonymous).want(t, 200, `{"version":"v1.2.3"}`)
	if a := s.do("GET", "/openapi.yaml", "", anonymous); a.status != 200 || a.body != proto.OpenAPI {
		t.Errorf("/openapi.yaml answered %d, %d bytes", a.status, len(a.body))
	}

	away := serveOn(t, redistest.Reserve(t).URL())
	away.do("GET", "/livez", "").want(t, 200, `{"status":"ok"}`)
	away.do("GET", "/readyz", "").want(t, 503,
		problemBody("Redis not available", "Try again in a moment; if it goes on, start Redis or correct REDIS_URL", "redis_unavailable"))
}

// unchecked asks for what the document does not have.
func (s *service) unchecked() *service {
	s.Helper()
	transport := &http.Transport{}
	s.Cleanup(transport.CloseIdleConnections)
	return &service{T: s.T, url: s.url, client: &http.Client{Transport: transport}}
}

func TestHead(t *testing.T) {
	t.Parallel()
	s := serve(t).ready()
	s.store(receiptOf("Acme", "12.30", "ILS", "2026-01-31T21:59:59Z", proto.TypeInvoice, false))
	plain := s.unchecked()
	for _, row := range []struct {
		path   string
		status int
	}{
		{"/livez", 200},
		{"/readyz", 200},
		{"/version", 200},
		{"/openapi.yaml", 200},
		{"/", 200},
		{"/assets/index.js", 200},
		{"/assets/none.js", 404},
		{"/api/receipts", 200},
		{"/api/receipts/none", 404},
		{"/api/gmail/oauth/start", 405}, // it would begin to connect
		{"/api/gmail/oauth/callback", 405},
		{syncPath + "/none/events", 404}, // it would stream
	} {
		head, get := plain.do("HEAD", row.path, ""), plain.do("GET", row.path, "")
		if head.status != row.status || head.body != "" {
			t.Errorf("HEAD %s = %d %q, want %d", row.path, head.status, head.body, row.status)
		}
		if row.status == 200 && head.header.Get("Content-Type") != get.header.Get("Content-Type") {
			t.Errorf("HEAD %s has type %s, GET %s", row.path, head.header.Get("Content-Type"), get.header.Get("Content-Type"))
		}
	}
}

func TestAccessLog(t *testing.T) {
	t.Parallel()
	s := serve(t)
	s.ready().do("POST", syncPath, "") // nobody is connected, no worker listens
	away := serveOn(t, redistest.Reserve(t).URL())
	away.do("GET", "/readyz", "")
	for _, row := range []struct {
		log          journal
		route, level string
	}{
		{s.log, syncPath, "WARN"},
		{away.log, "/readyz", "WARN"},
	} {
		var line struct{ Level, Duration string }
		if err := json.Unmarshal([]byte(row.log.await(t, "request answered", `"status":503`, row.route)), &line); err != nil {
			t.Fatal(err)
		}
		if took, err := time.ParseDuration(line.Duration); line.Level != row.level || err != nil || took <= 0 {
			t.Errorf("%s was logged as %s, duration %q", row.route, line.Level, line.Duration)
		}
	}
}

func TestErrorsOfTheServerItself(t *testing.T) {
	t.Parallel()
	s := serve(t).ready()
	nothing := problemBody("There is nothing here", "Check the address; /openapi.yaml lists every route", "not_found")
	for _, path := range []string{"/nope", "/api", "/metrics", "/assets/none.js", "/assets/..%2fpage.go", "/assets/"} {
		s.do("GET", path, "").want(t, 404, nothing)
	}
	a := s.do("PUT", syncPath, "")
	a.want(t, 405, problemBody("This address does not take that method", "Use one of those in the Allow header", "method_not_allowed"))
	if got := a.header.Get("Allow"); !strings.Contains(got, "GET") || !strings.Contains(got, "POST") {
		t.Errorf("Allow = %s", got)
	}
	diff(t, "headers", []string{a.header.Get("X-Content-Type-Options"), a.header.Get("Cache-Control")}, []string{"nosniff", "no-store"})
	if got := s.do("GET", "/nope", "", with("X-Request-Id", "two words")).header.Get("X-Request-Id"); got == "two words" {
		t.Error("a malformed request id was taken over")
	}
}

func TestPanicsAndTheirCauses(t *testing.T) {
	t.Parallel()
	s := serve(t)
	e := s.api.handler.(*echo.Echo)
	e.GET("/livez", func(echo.Context) error { panic("the secret cause") })
	e.GET("/version", func(echo.Context) error { return context.DeadlineExceeded })

	want := problemBody("Something went wrong on our side", "Try again; if it happens again, tell support the request id", "internal")
	plain := s.unchecked() // the document has no 500 for these
	plain.do("GET", "/livez", "").want(t, 500, want)
	s.log.await(t, `"level":"ERROR"`, "the secret cause", "routes_test.go")
	plain.do("GET", "/version", "").want(t, 500, want)
	s.log.await(t, `"level":"ERROR"`, context.DeadlineExceeded.Error())
}
