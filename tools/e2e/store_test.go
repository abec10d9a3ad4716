package e2e

import (
	"net/http"
	"strings"
	"syscall"
	"testing"

	"github.com/prosaas/receipts/pkg/redistest"
	"github.com/prosaas/receipts/proto"
)

// twoRedis is a system in the middle of a sync of b1, whose store is a Redis of its
// own, and in which b2 has synced already. Gmail holds back what b1 reads next.
func twoRedis(t *testing.T) (store *redistest.Server, s *system, a *api, c, other *client, w *worker, job string, held *hold) {
	t.Helper()
	queue := redistest.Start(t, "--maxmemory-policy", "noeviction")
	store = redistest.Start(t, "--maxmemory-policy", "noeviction", "--appendonly", "yes", "--appendfsync", "always")
	s = newSystem(t, options{redis: queue.URL(), mails: 240, boxes: []string{owner, "other@example.com"}})
	setting := "STORE_REDIS_URL=" + store.URL()
	w, a = s.startWorker(setting), s.startAPI(setting)
	w.registered()
	other = a.as("b2")
	other.connected("other@example.com")
	c = a.as("b1")
	held = s.hold("messages.get", 40)
	job = c.connect(owner)
	held.await(t)
	return store, s, a, c, other, w, job, held
}

// checkQueueGoesOn holds that what needs the queue alone is served as ever: syncs are
// accepted, jobs shown, and a job of the queue's own check finishes.
func checkQueueGoesOn(t *testing.T, a *api, c, other *client, job string) {
	t.Helper()
	if again := decode[proto.SyncAccepted](t, c.call(http.MethodPost, "/api/receipts/sync", incremental), http.StatusAccepted); again.JobID != job {
		t.Errorf("the sync in flight is %s, want %s", again.JobID, job)
	}
	other.sync(incremental)
	if got := c.call(http.MethodGet, "/readyz", "").status; got != http.StatusOK {
		t.Errorf("/readyz answers %d", got)
	}
	noop := decode[proto.SyncAccepted](t, a.verify(""), http.StatusAccepted).JobID
	operator := &client{t: t, api: a.url, token: a.operator().token, http: http.DefaultClient}
	if ended := operator.awaitEnd(noop); ended.Status != proto.StateFinished {
		t.Errorf("the queue's own check is %s: %+v", ended.Status, ended.Error)
	}
}

// awaitWaiting waits until the job waits for the store, and says so.
func awaitWaiting(t *testing.T, c *client, job, code string) {
	t.Helper()
	eventually(t, "a job that waits for the store", func() bool {
		j := c.job(job)
		return j.Status == proto.StateScheduled && j.Error != nil && j.Error.Code == code && j.Error.Message != "" && j.Error.Action != ""
	})
}

// The store has no memory left: syncs that write wait and say why, and everything
// else goes on. With room again they go on by themselves.
func TestFullStore(t *testing.T) {
	t.Parallel()
	store, s, a, c, other, w, job, held := twoRedis(t)
	store.LimitMemory(1)
	held.release()

	awaitWaiting(t, c, job, "store_full")
	checkQueueGoesOn(t, a, c, other, job)
	checkAgainstTruth(t, s, other, "other@example.com") // reads go on
	d := a.diagnostics()
	if !strings.HasPrefix(d.CriticalChecks.Status, "ERROR: the store has no memory left") || !d.Store.Available || d.Store.MemoryMax != 1 || d.Store.MemoryUsed <= 1 || d.Redis.MemoryMax != 0 || d.Store.RunID == d.Redis.RunID {
		t.Errorf("diagnostics with a full store: %+v, store %+v", d, d.Store)
	}
	refused := decode[proto.Problem](t, c.call(http.MethodGet, "/api/gmail/oauth/start", ""), http.StatusServiceUnavailable)
	if refused.Code != "store_full" {
		t.Errorf("a full store is told as %+v", refused)
	}

	store.LimitMemory(0)
	checkUncharged(t, c, job, w)
	checkAgainstTruth(t, s, c, owner)
}

// The store goes away: what needs it says so, and everything else goes on.
func TestStoreAway(t *testing.T) {
	t.Parallel()
	store, s, a, c, other, w, job, held := twoRedis(t)
	store.Kill()
	held.release()

	awaitWaiting(t, c, job, "store_unavailable")
	checkQueueGoesOn(t, a, c, other, job)
	for _, path := range []string{"/api/receipts", "/api/gmail/oauth/status"} {
		refused := decode[proto.Problem](t, c.call(http.MethodGet, path, ""), http.StatusServiceUnavailable)
		if refused.Code != "store_unavailable" || refused.Error != "The store of receipts is not available" {
			t.Errorf("%s without the store is told %+v", path, refused)
		}
	}
	if d := a.diagnostics(); !strings.HasPrefix(d.CriticalChecks.Status, "ERROR: the store does not answer") || !d.Redis.Available || d.Store.Available {
		t.Errorf("diagnostics without the store: %+v, store %+v", d, d.Store)
	}

	store.Restart()
	checkUncharged(t, c, job, w)
	checkAgainstTruth(t, s, c, owner)
	a.awaitEvent("store is back")
	w.awaitEvent("store is back")
	if code := w.end(syscall.SIGTERM, patience); code != 0 {
		t.Errorf("worker ended with %d", code)
	}
}
