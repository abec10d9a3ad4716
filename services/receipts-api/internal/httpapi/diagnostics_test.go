package httpapi

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/prosaas/receipts/pkg/auth"
	"github.com/prosaas/receipts/pkg/redistest"
	"github.com/prosaas/receipts/proto"
)

const diagnosticsPath = "/api/receipts/queue/diagnostics"

var withKey = []change{anonymous, with("X-Diagnostic-Key", diagnosticKey)}

func (s *service) diagnose(changes ...change) (int, proto.Diagnostics) {
	s.Helper()
	a := s.do("GET", diagnosticsPath, "", append(withKey, changes...)...)
	var d proto.Diagnostics
	a.json(s, &d)
	return a.status, d
}

func TestWhoMaySeeDiagnostics(t *testing.T) {
	t.Parallel()
	s := live(t)
	forbidden := problemBody("Forbidden", "Ask somebody who may do this, or sign in as somebody else", "forbidden")
	for _, row := range []struct {
		name    string
		changes []change
		status  int
	}{
		{"nobody", []change{anonymous}, 403},
		{"an owner", []change{as(t, auth.Principal{BusinessID: business, Role: auth.RoleOwner})}, 403},
		{"an expired admin", []change{with("Authorization", "Bearer "+token(t, auth.Principal{Role: auth.RoleSystemAdmin}, -time.Hour))}, 403},
		{"a wrong key", []change{anonymous, with("X-Diagnostic-Key", diagnosticKey+"x")}, 403},
		{"no key", []change{anonymous, with("X-Diagnostic-Key", "")}, 403},
		{"a system admin", []change{as(t, auth.Principal{Role: auth.RoleSystemAdmin})}, 200},
		{"the key alone", withKey, 200},
		{"the key beside a bad token", []change{with("Authorization", "Bearer x"), with("X-Diagnostic-Key", diagnosticKey)}, 200},
	} {
		t.Run(row.name, func(t *testing.T) {
			a := s.do("GET", diagnosticsPath, "", row.changes...)
			if row.status == 403 {
				a.want(t, 403, forbidden)
			} else if a.status != row.status {
				t.Errorf("answer = %d %s", a.status, a.body)
			}
		})
	}
}

func TestNoDiagnosticKeysIsClosed(t *testing.T) {
	t.Parallel()
	s := serve(t, "DIAGNOSTIC_KEYS=").ready()
	for _, key := range []string{"", diagnosticKey} {
		if a := s.do("GET", diagnosticsPath, "", anonymous, with("X-Diagnostic-Key", key)); a.status != 403 {
			t.Errorf("key %q: %d", key, a.status)
		}
	}
}

func TestDiagnosticKeysRotate(t *testing.T) {
	t.Parallel()
	next := "the-next-diagnostic-key-of-tests-01"
	s := serve(t, "DIAGNOSTIC_KEYS="+diagnosticKey+","+next).ready()
	for _, key := range []string{diagnosticKey, next} {
		if status, _ := s.diagnose(with("X-Diagnostic-Key", key)); status != 200 {
			t.Errorf("key %q: %d", key, status)
		}
	}
}

