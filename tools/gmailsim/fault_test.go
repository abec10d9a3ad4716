package gmailsim

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/mail"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/api/gmail/v1"
	"google.golang.org/api/googleapi"

	"github.com/prosaas/receipts/tools/gmailsim/mailbox"
)

const mailWithFile = "From: a@example.com\r\nSubject: with a file\r\nContent-Type: multipart/mixed; boundary=x\r\n\r\n" +
	"--x\r\nContent-Type: text/plain\r\n\r\nhello there\r\n--x\r\nContent-Type: application/pdf\r\nContent-Disposition: attachment; filename=a.pdf\r\nContent-Transfer-Encoding: base64\r\n\r\nJVBERg==\r\n--x--\r\n"

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
		{"code=400,reason=invalidArgument", 400, "invalidArgument", "", "Invalid argument"},
		{"code=404", 404, "notFound", "", "not found"},
		{"code=410", 410, "deleted", "", "deleted"},
		{"code=500", 500, "backendError", "", "Backend Error"},
		{"code=503", 503, "backendError", "", "Backend Error"},
		{"code=503,retry_after=20", 503, "backendError", "20", ""},
		{"code=403,reason=somethingNew", 403, "somethingNew", "", "Forbidden"},
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

// The faults that are no error of Gmail's, at each of its calls: what the client
// makes of them, and that nothing counts as read.
func TestFaultedAnswers(t *testing.T) {
	t.Parallel()
	isHTML := func(code int) func(error) bool {
		return func(err error) bool {
			e, ok := errors.AsType[*googleapi.Error](err)
			return ok && e.Code == code && len(e.Errors) == 0 && strings.HasPrefix(e.Body, "<!DOCTYPE html>")
		}
	}
	isSyntax := func(err error) bool { _, ok := errors.AsType[*json.SyntaxError](err); return ok }
	isType := func(err error) bool { _, ok := errors.AsType[*json.UnmarshalTypeError](err); return ok }
	isShort := func(err error) bool { return errors.Is(err, io.ErrUnexpectedEOF) }
	tests := []struct {
		spec string
		is   func(error) bool
	}{
		{"kind=html", isHTML(http.StatusBadGateway)},
		{"kind=html,code=404", isHTML(http.StatusNotFound)},
		{"kind=html,code=200", isSyntax},
		{"kind=cut", isShort},
		{"kind=gzip", isShort},
		{"kind=reset", func(err error) bool { return errors.Is(err, io.EOF) }},
		{"kind=type", isType},
	}
	b := newBench(t, 6, Options{})
	id := b.box.Add([]byte(mailWithFile), mailbox.AddOptions{})
	whole, err := b.client.Users.Messages.Get("me", id).Context(t.Context()).Do()
	if err != nil {
		t.Fatal(err)
	}
	b.ResetLedger()
	access, _ := b.Grant(ownerAddress, ScopeReadonly)
	client := b.plainClient(t, access)
	_, start := b.box.Profile()
	calls := map[string]func() error{
		methodProfile: func() error { _, err := client.Users.GetProfile("me").Context(t.Context()).Do(); return err },
		methodList:    func() error { _, err := client.Users.Messages.List("me").Context(t.Context()).Do(); return err },
		methodGet: func() error {
			_, err := client.Users.Messages.Get("me", id).Format("raw").Context(t.Context()).Do()
			return err
		},
		methodAttachments: func() error {
			_, err := client.Users.Messages.Attachments.Get("me", id, whole.Payload.Parts[1].Body.AttachmentId).Context(t.Context()).Do()
			return err
		},
		methodHistory: func() error {
			_, err := client.Users.History.List("me").StartHistoryId(start).Context(t.Context()).Do()
			return err
		},
	}
	for method, call := range calls {
		for _, tt := range tests {
			b.ClearFaults()
			if err := b.AddFault("method=" + method + "," + tt.spec); err != nil {
				t.Fatal(err)
			}
			if err := call(); !tt.is(err) {
				t.Errorf("%s, %s: %v (%T)", method, tt.spec, err, err)
			}
		}
	}
	if got := b.Ledger().Reads; got != (Reads{}) {
		t.Errorf("what did not arrive counts as read: %+v", got)
	}
	b.ClearFaults()
	for method, call := range calls {
		if err := call(); err != nil {
			t.Errorf("%s, once the faults are gone: %v", method, err)
		}
	}
}

