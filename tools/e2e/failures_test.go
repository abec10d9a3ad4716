package e2e

import (
	"net/http"
	"strings"
	"syscall"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/google/go-cmp/cmp"

	"github.com/prosaas/receipts/pkg/auth"
	"github.com/prosaas/receipts/proto"
)

// failures are the messages that a sync could not read.
func (c *client) failures(job string) []proto.SyncFailure {
	c.t.Helper()
	return decode[proto.List[proto.SyncFailure]](c.t, c.call(http.MethodGet, "/api/receipts/sync/"+job+"/errors", ""), http.StatusOK).Items
}

func (c *client) retryFailures(job string) answer {
	c.t.Helper()
	return c.call(http.MethodPost, "/api/receipts/sync/"+job+"/errors/retry", "")
}

// unreadable connects a business of whose receipts two cannot be read, and
// answers the sync that failed on them, once Gmail is well again.
func (s *system) unreadable(c *client) (job string) {
	s.t.Helper()
	want := map[string]bool{}
	for id := range s.truth(owner) {
		if len(want) < 2 {
			want[id] = true
			s.fault("method=messages.get,kind=garbage,id=" + id)
		}
	}
	job = c.connect(owner)
	if _, result := c.awaitFinish(job); result.Errors != len(want) {
		s.t.Errorf("result %+v, want %d errors", result, len(want))
	}
	got := map[string]bool{}
	for _, f := range c.failures(job) {
		got[f.GmailMessageID] = true
		if f.Code != "unreadable" || f.Message == "" || f.Action == "" {
			s.t.Errorf("the reason is %+v", f)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		s.t.Errorf("failures (-want +listed):\n%s", diff)
	}
	if missing := len(s.truth(owner)) - len(c.receipts()); missing != len(want) {
		s.t.Errorf("%d receipts are missing, want %d", missing, len(want))
	}
	s.sim.ClearFaults()
	return job
}

func TestFailedMailsAreReadAgain(t *testing.T) {
	t.Parallel()
	s := newSystem(t, options{mails: 60})
	worker, api := s.startWorker(), s.startAPI()
	worker.registered()
	c := api.as("b1")
	failed := s.unreadable(c)

	s.sim.ResetLedger()
	accepted := decode[proto.SyncAccepted](t, c.retryFailures(failed), http.StatusAccepted)
	if accepted.JobID == failed || accepted.Retried == nil || *accepted.Retried != 2 {
		t.Errorf("the retry was answered %+v", accepted)
	}
	if _, result := c.awaitFinish(accepted.JobID); result.Scanned != 2 || result.Saved != 2 || result.Errors != 0 {
		t.Errorf("the retry did %+v", result)
	}
	checkCost(t, s, map[string]int{"history.list": 1, "messages.get": 2}, 42)
	checkAgainstTruth(t, s, c, owner)
	if list := c.failures(accepted.JobID); len(list) != 0 {
		t.Errorf("the retry lists %+v", list)
	}

	// What was read is not read once more.
	again := decode[proto.SyncAccepted](t, c.retryFailures(failed), http.StatusAccepted)
	if _, result := c.awaitFinish(again.JobID); result.Scanned != 0 || *again.Retried != 0 {
		t.Errorf("asked again, %d were retried and the sync did %+v", *again.Retried, result)
	}
}

// A retry that no worker was there for is not lost: the next sync reads it.
func TestFailedMailsAreOwedThoughNoWorkerIsThere(t *testing.T) {
	t.Parallel()
	s := newSystem(t, options{mails: 60})
	worker, api := s.startWorker(), s.startAPI("GUARD_WAIT=0s")
	worker.registered()
	c := api.as("b1")
	failed := s.unreadable(c)

	worker.end(syscall.SIGTERM, patience)
	refused := decode[proto.Problem](t, c.retryFailures(failed), http.StatusServiceUnavailable)
	if refused.Error != noWorker["error"] || refused.Retried == nil || *refused.Retried != 2 {
		t.Errorf("the retry was answered %+v", refused)
	}
	s.startWorker().registered()
	if _, result := c.awaitFinish(c.sync(incremental)); result.Scanned != 2 || result.Saved != 2 || result.Errors != 0 {
		t.Errorf("the next sync did %+v", result)
	}
	checkAgainstTruth(t, s, c, owner)
}

// On the page: which mails, why, and the button that mends it, in both languages.
func TestFailedMailsInABrowser(t *testing.T) {
	t.Parallel()
	const reasons, retry = "#failure-rows li", "#retry:not([aria-disabled])"
	s := newSystem(t, options{mails: 60})
	worker, api := s.startWorker(), s.startAPI("GUARD_WAIT=0s")
	worker.registered()
	c := api.as("b1")
	failed := s.unreadable(c)

	p := newPerson(t)
	p.does(chromedp.Navigate(api.url + "/signin#token=" + token(t, "b1", auth.RoleOwner)))
	p.sees(reasons)
	if p.counts(reasons) != 2 || !strings.Contains(p.says(reasons), "could not be read") || !strings.Contains(p.says("#sync-state"), "2 mails") {
		t.Errorf("the page lists %q under %q", p.says("#failure-rows"), p.says("#sync-state"))
	}
	var want, got []string
	for _, f := range c.failures(failed) {
		want = append(want, "https://mail.google.com/mail/?authuser=owner%40example.com#all/"+f.GmailMessageID)
	}
	got = in(p, chromedp.Evaluate[[]string](`Array.from(document.querySelectorAll("#failure-rows a"), (a) => a.href)`))
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("links to Gmail (-want +got):\n%s", diff)
	}
	p.presses("#language")
	p.sees(`html[lang="he"]`)
	p.sees(reasons)
	for _, place := range []string{reasons, "#failures-title", "#retry"} {
		if text := p.says(place); !hebrew.MatchString(text) {
			t.Errorf("%s says %q in Hebrew", place, text)
		}
	}

	// Without a worker they are noted down; with one the next sync reads them.
	worker.end(syscall.SIGTERM, patience)
	p.presses(retry)
	p.sees(`#sync-state[data-tone="bad"]`)
	if p.counts("#failures:not([hidden])") != 0 || !strings.Contains(p.says("#sync-detail"), "הסנכרון הבא") {
		t.Errorf("without a worker the page says %q", p.says("#sync-detail"))
	}
	s.startWorker().registered()
	p.sees(idle)
	p.presses("#sync")
	p.sees(done)
	checkAgainstTruth(t, s, c, owner)
	for _, trouble := range p.troubles() {
		t.Errorf("the browser complains: %s", trouble)
	}
}

// The button alone mends it where a worker is there.
func TestFailedMailsRetriedInABrowser(t *testing.T) {
	t.Parallel()
	s := newSystem(t, options{mails: 60})
	worker, api := s.startWorker(), s.startAPI()
	worker.registered()
	c := api.as("b1")
	s.unreadable(c)
	p := newPerson(t)
	p.does(chromedp.Navigate(api.url + "/signin#token=" + token(t, "b1", auth.RoleOwner)))
	p.presses("#retry:not([aria-disabled])")
	p.sees(done)
	if p.counts("#failures:not([hidden])") != 0 {
		t.Errorf("the page still lists %q", p.says("#failure-rows"))
	}
	checkAgainstTruth(t, s, c, owner)
}
