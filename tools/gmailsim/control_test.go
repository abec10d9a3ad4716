package gmailsim

import (
	"encoding/json"
	"net/http"
	"slices"
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

func TestControlRefuses(t *testing.T) {
	t.Parallel()
	b := newBench(t, 6, Options{})
	for _, tt := range []struct {
		method, path, body string
		want               int
	}{
		{"POST", "/__sim/messages?account=x@example.com", "Subject: a\r\n\r\n", 404},
		{"POST", "/__sim/messages?internal_date=soon", "Subject: a\r\n\r\n", 400},
		{"DELETE", "/__sim/messages/18ffffffffffffff", "", 404},
		{"POST", "/__sim/messages/18ffffffffffffff/labels", "{}", 404},
		{"POST", "/__sim/messages/18ffffffffffffff/labels", "no JSON", 400},
		{"POST", "/__sim/history/expire?account=x@example.com", "", 404},
		{"POST", "/__sim/faults", "colour=red", 400},
		{"POST", "/__sim/quota", "free", 400},
		{"GET", "/__sim/nothing", "", 404},
		{"GET", "/__sim/expected?account=x@example.com", "", 404},
	} {
		if resp := b.control(t, tt.method, tt.path, tt.body); resp.StatusCode != tt.want {
			t.Errorf("%s %s: %d, want %d", tt.method, tt.path, resp.StatusCode, tt.want)
		}
	}
	if n, _ := b.box.Profile(); n != 6 {
		t.Errorf("%d messages, want the 6 from before", n)
	}
}
