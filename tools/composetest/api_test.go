//go:build compose

package composetest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/prosaas/receipts/proto"
)

// decode reads an answer of that status.
func decode[T any](t *testing.T, a answer, err error, status int) T {
	t.Helper()
	var into T
	if err != nil || a.status != status {
		t.Fatalf("answered %d %s, %v; want %d", a.status, a.body, err, status)
	}
	if err := json.Unmarshal(a.body, &into); err != nil {
		t.Fatalf("answered %s: %v", a.body, err)
	}
	return into
}

// hold asks for a job that holds a slot so long, and answers its id.
func (s *stack) hold(seconds int) string {
	s.t.Helper()
	a, err := s.try(http.MethodPost, "/api/receipts/queue/verify", fmt.Sprintf(`{"seconds": %d}`, seconds))
	return decode[proto.SyncAccepted](s.t, a, err, http.StatusAccepted).JobID
}

// job is a job as it stands, or none while the API cannot tell.
func (s *stack) job(id string) proto.Job {
	a, err := s.try(http.MethodGet, "/api/receipts/sync/"+id, "")
	var told proto.JobAnswer
	if err != nil || a.status != http.StatusOK || json.Unmarshal(a.body, &told) != nil {
		return proto.Job{}
	}
	return told.Job
}

// awaitState waits until a job stands so.
func (s *stack) awaitState(id string, want proto.State) {
	s.t.Helper()
	s.eventually(fmt.Sprintf("job %s is %s", id, want), func() bool { return s.job(id).Status == want })
}

// serves makes sure that a job goes all the way.
func (s *stack) serves() {
	s.t.Helper()
	s.awaitState(s.hold(0), proto.StateFinished)
}

// live lists the workers that the registry has for the sync queue, by the
// container that each runs in.
func (s *stack) live() map[string]proto.Worker {
	a, err := s.try(http.MethodGet, "/api/receipts/queue/diagnostics", "")
	var told proto.Diagnostics
	if err != nil || a.status != http.StatusOK || json.Unmarshal(a.body, &told) != nil {
		return nil
	}
	workers := map[string]proto.Worker{}
	for _, worker := range told.Workers {
		for _, container := range s.containers("--all", "--filter", "label=com.docker.compose.service=receipts-worker") {
			if worker.State == proto.WorkerLive && strings.HasPrefix(container, worker.Host) {
				workers[container] = worker
			}
		}
	}
	return workers
}

// awaitWorkers waits until so many workers are live.
func (s *stack) awaitWorkers(n int) {
	s.t.Helper()
	s.eventually(fmt.Sprintf("%d workers live", n), func() bool { return len(s.live()) == n })
}

// busy waits for the container of a worker that is at a job.
func (s *stack) busy() string {
	s.t.Helper()
	busy := ""
	s.eventually("a worker is at a job", func() bool {
		for container, worker := range s.live() {
			if worker.Busy > 0 {
				busy = container
			}
		}
		return busy != ""
	})
	return busy
}
