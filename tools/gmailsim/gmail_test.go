package gmailsim

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"google.golang.org/api/gmail/v1"

	"github.com/prosaas/receipts/tools/gmailsim/mailbox"
)

func TestListPages(t *testing.T) {
	t.Parallel()
	b := newBench(t, 700, Options{})
	all := b.listAll(t, "")
	slices.Sort(all)
	if distinct := len(slices.Compact(slices.Clone(all))); len(all) != 700 || distinct != 700 {
		t.Errorf("listed %d, %d distinct, want 700", len(all), distinct)
	}
	for _, tt := range []struct {
		ask  int64
		want int
	}{{0, 100}, {20, 20}, {500, 500}, {5000, 500}} {
		call := b.client.Users.Messages.List("me").Context(t.Context())
		if tt.ask > 0 {
			call.MaxResults(tt.ask)
		}
		page, err := call.Do()
		if err != nil || len(page.Messages) != tt.want || page.NextPageToken == "" {
			t.Errorf("maxResults %d gives %d messages, %v, want %d and a next page", tt.ask, len(page.Messages), err, tt.want)
		}
	}
}

func TestPageTokenIsForItsCallAndEnds(t *testing.T) {
	t.Parallel()
	b := newBench(t, 50, Options{})
	first, err := b.client.Users.Messages.List("me").MaxResults(5).Context(t.Context()).Do()
	if err != nil {
		t.Fatal(err)
	}
	next := func(q, token string) error {
		_, err := b.client.Users.Messages.List("me").Q(q).PageToken(token).Context(t.Context()).Do()
		return err
	}
	if err := next("", first.NextPageToken); err != nil {
		t.Errorf("next page: %v", err)
	}
	if e := apiErr(t, next("receipt", first.NextPageToken)); e.Code != http.StatusBadRequest {
		t.Errorf("the token of another query: %v", e)
	}
	if e := apiErr(t, next("", "made-up")); e.Code != http.StatusBadRequest {
		t.Errorf("a token made up: %v", e)
	}
	b.ExpirePageTokens()
	if e := apiErr(t, next("", first.NextPageToken)); e.Code != http.StatusBadRequest || e.Errors[0].Reason != "invalidArgument" {
		t.Errorf("an expired token: %v", e)
	}
}

