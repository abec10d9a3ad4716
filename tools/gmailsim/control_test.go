package gmailsim

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prosaas/receipts/tools/gmailsim/mailbox"
)

func decode[T any](t *testing.T, resp *http.Response) T {
	t.Helper()
	var v T
	if err := json.NewDecoder(resp.Body).Decode(&v); err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("answer %d: %v", resp.StatusCode, err)
	}
	return v
}

func TestControlOfAMailbox(t *testing.T) {
	t.Parallel()
	b := newBench(t, 6, Options{})
	other := b.Mailbox("other@example.com")
	added := decode[map[string]string](t, b.control(t, "POST", "/__sim/messages?account=other@example.com&labels=INBOX,Label_7&internal_date=1700000000000", "Subject: by hand\r\n\r\n"))
	id := added["id"]
	m, err := other.Get(id)
	if err != nil || !slices.Equal(m.Labels, []string{"INBOX", "Label_7"}) || !m.Date.Equal(time.UnixMilli(1_700_000_000_000)) {
		t.Errorf("added %+v, %v", m, err)
	}
	_, start := other.Profile()
	if resp := b.control(t, "POST", "/__sim/messages/"+id+"/labels?account=other@example.com", `{"add":["TRASH"],"remove":["INBOX"]}`); resp.StatusCode != http.StatusNoContent {
		t.Errorf("relabel: %d", resp.StatusCode)
	}
	if m, err = other.Get(id); err != nil || !slices.Equal(m.Labels, []string{"Label_7", "TRASH"}) {
		t.Errorf("relabelled %+v, %v", m, err)
	}
	if resp := b.control(t, "DELETE", "/__sim/messages/"+id+"?account=other@example.com", ""); resp.StatusCode != http.StatusNoContent {
		t.Errorf("delete: %d", resp.StatusCode)
	}
	records, _, _, err := other.History(mailbox.HistoryQuery{Start: start}, 0, 10)
	if err != nil || len(records) != 3 {
		t.Errorf("history = %+v, %v, want two label changes and a deletion", records, err)
	}
	if resp := b.control(t, "POST", "/__sim/history/expire?account=other@example.com", ""); resp.StatusCode != http.StatusNoContent {
		t.Errorf("expire: %d", resp.StatusCode)
	}
	if _, _, _, err := other.History(mailbox.HistoryQuery{Start: start}, 0, 10); err == nil {
		t.Error("history did not expire")
	}
}

func TestControlOfTheSimulator(t *testing.T) {
	t.Parallel()
	b := newBench(t, 6, Options{})
	call := func() int {
		_, err := b.client.Users.GetProfile("me").Context(t.Context()).Do()
		if err != nil {
			return apiErr(t, err).Code
		}
		return http.StatusOK
	}
	steps := []struct {
		method, path, body string
		want               int // of the next call
	}{
		{"GET", "/__sim/", "", 200},
		{"POST", "/__sim/faults", "code=500\ncode=503", 500},
		{"DELETE", "/__sim/faults", "", 200},
		{"POST", "/__sim/quota", "off", 200},
		{"POST", "/__sim/tokens/expire?account=other@example.com", "", 200},
		{"POST", "/__sim/tokens/expire", "", 401},
		{"POST", "/__sim/tokens/revoke", "", 401},
	}
	for _, s := range steps {
		resp := b.control(t, s.method, s.path, s.body)
		if resp.StatusCode != http.StatusOK && resp.StatusCode != http.StatusNoContent {
			t.Errorf("%s %s: %d", s.method, s.path, resp.StatusCode)
		}
		if got := call(); got != s.want {
			t.Errorf("a call after %s %s: %d, want %d", s.method, s.path, got, s.want)
		}
	}
	ledger := decode[map[string]any](t, b.control(t, "GET", "/__sim/ledger", ""))
	for _, name := range []string{"calls", "units", "max_concurrency", "reads", "rate_errors"} {
		if _, ok := ledger[name]; !ok {
			t.Errorf("ledger %v lacks %s", ledger, name)
		}
	}
	b.control(t, "POST", "/__sim/ledger/reset", "")
	if l := b.Ledger(); l.Units != 0 || len(l.Calls) != 0 {
		t.Errorf("ledger after reset: %+v", l)
	}
}

