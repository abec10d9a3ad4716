package gmailsync

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/prosaas/receipts/pkg/connection"
	"github.com/prosaas/receipts/pkg/queue"
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

// tariff is what calls cost, in units, and how many units a mailbox has a
// minute, and the whole project.
type tariff struct {
	price     map[method]int
	perMinute int // 0 is no limit
	project   int
}

func (q Quota) tariff() (tariff, error) {
	now := map[method]int{methodProfile: 1, methodHistory: 2, methodList: 5, methodGet: 20}
	switch q {
	case Quota2026:
		return tariff{price: now, perMinute: 6_000, project: 1_200_000}, nil
	case QuotaLegacy:
		return tariff{price: map[method]int{methodProfile: 1, methodHistory: 2, methodList: 5, methodGet: 5}, perMinute: 15_000, project: 1_200_000}, nil
	case QuotaOff:
		return tariff{price: now}, nil
	}
	return tariff{}, fmt.Errorf("gmail quota profile %q: want %s, %s or %s", q, Quota2026, QuotaLegacy, QuotaOff)
}

// limit is what is used of so many units a minute: 95 %, since clocks differ,
// and others may use the mailbox. A minute's share and the burst together stay
// below the whole.
func limit(perMinute int) connection.Limit {
	return connection.Limit{PerMinute: perMinute * 95 / 100, Burst: perMinute / 30}
}

// perSecond is how many units a mailbox is given a second; 0 is no limit.
func (t tariff) perSecond() float64 { return float64(limit(t.perMinute).PerMinute) / 60 }

// block is how many messages' units are taken at a time.
const block = 5

// purse is what a turn took of one quota and may spend without asking again.
type purse struct {
	meter *connection.Meter
	units int
}

// spending keeps one turn's calls to what the mailbox and the project may spend,
// all workers together, and to the pauses that Gmail asks for.
type spending struct {
	turn    *turn
	asking  chan struct{} // held by who waits for units: the others wait for it
	mailbox *connection.Meter
	purses  []*purse

	mu      sync.Mutex
	paused  time.Time // until then
	refused bool      // and nothing answered since
}

func (t *turn) spending(address string) *spending {
	mailbox := t.meters.Mailbox(address, limit(t.quota.perMinute))
	return &spending{
		turn: t, asking: make(chan struct{}, 1), mailbox: mailbox,
		purses: []*purse{{meter: mailbox}, {meter: t.meters.Project(limit(t.quota.project))}},
	}
}

// spend waits until the mailbox may be asked, and pays the call's price.
// waited tells that the quota made it wait.
func (s *spending) spend(ctx context.Context, m method) (waited bool, err error) {
	select {
	case s.asking <- struct{}{}:
		defer func() { <-s.asking }()
	case <-ctx.Done():
		return false, context.Cause(ctx)
	}
	price := s.turn.quota.price[m]
	take := price
	if m == methodGet {
		take *= block
	}
	if err := s.sitOut(ctx); err != nil {
		return false, err
	}
	for _, p := range s.purses {
		for p.units < price {
			grant, err := p.meter.Take(ctx, s.turn.clock.now(), take)
			if err != nil {
				return waited, err
			}
			switch {
			case grant.Wait == 0:
				p.units += take
			case grant.Paused, grant.Wait > slotWait:
				s.pause(grant.Wait)
			default:
				waited = true
				if err := s.turn.clock.sleep(ctx, grant.Wait); err != nil {
					return waited, err
				}
			}
			if grant.Refused {
				s.note(true)
			}
			if err := s.sitOut(ctx); err != nil {
				return waited, err
			}
		}
	}
	for _, p := range s.purses {
		p.units -= price
	}
	if ctx.Err() != nil {
		return waited, context.Cause(ctx)
	}
	s.turn.writer.Spend(price)
	s.turn.metrics.units.Add(float64(price))
	return waited, nil
}

// sitOut waits until the mailbox's pause is over: in the slot where that is
// soon, else in the queue.
func (s *spending) sitOut(ctx context.Context) error {
	for {
		s.mu.Lock()
		until := s.paused
		s.mu.Unlock()
		wait := until.Sub(s.turn.clock.now())
		if wait <= 0 {
			return nil
		}
		if wait > slotWait {
			return &queue.DeferError{After: wait, Reason: "gmail_quota"}
		}
		if err := s.turn.report.wait(ctx, until, "gmail_quota"); err != nil {
			return err
		}
	}
}

func (s *spending) pause(wait time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if until := s.turn.clock.now().Add(wait); until.After(s.paused) {
		s.paused = until
	}
}

// note remembers whether Gmail refuses, and answers whether that is new.
func (s *spending) note(refused bool) (changed bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	changed = s.refused != refused
	s.refused = refused
	return changed
}

// turnedAway pauses the mailbox for all workers: Gmail refused a call that
// began then, and named how long to wait, or did not (0).
func (s *spending) turnedAway(ctx context.Context, began time.Time, named time.Duration) error {
	wait, err := s.mailbox.Pause(ctx, s.turn.clock.now(), began, named)
	if err != nil {
		return err
	}
	s.note(true)
	s.pause(wait)
	return nil
}

// answered notes that Gmail took a call.
func (s *spending) answered(ctx context.Context) error {
	if !s.note(false) {
		return nil
	}
	return s.mailbox.Answered(ctx)
}

// giveBack returns what was taken and not spent.
func (s *spending) giveBack(ctx context.Context) error {
	for _, p := range s.purses {
		if p.units == 0 {
			continue
		}
		if _, err := p.meter.Take(ctx, s.turn.clock.now(), -p.units); err != nil {
			return err
		}
		p.units = 0
	}
	return nil
}