func TestDiagnostics(t *testing.T) {
	t.Parallel()
	s := serve(t).ready()
	s.connect(business)
	worker := s.worker("default")
	s.sync("")

	_, d := s.diagnose()
	server, err := s.redis.Describe(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(d.Workers) != 1 {
		t.Fatalf("workers = %+v", d.Workers)
	}
	redis := proto.RedisDiagnostics{
		Available: true, Ping: "OK", Version: server.Version, Persistence: "none", Eviction: "noeviction",
		RunID: server.RunID, DB: s.redis.DB(), Prefix: "{receipts}", MemoryUsed: d.Redis.MemoryUsed,
	}
	d.Store.MemoryUsed = d.Redis.MemoryUsed // asked at another moment
	diff(t, "diagnostics", d, proto.Diagnostics{
		Redis: redis, Store: redis,
		WorkersCount: 1,
		Workers: []proto.Worker{{
			Name: worker, Queues: []string{"default"}, State: proto.WorkerLive, Version: "v1.2.3", Protocol: 1, Concurrency: 2,
			StartedAt: d.Workers[0].StartedAt, LastHeartbeatAt: d.Workers[0].LastHeartbeatAt, RedisRunID: server.RunID, Prefix: "{receipts}",
		}},
		Queues: map[string]proto.QueueDiagnostics{
			"high": {}, "low": {},
			"default": {Length: 1, HasWorkerListening: true, OldestJobAgeSeconds: d.Queues["default"].OldestJobAgeSeconds},
		},
		CriticalChecks: proto.CriticalChecks{DefaultQueueHasWorker: true, Status: "OK"},
	})

	if err := s.registry.Drain(t.Context(), worker); err != nil {
		t.Fatal(err)
	}
	if err := s.registry.Depart(t.Context(), worker); err != nil {
		t.Fatal(err)
	}
	_, d = s.diagnose()
	diff(t, "checks without a worker", d.CriticalChecks, proto.CriticalChecks{
		Status: "ERROR: no live worker listens to 'default': start receipts-worker, or correct its WORKER_QUEUES",
	})
	if d.WorkersCount != 0 || len(d.Workers) != 1 || d.Workers[0].State != proto.WorkerDeparted {
		t.Errorf("%d live, listed %+v", d.WorkersCount, d.Workers)
	}
}

func TestInvariants(t *testing.T) {
	t.Parallel()
	s := live(t)
	s.sync("")
	const asked = diagnosticsPath + "?check=invariants"
	admin := as(t, auth.Principal{Role: auth.RoleSystemAdmin})
	invariants := func(path string) *proto.Invariants {
		var d proto.Diagnostics
		s.do("GET", path, "", admin, with("X-Diagnostic-Key", diagnosticKey)).json(t, &d)
		return d.Invariants
	}
	diff(t, "invariants that nobody asked for", invariants(diagnosticsPath), (*proto.Invariants)(nil))
	diff(t, "invariants", invariants(asked), &proto.Invariants{Checked: true, Broken: []string{}})

	for i := range maxBroken + 1 {
		s.redisDo("RPUSH", s.keys.Queue("low"), fmt.Sprint("lost-", i))
	}
	broken := invariants(asked)
	if len(broken.Broken) != maxBroken || !strings.Contains(broken.Broken[0], "lost-") {
		t.Errorf("%d are broken, the first: %.1q", len(broken.Broken), broken.Broken)
	}

	s.do("GET", asked, "", withKey...).want(t, 403, problemBody("Forbidden", "Ask somebody who may do this, or sign in as somebody else", "forbidden"))
	s.do("GET", diagnosticsPath+"?check=all", "", admin).want(t, 400,
		problemBody("Field 'check' must be 'invariants'", "Correct 'check' and send the request again", "invalid_field"))
	s.api.checkable.SetLimit(0)
	s.api.checkable.SetBurst(0)
	s.do("GET", asked, "", admin).want(t, 429, problemBody("Too many requests for diagnostics", "Ask less often", "rate_limited"))
}

func TestDiagnosticsOfAnotherSyncQueue(t *testing.T) {
	t.Parallel()
	yes, no := true, false
	for _, row := range []struct {
		queue, listened string
		want            proto.CriticalChecks
	}{
		{"low", "low", proto.CriticalChecks{SyncQueueHasWorker: &yes, Status: "OK"}},
		{"high", "default", proto.CriticalChecks{
			DefaultQueueHasWorker: true, SyncQueueHasWorker: &no,
			Status: "ERROR: no live worker listens to 'high': start receipts-worker, or correct its WORKER_QUEUES",
		}},
	} {
		s := serve(t, "SYNC_QUEUE="+row.queue).ready()
		s.worker(row.listened)
		_, d := s.diagnose()
		diff(t, row.queue+" with a worker on "+row.listened, d.CriticalChecks, row.want)
	}
}

func TestDiagnosticsOfARedisThatRefusesWrites(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name, setting, status string
	}{
		{"full", "maxmemory", "ERROR: Redis has no memory left: give it more (maxmemory), or remove old data"},
		{"without its replicas", "min-replicas-to-write", "ERROR: Redis takes no writes: its log says why"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			s := serveOn(t, redistest.Start(t, "--"+row.setting, "1").URL()).ready()
			status, d := s.diagnose()
			if status != 200 || !d.Redis.Available {
				t.Errorf("%d %+v", status, d.Redis)
			}
			diff(t, "checks", d.CriticalChecks, proto.CriticalChecks{Status: row.status})
		})
	}
}

func TestDiagnosticsWithoutRedis(t *testing.T) {
	t.Parallel()
	status, d := serveOn(t, redistest.Reserve(t).URL()).diagnose()
	if status != 503 || d.Redis.Available || d.Redis.Ping != "ERROR" {
		t.Errorf("%d %+v", status, d.Redis)
	}
	diff(t, "checks", d.CriticalChecks, proto.CriticalChecks{Status: "ERROR: Redis does not answer: start it, or correct REDIS_URL"})
}

func TestDiagnosticsAreLimited(t *testing.T) {
	t.Parallel()
	s := live(t)
	s.api.diagnosable.SetBurst(1)
	s.api.diagnosable.SetLimit(0)
	if status, _ := s.diagnose(); status != 200 {
		t.Fatalf("the first answered %d", status)
	}
	a := s.do("GET", diagnosticsPath, "", withKey...)
	a.want(t, 429, problemBody("Too many requests for diagnostics", "Ask less often", "rate_limited"))
}