// What is wrong is answered with what to send instead, and changes nothing.
func TestControlRefuses(t *testing.T) {
	t.Parallel()
	b := newBench(t, 6, Options{})
	const missing = "/__sim/messages/18ffffffffffffff"
	for _, tt := range []struct {
		method, path, body string
		want               int
		says               string
	}{
		{"POST", "/__sim/messages?account=x@example.com", "Subject: a\r\n\r\n", 404, "GET /__sim/ lists them"},
		{"POST", "/__sim/messages?internal_date=soon", "Subject: a\r\n\r\n", 400, "want milliseconds"},
		{"POST", "/__sim/messages", strings.Repeat("x", mailbox.MaxMail+1), 400, "52428800 bytes at most"},
		{"DELETE", missing, "", 404, "no such message"},
		{"POST", missing + "/labels", `{"add":["TRASH"]}`, 404, "no such message"},
		{"POST", missing + "/labels", `{"added":["TRASH"]}`, 400, `want {"add": ["TRASH"]`},
		{"POST", missing + "/labels", "no JSON", 400, `want {"add": ["TRASH"]`},
		{"POST", "/__sim/history/expire?account=x@example.com", "", 404, "no such account"},
		{"POST", "/__sim/faults", "code=500 colour=red", 400, "there are method, id, nth"},
		{"POST", "/__sim/faults", " ", 400, "want one a line"},
		{"POST", "/__sim/quota", "free", 400, "want 2026, legacy or off"},
		{"POST", "/__sim/tokens/revoke?account=x@example.com", "", 404, "no such account"},
		{"GET", "/__sim/nothing", "", 404, "GET /__sim/help"},
		{"POST", "/__sim/ledger", "", 404, "GET /__sim/help"},
		{"GET", "/__sim/expected?account=x@example.com", "", 404, "no such account"},
	} {
		resp := b.control(t, tt.method, tt.path, tt.body)
		var answer struct{ Error string }
		if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil || resp.StatusCode != tt.want || !strings.Contains(answer.Error, tt.says) {
			t.Errorf("%s %s: %d %q (%v), want %d and %q in it", tt.method, tt.path, resp.StatusCode, answer.Error, err, tt.want, tt.says)
		}
	}
	if n := b.profile(t).MessagesTotal; n != 6 || len(b.Faults()) > 0 {
		t.Errorf("%d messages, want the 6 from before; faults %v", n, b.Faults())
	}
}

// The help is what there is: each route that it tells of is one, each rule that
// it gives is taken, each kind of fault is in it.
func TestHelpTellsTheTruth(t *testing.T) {
	t.Parallel()
	b := newBench(t, 6, Options{})
	resp := b.control(t, "GET", "/__sim/help", "")
	text, err := io.ReadAll(resp.Body)
	if err != nil || string(text) != Help() {
		t.Errorf("GET /__sim/help answers %.200q, %v", text, err)
	}
	if strings.Contains(Help(), "//\n") || strings.Contains(Help(), "package gmailsim") {
		t.Errorf("the help is not cut out of its comment:\n%s", Help())
	}
	_, control, _ := strings.Cut(Help(), "\nControl\n")
	routes := regexp.MustCompile(`(?m)^  (GET|POST|DELETE) +(/__sim/\S*)`).FindAllStringSubmatch(control, -1)
	for _, route := range routes {
		resp := b.control(t, route[1], route[2], "")
		text, err := io.ReadAll(resp.Body)
		if err != nil || strings.Contains(string(text), errNoRoute.Error()) {
			t.Errorf("%s %s: %s, %v", route[1], route[2], text, err)
		}
	}
	_, examples, _ := strings.Cut(Help(), "\nFor example:\n\n")
	examples, _, _ = strings.Cut(examples, "\n\n")
	rules := strings.Fields(examples)
	if err := b.AddFault(rules...); err != nil || len(rules) < 4 || len(routes) < 16 {
		t.Errorf("%d routes; of %d rules: %v", len(routes), len(rules), err)
	}
	for _, word := range []string{
		"method", "id", "nth", "times", "p", "seed", "delay", "size", "code", "reason", "retry_after", "retry_form", "kind=" + kindHTML, "kind=" + kindReset,
		"kind=" + kindCut, "kind=" + kindGzip, "kind=" + kindType, "kind=" + kindGarbage, "kind=" + kindHuge, "kind=" + kindParts,
	} {
		if !regexp.MustCompile(`[ \n]` + word + `\b`).MatchString(Help()) {
			t.Errorf("the help has no word of %s", word)
		}
	}
	for _, rule := range []string{"kind=huge", "kind=parts"} {
		f, err := parseFault(rule)
		if err != nil || !regexp.MustCompile(fmt.Sprintf("%s  .* size=%d ", rule, f.size)).MatchString(Help()) {
			t.Errorf("%s is of the size %d, %v: the help does not say so", rule, f.size, err)
		}
	}
}
