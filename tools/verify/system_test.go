package verify

import (
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prosaas/receipts/pkg/auth"
	"github.com/prosaas/receipts/pkg/config"
	"github.com/prosaas/receipts/pkg/redistest"
	"github.com/prosaas/receipts/proto"
	"github.com/prosaas/receipts/tools/gmailsim"
	"github.com/prosaas/receipts/tools/gmailsim/mailbox"
)

const (
	jwtSecret     = "the-secret-of-these-tests-0123456789"
	diagnosticKey = "the-key-of-these-tests-0123456789abc"
	tokenKeys     = `{"keys":[{"kty":"oct","kid":"verify","alg":"A256GCMKW","k":"MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE"}]}`
	business      = "b1"
	guardWait     = time.Second

	mail = "From: Shop <billing@shop.example.com>\r\nTo: owner@example.com\r\nSubject: Your receipt\r\nDate: Mon, 2 Nov 2026 09:00:00 +0200\r\n\r\nReceipt no. 17. Total: $12.30\r\n"
)

// system is a deployment that runs: a Redis, an API, a worker, and simulated
// Gmail, with an engine that knows the worker.
type system struct {
	t        *testing.T
	common   []string // settings of both services
	admin    string   // where the worker's metrics are
	worker   *process // the first
	engine   *engine
	settings config.Verify // of whoever verifies it
}

// newSystem starts what a test wants: an API on redis, and a worker, unless its
// settings are nil.
func newSystem(t *testing.T, redis string, worker []string) *system {
	t.Helper()
	mails := t.TempDir()
	if err := os.WriteFile(filepath.Join(mails, "receipt.eml"), []byte(mail), 0o600); err != nil {
		t.Fatal(err)
	}
	box, err := gmailsim.OpenMailbox("owner@example.com", mails, mailbox.Options{})
	if err != nil {
		t.Fatal(err)
	}
	gmail := httptest.NewServer(gmailsim.New([]*mailbox.Mailbox{box}, gmailsim.Options{AutoConsent: true, Quota: gmailsim.QuotaOff}))
	t.Cleanup(gmail.Close)
	public, admin := freeAddr(t), freeAddr(t)
	s := &system{t: t, admin: freeAddr(t), common: []string{
		"REDIS_URL=" + redis, "LOG_FORMAT=json", "TOKEN_KEYS=" + tokenKeys,
		"GMAIL_ENDPOINT=" + gmail.URL, "OAUTH_AUTH_URL=" + gmail.URL + "/o/oauth2/v2/auth", "OAUTH_TOKEN_URL=" + gmail.URL + "/token", "OAUTH_REVOKE_URL=" + gmail.URL + "/revoke",
		"GOOGLE_CLIENT_ID=verify", "GOOGLE_CLIENT_SECRET=verify-secret",
	}}
	s.engine = newEngine(t, func() *process { return s.startWorker(freeAddr(t)) })
	if worker != nil {
		s.worker = s.startWorker(s.admin, worker...)
		s.worker.await(t, "WORKER_START")
		s.engine.change(func(e *engine) { e.add(serviceWorker, s.worker) })
	}
	api := launch(t, "receipts-api", append([]string{
		"API_ADDR=" + public, "API_ADMIN_ADDR=" + admin, "JWT_SECRET=" + jwtSecret, "DIAGNOSTIC_KEYS=" + diagnosticKey, "GUARD_WAIT=" + guardWait.String(),
		"GOOGLE_REDIRECT_URL=http://" + public + "/api/gmail/oauth/callback",
	}, s.common...))
	api.await(t, "receipts-api listens")
	api.await(t, "redis found")
	s.settings = config.Verify{
		Redis: config.Redis{RedisURL: config.Secret(redis)}, QueuePrefix: proto.DefaultPrefix,
		APIURL: "http://" + public, APIAdminURL: "http://" + admin, WorkerAdminURL: "http://" + s.admin,
		DiagnosticKeys: []config.Secret{diagnosticKey}, JWTSecret: jwtSecret,
	}
	return s
}

