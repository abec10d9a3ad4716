package e2e

import (
	"net/http"
	"syscall"
	"testing"

	"github.com/prosaas/receipts/proto"
)

// An API that is told to stop first turns not ready and serves on, so that what
// is in front of it sends nobody into a closed port.
func TestAPIServesOnWhileItDrains(t *testing.T) {
	t.Parallel()
	s := newSystem(t, options{})
	s.startWorker().registered()
	// Longer than the test waits for the end, which the second signal brings.
	a := s.startAPI("SHUTDOWN_DELAY=1m", "SHUTDOWN_TIMEOUT=2m")
	probe := &client{t: t, api: a.url, http: &http.Client{Transport: &http.Transport{}}}
	a.signal(syscall.SIGTERM)
	eventually(t, "an API that is not ready", func() bool { return probe.call(http.MethodGet, "/readyz", "").status == http.StatusServiceUnavailable })

	for range 3 {
		onNew := &client{t: t, api: a.url, http: &http.Client{Transport: &http.Transport{}, Timeout: patience}}
		got := onNew.call(http.MethodPost, "/api/receipts/queue/verify", `{"seconds": 0}`, "X-Diagnostic-Key", diagnosticKey)
		decode[proto.SyncAccepted](t, got, http.StatusAccepted)
	}
	if code := a.end(syscall.SIGTERM, patience); code != 0 {
		t.Errorf("it ended with %d", code)
	}
}

// Nobody has to send a second signal.
func TestDrainingEndsByItself(t *testing.T) {
	t.Parallel()
	s := newSystem(t, options{})
	a := s.startAPI("SHUTDOWN_DELAY=1s")
	if code := a.end(syscall.SIGTERM, patience); code != 0 {
		t.Errorf("it ended with %d", code)
	}
	a.awaitEvent("receipts-api drains")
	a.awaitEvent("receipts-api stops")
}
