package httpapi

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/gorillamux"
	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"github.com/prosaas/receipts/pkg/auth"
	"github.com/prosaas/receipts/pkg/config"
	"github.com/prosaas/receipts/pkg/connection"
	"github.com/prosaas/receipts/pkg/queue"
	"github.com/prosaas/receipts/pkg/receiptstore"
	"github.com/prosaas/receipts/pkg/redisclient"
	"github.com/prosaas/receipts/pkg/redistest"
	"github.com/prosaas/receipts/pkg/registry"
	"github.com/prosaas/receipts/proto"
	"github.com/prosaas/receipts/services/receipts-api/internal/page"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	testSecret    = "a-secret-of-these-tests-0123456789"
	diagnosticKey = "a-diagnostic-key-of-these-tests-01"
	business      = "acme"
)

// service is an API over a real Redis, and the hands of a worker and of a
// connected business in it.
type service struct {
	*testing.T
	api      *API
	url      string
	client   *http.Client
	redis    *redisclient.Client
	keys     proto.Keys
	queue    *queue.Queue
	registry *registry.Registry
	receipts *receiptstore.Store
	metrics  *prometheus.Registry
	log      journal
}

// serve starts the API with a database of its own; settings are environment
// variables, which go before the defaults of these tests.
func serve(t *testing.T, settings ...string) *service {
	t.Helper()
	return serveOn(t, redistest.DB(t), settings...)
}

func serveOn(t *testing.T, redisURL string, settings ...string) *service {
	t.Helper()
	return serveOnBoth(t, redisURL, redisURL, settings...)
}

// serveOnBoth starts the API with the queue in one Redis and the store in another.
func serveOnBoth(t *testing.T, redisURL, storeURL string, settings ...string) *service {
	t.Helper()
	environ := []string{"JWT_SECRET=" + testSecret, "SYNC_RATE_LIMIT=0", "REDIS_URL=" + redisURL}
	if !slices.Contains(settings, "DIAGNOSTIC_KEYS=") { // nothing is no value: it would not replace another
		environ = append(environ, "DIAGNOSTIC_KEYS="+diagnosticKey)
	}
	cfg, err := config.LoadAPI(append(environ, settings...))
	if err != nil {
		t.Fatal(err)
	}
	log := make(journal, 10000)
	logger := slog.New(slog.NewJSONHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	redis, err := redisclient.Open(redisURL, redisclient.Options{Logger: logger})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(redis.Close)
	store := redis
	if storeURL != redisURL {
		if store, err = redisclient.Open(storeURL, redisclient.Options{Logger: logger, Store: true}); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(store.Close)
	}
	sealer, err := connection.NewSealer("")
	if err != nil {
		t.Fatal(err)
	}
	pages, err := page.New(page.Options{})
	if err != nil {
		t.Fatal(err)
	}
	keys := proto.MustKeys(cfg.QueuePrefix)
	s := &service{
		T: t, redis: redis, keys: keys, queue: queue.New(redis, keys), registry: registry.New(redis, keys),
		receipts: receiptstore.New(store, keys, receiptstore.Options{}), metrics: prometheus.NewPedanticRegistry(), log: log,
	}
	s.api = New(cfg, Parts{
		Redis: redis, Store: store, Keys: keys, Queue: s.queue, Registry: s.registry, Receipts: s.receipts,
		Connection: connection.New(store, redis, keys, connection.OAuth{}, sealer, connection.Options{}),
		Verifier:   auth.NewSecretVerifier([]byte(testSecret), auth.Options{}),
		Page:       pages, Metrics: s.metrics, Logger: logger, Version: "v1.2.3",
	}, Options{})
	server := httptest.NewServer(s.api)
	s.url, s.client = server.URL, server.Client()
	router, err := gorillamux.NewRouter(document(t))
	if err != nil {
		t.Fatal(err)
	}
	s.client.Transport = conforming{t, router, s.client.Transport}
	t.Cleanup(func() {
		s.api.Stop()
		server.Close()
	})
	return s
}

// journal is a log that a test can wait on.
type journal chan string

func (j journal) Write(line []byte) (int, error) {
	j <- string(line)
	return len(line), nil
}

// await reads on until a line has all of words, and answers it.
func (j journal) await(tb testing.TB, words ...string) string {
	tb.Helper()
	for timeout := time.After(20 * time.Second); ; {
		select {
		case line := <-j:
			if !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(line, w) }) {
				return line
			}
		case <-timeout:
			tb.Fatalf("the log never said %q", words)
		}
	}
}