// startWorker starts a worker; more settings come behind and win.
func (s *system) startWorker(admin string, settings ...string) *process {
	return launch(s.t, "receipts-worker", append(append([]string{
		"WORKER_ADMIN_ADDR=" + admin, "HEARTBEAT_INTERVAL=250ms", "HEARTBEAT_TTL=3s", "GMAIL_QUOTA_PROFILE=off",
	}, s.common...), settings...))
}

// durable is a Redis as a deployment has it.
func durable(t *testing.T, args ...string) string {
	t.Helper()
	return redistest.Start(t, append([]string{"--appendonly", "yes", "--maxmemory", "256mb"}, args...)...).URL()
}

// wellSystem is a whole system, all well.
func wellSystem(t *testing.T) *system {
	t.Helper()
	return newSystem(t, durable(t), []string{})
}

// connect connects the business to its mailbox, without a browser.
func (s *system) connect() {
	s.t.Helper()
	token, err := auth.Sign([]byte(jwtSecret), auth.Principal{Subject: "test", BusinessID: business, Role: auth.RoleOwner}, time.Hour, auth.Options{})
	if err != nil {
		s.t.Fatal(err)
	}
	jar, err := cookiejar.New(nil)
	if err != nil {
		s.t.Fatal(err)
	}
	client := &http.Client{Jar: jar, Timeout: patience}
	r, err := http.NewRequestWithContext(s.t.Context(), http.MethodGet, s.settings.APIURL+"/api/gmail/oauth/start", nil)
	if err != nil {
		s.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	got, err := client.Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	body, err := io.ReadAll(got.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	start, err := read[proto.OAuthStart](answer{got.StatusCode, got.Header, body}, http.StatusOK)
	if err != nil {
		s.t.Fatal(err)
	}
	if got, err = client.Get(start.AuthURL); err != nil {
		s.t.Fatal(err)
	}
	if got.Request.URL.Query().Get("connected") != "true" {
		s.t.Fatalf("connecting ended at %s", got.Request.URL.Path)
	}
}

// open prepares to look at the system.
func (s *system) open(settings config.Verify) *Deployment {
	s.t.Helper()
	d, err := Open(settings, Options{Business: business, Docker: s.engine.docker})
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(d.Close)
	d.drill.hold = 5
	return d
}

// front stands before an address, and changes what a path answers: status, body,
// or both. It answers its own address.
func front(t *testing.T, at, path string, change func(*http.Response, string) string) string {
	t.Helper()
	to, err := url.Parse(at)
	if err != nil {
		t.Fatal(err)
	}
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(to)
			r.Out.Header.Del("Accept-Encoding")
		},
		ModifyResponse: func(r *http.Response) error {
			if !strings.HasPrefix(r.Request.URL.Path, path) {
				return nil
			}
			body, err := io.ReadAll(r.Body)
			if err != nil {
				return err
			}
			text := change(r, string(body))
			r.Body, r.ContentLength = io.NopCloser(strings.NewReader(text)), int64(len(text))
			r.Header.Set("Content-Length", strconv.Itoa(len(text)))
			return nil
		},
	}
	server := httptest.NewServer(proxy)
	t.Cleanup(server.Close)
	return server.URL
}

// says is an answer of that status with that body, whatever was answered.
func says(status int, body string) func(*http.Response, string) string {
	return func(r *http.Response, _ string) string {
		r.StatusCode = status
		return body
	}
}

var (
	ports     atomic.Int64
	portsFrom = sync.OnceValue(func() int64 { return int64(os.Getpid()) * 50 })
)

const firstPort, manyPorts = 15000, 15000

// freeAddr is an address that nothing listens on, and that no other test has.
// It lies below the ports that the kernel takes for connections.
func freeAddr(t *testing.T) string {
	t.Helper()
	for range manyPorts {
		port := firstPort + (ports.Add(1)+portsFrom())%manyPorts
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
