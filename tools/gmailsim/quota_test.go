package gmailsim

import (
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/prosaas/receipts/tools/gmailsim/mailbox"
	"github.com/prosaas/receipts/tools/gmailsim/mailgen"
)

func TestLedgerCountsCallsAndUnits(t *testing.T) {
	t.Parallel()
	tests := []struct {
		quota Quota
		units int
	}{
		{Quota2026, 1 + 5 + 2 + 3*20},
		{QuotaLegacy, 1 + 5 + 2 + 3*5},
		{QuotaOff, 1 + 5 + 2 + 3*20},
	}
	for _, tt := range tests {
		b := newBench(t, 12, Options{Quota: tt.quota})
		profile, err := b.client.Users.GetProfile("me").Context(t.Context()).Do()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := b.client.Users.History.List("me").StartHistoryId(profile.HistoryId).Context(t.Context()).Do(); err != nil {
			t.Fatal(err)
		}
		ids := b.listAll(t, "")
		for _, id := range []string{ids[0], ids[1], ids[0]} {
			if _, err := b.client.Users.Messages.Get("me", id).Format("raw").Context(t.Context()).Do(); err != nil {
				t.Fatal(err)
			}
		}
		want := Ledger{
			Calls: map[string]int{"profile": 1, "history.list": 1, "messages.list": 1, "messages.get": 3},
			Units: tt.units, MaxConcurrency: 1, Reads: Reads{Messages: 2, Repeated: 1},
		}
		if diff := cmp.Diff(want, b.Ledger()); diff != "" {
			t.Errorf("ledger, quota %s (-want +got):\n%s", tt.quota, diff)
		}
		b.ResetLedger()
		if diff := cmp.Diff(Ledger{Calls: map[string]int{}}, b.Ledger()); diff != "" {
			t.Errorf("ledger after reset (-want +got):\n%s", diff)
		}
	}
}

func TestQuotaRefusesWhatIsOverIt(t *testing.T) {
	t.Parallel()
	tests := []struct {
		quota   Quota
		allowed int // gets a minute
	}{
		{Quota2026, 300},
		{QuotaLegacy, 3000},
	}
	for _, tt := range tests {
		b := newBench(t, 6, Options{Quota: tt.quota})
		now := b.clock.now()
		for n := range tt.allowed {
			if e := b.ledger.admit(ownerAddress, methodGet, now); e != nil {
				t.Fatalf("quota %s: get %d is refused: %v", tt.quota, n, e)
			}
			b.ledger.release(ownerAddress)
		}
		_, err := b.client.Users.GetProfile("me").Context(t.Context()).Do()
		if e := apiErr(t, err); e.Code != http.StatusForbidden || e.Errors[0].Reason != "rateLimitExceeded" {
			t.Errorf("quota %s: over the limit: %v", tt.quota, e)
		}
		if l := b.Ledger(); l.RateErrors != 1 || l.Units != tt.allowed*tt.quota.price(methodGet) {
			t.Errorf("quota %s: ledger = %+v", tt.quota, l)
		}
		if e := b.ledger.admit("other@example.com", methodGet, now); e != nil {
			t.Errorf("quota %s: another mailbox is refused: %v", tt.quota, e)
		}
		b.SetQuota(QuotaOff)
		if _, err := b.client.Users.GetProfile("me").Context(t.Context()).Do(); err != nil {
			t.Errorf("quota %s switched off: %v", tt.quota, err)
		}
		b.SetQuota(tt.quota)
		b.clock.advance(time.Minute)
		if _, err := b.client.Users.GetProfile("me").Context(t.Context()).Do(); err != nil {
			t.Errorf("quota %s: a minute later: %v", tt.quota, err)
		}
	}
}

func TestConcurrencyIsAWall(t *testing.T) {
	t.Parallel()
	b := newBench(t, 12, Options{Concurrency: 3})
	// Three calls are under way; their answers are not out.
	for range 3 {
		if e := b.ledger.admit(ownerAddress, methodList, b.clock.now()); e != nil {
			t.Fatalf("let in: %v", e)
		}
	}
	_, err := b.client.Users.GetProfile("me").Context(t.Context()).Do()
	if e := apiErr(t, err); e.Code != http.StatusTooManyRequests || e.Message != "Too many concurrent requests for user" {
		t.Errorf("the fourth at once: %v", e)
	}
	b.ledger.release(ownerAddress)
	if _, err := b.client.Users.GetProfile("me").Context(t.Context()).Do(); err != nil {
		t.Errorf("after one is done: %v", err)
	}
	if l := b.Ledger(); l.MaxConcurrency != 3 || l.RateErrors != 1 {
		t.Errorf("ledger = %+v", l)
	}
}

// gate is a Source whose mails are held until it opens.
type gate struct {
	*mailgen.Generator
	reached chan struct{}
	open    chan struct{}
}

func (g gate) Raw(i int) ([]byte, error) {
	g.reached <- struct{}{}
	<-g.open
	return g.Generator.Raw(i)
}

// Calls that are answered at the same time are seen to be.
func TestConcurrencyIsMeasured(t *testing.T) {
	t.Parallel()
	b := newBench(t, 12, Options{})
	g := gate{mailgen.New(1, 12, b.clock.now()), make(chan struct{}), make(chan struct{})}
	b.mailboxes[0] = mailbox.New(ownerAddress, g, mailbox.Options{})
	ids := b.listAll(t, "")
	var gets sync.WaitGroup
	for _, id := range ids[:4] {
		gets.Go(func() {
			if _, err := b.client.Users.Messages.Get("me", id).Context(t.Context()).Do(); err != nil {
				t.Errorf("get %s: %v", id, err)
			}
		})
	}
	for range 4 {
		<-g.reached
	}
	close(g.open)
	gets.Wait()
	if l := b.Ledger(); l.MaxConcurrency != 4 || l.Calls[methodGet] != 4 {
		t.Errorf("ledger = %+v", l)
	}
}

// A call before the time that a refusal named is seen.
func TestEarlyRetries(t *testing.T) {
	t.Parallel()
	b := newBench(t, 6, Options{})
	if err := b.AddFault("method=profile,times=1,code=429,retry_after=30"); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		after time.Duration
		early int
	}{{0, 0}, {29 * time.Second, 1}, {time.Second, 1}} {
		b.clock.advance(tt.after)
		_, _ = b.client.Users.GetProfile("me").Context(t.Context()).Do() // the first is refused
		if l := b.Ledger(); l.EarlyRetries != tt.early || l.RateErrors != 1 {
			t.Errorf("%v later: %+v, want %d early", tt.after, l, tt.early)
		}
	}
}