// ready waits until the client has its connection.
func (s *service) ready() *service {
	s.Helper()
	select {
	case <-s.redis.Ready():
	case <-time.After(20 * time.Second):
		s.Fatal("redis did not come up")
	}
	return s
}

// answer is a response, read.
type answer struct {
	status int
	header http.Header
	body   string
}

// json decodes the answer's body.
func (a answer) json(tb testing.TB, into any) {
	tb.Helper()
	if err := json.Unmarshal([]byte(a.body), into); err != nil {
		tb.Fatalf("body %q: %v", a.body, err)
	}
}

var (
	detailsOf = regexp.MustCompile(`"technical_details":"([a-z_]+); request_id=[^"]*"`)
	fieldOf   = regexp.MustCompile(`"error":"(?:Unknown field|Field) '([^']*)'`)
)

// want fails unless the answer is that one. {id} in body is the request's id; the
// members code, request_id and field follow from the others.
func (a answer) want(tb testing.TB, status int, body string) {
	tb.Helper()
	members := `$0,"code":"$1","request_id":"{id}"`
	if m := fieldOf.FindStringSubmatch(body); m != nil {
		members += `,"field":"` + m[1] + `"`
	}
	body = strings.ReplaceAll(detailsOf.ReplaceAllString(body, members), "{id}", a.header.Get("X-Request-Id"))
	if a.status != status || strings.TrimSpace(a.body) != body {
		tb.Errorf("answer = %d %s\nwant     %d %s", a.status, a.body, status, body)
	}
}

// change is made to a request before it is sent.
type change func(*http.Request)

func with(name, value string) change {
	return func(r *http.Request) { r.Header.Set(name, value) }
}

func as(tb testing.TB, p auth.Principal) change {
	tb.Helper()
	return with("Authorization", "Bearer "+token(tb, p, time.Hour))
}

func token(tb testing.TB, p auth.Principal, ttl time.Duration) string {
	tb.Helper()
	signed, err := auth.Sign([]byte(testSecret), p, ttl, auth.Options{})
	if err != nil {
		tb.Fatal(err)
	}
	return signed
}

// do sends a request as a member of the business, but for what changes say.
func (s *service) do(method, path, body string, changes ...change) answer {
	s.Helper()
	a, err := s.try(method, path, body, changes...)
	if err != nil {
		s.Fatal(err)
	}
	return a
}

func (s *service) try(method, path, body string, changes ...change) (answer, error) {
	response, err := s.send(method, path, body, changes...)
	if err != nil {
		return answer{}, err
	}
	defer func() { _ = response.Body.Close() }()
	data, err := io.ReadAll(response.Body)
	return answer{response.StatusCode, response.Header, string(data)}, err
}

