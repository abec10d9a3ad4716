package gmailsim

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/oauth2"
	"google.golang.org/api/gmail/v1"
	"google.golang.org/api/googleapi"
	"google.golang.org/api/option"

	"github.com/prosaas/receipts/tools/gmailsim/mailbox"
	"github.com/prosaas/receipts/tools/gmailsim/mailgen"
)

// clock is the time of a test.
type clock struct {
	mu sync.Mutex
	t  time.Time
}

func newClock() *clock { return &clock{t: time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)} }

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

// bench is a simulator that listens, with the real client. Every answer of a
// Gmail call is checked against the discovery document.
type bench struct {
	*Sim
	box    *mailbox.Mailbox
	clock  *clock
	url    string
	client *gmail.Service
	schema *schemaTransport
}

const ownerAddress = "owner@example.com"

func newBench(t *testing.T, mails int, opts Options) *bench {
	t.Helper()
	return newBenchOf(t, mails, opts, mailbox.Options{})
}

func newBenchOf(t *testing.T, mails int, opts Options, habits mailbox.Options) *bench {
	t.Helper()
	b := &bench{clock: newClock()}
	if opts.Now == nil {
		opts.Now = b.clock.now
	}
	habits.Now = opts.Now
	b.box = mailbox.New(ownerAddress, mailgen.New(1, mails, b.clock.now()), habits)
	other := mailbox.New("other@example.com", mailgen.New(2, 12, b.clock.now()), mailbox.Options{Now: opts.Now})
	b.Sim = New([]*mailbox.Mailbox{b.box, other}, opts)
	server := httptest.NewServer(b.Sim)
	t.Cleanup(server.Close)
	b.url = server.URL
	b.schema = &schemaTransport{
		t: t, doc: discovery(t), base: http.DefaultTransport, checked: make(map[string]int),
		faulty: func() bool { return len(b.Faults()) > 0 },
	}
	access, _ := b.Grant(ownerAddress, ScopeReadonly)
	b.client = b.clientWith(t, access)
	return b
}

// clientWith is the real client with that access token.
func (b *bench) clientWith(t *testing.T, access string) *gmail.Service {
	t.Helper()
	return b.clientOver(t, access, b.schema)
}

// plainClient is the real client, its answers unchecked: for what breaks the
// schema on purpose.
func (b *bench) plainClient(t *testing.T, access string) *gmail.Service {
	t.Helper()
	return b.clientOver(t, access, http.DefaultTransport)
}

func (b *bench) clientOver(t *testing.T, access string, base http.RoundTripper) *gmail.Service {
	t.Helper()
	transport := &oauth2.Transport{Source: oauth2.StaticTokenSource(&oauth2.Token{AccessToken: access}), Base: base}
	client, err := gmail.NewService(t.Context(), option.WithEndpoint(b.url),
		option.WithHTTPClient(&http.Client{Transport: transport}), option.WithUserAgent("bench (gzip)"))
	if err != nil {
		t.Fatal(err)
	}
	return client
}

func (b *bench) listAll(t *testing.T, q string) []string {
	t.Helper()
	var ids []string
	err := b.client.Users.Messages.List("me").Q(q).MaxResults(500).Pages(t.Context(), func(page *gmail.ListMessagesResponse) error {
		for _, m := range page.Messages {
			ids = append(ids, m.Id)
		}
		return nil
	})
	if err != nil {
		t.Fatalf("list %q: %v", q, err)
	}
	return ids
}

// control does one request under /__sim/.
func (b *bench) control(t *testing.T, method, path, body string) *http.Response {
	t.Helper()
	req := httptest.NewRequestWithContext(t.Context(), method, path, strings.NewReader(body))
	w := httptest.NewRecorder()
	b.ServeHTTP(w, req)
	return w.Result()
}

// apiErr is the error of Google's client, as its users see it.
func apiErr(t *testing.T, err error) *googleapi.Error {
	t.Helper()
	var e *googleapi.Error
	if !errors.As(err, &e) {
		t.Fatalf("error %v (%T), want a googleapi.Error", err, err)
	}
	return e
}