func TestGetFormats(t *testing.T) {
	t.Parallel()
	b := newBench(t, 6, Options{})
	mail := "From: =?utf-8?Q?Caf=C3=A9?= <a@example.com>\r\nSubject: a\r\n folded one\r\nContent-Type: multipart/mixed; boundary=x\r\n\r\n" +
		"--x\r\nContent-Type: text/plain\r\n\r\nhello there\r\n--x\r\nContent-Type: application/pdf\r\nContent-Disposition: attachment; filename=a.pdf\r\nContent-Transfer-Encoding: base64\r\n\r\nJVBERg==\r\n--x--\r\n"
	id := b.box.Add([]byte(mail), mailbox.AddOptions{Labels: []string{"INBOX"}, Date: time.UnixMilli(1_700_000_000_123)})
	get := func(format string) *gmail.Message {
		t.Helper()
		m, err := b.client.Users.Messages.Get("me", id).Format(format).Context(t.Context()).Do()
		if err != nil {
			t.Fatalf("get %s: %v", format, err)
		}
		if m.Id != id || m.ThreadId == "" || m.InternalDate != 1_700_000_000_123 || m.HistoryId == 0 ||
			!roughly(m.SizeEstimate, len(mail)) || !slices.Equal(m.LabelIds, []string{"INBOX"}) || m.Snippet != "hello there" {
			t.Errorf("get %s = %+v", format, m)
		}
		return m
	}
	if m := get("minimal"); m.Payload != nil || m.Raw != "" {
		t.Errorf("minimal = %+v", m)
	}
	raw, err := base64.URLEncoding.DecodeString(get("raw").Raw)
	if err != nil || string(raw) != mail {
		t.Errorf("raw = %q, %v", raw, err)
	}
	headers := func(p *gmail.MessagePart) map[string]string {
		out := map[string]string{}
		for _, h := range p.Headers {
			out[h.Name] = h.Value
		}
		return out
	}
	want := map[string]string{"From": "Café <a@example.com>", "Subject": "a folded one", "Content-Type": "multipart/mixed; boundary=x"}
	if diff := cmp.Diff(want, headers(get("metadata").Payload)); diff != "" {
		t.Errorf("metadata (-want +got):\n%s", diff)
	}
	one, err := b.client.Users.Messages.Get("me", id).Format("metadata").MetadataHeaders("subject").Context(t.Context()).Do()
	if err != nil || len(one.Payload.Headers) != 1 || one.Payload.Headers[0].Name != "Subject" {
		t.Errorf("metadata of one header = %+v, %v", one, err)
	}
	full := get("full").Payload
	wantFull := &gmail.MessagePart{
		MimeType: "multipart/mixed", Body: &gmail.MessagePartBody{},
		Parts: []*gmail.MessagePart{
			{PartId: "0", MimeType: "text/plain", Body: &gmail.MessagePartBody{Size: 11, Data: base64.URLEncoding.EncodeToString([]byte("hello there"))}},
			{PartId: "1", MimeType: "application/pdf", Filename: "a.pdf", Body: &gmail.MessagePartBody{Size: 4}},
		},
	}
	ignore := []cmp.Option{cmpopts.IgnoreFields(gmail.MessagePart{}, "Headers"), cmpopts.IgnoreFields(gmail.MessagePartBody{}, "AttachmentId")}
	if diff := cmp.Diff(wantFull, full, ignore...); diff != "" {
		t.Errorf("full (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(want, headers(full)); diff != "" {
		t.Errorf("headers of full (-want +got):\n%s", diff)
	}
	token := full.Parts[1].Body.AttachmentId
	if again := get("full").Payload.Parts[1].Body.AttachmentId; again == token {
		t.Error("the attachment id is the same twice")
	}
	file, err := b.client.Users.Messages.Attachments.Get("me", id, token).Context(t.Context()).Do()
	if err != nil {
		t.Fatal(err)
	}
	if content, err := base64.URLEncoding.DecodeString(file.Data); err != nil || string(content) != "%PDF" || file.Size != 4 {
		t.Errorf("attachment = %q (%d), %v", content, file.Size, err)
	}
}

// Every generated mail can be had whole, and in parts.
func TestEveryMailIsServed(t *testing.T) {
	t.Parallel()
	b := newBench(t, 60, Options{Quota: QuotaOff})
	for _, id := range b.listAll(t, "") {
		m, err := b.client.Users.Messages.Get("me", id).Format("full").Context(t.Context()).Do()
		if err != nil || m.Payload == nil || m.SizeEstimate < 500 {
			t.Errorf("get %s = %+v, %v", id, m, err)
		}
	}
	if got := b.Ledger().Reads; got != (Reads{Messages: 60}) {
		t.Errorf("reads = %+v", got)
	}
}

func TestErrorsAsTheClientSeesThem(t *testing.T) {
	t.Parallel()
	b := newBench(t, 6, Options{})
	narrow, _ := b.Grant(ownerAddress, "openid email")
	other, _ := b.Grant("other@example.com", ScopeReadonly)
	theirs := b.listAll(t, "")[0]
	b.box.ExpireHistory()
	profile := func(token string) error {
		_, err := b.clientWith(t, token).Users.GetProfile("me").Context(t.Context()).Do()
		return err
	}
	_, foreign := b.clientWith(t, other).Users.Messages.Get("me", theirs).Context(t.Context()).Do()
	_, missing := b.client.Users.Messages.Get("me", "18ffffffffffffff").Context(t.Context()).Do()
	_, expired := b.client.Users.History.List("me").StartHistoryId(1).Context(t.Context()).Do()
	_, noStart := b.client.Users.History.List("me").Context(t.Context()).Do()
	_, badFormat := b.client.Users.Messages.Get("me", theirs).Format("odd").Context(t.Context()).Do()
	_, delegation := b.client.Users.GetProfile("other@example.com").Context(t.Context()).Do()
	tests := []struct {
		name   string
		err    error
		code   int
		reason string
	}{
		{"no such token", profile("made-up"), http.StatusUnauthorized, "authError"},
		{"scope not granted", profile(narrow), http.StatusForbidden, "insufficientPermissions"},
		{"another account's message", foreign, http.StatusNotFound, "notFound"},
		{"no such message", missing, http.StatusNotFound, "notFound"},
		{"history too old", expired, http.StatusNotFound, "notFound"},
		{"history from nowhere", noStart, http.StatusBadRequest, "invalidArgument"},
		{"no such format", badFormat, http.StatusBadRequest, "invalidArgument"},
		{"another account", delegation, http.StatusForbidden, "forbidden"},
	}
	for _, tt := range tests {
		e := apiErr(t, tt.err)
		if e.Code != tt.code || len(e.Errors) != 1 || e.Errors[0].Reason != tt.reason || e.Message == "" {
			t.Errorf("%s: %d %+v, want %d %s", tt.name, e.Code, e.Errors, tt.code, tt.reason)
		}
	}
}

func TestTokenOpensItsOwnMailbox(t *testing.T) {
	t.Parallel()
	b := newBench(t, 6, Options{})
	other, _ := b.Grant("other@example.com", ScopeReadonly)
	got, err := b.clientWith(t, other).Users.GetProfile("me").Context(t.Context()).Do()
	if err != nil || got.EmailAddress != "other@example.com" || got.MessagesTotal != 12 {
		t.Errorf("profile = %+v, %v", got, err)
	}
}

// The oracle's ids are those of the mails, whose bytes hold the total.
func TestExpectedReceiptsAreInTheMailbox(t *testing.T) {
	t.Parallel()
	b := newBench(t, 120, Options{Quota: QuotaOff})
	n := 0
	for id, truth := range b.box.Expected() {
		n++
		m, err := b.box.Get(id)
		if err != nil {
			t.Fatal(err)
		}
		if truth.Total == "" || truth.Vendor == "" || !bytes.Contains(m.Raw, []byte("Subject: ")) {
			t.Errorf("%s: %+v", id, truth)
		}
	}
	if n != 20 {
		t.Errorf("%d receipts expected of 120 mails, want 20", n)
	}
	resp := b.control(t, http.MethodGet, "/__sim/expected", "")
	body, err := io.ReadAll(resp.Body)
	if lines := strings.Count(string(body), "\n"); err != nil || lines != n {
		t.Errorf("%d lines under /__sim/expected, %v, want %d", lines, err, n)
	}
}

// All windows of a large mailbox are listed by several searches, and together
// they find every receipt.
func TestSearchesFindTheReceipts(t *testing.T) {
	t.Parallel()
	b := newBench(t, 20_000, Options{Quota: QuotaOff})
	searches := []string{
		"has:attachment", "{receipt invoice payment order total paid}", `{חשבונית קבלה תשלום "סה""כ"}`, "category:purchases",
	}
	found := map[string]bool{}
	end := b.clock.now()
	for month := range 37 {
		from, to := end.AddDate(0, -month-1, 0), end.AddDate(0, -month, 0)
		for _, q := range searches {
			for _, id := range b.listAll(t, fmt.Sprintf("%s after:%d before:%d", q, from.Unix(), to.Unix())) {
				found[id] = true
			}
		}
	}
	missed := 0
	for id := range b.box.Expected() {
		if !found[id] {
			missed++
		}
	}
	if missed > 0 {
		t.Errorf("%d receipts are in no search", missed)
	}
	if len(found) < 6000 || len(found) > 20_000/3+20 {
		t.Errorf("searches find %d of 20000 mails, want about a third", len(found))
	}
}

func TestOnCallMayHoldACall(t *testing.T) {
	t.Parallel()
	reached, goOn := make(chan string), make(chan struct{})
	b := newBench(t, 6, Options{OnCall: func(method, id string) {
		reached <- method + " " + id
		<-goOn
	}})
	done := make(chan error, 1)
	go func() {
		_, err := b.client.Users.Messages.Get("me", "18ffffffffffffff").Context(t.Context()).Do()
		done <- err
	}()
	if got := <-reached; got != "messages.get 18ffffffffffffff" {
		t.Errorf("OnCall(%s)", got)
	}
	select {
	case err := <-done:
		t.Errorf("the call ended while it was held: %v", err)
	default:
	}
	close(goOn)
	if err := <-done; err == nil || errors.Is(err, t.Context().Err()) {
		t.Errorf("get = %v, want 404", err)
	}
}
