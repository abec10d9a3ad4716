package e2e

import (
	"net/http"
	"strings"
	"testing"

	"github.com/prosaas/receipts/proto"
)

// fault asks the simulator to go wrong, as a script does.
func (s *system) fault(spec string) {
	s.t.Helper()
	a := (&client{t: s.t, api: s.gmail, http: http.DefaultClient}).call(http.MethodPost, "/__sim/faults", spec)
	if a.status != http.StatusNoContent {
		s.t.Fatalf("fault %q: %d %s", spec, a.status, a.body)
	}
}

func TestGmailTroubleThatPasses(t *testing.T) {
	t.Parallel()
	for _, spec := range []string{
		"method=messages.get,nth=3,code=401",
		"method=messages.get,nth=2,times=2,code=429,retry_after=1",
		"method=messages.list,nth=2,code=429,retry_after=1,retry_form=date",
		"method=messages.get,nth=2,times=2,code=403,reason=rateLimitExceeded,retry_after=1",
		"method=messages.list,nth=1,code=500",
		"method=messages.get,nth=2,times=2,code=503",
		"method=messages.get,nth=2,kind=cut",
		"method=messages.get,nth=3,kind=html",
		"method=messages.get,nth=4,kind=gzip",
	} {
		t.Run(spec, func(t *testing.T) {
			t.Parallel()
			s := newSystem(t, options{mails: 60})
			worker, api := s.startWorker(), s.startAPI()
			worker.registered()
			c := api.as("b1")
			s.fault(spec)
			if result := c.connected(owner); result.Errors != 0 {
				t.Errorf("result %+v", result)
			}
			for _, fault := range s.sim.Faults() {
				if fault.Fired == 0 {
					t.Errorf("%+v never went off", fault)
				}
			}
			if ledger := s.sim.Ledger(); ledger.EarlyRetries != 0 {
				t.Errorf("Gmail was asked again %d times before it had said", ledger.EarlyRetries)
			}
			checkAgainstTruth(t, s, c, owner)
		})
	}
}

func TestGmailTroubleThatStays(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		fault  string
		revoke bool
		code   string
		state  proto.ConnectionState
	}{
		{name: "administrator forbids", fault: "method=messages.list,code=403,reason=domainPolicy", code: "admin_blocked", state: proto.ConnectionConnected},
		{name: "scope missing", fault: "method=messages.list,code=403,reason=insufficientPermissions", code: "reconnect", state: proto.ConnectionReconnect},
		{name: "every token rejected", fault: "method=messages.list,code=401", code: "reconnect", state: proto.ConnectionReconnect},
		{name: "consent withdrawn", revoke: true, code: "reconnect", state: proto.ConnectionReconnect},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newSystem(t, options{mails: 60})
			worker, api := s.startWorker(), s.startAPI()
			worker.registered()
			c := api.as("b1")
			c.connected(owner)
			before := len(c.receipts())
			if tt.revoke {
				s.sim.RevokeTokens(owner)
			} else {
				s.fault(tt.fault)
			}
			job := c.awaitEnd(c.sync(full))
			if job.Status != proto.StateFailed || job.Error == nil || job.Error.Code != tt.code || job.Error.Message == "" || job.Error.Action == "" {
				t.Fatalf("the job is %s: %+v; want %s", job.Status, job.Error, tt.code)
			}
			worker.awaitEvent("🔔 JOB_FAIL", "job_id", job.JobID, "code", tt.code)
			status := decode[proto.ConnectionAnswer](t, c.call(http.MethodGet, "/api/gmail/oauth/status", ""), http.StatusOK)
			if status.Status != tt.state {
				t.Errorf("the connection is %q, want %q", status.Status, tt.state)
			}
			if after := len(c.receipts()); before == 0 || after != before {
				t.Errorf("%d receipts are left of %d", after, before)
			}

			s.sim.ClearFaults()
			c.connected(owner)
			checkAgainstTruth(t, s, c, owner)
		})
	}
}

func TestMailOfGarbage(t *testing.T) {
	t.Parallel()
	s := newSystem(t, options{mails: 60})
	worker, api := s.startWorker(), s.startAPI()
	worker.registered()
	c := api.as("b1")
	s.fault("method=messages.get,nth=2,times=2,kind=garbage")
	job, result := c.awaitFinish(c.connect(owner))
	ledger := s.sim.Ledger()
	if result.Scanned == 0 || job.Progress == nil || job.Progress.Pending != 0 {
		t.Errorf("result %+v, progress %+v", result, job.Progress)
	}
	if ledger.Reads.Repeated > inHand {
		t.Errorf("ledger %+v", ledger)
	}
	if want, got := len(s.truth(owner)), len(c.receipts()); got < want-2 || got == 0 {
		t.Errorf("%d receipts, of %d in the mailbox but for two mails of garbage", got, want)
	}
}

func TestTokenKeysThatDoNotFit(t *testing.T) {
	t.Parallel()
	s := newSystem(t, options{mails: 30})
	other := strings.NewReplacer(`"e2e"`, `"other"`, "MDEy", "OTg3").Replace(tokenKeys)
	worker, api := s.startWorker("TOKEN_KEYS="+other), s.startAPI()
	worker.registered()
	c := api.as("b1")
	job := c.awaitEnd(c.connect(owner))
	if job.Status != proto.StateFailed || job.Error == nil || job.Error.Code != "token_keys" || !strings.Contains(job.Error.Action, "TOKEN_KEYS") {
		t.Errorf("the job is %s: %+v", job.Status, job.Error)
	}
}
