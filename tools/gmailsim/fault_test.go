package gmailsim

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/mail"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/api/googleapi"
)

// Each row of the error table, as the real client sees it.
func TestFaultedErrors(t *testing.T) {
	t.Parallel()
	tests := []struct {
		spec    string
		code    int
		reason  string
		header  string // Retry-After
		message string // a part of it
	}{
		{"code=401", 401, "authError", "", "invalid authentication credentials"},
		{"code=403", 403, "rateLimitExceeded", "", "Queries per minute per user"},
		{"code=403,reason=userRateLimitExceeded", 403, "userRateLimitExceeded", "", "User-rate limit exceeded"},
		{"code=403,reason=quotaExceeded", 403, "quotaExceeded", "", "Quota exceeded"},
		{"code=403,reason=dailyLimitExceeded", 403, "dailyLimitExceeded", "", "midnight Pacific"},
		{"code=403,reason=domainPolicy", 403, "domainPolicy", "", "administrators"},
		{"code=403,reason=insufficientPermissions", 403, "insufficientPermissions", "", "scopes"},
		{"code=429", 429, "rateLimitExceeded", "", "Resource has been exhausted"},
		{"code=429,retry_after=5", 429, "rateLimitExceeded", "5", ""},
		{"code=429,retry_after=5,retry_form=date", 429, "rateLimitExceeded", "Mon, 23 Nov 2026 09:00:05 GMT", ""},
		{"code=429,reason=userRateLimitExceeded,retry_after=5,retry_form=message", 429, "userRateLimitExceeded", "", "User-rate limit exceeded.  Retry after 2026-11-23T09:00:05.000Z"},
		{"code=400", 400, "failedPrecondition", "", "Precondition check failed."},
		{"code=404", 404, "notFound", "", "not found"},
		{"code=500", 500, "backendError", "", "Backend Error"},
		{"code=503", 503, "backendError", "", "Backend Error"},
	}
	b := newBench(t, 6, Options{})
	for _, tt := range tests {
		b.ClearFaults()
		if err := b.AddFault(tt.spec); err != nil {
			t.Fatal(err)
		}
		_, err := b.client.Users.GetProfile("me").Context(t.Context()).Do()
		e := apiErr(t, err)
		if e.Code != tt.code || len(e.Errors) != 1 || e.Errors[0].Reason != tt.reason {
			t.Errorf("%s: %d %+v, want %d %s", tt.spec, e.Code, e.Errors, tt.code, tt.reason)
		}
		if got := e.Header.Get("Retry-After"); got != tt.header {
			t.Errorf("%s: Retry-After %q, want %q", tt.spec, got, tt.header)
		}
		if !strings.Contains(e.Message, tt.message) {
			t.Errorf("%s: message %q, want %q in it", tt.spec, e.Message, tt.message)
		}
	}
}

// The faults that are no error of Gmail's.
func TestFaultedAnswers(t *testing.T) {
	t.Parallel()
	tests := []struct {
		kind string
		is   func(error) bool
	}{
		{"kind=html", func(err error) bool {
			var e *googleapi.Error
			return errors.As(err, &e) && e.Code == http.StatusBadGateway && len(e.Errors) == 0 && strings.HasPrefix(e.Body, "<!DOCTYPE html>")
		}},
		{"kind=cut", func(err error) bool { return errors.Is(err, io.ErrUnexpectedEOF) }},
		{"kind=gzip", func(err error) bool { return errors.Is(err, io.ErrUnexpectedEOF) }},
		{"kind=reset", func(err error) bool { return errors.Is(err, io.EOF) }},
	}
	b := newBench(t, 6, Options{})
	id := b.listAll(t, "")[0]
	for _, tt := range tests {
		b.ClearFaults()
		if err := b.AddFault("method=messages.get," + tt.kind); err != nil {
			t.Fatal(err)
		}
		_, err := b.client.Users.Messages.Get("me", id).Format("raw").Context(t.Context()).Do()
		if !tt.is(err) {
			t.Errorf("%s: %v (%T)", tt.kind, err, err)
		}
	}
	if got := b.Ledger().Reads; got != (Reads{}) {
		t.Errorf("what did not arrive counts as read: %+v", got)
	}

	b.ClearFaults()
	if err := b.AddFault("kind=garbage,id=" + id); err != nil {
		t.Fatal(err)
	}
	m, err := b.client.Users.Messages.Get("me", id).Format("raw").Context(t.Context()).Do()
	if err != nil {
		t.Fatal(err)
	}
	raw, err := base64.URLEncoding.DecodeString(m.Raw)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := mail.ReadMessage(strings.NewReader(string(raw))); err == nil {
		t.Errorf("garbage is a mail: %q", raw[:20])
	}

	// Not through the client of the bench, which holds answers to the schema.
	b.ClearFaults()
	if err := b.AddFault("kind=type"); err != nil {
		t.Fatal(err)
	}
	access, _ := b.Grant(ownerAddress, ScopeReadonly)
	_, err = b.plainClient(t, access).Users.Messages.Get("me", id).Context(t.Context()).Do()
	if _, ok := errors.AsType[*json.UnmarshalTypeError](err); !ok {
		t.Errorf("kind=type: %v (%T)", err, err)
	}
}

