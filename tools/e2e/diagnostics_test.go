package e2e

import (
	"net/http"
	"strconv"
	"testing"

	"github.com/prosaas/receipts/pkg/auth"
	"github.com/prosaas/receipts/proto"
)

func TestDiagnosticsAndMetricsAgree(t *testing.T) {
	t.Parallel()
	s := newSystem(t, options{})
	workers := []*worker{s.startWorker("WORKER_CONCURRENCY=3"), s.startWorker("WORKER_QUEUES=default", "WORKER_CONCURRENCY=4")}
	api := s.startAPI()
	names := map[string]*worker{}
	for _, w := range workers {
		names[w.registered()] = w
	}
	c := api.as("b1")
	held := s.hold("messages.get", 1)
	job := c.connect(owner)
	held.await(t)

	const path = "/api/receipts/queue/diagnostics"
	for _, tt := range []struct {
		who    string
		token  string
		key    string
		status int
	}{
		{"nobody", "", "", http.StatusForbidden},
		{"the owner", c.token, "", http.StatusForbidden},
		{"a wrong key", "", "another-key-0123456789-0123456789-01", http.StatusForbidden},
		{"the owner with a wrong key", c.token, "another-key-0123456789-0123456789-01", http.StatusForbidden},
		{"the key alone", "", diagnosticKey, http.StatusOK},
		{"a system admin", token(t, "", auth.RoleSystemAdmin), "", http.StatusOK},
	} {
		caller := &client{t: t, api: api.url, token: tt.token, http: http.DefaultClient}
		a := caller.call(http.MethodGet, path, "", "X-Diagnostic-Key", tt.key)
		if tt.status == http.StatusForbidden {
			if p := decode[proto.Problem](t, a, tt.status); p.Error != "Forbidden" || p.Success || p.Action == "" || p.TechnicalDetails == "" {
				t.Errorf("%s: %+v", tt.who, p)
			}
			continue
		}
		for name, value := range decode[map[string]any](t, a, tt.status) {
			if value == nil {
				t.Errorf("%s: %s is null", tt.who, name)
			}
		}
	}

	// The registry's busy is as of the last heartbeat, so that it is waited for.
	var d proto.Diagnostics
	eventually(t, "a heartbeat that tells of the job", func() bool {
		busy := 0
		d = api.diagnostics()
		for _, w := range d.Workers {
			busy += w.Busy
		}
		return busy == 1
	})
	if !d.Redis.Available || d.Redis.Ping != "OK" || d.WorkersCount != 2 || d.CriticalChecks.Status != "OK" || !d.CriticalChecks.DefaultQueueHasWorker {
		t.Errorf("diagnostics %+v", d)
	}
	seen := metrics(t, api.admin)
	for queue, live := range map[string]string{"high": "1", "default": "2", "low": "1"} {
		stand := d.Queues[queue]
		for metric, want := range map[string]string{
			`receipts_queue_live_workers{queue="` + queue + `"}`:           live,
			`receipts_queue_jobs{queue="` + queue + `",state="started"}`:   strconv.Itoa(stand.Claimed),
			`receipts_queue_jobs{queue="` + queue + `",state="queued"}`:    strconv.Itoa(stand.Length),
			`receipts_queue_jobs{queue="` + queue + `",state="failed"}`:    strconv.Itoa(stand.Dead),
			`receipts_queue_jobs{queue="` + queue + `",state="scheduled"}`: strconv.Itoa(stand.Delayed),
		} {
			if got := seen[metric]; got != want {
				t.Errorf("%s is %q, want %q as the diagnostics say", metric, got, want)
			}
		}
		if stand.HasWorkerListening != (live != "0") {
			t.Errorf("queue %s: %+v", queue, stand)
		}
	}
	for _, entry := range d.Workers {
		own := metrics(t, names[entry.Name].admin)
		if own["receipts_worker_slots"] != strconv.Itoa(entry.Concurrency) || own["receipts_worker_busy_slots"] != strconv.Itoa(entry.Busy) {
			t.Errorf("worker %s tells of %s slots, %s busy; the registry of %d and %d", entry.Name,
				own["receipts_worker_slots"], own["receipts_worker_busy_slots"], entry.Concurrency, entry.Busy)
		}
		for _, queue := range entry.Queues {
			if beat, err := strconv.ParseFloat(own[`receipts_worker_heartbeat_timestamp_seconds{queue="`+queue+`"}`], 64); err != nil || beat == 0 {
				t.Errorf("worker %s tells of no heartbeat on %s", entry.Name, queue)
			}
		}
	}
	held.release()
	c.awaitFinish(job)
}
