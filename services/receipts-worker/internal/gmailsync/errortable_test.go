package gmailsync

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/prosaas/receipts/pkg/queue"
	"github.com/prosaas/receipts/pkg/receiptstore"
	"github.com/prosaas/receipts/proto"
	"github.com/prosaas/receipts/tools/gmailsim"
	"github.com/prosaas/receipts/tools/gmailsim/mailbox"
)

// action is what a person is told to do about how a turn came out.
func action(err error) string {
	if failed, ok := errors.AsType[*queue.FailError](err); ok {
		return failed.Public.Action
	}
	if retried, ok := errors.AsType[*queue.RetryError](err); ok {
		return retried.Public.Action
	}
	return ""
}

// Each row of the table of Gmail's errors, and of Google's token endpoint: how
// the job comes out, what a person is told to do, where the connection stands.
// Then, with Google well and the business connected again where that was asked,
// the sync goes on, and nothing was lost by it.
func TestErrorTable(t *testing.T) {
	t.Parallel()
	fault := func(specs ...string) func(l *linked) {
		return func(l *linked) {
			for _, spec := range specs {
				if err := l.sim.AddFault(spec); err != nil {
					l.t.Fatal(err)
				}
			}
		}
	}
	token := func(spec string) func(l *linked) {
		return func(l *linked) {
			l.sim.ExpireAccessTokens("")
			fault(spec)(l)
		}
	}
	const connected, reconnect = proto.ConnectionConnected, proto.ConnectionReconnect
	rows := []struct {
		name     string
		reaction string // the row of reactions that is met
		trouble  func(l *linked)
		want     string
		action   string
		state    proto.ConnectionState
		failed   string // the code of the message's own failure, where it is its own
	}{
		{"token rejected for good", "token rejected", fault("method=history.list,code=401"), "fail reconnect", "Reconnect Gmail", reconnect, ""},
		{"scope taken away", "scope missing", fault("method=history.list,code=403,reason=insufficientPermissions"), "fail reconnect", "Reconnect Gmail", reconnect, ""},
		{"scope taken away, in Google's newer words", "scope missing", fault("method=history.list,code=403,reason=ACCESS_TOKEN_SCOPE_INSUFFICIENT"), "fail reconnect", "Reconnect Gmail", reconnect, ""},
		{"admin block", "admin block", fault("method=history.list,code=403,reason=domainPolicy"), "fail admin_blocked", "Ask the Workspace administrator to allow the app, then sync again", connected, ""},
		{"no Gmail", "no Gmail", fault("method=history.list,code=400,reason=failedPrecondition"), "fail no_gmail", "Connect an account that has Gmail", connected, ""},
		{"daily limit", "daily limit", fault("method=messages.get,code=403,reason=dailyLimitExceeded"), "defer gmail_daily_quota", "", connected, ""},
		{"rate limit", "rate limit", fault("method=messages.get,nth=1,code=403,reason=userRateLimitExceeded"), "done", "", connected, ""},
		{"rate limit, long", "rate limit", fault("method=messages.get,nth=1,code=429,retry_after=300"), "defer gmail_quota", "", connected, ""},
		{"refused", "refused", fault("method=history.list,code=403,reason=somethingNew"), "retry gmail_refused", "It is tried again; if it fails for good, look at the worker's logs", connected, ""},
		{"come back later", "come back later", fault("method=history.list,nth=1,code=503,retry_after=20"), "done", "", connected, ""},
		{"500 for ever", "passes by itself", fault("method=messages.get,code=500"), "defer gmail_unavailable", "", connected, ""},
		{"502 with a page", "passes by itself", fault("method=history.list,times=2,kind=html"), "done", "", connected, ""},
		{"cursor too old", "cursor too old", func(l *linked) { l.box.ExpireHistory() }, "done", "", connected, ""},
		{"cursor too old, 410", "cursor too old", fault("method=history.list,nth=1,code=410"), "done", "", connected, ""},
		{"cursor that Gmail does not take", "cursor too old", fault("method=history.list,nth=1,code=400,reason=invalidArgument"), "done", "", connected, ""},
		{"page token too old", "page token too old", fault("method=history.list,nth=2,code=400,reason=invalidArgument"), "done", "", connected, ""},
		{"not there yet", "no such message", fault("method=messages.get,nth=1,code=404"), "done", "", connected, ""},
		{"longer than any answer", "message too large", func(l *linked) { l.most = 600 }, "done", "", connected, "too_large"},
		{"grant revoked", "", func(l *linked) { l.sim.RevokeTokens("") }, "fail reconnect", "Reconnect Gmail", reconnect, ""},
		{"grant refused", "", token("method=token,code=400,reason=invalid_grant"), "fail reconnect", "Reconnect Gmail", reconnect, ""},
		{"client refused", "", token("method=token,code=401,reason=invalid_client"), "fail oauth_client", "Have the operator check GOOGLE_CLIENT_ID and GOOGLE_CLIENT_SECRET", connected, ""},
		{"token endpoint away", "passes by itself", token("method=token,code=503"), "defer gmail_unavailable", "", connected, ""},
		{"token ended", "", func(l *linked) { l.sim.ExpireAccessTokens("") }, "done", "", connected, ""},
	}
	tested := map[string]bool{}
	for _, row := range rows {
		tested[row.reaction] = true
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			l := newLinked(t, options{source: mails(6, 20), read: true, gzip: true, sim: gmailsim.Options{EmptyHistoryPages: true}})
			l.mustSync(envelope("first", proto.ModeIncremental))
			before := l.hash(l.keys.Receipts(business))
			fresh := l.box.Add(receiptMail("Your receipt", "12.00"), mailbox.AddOptions{Date: l.moved.now()})
			row.trouble(l)
			_, _, err := l.turn(t.Context(), envelope("j1", proto.ModeIncremental))
			if how(err) != row.want || action(err) != row.action {
				t.Errorf("came to %q (%v), action %q, want %q and %q", how(err), err, action(err), row.want, row.action)
			}
			status := l.status()
			if status.Status != row.state || (status.Action != nil) != (row.state == reconnect) {
				t.Errorf("connection %+v, want %s", status, row.state)
			}
			if status.Action != nil && *status.Action != row.action {
				t.Errorf("the connection says %q, the job %q", *status.Action, row.action)
			}
			if row.reaction != "" && !strings.Contains(l.log.String(), `"reaction":"`+row.reaction+`"`) {
				t.Errorf("another row was met than %q", row.reaction)
			}
			after := l.hash(l.keys.Receipts(business))
			for id, record := range before {
				if after[id] != record {
					t.Errorf("receipt %s was %q, is %q", id, record, after[id])
				}
			}

			l.most = mostAnswer
			l.sim.ClearFaults()
			_ = l.moved.sleep(t.Context(), 26*time.Hour)
			if row.state == reconnect {
				l.link()
			}
			l.mustSync(envelope("j2", proto.ModeIncremental))
			outcome, want := l.hash(l.keys.Outcomes(business))[fresh], "r"
			failures, err := l.store.Failures(t.Context(), business, "j1", "", 10)
			if row.failed != "" {
				want = "f"
			}
			if !strings.HasPrefix(outcome, want) || err != nil || (len(failures) > 0) != (row.failed != "") {
				t.Errorf("the message came to %q, failures %v, %v", outcome, failures, err)
			}
			for _, failure := range failures {
				if failure.MessageID != fresh || failure.Reason.Code != row.failed {
					t.Errorf("failure %+v, want %s of %s", failure, row.failed, fresh)
				}
			}
			if repeated := l.sim.Ledger().Reads.Repeated; repeated != 0 {
				t.Errorf("%d messages read twice", repeated)
			}
		})
	}
	for _, reaction := range reactions() {
		if !tested[reaction.name] {
			t.Errorf("no test meets %q", reaction.name)
		}
	}
}

// A mailbox that is disconnected in the middle of a sync: nothing is written any
// more, and a connection made again goes on with nothing lost.
func TestDisconnectedInTheMiddle(t *testing.T) {
	t.Parallel()
	l := newLinked(t, options{source: alike{30}})
	var before map[string]string
	l.nth("messages.get", 3, func() {
		if err := l.keeper.Disconnect(t.Context(), business); err != nil {
			t.Error(err)
		}
		before = l.state()
	})
	_, _, err := l.turn(t.Context(), envelope("j1", proto.ModeIncremental))
	if how(err) != "fail not_connected" && !errors.Is(err, receiptstore.ErrFenced) {
		t.Errorf("sync = %v", err)
	}
	if diff := cmp.Diff(before, l.state()); diff != "" {
		t.Errorf("written after the disconnect:\n%s", diff)
	}
	if action := action(err); action != "Connect Gmail" && action != "" {
		t.Errorf("action %q", action)
	}
	l.hook(nil, nil)
	l.link()
	l.mustSync(envelope("j2", proto.ModeIncremental))
	if outcomes := l.hash(l.keys.Outcomes(business)); len(outcomes) != 30 {
		t.Errorf("%d of 30 read", len(outcomes))
	}
}