// send sends a request, whose answer is still to be read.
func (s *service) send(method, path, body string, changes ...change) (*http.Response, error) {
	r, err := http.NewRequestWithContext(s.Context(), method, s.url+path, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	member := as(s, auth.Principal{Subject: "dana", BusinessID: business, Role: auth.RoleMember})
	for _, c := range append([]change{member}, changes...) {
		c(r)
	}
	return s.client.Do(r)
}

// anonymous takes the token away.
func anonymous(r *http.Request) { r.Header.Del("Authorization") }

var anyCommand = redisclient.NewScript(`return redis.call(unpack(ARGV))`)

// redisDo runs one command on Redis itself.
func (s *service) redisDo(args ...string) {
	s.Helper()
	if _, err := s.redis.Run(s.Context(), anyCommand, []string{s.keys.Prefix()}, args...); err != nil && !redisclient.IsNil(err) {
		s.Fatalf("%v: %v", args, err)
	}
}

// connect lists the business as connected, as a connection does.
func (s *service) connect(id string) {
	s.Helper()
	s.redisDo("ZADD", s.keys.Businesses(), "0", id)
}

// worker registers a worker that listens on queues.
func (s *service) worker(queues ...string) string {
	s.Helper()
	name := registry.NewName("test")
	w := proto.Worker{Name: name, Queues: queues, Concurrency: 2, Version: "v1.2.3", Protocol: proto.Protocol, Prefix: s.keys.Prefix()}
	if err := s.registry.Register(s.Context(), w, time.Minute); err != nil {
		s.Fatal(err)
	}
	return name
}

// live is a service that takes syncs: connected, and with a worker.
func live(t *testing.T, settings ...string) *service {
	t.Helper()
	s := serve(t, settings...).ready()
	s.connect(business)
	s.worker(proto.Queues()...)
	return s
}

// conforming fails the test where an answer is not as the document has it.
type conforming struct {
	t    testing.TB
	doc  routers.Router
	next http.RoundTripper
}

func document(tb testing.TB) *openapi3.T {
	tb.Helper()
	doc, err := loadDocument()
	if err != nil {
		tb.Fatal(err)
	}
	return doc
}

var loadDocument = sync.OnceValues(func() (*openapi3.T, error) {
	doc, err := openapi3.NewLoader().LoadFromData([]byte(proto.OpenAPI))
	if err != nil {
		return nil, err
	}
	return doc, doc.Validate(context.Background())
})

func (c conforming) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := c.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	if response.Header.Get("Content-Type") == eventStream { // its events are checked as they are read
		if err := c.check(r, response, nil); err != nil {
			c.t.Errorf("%s answered %d, not as openapi.yaml has it: %v", r.URL.Path, response.StatusCode, err)
		}
		return response, nil
	}
	data, err := io.ReadAll(response.Body)
	_ = response.Body.Close()
	if err != nil {
		return nil, err
	}
	response.Body = io.NopCloser(bytes.NewReader(data))
	if err := isProblem(response, data); err != nil {
		c.t.Errorf("%s %s answered %d %s: %v", r.Method, r.URL.Path, response.StatusCode, data, err)
	}
	if err := c.check(r, response, data); err != nil {
		c.t.Errorf("%s %s answered %d, not as openapi.yaml has it: %v\n%s", r.Method, r.URL.Path, response.StatusCode, err, data)
	}
	return response, nil
}

// isProblem checks what openapi.yaml cannot say of an error: its code and request
// id are those of its headers, and the guard's 503 has four fields and no more.
func isProblem(response *http.Response, data []byte) error {
	var p map[string]any
	if response.StatusCode < 400 || json.Unmarshal(data, &p) != nil || p["technical_details"] == nil {
		return nil
	}
	code := response.Header.Get("X-Error-Code")
	if code == "no_worker" {
		delete(p, "retried")
		if len(p) != 4 {
			return fmt.Errorf("the guard's refusal has the fields %v", slices.Sorted(maps.Keys(p)))
		}
		return nil
	}
	if code == "" || p["code"] != code || p["request_id"] != response.Header.Get("X-Request-Id") {
		return fmt.Errorf("code %v and request id %v are not those of the headers: %q, %q", p["code"], p["request_id"], code, response.Header.Get("X-Request-Id"))
	}
	return nil
}

func (c conforming) check(r *http.Request, response *http.Response, data []byte) error {
	route, params, err := c.doc.FindRoute(r)
	if err != nil { // an address or a method that the document does not have
		if response.StatusCode != http.StatusNotFound && response.StatusCode != http.StatusMethodNotAllowed {
			return fmt.Errorf("the document has no such route: %w", err)
		}
		var p proto.Problem
		decoder := json.NewDecoder(bytes.NewReader(data))
		decoder.DisallowUnknownFields()
		return decoder.Decode(&p)
	}
	return openapi3filter.ValidateResponse(r.Context(), &openapi3filter.ResponseValidationInput{
		RequestValidationInput: &openapi3filter.RequestValidationInput{Request: r, PathParams: params, Route: route},
		Status:                 response.StatusCode, Header: response.Header, Body: io.NopCloser(bytes.NewReader(data)),
		Options: &openapi3filter.Options{IncludeResponseStatus: true, MultiError: true, ExcludeResponseBody: data == nil},
	})
}

func diff(tb testing.TB, what string, got, want any) {
	tb.Helper()
	if d := cmp.Diff(want, got); d != "" {
		tb.Errorf("%s (-want +got):\n%s", what, d)
	}
}
