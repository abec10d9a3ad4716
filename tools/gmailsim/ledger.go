package gmailsim

import (
	"fmt"
	"maps"
	"net/http"
	"sync"
	"time"
)

// Quota is a price list with its limit.
type Quota string

// The quota profiles. Google: Gmail API usage limits, as of 2026-05-01 for
// projects created since, and as before for those that used the API in the
// half year until then. QuotaOff counts by the prices of 2026 and refuses
// nothing.
const (
	Quota2026   Quota = "2026"
	QuotaLegacy Quota = "legacy"
	QuotaOff    Quota = "off"
)

// ParseQuota reads the name of a profile.
func ParseQuota(name string) (Quota, error) {
	switch q := Quota(name); q {
	case Quota2026, QuotaLegacy, QuotaOff:
		return q, nil
	}
	return "", fmt.Errorf("quota profile %q: want 2026, legacy or off", name)
}

// limit is the units a minute and mailbox; 0 is none.
func (q Quota) limit() int {
	switch q {
	case Quota2026:
		return 6000
	case QuotaLegacy:
		return 15000
	case QuotaOff:
	}
	return 0
}

// price is the units that a call costs, whatever its answer. Google has not
// published what attachments.get costs since 2026: it is taken to cost what
// messages.get does.
func (q Quota) price(method string) int {
	switch method {
	case methodProfile:
		return 1
	case methodList:
		return 5
	case methodHistory:
		return 2
	case methodGet, methodAttachments:
		if q == QuotaLegacy {
			return 5
		}
		return 20
	}
	return 0
}

// Ledger is what was asked of the simulator since it began, or since the last
// reset. Messages are those read with messages.get and answered whole; Repeated
// are the reads beyond a message's first. RateErrors are the answers that said
// too much was asked for; EarlyRetries the calls that came before such an answer
// had said to come again.
type Ledger struct {
	Calls          map[string]int `json:"calls"`
	Units          int            `json:"units"`
	MaxConcurrency int            `json:"max_concurrency"`
	Reads          Reads          `json:"reads"`
	RateErrors     int            `json:"rate_errors"`
	EarlyRetries   int            `json:"early_retries"`
}

// Reads is the part of the ledger about messages.get.
type Reads struct {
	Messages int `json:"messages"`
	Repeated int `json:"repeated"`
}

// ledger keeps the sums, and refuses what is over the quota.
type ledger struct {
	mu          sync.Mutex
	quota       Quota
	concurrency int
	sums        Ledger
	read        map[string]bool // address and message id
	users       map[string]*usage
}

// usage is one mailbox's share of the present.
type usage struct {
	active    int
	spent     []spending // of the last minute, oldest first
	notBefore time.Time  // what the last rate error said
}

type spending struct {
	at    time.Time
	units int
}

func newLedger(quota Quota, concurrency int) *ledger {
	l := &ledger{quota: quota, concurrency: concurrency, users: make(map[string]*usage)}
	l.reset()
	return l
}

// reset forgets the sums. Calls under way and the quota used go on.
func (l *ledger) reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sums = Ledger{Calls: make(map[string]int)}
	l.read = make(map[string]bool)
}

func (l *ledger) snapshot() Ledger {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := l.sums
	out.Calls = maps.Clone(l.sums.Calls)
	return out
}

func (l *ledger) setQuota(q Quota) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.quota = q
}

func (l *ledger) count(method string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sums.Calls[method]++
}

// admit charges a call to the mailbox, or refuses it. An admitted call is
// released by whoever admitted it.
func (l *ledger) admit(address, method string, now time.Time) *apiError {
	l.mu.Lock()
	defer l.mu.Unlock()
	u := l.user(address)
	if now.Before(u.notBefore) {
		l.sums.EarlyRetries++
	}
	units, limit := l.quota.price(method), l.quota.limit()
	if limit > 0 && u.active >= l.concurrency {
		return &apiError{code: http.StatusTooManyRequests, reason: "rateLimitExceeded", message: "Too many concurrent requests for user"}
	}
	if limit > 0 && u.spentSince(now.Add(-time.Minute))+units > limit {
		return &apiError{code: http.StatusForbidden, reason: "rateLimitExceeded"}
	}
	if limit > 0 {
		u.spent = append(u.spent, spending{at: now, units: units})
	}
	u.active++
	l.sums.Units += units
	l.sums.MaxConcurrency = max(l.sums.MaxConcurrency, u.active)
	return nil
}

func (l *ledger) release(address string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.user(address).active--
}

// refused notes a rate error that is about to be answered.
func (l *ledger) refused(address string, e *apiError, now time.Time) {
	if !e.isRate() {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sums.RateErrors++
	if e.retry.after > 0 {
		l.user(address).notBefore = now.Add(e.retry.after)
	}
}

// delivered notes a message that is about to be answered whole.
func (l *ledger) delivered(address, id string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	key := address + "/" + id
	if l.read[key] {
		l.sums.Reads.Repeated++
		return
	}
	l.read[key] = true
	l.sums.Reads.Messages++
}

func (l *ledger) user(address string) *usage {
	u := l.users[address]
	if u == nil {
		u = &usage{}
		l.users[address] = u
	}
	return u
}

// spentSince is the units spent after that time; those before are forgotten.
func (u *usage) spentSince(start time.Time) int {
	first := 0
	for first < len(u.spent) && !u.spent[first].at.After(start) {
		first++
	}
	u.spent = u.spent[first:]
	sum := 0
	for _, s := range u.spent {
		sum += s.units
	}
	return sum
}
