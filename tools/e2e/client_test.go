package e2e

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"testing"

	"github.com/prosaas/receipts/pkg/auth"
	"github.com/prosaas/receipts/proto"
)

// client is one business that calls an API, as a script does.
type client struct {
	t        *testing.T
	api      string
	business string
	token    string
	http     *http.Client
}

// as is a client of the API for the owner of a business.
func (a *api) as(business string) *client {
	jar, err := cookiejar.New(nil)
	if err != nil {
		a.t.Fatal(err)
	}
	return &client{
		t: a.t, api: a.url, business: business, token: token(a.t, business, auth.RoleOwner),
		http: &http.Client{Jar: jar, Timeout: patience},
	}
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	body   []byte
}

func (c *client) call(method, path, body string, headers ...string) answer {
	c.t.Helper()
	a, err := c.try(method, path, body, headers...)
	if err != nil {
		c.t.Fatal(err)
	}
	return a
}

// try is call for those who may be refused a connection. Headers are pairs.
func (c *client) try(method, path, body string, headers ...string) (answer, error) {
	r, err := http.NewRequestWithContext(c.t.Context(), method, c.api+path, bytes.NewReader([]byte(body)))
	if err != nil {
		return answer{}, err
	}
	if c.token != "" {
		r.Header.Set("Authorization", "Bearer "+c.token)
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	return send(c.http, r)
}

// send sends a request and reads the whole answer.
func send(client *http.Client, r *http.Request) (answer, error) {
	a, err := client.Do(r)
	if err != nil {
		return answer{}, err
	}
	defer func() { _ = a.Body.Close() }()
	body, err := io.ReadAll(a.Body)
	return answer{a.StatusCode, a.Header, body}, err
}

// decode reads an answer of that status.
func decode[T any](t *testing.T, a answer, status int) T {
	t.Helper()
	var into T
	if a.status != status {
		t.Fatalf("answered %d: %s; want %d", a.status, a.body, status)
	}
	if err := json.Unmarshal(a.body, &into); err != nil {
		t.Fatalf("answered %s: %v", a.body, err)
	}
	return into
}

// connected connects the business to a mailbox, and waits until the full sync
// that this starts has finished.
func (c *client) connected(mailbox string) proto.SyncResult {
	c.t.Helper()
	_, result := c.awaitFinish(c.connect(mailbox))
	return result
}

// connect connects the business to a mailbox as scripts do: without a browser,
// with a cookie jar. It answers the id of the full sync that this starts.
func (c *client) connect(mailbox string) string {
	c.t.Helper()
	start := decode[proto.OAuthStart](c.t, c.call(http.MethodGet, "/api/gmail/oauth/start", ""), http.StatusOK)
	r, err := c.http.Get(start.AuthURL + "&login_hint=" + url.QueryEscape(mailbox))
	if err != nil {
		c.t.Fatal(err)
	}
	defer func() { _ = r.Body.Close() }()
	if got := r.Request.URL.Query(); r.StatusCode != http.StatusOK || got.Get("connected") != "true" {
		c.t.Fatalf("connecting ended at %s with %s", r.Request.URL.Path+"?"+r.Request.URL.RawQuery, r.Status)
	}
	return c.latest()
}

func (c *client) latest() string {
	c.t.Helper()
	return decode[proto.JobAnswer](c.t, c.call(http.MethodGet, "/api/receipts/sync/latest", ""), http.StatusOK).Job.JobID
}

const (
	incremental = `{"mode": "incremental"}`
	full        = `{"mode": "full"}`
)

// sync asks for a sync, which must be accepted, and answers its id.
func (c *client) sync(body string) string {
	c.t.Helper()
	return decode[proto.SyncAccepted](c.t, c.call(http.MethodPost, "/api/receipts/sync", body), http.StatusAccepted).JobID
}

func (c *client) job(id string) proto.Job {
	c.t.Helper()
	return decode[proto.JobAnswer](c.t, c.call(http.MethodGet, "/api/receipts/sync/"+id, ""), http.StatusOK).Job
}

// awaitEnd waits until a job has ended, however that is.
func (c *client) awaitEnd(id string) proto.Job {
	c.t.Helper()
	var job proto.Job
	eventually(c.t, "the end of job "+id, func() bool {
		a := c.call(http.MethodGet, "/api/receipts/sync/"+id, "")
		if a.status == http.StatusServiceUnavailable {
			return false // a Redis that was away may still be slow
		}
		job = decode[proto.JobAnswer](c.t, a, http.StatusOK).Job
		return job.Status.Ended()
	})
	return job
}

// awaitFinish waits until a job has finished, and answers what it did.
func (c *client) awaitFinish(id string) (proto.Job, proto.SyncResult) {
	c.t.Helper()
	job := c.awaitEnd(id)
	if job.Status != proto.StateFinished {
		c.t.Fatalf("job %s is %s: %+v", id, job.Status, job.Error)
	}
	var result proto.SyncResult
	if err := json.Unmarshal(job.Result, &result); err != nil {
		c.t.Fatalf("result of job %s: %s: %v", id, job.Result, err)
	}
	return job, result
}

// receipts are all receipts of the business.
func (c *client) receipts() []proto.Receipt {
	c.t.Helper()
	var all []proto.Receipt
	for cursor := ""; ; {
		page := decode[proto.List[proto.Receipt]](c.t, c.call(http.MethodGet, "/api/receipts?limit=200&cursor="+url.QueryEscape(cursor), ""), http.StatusOK)
		all = append(all, page.Items...)
		if page.NextCursor == nil {
			return all
		}
		cursor = *page.NextCursor
	}
}

func (c *client) receipt(id string) proto.ReceiptDetail {
	c.t.Helper()
	return decode[proto.ReceiptAnswer](c.t, c.call(http.MethodGet, "/api/receipts/"+id, ""), http.StatusOK).Receipt
}

// diagnostics are what an operator with the key sees, who asks again where it
// was too often.
func (a *api) diagnostics() proto.Diagnostics {
	a.t.Helper()
	operator := &client{t: a.t, api: a.url, http: http.DefaultClient}
	var said answer
	eventually(a.t, "an answer to who asks often", func() bool {
		said = operator.call(http.MethodGet, "/api/receipts/queue/diagnostics", "", "X-Diagnostic-Key", diagnosticKey)
		return said.status != http.StatusTooManyRequests
	})
	return decode[proto.Diagnostics](a.t, said, http.StatusOK)
}

// operator is a client who may look after every business's jobs.
func (a *api) operator() *client {
	a.t.Helper()
	return &client{t: a.t, api: a.url, token: token(a.t, "", auth.RoleSystemAdmin), http: http.DefaultClient}
}

// worker is what the registry says of one worker.
func (a *api) worker(name string) (proto.Worker, bool) {
	a.t.Helper()
	for _, w := range a.diagnostics().Workers {
		if w.Name == name {
			return w, true
		}
	}
	return proto.Worker{}, false
}

// metrics are the lines of a metrics page by what stands before the value.
func metrics(t *testing.T, admin string) map[string]string {
	t.Helper()
	a := (&client{t: t, api: admin, http: http.DefaultClient}).call(http.MethodGet, "/metrics", "")
	if a.status != http.StatusOK {
		t.Fatalf("metrics of %s: %d", admin, a.status)
	}
	values := map[string]string{}
	for line := range bytes.Lines(a.body) {
		if i := bytes.LastIndexByte(line, ' '); i > 0 && line[0] != '#' {
			values[string(line[:i])] = string(bytes.TrimSpace(line[i+1:]))
		}
	}
	return values
}
