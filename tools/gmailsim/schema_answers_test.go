package gmailsim

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/api/gmail/v1"

	"github.com/prosaas/receipts/tools/gmailsim/mailbox"
)

// odd are mails that no program should have sent, and all programs do.
func odd() map[string]string {
	return map[string]string{
		"nothing":         "",
		"no head":         "\r\n\r\njust a body",
		"no body":         "Subject: just a head",
		"bytes":           "\x00\xff\xfe: \x80\r\n\r\n\x00\xff",
		"open parts":      "Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n",
		"parts in a file": mailWithFile,
		"a mail in a mail": "Content-Type: multipart/mixed; boundary=y\r\n\r\n--y\r\nContent-Type: message/rfc822\r\n\r\n" +
			mailWithFile + "\r\n--y--\r\n",
		"a header of bytes": "Subject: \xe2\x28\xa1 =?utf-8?B?////?=\r\nX: \r\n\r\n" + strings.Repeat("שלום ", 200),
	}
}

// Every kind of answer of every call goes by the discovery document: with all
// quirks on, for odd mails, and with every error that there is. The transport
// of the bench does the checking; here it is made sure that it had them all.
func TestEveryAnswerKeepsToTheSchema(t *testing.T) {
	t.Parallel()
	b := newBenchOf(t, 24, Options{EmptyHistoryPages: true, Quota: QuotaOff}, mailbox.Options{GetLag: time.Second, SearchLag: time.Second})
	start := b.profile(t).HistoryId
	for name, mail := range odd() {
		id := b.box.Add([]byte(mail), mailbox.AddOptions{Labels: []string{}})
		if err := b.box.Relabel(id, []string{"INBOX", "Label_1"}, nil); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if err := b.box.Relabel(id, nil, []string{"INBOX"}); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	deleted := b.box.Add(nil, mailbox.AddOptions{})
	if err := b.box.Delete(deleted); err != nil {
		t.Fatal(err)
	}
	b.clock.advance(time.Minute)
	users, ctx := b.client.Users, t.Context()
	b.history(t, start, 2)
	b.history(t, start, 500)
	ids := b.listAll(t, "")
	if want := 24 + len(odd()); len(ids) != want {
		t.Errorf("listed %d, want %d", len(ids), want)
	}
	b.listAll(t, "nothinghasthisword")
	attachment := ""
	for _, id := range ids {
		for _, format := range []string{"minimal", "metadata", "raw", "full"} {
			m, err := users.Messages.Get("me", id).Format(format).Context(ctx).Do()
			if err != nil {
				t.Fatalf("get %s: %v", format, err)
			}
			if file := fileOf(m.Payload); file != "" {
				attachment = file
				if _, err := users.Messages.Attachments.Get("me", id, file).Context(ctx).Do(); err != nil {
					t.Errorf("get attachment of %s: %v", id, err)
				}
			}
		}
	}

	calls := func(client *gmail.Service) {
		users := client.Users
		_, _ = users.GetProfile("me").Context(ctx).Do() // what comes of them, the transport sees
		_, _ = users.Messages.List("me").Context(ctx).Do()
		_, _ = users.Messages.Get("me", ids[0]).Context(ctx).Do()
		_, _ = users.Messages.Attachments.Get("me", ids[0], attachment).Context(ctx).Do()
		_, _ = users.History.List("me").StartHistoryId(start).Context(ctx).Do()
	}
	narrow, _ := b.Grant(ownerAddress, "openid")
	calls(b.clientWith(t, "made-up"))
	calls(b.clientWith(t, narrow))
	_, _ = users.Messages.List("me").PageToken("made-up").Context(ctx).Do()
	_, _ = users.Messages.Get("me", ids[0]).Format("odd").Context(ctx).Do()
	_, _ = users.Messages.Get("me", deleted).Context(ctx).Do()
	_, _ = users.Messages.Attachments.Get("me", deleted, attachment).Context(ctx).Do()
	_, _ = users.History.List("me").StartHistoryId(1).Context(ctx).Do()
	b.SetQuota(Quota2026)
	for b.ledger.admit(ownerAddress, methodGet, b.clock.now()) == nil {
		b.ledger.release(ownerAddress)
	}
	calls(b.client)
	b.SetQuota(QuotaOff)
	for _, spec := range []string{
		"code=400", "code=404", "code=410", "code=429,retry_after=5", "code=429,retry_after=5,retry_form=message", "code=500", "code=503", "code=599",
		"code=403,reason=userRateLimitExceeded", "code=403,reason=quotaExceeded", "code=403,reason=dailyLimitExceeded",
		"code=403,reason=domainPolicy", "code=403,reason=insufficientPermissions", "code=403,reason=somethingNew",
	} {
		b.ClearFaults()
		if err := b.AddFault(spec); err != nil {
			t.Fatal(err)
		}
		calls(b.client)
	}

	for _, method := range []string{"getProfile", "messages.list", "messages.get", "messages.attachments.get", "history.list"} {
		for _, status := range []int{200, 400, 401, 403, 404, 410, 429, 500, 503, 599} {
			if b.schema.checked[fmt.Sprintf("gmail.users.%s %d", method, status)] == 0 {
				t.Errorf("no answer %d of %s was checked: %v", status, method, slices.Sorted(maps.Keys(b.schema.checked)))
			}
		}
	}
}

// fileOf is the attachment id of the first part that has one.
func fileOf(part *gmail.MessagePart) string {
	if part == nil {
		return ""
	}
	if part.Body != nil && part.Body.AttachmentId != "" {
		return part.Body.AttachmentId
	}
	for _, inner := range part.Parts {
		if file := fileOf(inner); file != "" {
			return file
		}
	}
	return ""
}

// The check itself bites.
func TestCheckFindsWhatIsWrong(t *testing.T) {
	t.Parallel()
	doc := discovery(t)
	request := func(path string) *http.Request {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://127.0.0.1/gmail/v1/users/me/"+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		return req
	}
	if id, _ := doc.call(request("nothing")); id != "" {
		t.Errorf("a path that there is not is of %s", id)
	}
	for _, tt := range []struct{ path, json, says string }{
		{"profile", `{"emailAddress":"a@example.com","messagesTotal":1,"threadsTotal":1,"historyId":"18446744073709551615"}`, ""},
		{"profile", `{"emailAddress":"a@example.com","messagesTotal":1,"threadsTotal":1,"historyId":"18446744073709551616"}`, "no uint64"},
		{"profile", `{"emailAddress":"a@example.com","messagesTotal":1,"threadsTotal":1,"historyId":5}`, "want a string"},
		{"profile", `{"emailAddress":"a@example.com","messagesTotal":"1","threadsTotal":1,"historyId":"5"}`, "want an integer"},
		{"profile", `{"emailAddress":"a@example.com","messagesTotal":1,"threadsTotal":1}`, "lacks historyId"},
		{"profile", `{"emailAddress":"a@example.com","messagesTotal":1,"threadsTotal":1,"historyId":"5","x":1}`, "not in the schema"},
		{"messages", `{"messages":[],"resultSizeEstimate":0}`, "not empty"},
		{"messages", `{"messages":{},"resultSizeEstimate":0}`, "want an array"},
		{"messages", `{"messages":[{"id":"1"}],"resultSizeEstimate":0}`, "lacks threadId"},
		{"messages", `{"resultSizeEstimate":-1}`, "want an integer"},
		{"messages/1", `{"id":"1","threadId":"1","raw":"+/"}`, "no byte"},
		{"messages/1/attachments/1", `{"size":1,"data":"AA=="}`, ""},
		{"history", `{"historyId":"5","history":[{"id":"4","messages":[{"id":"1","threadId":"1"}],"labelsAdded":[{"labelIds":["A"]}]}]}`, "lacks message"},
	} {
		value, err := decoded(http.Header{"Content-Type": {"application/json; charset=UTF-8"}}, []byte(tt.json))
		if err != nil {
			t.Fatal(err)
		}
		_, want := doc.call(request(tt.path))
		if problem := doc.check(want, value, want.Ref); (problem == "") != (tt.says == "") || !strings.Contains(problem, tt.says) {
			t.Errorf("%s %s: %q, want %q", tt.path, tt.json, problem, tt.says)
		}
	}
	for _, header := range []http.Header{{"Content-Type": {"text/html"}}, {"Content-Type": {"application/json; charset=UTF-8"}, "Content-Encoding": {"gzip"}}} {
		if value, err := decoded(header, []byte("{}")); err == nil {
			t.Errorf("%v is read as %v", header, value)
		}
	}
}
