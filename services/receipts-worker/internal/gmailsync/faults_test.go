package gmailsync

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/prosaas/receipts/pkg/connection"
	"github.com/prosaas/receipts/pkg/queue"
	"github.com/prosaas/receipts/pkg/redisclient"
	"github.com/prosaas/receipts/proto"
	"github.com/prosaas/receipts/tools/gmailsim"
	"github.com/prosaas/receipts/tools/gmailsim/mailbox"
)

// how tells how a turn came out, in one word and a code.
func how(err error) string {
	var failed *queue.FailError
	var retried *queue.RetryError
	var deferred *queue.DeferError
	switch {
	case err == nil:
		return "done"
	case errors.As(err, &deferred):
		return "defer " + deferred.Reason
	case errors.As(err, &failed):
		return "fail " + failed.Public.Code
	case errors.As(err, &retried):
		return "retry " + retried.Public.Code
	}
	return err.Error()
}

// Every row of the table of reactions, against the real client: what the job
// comes to, and, once Gmail is well again, that nothing was lost by it.
func TestReactions(t *testing.T) {
	t.Parallel()
	rows := []struct {
		name   string
		faults []string
		want   string
		calls  int // of the method that goes wrong, where it is told
		marked []connection.Reason
	}{
		{name: "token ended", faults: []string{"method=messages.get,nth=3,code=401"}, want: "done"},
		{name: "tokens rejected for good", faults: []string{"method=messages.list,code=401"}, want: "fail reconnect", calls: 2, marked: []connection.Reason{connection.ReasonUnauthorized}},
		{name: "scope missing", faults: []string{"method=messages.list,code=403,reason=insufficientPermissions"}, want: "fail reconnect", calls: 1, marked: []connection.Reason{connection.ReasonScope}},
		{name: "admin block", faults: []string{"method=messages.list,code=403,reason=domainPolicy"}, want: "fail admin_blocked", calls: 1},
		{name: "no gmail", faults: []string{"code=400,reason=failedPrecondition,method=profile"}, want: "fail no_gmail", calls: 3},
		{name: "precondition that passes", faults: []string{"method=profile,times=2,code=400,reason=failedPrecondition"}, want: "done", calls: 3},
		{name: "minute quota", faults: []string{"method=messages.get,nth=2,times=3,code=403,reason=rateLimitExceeded"}, want: "done"},
		{name: "user rate", faults: []string{"method=messages.list,nth=2,code=403,reason=userRateLimitExceeded"}, want: "done"},
		{name: "quota exceeded", faults: []string{"method=messages.list,nth=2,code=403,reason=quotaExceeded"}, want: "done"},
		{name: "too many requests", faults: []string{"method=messages.get,nth=2,times=2,code=429"}, want: "done"},
		{name: "too many requests for ever", faults: []string{"method=messages.list,code=429"}, want: "defer gmail_quota"},
		{name: "retry after, seconds", faults: []string{"method=messages.get,nth=2,code=429,retry_after=20"}, want: "done"},
		{name: "retry after, date", faults: []string{"method=messages.get,nth=2,code=429,retry_after=20,retry_form=date"}, want: "done"},
		{name: "retry after, message", faults: []string{"method=messages.get,nth=2,code=429,retry_after=20,retry_form=message"}, want: "done"},
		{name: "retry after, long", faults: []string{"method=messages.get,nth=2,code=429,retry_after=300"}, want: "defer gmail_quota"},
		{name: "unavailable, and says for how long", faults: []string{"method=messages.list,nth=1,code=503,retry_after=20"}, want: "done"},
		{name: "daily limit", faults: []string{"method=messages.get,nth=2,code=403,reason=dailyLimitExceeded"}, want: "defer gmail_daily_quota"},
		{name: "500 for a while", faults: []string{"method=messages.get,nth=2,times=4,code=500"}, want: "done"},
		{name: "500 for ever", faults: []string{"method=messages.list,code=500"}, want: "defer gmail_unavailable", calls: transientTries},
		{name: "503", faults: []string{"method=profile,times=2,code=503"}, want: "done", calls: 3},
		{name: "a page instead of JSON", faults: []string{"method=messages.list,times=2,kind=html"}, want: "done"},
		{name: "a page that says 404", faults: []string{"method=messages.get,times=2,kind=html,code=404"}, want: "done"},
		{name: "reset", faults: []string{"method=messages.get,times=2,kind=reset"}, want: "done"},
		{name: "cut", faults: []string{"method=messages.get,times=2,kind=cut"}, want: "done"},
		{name: "truncated gzip", faults: []string{"method=messages.get,times=2,kind=gzip"}, want: "done"},
		{name: "JSON of the wrong type", faults: []string{"method=messages.get,times=2,kind=type"}, want: "done"},
		{name: "refused, nobody knows why", faults: []string{"method=messages.list,code=403,reason=somethingNew"}, want: "retry gmail_refused", calls: 1},
		{name: "all at once", faults: []string{"p=0.2,seed=5,code=503", "method=messages.get,p=0.1,seed=6,kind=reset", "method=messages.get,p=0.1,seed=7,code=429,retry_after=2"}, want: "done"},
	}
	source := mails(24, 50) // the same in every world: what light makes of it depends on the minute
	reference := newWorld(t, options{source: source, gzip: true})
	reference.mustSync(envelope("j1", proto.ModeFull))
	want := reference.outcomes()
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, options{source: source, gzip: true})
			for _, spec := range row.faults {
				if err := w.sim.AddFault(spec); err != nil {
					t.Fatal(err)
				}
			}
			j, _, err := w.turn(t.Context(), envelope("j1", proto.ModeFull))
			if got := how(err); got != row.want {
				t.Fatalf("sync came to %q (%v), want %q", got, err, row.want)
			}
			if deferred, ok := errors.AsType[*queue.DeferError](err); ok {
				last := j.told[len(j.told)-1]
				if last.WaitingReason == nil || *last.WaitingReason != deferred.Reason || last.WaitingUntil == nil || !last.WaitingUntil.After(w.moved.now()) {
					t.Errorf("a person is told to wait until %v for %v", last.WaitingUntil, last.WaitingReason)
				}
			}
			ledger := w.sim.Ledger()
			if row.calls > 0 && w.faulted(ledger) != row.calls {
				t.Errorf("called %d times, want %d: %v", w.faulted(ledger), row.calls, ledger.Calls)
			}
			if ledger.EarlyRetries > startConcurrency-1 { // those that were under way when Gmail said to wait
				t.Errorf("%d calls before Gmail's time", ledger.EarlyRetries)
			}
			if diff := cmp.Diff(row.marked, w.tokens.marked); diff != "" {
				t.Errorf("connection marked:\n%s", diff)
			}
			w.sim.ClearFaults()
			_ = w.moved.sleep(t.Context(), time.Hour)
			w.mustSync(envelope("j1", proto.ModeFull))
			if diff := cmp.Diff(want, w.outcomes()); diff != "" {
				t.Errorf("gone on to another end:\n%s", diff)
			}
			if repeated := w.sim.Ledger().Reads.Repeated; repeated > mostConcurrency {
				t.Errorf("%d messages read twice", repeated)
			}
		})
	}
}