func TestFaultsPickTheirCalls(t *testing.T) {
	t.Parallel()
	draws := func(spec string) string {
		f, err := parseFault(spec)
		if err != nil {
			t.Fatal(err)
		}
		fs := &faults{rules: []*fault{f}}
		var out strings.Builder
		for _, call := range []struct{ method, id string }{
			{methodGet, "a"}, {methodList, ""}, {methodGet, "b"}, {methodGet, "a"}, {methodHistory, ""}, {methodGet, "c"}, {methodGet, "a"},
		} {
			if fs.pick(call.method, call.id) != nil {
				out.WriteByte('x')
				continue
			}
			out.WriteByte('.')
		}
		return out.String()
	}
	tests := []struct{ spec, want string }{
		{"code=500", "xxxxxxx"},
		{"code=500,method=messages.get", "x.xx.xx"},
		{"code=500,method=messages.get,nth=3", "...x..."},
		{"code=500,method=messages.get,nth=3,times=2", "...x.x."},
		{"code=500,times=2", "xx....."},
		{"code=500,id=a", "x..x..x"},
		{"code=500,id=a,nth=2", "...x..."},
		{"code=500,p=0", "......."},
		{"code=500,p=1", "xxxxxxx"},
	}
	for _, tt := range tests {
		if got := draws(tt.spec); got != tt.want {
			t.Errorf("%s picks %s, want %s", tt.spec, got, tt.want)
		}
	}
	half := draws("code=500,p=0.5,seed=7")
	if again := draws("code=500,p=0.5,seed=7"); again != half || half == "xxxxxxx" || half == "......." {
		t.Errorf("p=0.5 picks %s, then %s", half, again)
	}
}

func TestFaultSpecs(t *testing.T) {
	t.Parallel()
	for _, spec := range []string{
		"", "method=messages.get", "code=200", "code=x", "method=nothing,code=500", "kind=odd", "kind=error", "colour=red,code=500",
		"delay=5", "p=x,code=500", "seed=-1,code=500", "retry_form=odd,code=429", "code",
	} {
		if f, err := parseFault(spec); err == nil {
			t.Errorf("%q is a rule: %+v", spec, f)
		}
	}
}

func TestFirstFaultThatGoesOffWins(t *testing.T) {
	t.Parallel()
	b := newBench(t, 6, Options{})
	for _, spec := range []string{"nth=2,code=500", "code=503"} {
		if err := b.AddFault(spec); err != nil {
			t.Fatal(err)
		}
	}
	for _, want := range []int{503, 500, 503} {
		_, err := b.client.Users.GetProfile("me").Context(t.Context()).Do()
		if e := apiErr(t, err); e.Code != want {
			t.Errorf("code %d, want %d", e.Code, want)
		}
	}
	want := []FaultState{{"nth=2,code=500", 3, 1}, {"code=503", 3, 2}}
	if diff := cmp.Diff(want, b.Faults()); diff != "" {
		t.Errorf("faults (-want +got):\n%s", diff)
	}
}

func TestDelayHoldsACallUp(t *testing.T) {
	t.Parallel()
	f, err := parseFault("delay=1h")
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		if !f.wait(t.Context()) || time.Since(start) != time.Hour {
			t.Errorf("waited %v, want an hour", time.Since(start))
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if f.wait(ctx) {
			t.Error("a caller that went away is waited for")
		}
	})
	if f.kind != kindSlow || !f.intact() {
		t.Errorf("a delay alone is of the kind %q, intact %v", f.kind, f.intact())
	}
}
