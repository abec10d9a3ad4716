package e2e

import (
	"net/http"
	"regexp"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/prosaas/receipts/proto"
	"github.com/prosaas/receipts/tools/gmailsim/mailbox"
)

var (
	decimalPattern  = regexp.MustCompile(`^-?\d+\.\d+$`)
	currencyPattern = regexp.MustCompile(`^[A-Z]{3}$`)
)

// truth is what the mails of a mailbox ought to be read as, by message id.
func (s *system) truth(address string) map[string][2]string {
	truth := map[string][2]string{}
	for id, t := range s.sim.Mailbox(address).Expected() {
		truth[id] = [2]string{t.Total, t.Currency}
	}
	return truth
}

// checkAgainstTruth compares the receipts of a business with what its mailbox
// holds: every one there, once, none invented, with its total in its currency.
func checkAgainstTruth(t *testing.T, s *system, c *client, address string) {
	t.Helper()
	want, got := s.truth(address), map[string][2]string{}
	for _, r := range c.receipts() {
		var total, currency string
		if r.Total != nil {
			if total = *r.Total; !decimalPattern.MatchString(total) {
				t.Errorf("receipt %s: total %q is no decimal", r.ID, total)
			}
		}
		if r.Currency != nil {
			if currency = *r.Currency; !currencyPattern.MatchString(currency) {
				t.Errorf("receipt %s: currency %q is no ISO 4217 code", r.ID, currency)
			}
		}
		id := c.receipt(r.ID).GmailMessageID
		if _, twice := got[id]; twice {
			t.Errorf("message %s became two receipts", id)
		}
		got[id] = [2]string{total, currency}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("receipts (-in the mailbox +listed):\n%s", diff)
	}
}

func TestSyncFindsWhatTheMailboxHolds(t *testing.T) {
	t.Parallel()
	s := newSystem(t, options{})
	worker, api := s.startWorker(), s.startAPI()
	worker.registered()
	c := api.as("b1")

	// Everything, after connecting.
	first := c.connect(owner)
	worker.awaitEvent("🔔 JOB_START: Gmail receipts sync", "job_id", first, "business_id", "b1", "mode", "full")
	if _, result := c.awaitFinish(first); result.Errors != 0 || result.StoppedEarly {
		t.Errorf("result %+v", result)
	}
	worker.awaitEvent("🔔 JOB_DONE", "job_id", first)
	checkAgainstTruth(t, s, c, owner)
	if ledger := s.sim.Ledger(); ledger.Reads.Repeated != 0 || ledger.RateErrors != 0 {
		t.Errorf("ledger %+v: read twice, or too fast", ledger)
	}

	// Nothing new.
	s.sim.ResetLedger()
	accepted := c.call(http.MethodPost, "/api/receipts/sync", "")
	id := decode[proto.SyncAccepted](t, accepted, http.StatusAccepted).JobID
	want := map[string]any{"success": true, "message": "Sync job queued for processing", "job_id": id, "status": "queued"}
	if diff := cmp.Diff(want, decode[map[string]any](t, accepted, http.StatusAccepted)); diff != "" {
		t.Errorf("body (-want +got):\n%s", diff)
	}
	if got := accepted.header.Get("Location") + " " + accepted.header.Get("Retry-After"); got != "/api/receipts/sync/"+id+" 1" {
		t.Errorf("Location and Retry-After are %q", got)
	}
	if _, result := c.awaitFinish(id); result.Saved+result.Updated+result.Scanned != 0 {
		t.Errorf("a sync with nothing new did %+v", result)
	}
	checkCost(t, s, map[string]int{"history.list": 1}, 2)

	// One new mail.
	s.sim.ResetLedger()
	box := s.sim.Mailbox(owner)
	for known := range s.truth(owner) {
		message, err := box.Get(known)
		if err != nil {
			t.Fatal(err)
		}
		box.Add(message.Raw, mailbox.AddOptions{})
		break
	}
	if _, result := c.awaitFinish(c.sync(incremental)); result.Scanned != 1 || result.Errors != 0 {
		t.Errorf("a sync with one new mail did %+v", result)
	}
	checkCost(t, s, map[string]int{"history.list": 1, "messages.get": 1}, 22)
}

func checkCost(t *testing.T, s *system, calls map[string]int, units int) {
	t.Helper()
	ledger := s.sim.Ledger()
	if diff := cmp.Diff(calls, ledger.Calls); diff != "" || ledger.Units != units {
		t.Errorf("cost %d units, want %d; calls (-want +got):\n%s", ledger.Units, units, diff)
	}
}

func TestManyPostsAreOneJob(t *testing.T) {
	t.Parallel()
	s := newSystem(t, options{mails: 30})
	worker, api := s.startWorker(), s.startAPI()
	worker.registered()
	c := api.as("b1")
	c.connected(owner)
	history := decode[proto.List[proto.Job]](t, c.call(http.MethodGet, "/api/receipts/sync", ""), http.StatusOK).Items

	held := s.hold("history.list", 1) // so that the job lasts as long as the posts do
	const posts = 20
	answers := make([]answer, posts)
	var group sync.WaitGroup
	for i := range posts {
		group.Go(func() { answers[i], _ = c.try(http.MethodPost, "/api/receipts/sync", incremental) })
	}
	group.Wait()
	held.release()
	ids, first := map[string]int{}, 0
	for _, a := range answers {
		accepted := decode[proto.SyncAccepted](t, a, http.StatusAccepted)
		ids[accepted.JobID]++
		if !accepted.Deduplicated {
			first++
		}
	}
	if len(ids) != 1 || first != 1 {
		t.Errorf("%d posts made %d jobs, and %d were told theirs is new: %v", posts, len(ids), first, ids)
	}
	for id := range ids {
		c.awaitFinish(id)
	}
	now := decode[proto.List[proto.Job]](t, c.call(http.MethodGet, "/api/receipts/sync", ""), http.StatusOK).Items
	if len(now) != len(history)+1 {
		t.Errorf("%d jobs are listed, %d were before", len(now), len(history))
	}
}