// faulted counts the calls of the first rule's method.
func (w *world) faulted(ledger gmailsim.Ledger) int {
	for part := range strings.SplitSeq(w.sim.Faults()[0].Spec, ",") {
		if name, ok := strings.CutPrefix(part, "method="); ok {
			return ledger.Calls[name]
		}
	}
	return 0
}

func TestTokenTrouble(t *testing.T) {
	t.Parallel()
	rows := []struct {
		name string
		err  error
		want string
	}{
		{"revoked", connection.ErrReconnect, "fail reconnect"},
		{"disconnected", connection.ErrNotConnected, "fail not_connected"},
		{"keys gone", connection.ErrUnreadable, "fail token_keys"},
		{"no keys", connection.ErrNoKeys, "fail token_keys"},
		{"client refused", connection.ErrClient, "fail oauth_client"},
		{"google away", connection.ErrGoogle, "defer gmail_unavailable"},
		{"redis away", redisclient.ErrUnavailable, "redis is not available"},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, options{})
			_, _ = w.tokens.Token(t.Context())
			w.sim.RevokeTokens("")
			w.tokens.fail = row.err
			_, _, err := w.turn(t.Context(), envelope("j1", proto.ModeFull))
			if got := how(err); got != row.want || (!errors.Is(err, row.err) && !strings.HasPrefix(got, "defer")) {
				t.Errorf("while running: %q (%v), want %q", got, err, row.want)
			}
			w.open = func(context.Context, string) (Mailbox, error) { return Mailbox{}, row.err }
			_, _, err = w.turn(t.Context(), envelope("j1", proto.ModeFull))
			if got := how(err); !errors.Is(err, row.err) || got != strings.Replace(row.want, "defer gmail_unavailable", "retry google_unavailable", 1) {
				t.Errorf("at the start: %q (%v), want %q", got, err, row.want)
			}
		})
	}
}

func TestExpiredTokenIsRefreshedOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	w.onCall = func(_ int64, method, _ string) {
		if method == "messages.get" && w.tokens.refreshedOnce() {
			w.sim.ExpireAccessTokens("")
		}
	}
	_, result := w.mustSync(envelope("j1", proto.ModeFull))
	if w.tokens.refreshed != 1 || result.Errors != 0 || len(w.tokens.marked) != 0 {
		t.Errorf("refreshed %d times, result %+v, marked %v", w.tokens.refreshed, result, w.tokens.marked)
	}
}

// refreshedOnce tells the first caller yes, so that tokens expire once.
func (g *grants) refreshedOnce() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	first := !g.expired
	g.expired = true
	return first
}

