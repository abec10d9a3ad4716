package httpapi

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"testing"

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

func TestErrorsOfTheServerItself(t *testing.T) {
	t.Parallel()
	s := serve(t).ready()
	nothing := problemBody("There is nothing here", "Check the address; /openapi.yaml lists every route", "not_found")
	for _, path := range []string{"/nope", "/api", "/metrics"} {
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
	// The document has no 500 for these: asked past the check.
	plain := &service{T: t, url: s.url, client: http.DefaultClient}
	t.Cleanup(http.DefaultClient.CloseIdleConnections)
	plain.do("GET", "/livez", "").want(t, 500, want)
	s.log.await(t, `"level":"ERROR"`, "the secret cause", "routes_test.go")
	plain.do("GET", "/version", "").want(t, 500, want)
	s.log.await(t, `"level":"ERROR"`, context.DeadlineExceeded.Error())
}
