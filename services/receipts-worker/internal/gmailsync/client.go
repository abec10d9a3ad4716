package gmailsync

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"time"

	"google.golang.org/api/gmail/v1"
	"google.golang.org/api/option"

	"github.com/prosaas/receipts/pkg/connection"
	"github.com/prosaas/receipts/pkg/queue"
)

// pageSize is the most that Gmail puts on a page.
const pageSize = 500

// callTimeout bounds one call, a large message included.
const callTimeout = 2 * time.Minute

// slotWait is how long a wait that Gmail names is sat out; for a longer one
// the job goes back to the queue.
const slotWait = 30 * time.Second

// client calls Gmail for one turn of a job. The generated client retries
// nothing, knows no quota, and tells a rate limit as any other error: all of
// that is here.
type client struct {
	*Syncer
	turn     *turn
	tokens   Tokens
	service  *gmail.Service
	spending *spending
	gate     *gate
}

func (s *Syncer) client(ctx context.Context, t *turn, mailbox Mailbox) (*client, error) {
	service, err := gmail.NewService(ctx, option.WithEndpoint(s.endpoint),
		option.WithHTTPClient(&http.Client{Transport: &bearer{tokens: mailbox.Tokens, base: s.transport, most: s.most}}))
	if err != nil {
		return nil, fmt.Errorf("make a gmail client: %w", err)
	}
	service.UserAgent = "receipts-worker (gzip)" // Gmail compresses only for agents that say so
	return &client{Syncer: s, turn: t, tokens: mailbox.Tokens, service: service, spending: t.spending(mailbox.Address), gate: newGate()}, nil
}

// historyID is where the mailbox's history stands now.
func (c *client) historyID(ctx context.Context) (string, error) {
	var id uint64
	err := c.call(ctx, methodProfile, false, func(ctx context.Context) error {
		profile, err := c.service.Users.GetProfile("me").Context(ctx).Do()
		if err == nil {
			id = profile.HistoryId
		}
		return err
	})
	return strconv.FormatUint(id, 10), err
}

func (c *client) history(ctx context.Context, start uint64, page string) (out *gmail.ListHistoryResponse, err error) {
	err = c.call(ctx, methodHistory, page != "", func(ctx context.Context) error {
		call := c.service.Users.History.List("me").StartHistoryId(start).MaxResults(pageSize)
		if page != "" {
			call.PageToken(page)
		}
		out, err = call.Context(ctx).Do()
		return err
	})
	return out, err
}

func (c *client) list(ctx context.Context, q, page string) (out *gmail.ListMessagesResponse, err error) {
	err = c.call(ctx, methodList, page != "", func(ctx context.Context) error {
		call := c.service.Users.Messages.List("me").Q(q).MaxResults(pageSize)
		if page != "" {
			call.PageToken(page)
		}
		out, err = call.Context(ctx).Do()
		return err
	})
	return out, err
}

// message reads one message whole: the price does not depend on the format.
func (c *client) message(ctx context.Context, id string) (out *gmail.Message, err error) {
	err = c.call(ctx, methodGet, false, func(ctx context.Context) error {
		out, err = c.service.Users.Messages.Get("me", id).Format("raw").Context(ctx).Do()
		return err
	})
	return out, err
}

// call makes one call, as often as the table of reactions says.
func (c *client) call(ctx context.Context, m method, paged bool, do func(ctx context.Context) error) error {
	for try := 1; ; try++ {
		waited, err := c.spending.spend(ctx, m)
		if err != nil {
			return err
		}
		began := c.clock.now()
		bounded, cancel := context.WithTimeout(ctx, callTimeout)
		err = do(bounded)
		cancel()
		now := c.clock.now()
		if err == nil {
			c.metrics.called(m, "200", now.Sub(began))
			if m == methodGet {
				c.gate.answered(waited)
			}
			return c.spending.answered(ctx)
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		f := describe(m, paged, err, now)
		c.metrics.called(m, f.label(), now.Sub(began))
		var denied *tokenError
		if errors.As(err, &denied) && !errors.Is(err, connection.ErrGoogle) {
			return fromTokens(denied.cause)
		}
		if err := c.react(ctx, f, began, try); err != nil {
			return err
		}
	}
}

// react does what the table says about a fault: nil is to call again.
func (c *client) react(ctx context.Context, f fault, began time.Time, try int) error {
	row := reactionTo(f)
	c.log.DebugContext(ctx, "gmail call failed", "business_id", c.turn.business, "reaction", row.name, "try", try, "err", f)
	switch row.act {
	case actAnswer:
		return row.err
	case actPause:
		c.gate.refused(began, c.clock.now())
		return c.spending.turnedAway(ctx, began, f.named) // the next call waits
	case actDaily:
		return &queue.DeferError{After: c.untilPacificMidnight(), Reason: "gmail_daily_quota"}
	case actReconnect:
		if err := c.tokens.MarkReconnect(ctx, row.reason); err != nil {
			return err
		}
		return &queue.FailError{Public: row.public, Cause: f}
	case actFail:
		return &queue.FailError{Public: row.public, Cause: f}
	case actRetry:
		if try < row.tries {
			return c.clock.sleep(ctx, jitter(250*time.Millisecond<<try))
		}
	}
	if row.public.Code == "no_gmail" {
		return &queue.FailError{Public: row.public, Cause: f}
	}
	return &queue.RetryError{Public: row.public, Cause: f}
}

// untilPacificMidnight is how long Gmail's day still lasts, and a little, so
// that not all mailboxes come back at once.
func (c *client) untilPacificMidnight() time.Duration {
	now := c.clock.now().In(c.pacific)
	midnight := time.Date(now.Year(), now.Month(), now.Day()+1, 0, 0, 0, 0, c.pacific)
	return midnight.Sub(now) + jitter(10*time.Minute)
}

// jitter is any time up to most: those who wait together do not come back together.
func jitter(most time.Duration) time.Duration { return rand.N(most + 1) } //nolint:gosec // spreads load, keeps no secret
