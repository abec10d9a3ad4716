package e2e

import (
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prosaas/receipts/pkg/auth"
	"github.com/prosaas/receipts/pkg/redistest"
	"github.com/prosaas/receipts/tools/gmailsim"
	"github.com/prosaas/receipts/tools/gmailsim/mailbox"
)

const (
	jwtSecret     = "the-secret-of-these-tests-0123456789"
	diagnosticKey = "the-key-of-these-tests-0123456789abc"
	tokenKeys     = `{"keys":[{"kty":"oct","kid":"e2e","alg":"A256GCMKW","k":"MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE"}]}`
	owner         = "owner@example.com"
)

// system is a Redis, a simulated Gmail, and the settings of the programs that
// meet there.
type system struct {
	t     *testing.T
	redis string // its URL
	sim   *gmailsim.Sim
	gmail string // its address

	// release is the folder of the programs that are started: empty for today's.
	release string

	mu    sync.Mutex
	holds []*hold
}

// options are what a test wants otherwise.
type options struct {
	redis   string   // empty: a database of this test's own
	mails   int      // in each mailbox; 0 is 120
	boxes   []string // addresses; none: owner's alone
	consent bool     // Google asks, instead of agreeing at once
}

func newSystem(t *testing.T, opts options) *system {
	t.Helper()
	if opts.redis == "" {
		opts.redis = redistest.DB(t)
	}
	if opts.mails == 0 {
		opts.mails = 120
	}
	if opts.boxes == nil {
		opts.boxes = []string{owner}
	}
	s := &system{t: t, redis: opts.redis}
	var boxes []*mailbox.Mailbox
	for _, address := range opts.boxes {
		box, err := gmailsim.OpenMailbox(address, "seed:"+strconv.Itoa(opts.mails), mailbox.Options{})
		if err != nil {
			t.Fatal(err)
		}
		boxes = append(boxes, box)
	}
	s.sim = gmailsim.New(boxes, gmailsim.Options{AutoConsent: !opts.consent, Quota: gmailsim.QuotaOff, OnCall: s.onCall})
	server := httptest.NewServer(s.sim)
	s.gmail = server.URL
	t.Cleanup(func() {
		s.mu.Lock()
		for _, h := range s.holds {
			h.release()
		}
		s.mu.Unlock()
		server.CloseClientConnections()
		server.Close()
	})
	return s
}

// settings are those of both programs; more come behind and win.
func (s *system) settings(more ...string) []string {
	return append([]string{
		"REDIS_URL=" + s.redis, "LOG_FORMAT=json", "TOKEN_KEYS=" + tokenKeys,
		"GMAIL_ENDPOINT=" + s.gmail, "OAUTH_AUTH_URL=" + s.gmail + "/o/oauth2/v2/auth", "OAUTH_TOKEN_URL=" + s.gmail + "/token", "OAUTH_REVOKE_URL=" + s.gmail + "/revoke",
		"GOOGLE_CLIENT_ID=e2e", "GOOGLE_CLIENT_SECRET=e2e-secret",
	}, more...)
}

// worker is a receipts-worker that runs.
type worker struct {
	*process
	admin string
}

// startWorker starts a worker. Whether it has registered is its log's to tell.
func (s *system) startWorker(settings ...string) *worker {
	s.t.Helper()
	admin := freeAddr(s.t)
	environ := s.settings(append([]string{"WORKER_ADMIN_ADDR=" + admin, "GMAIL_QUOTA_PROFILE=off"}, settings...)...)
	return &worker{launch(s.t, filepath.Join(s.release, "receipts-worker"), environ), "http://" + admin}
}

// registered waits until the worker is in the registry, and answers its name there.
func (w *worker) registered() string {
	w.t.Helper()
	name, _ := w.awaitEvent("🔔 WORKER_START")["name"].(string)
	return name
}

// api is a receipts-api that runs.
type api struct {
	*process
	url, admin string
}

// startAPI starts an API, and waits until it is ready.
func (s *system) startAPI(settings ...string) *api {
	s.t.Helper()
	a := s.launchAPI(settings...)
	a.awaitReady()
	return a
}

// launchAPI starts an API, without a limit on syncs, and waits until it listens.
func (s *system) launchAPI(settings ...string) *api {
	s.t.Helper()
	public, admin := freeAddr(s.t), freeAddr(s.t)
	environ := s.settings(append([]string{
		"API_ADDR=" + public, "API_ADMIN_ADDR=" + admin, "JWT_SECRET=" + jwtSecret, "DIAGNOSTIC_KEYS=" + diagnosticKey,
		"GOOGLE_REDIRECT_URL=http://" + public + "/api/gmail/oauth/callback", "SYNC_RATE_LIMIT=0",
	}, settings...)...)
	a := &api{launch(s.t, filepath.Join(s.release, "receipts-api"), environ), "http://" + public, "http://" + admin}
	a.awaitEvent("receipts-api listens")
	return a
}

// ports are handed out below those that the kernel takes for connections, so
// that none is gone again before its program listens there.
var ports atomic.Int64

const firstPort, manyPorts = 15000, 15000

// awaitReady waits until the API has its Redis.
func (a *api) awaitReady() {
	a.t.Helper()
	anybody := &client{t: a.t, api: a.url, http: http.DefaultClient}
	eventually(a.t, "an API that is ready", func() bool { return anybody.call(http.MethodGet, "/readyz", "").status == http.StatusOK })
}

// freeAddr is an address that nothing listens on, and that no other test has.
func freeAddr(t *testing.T) string {
	t.Helper()
	for range manyPorts {
		port := firstPort + (ports.Add(1)+int64(os.Getpid())*50)%manyPorts
		listener, err := net.Listen("tcp", "127.0.0.1:"+strconv.FormatInt(port, 10))
		if err != nil {
			continue
		}
		_ = listener.Close()
		return listener.Addr().String()
	}
	t.Fatal("no port is free")
	return ""
}

func token(t *testing.T, business string, role auth.Role) string {
	t.Helper()
	signed, err := auth.Sign([]byte(jwtSecret), auth.Principal{Subject: "e2e", BusinessID: business, Role: role}, time.Hour, auth.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

// hold keeps Gmail from answering one kind of call, from the nth on.
type hold struct {
	method  string
	left    int
	reached chan struct{} // closed with the nth call
	over    chan struct{}
	once    sync.Once
}

func (s *system) hold(method string, nth int) *hold {
	s.mu.Lock()
	defer s.mu.Unlock()
	h := &hold{method: method, left: nth, reached: make(chan struct{}), over: make(chan struct{})}
	s.holds = append(s.holds, h)
	return h
}

// release lets every held call go on, and all that come later.
func (h *hold) release() { h.once.Do(func() { close(h.over) }) }

// await waits until a call is held.
func (h *hold) await(t *testing.T) {
	t.Helper()
	select {
	case <-h.reached:
	case <-time.After(patience):
		t.Fatalf("Gmail was not asked for %s often enough", h.method)
	}
}

func (s *system) onCall(method, _ string) {
	s.mu.Lock()
	var wait []*hold
	for _, h := range s.holds {
		if !strings.HasPrefix(method, h.method) {
			continue
		}
		h.left--
		if h.left == 0 {
			close(h.reached)
		}
		if h.left <= 0 {
			wait = append(wait, h)
		}
	}
	s.mu.Unlock()
	for _, h := range wait {
		<-h.over
	}
}
