package gmailsync

import (
	"fmt"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// method is one of the calls that a sync makes, as metrics and errors name it.
type method string

const (
	methodProfile method = "profile"
	methodHistory method = "history.list"
	methodList    method = "messages.list"
	methodGet     method = "messages.get"
)

// Quota names the prices and limits that a project has at Gmail.
type Quota string

// The quotas. Source of prices and limits: developers.google.com/workspace/gmail/api/reference/quota,
// as of 2026-05-01 for projects made since, and as before for those that used
// the API in the half year until then.
const (
	Quota2026   Quota = "2026"
	QuotaLegacy Quota = "legacy"
	QuotaOff    Quota = "off" // counts by the prices of 2026 and keeps to no limit
)

// tariff is what calls cost, in units, and how many units a mailbox has a minute.
type tariff struct {
	price     map[method]int
	perMinute int // 0 is no limit
}

func (q Quota) tariff() (tariff, error) {
	now := map[method]int{methodProfile: 1, methodHistory: 2, methodList: 5, methodGet: 20}
	switch q {
	case Quota2026:
		return tariff{price: now, perMinute: 6_000}, nil
	case QuotaLegacy:
		return tariff{price: map[method]int{methodProfile: 1, methodHistory: 2, methodList: 5, methodGet: 5}, perMinute: 15_000}, nil
	case QuotaOff:
		return tariff{price: now}, nil
	}
	return tariff{}, fmt.Errorf("gmail quota profile %q: want %s, %s or %s", q, Quota2026, QuotaLegacy, QuotaOff)
}

// share is how much of the limit is used: clocks differ, and others may use the mailbox.
const share = 0.95

// perSecond is how many units a mailbox is given a second; 0 is no limit.
func (t tariff) perSecond() float64 { return float64(t.perMinute) * share / 60 }

// buckets keeps each mailbox to its tariff: what it may still spend, and until
// when Gmail told it to pause. It outlives turns, so that one that yields and
// is claimed again begins with no fresh bucket. What is not used for a while is
// forgotten.
type buckets struct {
	tariff tariff

	mu     sync.Mutex
	byName map[string]*bucket
}

type bucket struct {
	limiter  *rate.Limiter
	used     time.Time
	pausedAt time.Time
	paused   time.Time // until then
	refusals int       // since the last answer
}

// idleBucket is when a bucket is full again, and its pause over.
const idleBucket = 2 * time.Minute

func newBuckets(t tariff) *buckets {
	return &buckets{tariff: t, byName: make(map[string]*bucket)}
}

// with runs use on the business's bucket.
func (b *buckets) with(business string, now time.Time, use func(*bucket)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	one := b.byName[business]
	if one == nil {
		for name, other := range b.byName {
			if now.Sub(other.used) > idleBucket && now.After(other.paused) {
				delete(b.byName, name)
			}
		}
		one = &bucket{limiter: rate.NewLimiter(rate.Inf, 0)}
		if b.tariff.perMinute > 0 {
			// A minute's limit and the burst together stay below the whole limit.
			one.limiter = rate.NewLimiter(rate.Limit(b.tariff.perSecond()), b.tariff.perMinute/30)
		}
		b.byName[business] = one
	}
	one.used = now
	use(one)
}

// reserve takes units and answers how long to wait before they may be spent.
func (b *buckets) reserve(business string, now time.Time, units int) (wait time.Duration) {
	b.with(business, now, func(one *bucket) { wait = one.limiter.ReserveN(now, units).DelayFrom(now) })
	return wait
}

// pausedUntil answers until when the mailbox is left alone.
func (b *buckets) pausedUntil(business string, now time.Time) (until time.Time) {
	b.with(business, now, func(one *bucket) { until = one.paused })
	return until
}

// accepted notes that Gmail answered.
func (b *buckets) accepted(business string, now time.Time) {
	b.with(business, now, func(one *bucket) { one.refusals = 0 })
}

// refused pauses the mailbox because Gmail refused a call that began then: for
// as long as it named, or else for a while that doubles with each refusal, 1 s
// to 64 s. Calls that were under way when a pause began tell nothing new.
func (b *buckets) refused(business string, now, began time.Time, named time.Duration, jitter func(time.Duration) time.Duration) {
	b.with(business, now, func(one *bucket) {
		wait := named
		if wait == 0 {
			if began.Before(one.pausedAt) {
				return
			}
			most := time.Second << min(one.refusals, 6)
			wait = most/2 + jitter(most/2)
			one.refusals++
		}
		one.pausedAt = now
		if until := now.Add(wait); until.After(one.paused) {
			one.paused = until
		}
	})
}