// The faults that change a mail: none of them is an error, and all but garbage
// still hold what the mail said.
func TestFaultedMails(t *testing.T) {
	t.Parallel()
	b := newBench(t, 6, Options{})
	id := b.box.Add([]byte(mailWithFile), mailbox.AddOptions{})
	get := func(spec, format string) *gmail.Message {
		t.Helper()
		b.ClearFaults()
		if err := b.AddFault(spec); err != nil {
			t.Fatal(err)
		}
		b.listAll(t, "") // which no fault of mails is about, nor is it counted
		m, err := b.client.Users.Messages.Get("me", id).Format(format).Context(t.Context()).Do()
		if err != nil {
			t.Fatalf("%s: %v", spec, err)
		}
		return m
	}
	raw := func(spec string) string {
		t.Helper()
		text, err := base64.URLEncoding.DecodeString(get(spec, "raw").Raw)
		if err != nil {
			t.Fatalf("%s: %v", spec, err)
		}
		return string(text)
	}
	if text := raw("kind=garbage,id=" + id); strings.Contains(text, "hello there") {
		t.Errorf("garbage says what the mail said: %.100q", text)
	} else if _, err := mail.ReadMessage(strings.NewReader(text)); err == nil {
		t.Errorf("garbage is a mail: %.100q", text)
	}
	if got := b.Ledger().Reads; got != (Reads{}) {
		t.Errorf("garbage counts as read: %+v", got)
	}
	if text := raw("kind=huge,size=2,times=1"); len(text) < 2<<20 || !strings.Contains(text, "hello there") {
		t.Errorf("a huge mail of %d bytes: %.200q", len(text), text)
	}
	if text := raw("kind=parts,size=200,method=messages.get"); strings.Count(text, "filename=") != 201 || !strings.Contains(text, "hello there") {
		t.Errorf("a mail of %d parts: %.200q", strings.Count(text, "filename="), text)
	}
	full := get("kind=parts,size=200", "full").Payload
	if len(full.Parts) != 201 || full.Parts[0].Parts[0].Body.Size != 11 {
		t.Fatalf("%d parts, want the mail and 200", len(full.Parts))
	}
	file, err := b.client.Users.Messages.Attachments.Get("me", id, full.Parts[7].Body.AttachmentId).Context(t.Context()).Do()
	if err != nil || file.Size != 4 {
		t.Errorf("attachment of many = %+v, %v", file, err)
	}
	if got := b.Ledger().Reads; got != (Reads{Messages: 1, Repeated: 2}) {
		t.Errorf("reads = %+v, want one message three times", got)
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

// A wrong rule is refused with what to write instead, and none of those that
// came with it is in force.
func TestWrongFaultsAreRefused(t *testing.T) {
	t.Parallel()
	b := newBench(t, 6, Options{})
	for _, tt := range []struct{ spec, says string }{
		{"", "no such key; there are method, id, nth"},
		{"colour=red,code=500", "colour: no such key; there are method, id, nth"},
		{"method=messages.get", "add code=500, delay=2s or kind=html"},
		{"method=nothing,code=500", `"nothing" is none of profile, messages.list`},
		{"kind=odd", `"odd" is none of html, cut`},
		{"code", `code: "" is no whole number`},
		{"code=x", `"x" is no whole number`},
		{"code=302", "400 to 599"},
		{"code=600", "400 to 599"},
		{"code=200", "400 to 599"},
		{"kind=html,code=302", "400 to 599"},
		{"kind=cut,code=500", "leave one out"},
		{"nth=0,code=500", `"0" is no whole number of at least 1`},
		{"times=-1,code=500", "whole number"},
		{"p=x,code=500", "as in p=0.1"},
		{"p=1.5,code=500", "as in p=0.1"},
		{"p=NaN,code=500", "as in p=0.1"},
		{"seed=-1,code=500", "whole number"},
		{"delay=5", "as in delay=200ms"},
		{"delay=-5s", "as in delay=200ms"},
		{"kind=cut,reason=quotaExceeded", "add its code"},
		{"delay=1s,retry_after=5", "add its code"},
		{"retry_form=date,code=429", "add that, as in retry_after=5"},
		{"retry_form=odd,code=429,retry_after=5", `"odd" is none of seconds, date, message`},
		{"kind=huge,method=history.list", "make method messages.get"},
		{"kind=huge,size=0", `"0" is no whole number of at least 1`},
		{"kind=huge,size=501", "at most 500 megabytes"},
		{"kind=parts,size=1000001", "or 1000000 files"},
		{"kind=cut,size=5", "add one of them"},
	} {
		err := b.AddFault("code=500", tt.spec)
		if err == nil || !strings.Contains(err.Error(), tt.says) || !strings.Contains(err.Error(), strconv.Quote(tt.spec)) {
			t.Errorf("%q: %v, want %q in it", tt.spec, err, tt.says)
		}
		if got := b.Faults(); len(got) > 0 {
			t.Errorf("%q: in force are %+v", tt.spec, got)
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
	})
	b := newBench(t, 6, Options{})
	if err := b.AddFault("method=messages.list,delay=1ms"); err != nil {
		t.Fatal(err)
	}
	if ids := b.listAll(t, ""); len(ids) != 6 {
		t.Errorf("listed %d after a delay, want 6", len(ids))
	}
}

// A caller that does not wait is let go, and no longer counts as there.
func TestCallerOfASlowCallGoesAway(t *testing.T) {
	t.Parallel()
	ctx, leave := context.WithCancel(t.Context())
	reached := make(chan struct{}, 1)
	b := newBench(t, 6, Options{Concurrency: 1, OnCall: func(string, string) { reached <- struct{}{} }})
	if err := b.AddFault("times=1,delay=1h"); err != nil {
		t.Fatal(err)
	}
	go func() {
		<-reached
		leave()
	}()
	if _, err := b.client.Users.GetProfile("me").Context(ctx).Do(); !errors.Is(err, context.Canceled) {
		t.Errorf("given up: %v", err)
	}
	// Its place is free once the simulator has seen it go.
	for {
		_, err := b.client.Users.GetProfile("me").Context(t.Context()).Do()
		<-reached
		if err == nil {
			break
		}
		if apiErr(t, err).Code != http.StatusTooManyRequests {
			t.Fatalf("the next call: %v", err)
		}
	}
}
