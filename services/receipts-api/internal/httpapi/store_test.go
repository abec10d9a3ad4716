package httpapi

import (
	"testing"

	"github.com/prosaas/receipts/pkg/auth"
	"github.com/prosaas/receipts/pkg/redistest"
)

// A store that does not reply, or is full, changes no answer of the queue.
func TestQueueWithoutItsStore(t *testing.T) {
	t.Parallel()
	away := problemBody("The store of receipts is not available", "Try again in a moment; if it goes on, start the store or correct STORE_REDIS_URL", "store_unavailable")
	for _, row := range []struct {
		name   string
		lose   func(*redistest.Server)
		reads  string // the body of a refused read; empty where reads work
		status string
	}{
		{"killed", (*redistest.Server).Kill, away, "ERROR: the store does not answer: start it, or correct STORE_REDIS_URL"},
		{"frozen", (*redistest.Server).Freeze, away, "ERROR: the store does not answer: start it, or correct STORE_REDIS_URL"},
		{"full", func(s *redistest.Server) { s.LimitMemory(1) }, "", "ERROR: the store has no memory left: give it more (maxmemory), or remove old data"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			store := redistest.Start(t)
			s := serveOnBoth(t, redistest.DB(t), store.URL()).ready()
			<-s.api.Store.Ready()
			s.connect(business)
			s.connect("other")
			s.worker("default")
			row.lose(store)

			for _, sync := range []struct {
				business, body string
				status         int
			}{{business, "", 202}, {"other", `{"from_date":"2026-01-01"}`, 202}, {"stranger", "", 409}} {
				owner := as(t, auth.Principal{Subject: "dana", BusinessID: sync.business, Role: auth.RoleOwner})
				if a := s.do("POST", syncPath, sync.body, owner); a.status != sync.status {
					t.Errorf("a sync of %s %s is answered %d %s, want %d", sync.business, sync.body, a.status, a.body, sync.status)
				}
			}
			for _, path := range []string{"/readyz", "/api/receipts/sync/latest"} {
				if a := s.do("GET", path, ""); a.status != 200 {
					t.Errorf("%s is answered %d %s", path, a.status, a.body)
				}
			}
			for _, path := range []string{"/api/receipts", "/api/gmail/oauth/status"} {
				if a := s.do("GET", path, ""); row.reads != "" {
					a.want(t, 503, row.reads)
				} else if a.status != 200 {
					t.Errorf("%s is answered %d %s", path, a.status, a.body)
				}
			}
			status, d := s.diagnose()
			if status != 200 || !d.Redis.Available || d.Store.Available != (row.reads == "") || d.CriticalChecks.Status != row.status {
				t.Errorf("%d %+v", status, d)
			}
		})
	}
}