func TestDeferUntilMidnightInCalifornia(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		now  string
		want time.Duration
	}{
		{"2026-11-23T07:00:00Z", time.Hour},                     // 23:00 in winter
		{"2026-07-01T08:00:00Z", 23 * time.Hour},                // 01:00 in summer
		{"2026-11-01T07:30:00Z", 24*time.Hour + 30*time.Minute}, // 00:30 on the day that has 25 hours
	} {
		w := newWorld(t, options{})
		at, err := time.Parse(time.RFC3339, row.now)
		if err != nil {
			t.Fatal(err)
		}
		c := &client{Syncer: w.Syncer}
		c.clock.now = func() time.Time { return at }
		if got := c.untilPacificMidnight(); got < row.want || got > row.want+10*time.Minute {
			t.Errorf("at %s: %s, want %s and up to ten minutes", row.now, got, row.want)
		}
	}
}

// Nothing that Gmail says of a mailbox reaches an error's text.
func TestErrorsHoldNoSecrets(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	for _, spec := range []string{"method=messages.list,code=403,reason=owner@business.example", "method=messages.list,kind=html"} {
		w.sim.ClearFaults()
		if err := w.sim.AddFault(spec); err != nil {
			t.Fatal(err)
		}
		_, _, err := w.turn(t.Context(), envelope("j1", proto.ModeFull))
		if err == nil {
			t.Fatal("no error")
		}
		for _, secret := range []string{"@", "<html", w.tokens.access, "127.0.0.1"} {
			if strings.Contains(err.Error(), secret) {
				t.Errorf("error %q tells %q", err, secret)
			}
		}
	}
}

// Large messages are held one at a time, small ones beside them.
func TestOneLargeMessageAtATime(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	large := func() (io.Reader, func()) {
		ctx, release := w.oneLargeAtATime(t.Context())
		return &body{ReadCloser: io.NopCloser(io.LimitReader(zeros{}, largeAnswer+2)), ctx: ctx, most: mostAnswer}, release
	}
	first, releaseFirst := large()
	if n, err := io.Copy(io.Discard, first); err != nil || n != largeAnswer+2 {
		t.Fatalf("first: %d bytes, %v", n, err)
	}
	second, releaseSecond := large()
	read := make(chan error)
	go func() {
		_, err := io.Copy(io.Discard, second)
		read <- err
	}()
	select {
	case err := <-read:
		t.Fatalf("the second was read while the first is held: %v", err)
	case w.large <- struct{}{}:
		t.Fatal("nobody holds the slot")
	default:
	}
	small := &body{ReadCloser: io.NopCloser(strings.NewReader("small")), ctx: t.Context(), most: mostAnswer}
	if text, err := io.ReadAll(small); err != nil || string(text) != "small" {
		t.Errorf("a small one: %q, %v", text, err)
	}
	releaseFirst()
	if err := <-read; err != nil {
		t.Errorf("second: %v", err)
	}
	releaseSecond()
	if len(w.large) != 0 {
		t.Error("the slot was not given back")
	}
	endless := &body{ReadCloser: io.NopCloser(zeros{}), ctx: t.Context(), most: mostAnswer}
	if _, err := io.Copy(io.Discard, endless); !errors.Is(err, errTooLarge) {
		t.Errorf("an endless one: %v, want %v", err, errTooLarge)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }

func TestMetrics(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{read: true})
	registry := prometheus.NewRegistry()
	w.metrics = newMetrics(registry)
	w.box.Add([]byte("From: a@b.example\r\nSubject: receipt?\r\n\r\nhello"), mailbox.AddOptions{})
	_, result := w.mustSync(envelope("j1", proto.ModeFull))
	if problems, err := testutil.GatherAndLint(registry); err != nil || len(problems) > 0 {
		t.Errorf("lint: %v, %v", problems, err)
	}
	ledger := w.sim.Ledger()
	want := fmt.Sprintf(`
# HELP receipts_gmail_quota_units_total Units of Gmail's quota spent.
# TYPE receipts_gmail_quota_units_total counter
receipts_gmail_quota_units_total %d
# HELP receipts_gmail_requests_total Calls to Gmail, by method and HTTP status; none where there was no answer.
# TYPE receipts_gmail_requests_total counter
receipts_gmail_requests_total{code="200",method="messages.get"} %d
receipts_gmail_requests_total{code="200",method="messages.list"} %d
receipts_gmail_requests_total{code="200",method="profile"} 1
# HELP receipts_messages_total Messages that got an outcome.
# TYPE receipts_messages_total counter
receipts_messages_total{outcome="not_receipt"} %d
receipts_messages_total{outcome="receipt"} %d
`, ledger.Units, ledger.Calls["messages.get"], ledger.Calls["messages.list"], result.NotReceipts, result.Scanned-result.NotReceipts)
	if err := testutil.GatherAndCompare(registry, strings.NewReader(want), "receipts_gmail_quota_units_total", "receipts_gmail_requests_total", "receipts_messages_total"); err != nil {
		t.Error(err)
	}
	if saved := testutil.ToFloat64(w.metrics.receipts.WithLabelValues("new")); int(saved) != result.Saved {
		t.Errorf("%v receipts saved, want %d", saved, result.Saved)
	}
}
