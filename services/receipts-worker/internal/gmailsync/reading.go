package gmailsync

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"math"
	"runtime/debug"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/prosaas/receipts/pkg/receiptmail"
	"github.com/prosaas/receipts/pkg/receiptstore"
	"github.com/prosaas/receipts/proto"
)

// batch is how many ids are taken from a set at a time.
const batch = 100

// untilVisible is when a message that was just announced, and not found, is
// asked for again: Gmail tells of a message some seconds before it shows it.
func untilVisible() []time.Duration { return []time.Duration{3 * time.Second, 15 * time.Second} }

// readOwed reads what is owed. Of messages just announced those not found stay
// owed and are asked for again, all together, before they count as gone.
func (t *turn) readOwed(ctx context.Context, justAnnounced bool) error {
	t.report.phase(proto.PhaseReading)
	if !justAnnounced {
		return t.read(ctx, t.writer.Owed, true)
	}
	if err := t.read(ctx, t.writer.Owed, false); err != nil {
		return err
	}
	first := t.clock.now()
	waits := untilVisible()
	for i, wait := range waits {
		if left, err := t.writer.Owed(ctx, "", 1); err != nil || len(left) == 0 || t.place.Stopped {
			return err
		}
		if err := t.report.wait(ctx, first.Add(wait), "just_announced"); err != nil {
			return err
		}
		if err := t.read(ctx, t.writer.Owed, i == len(waits)-1); err != nil {
			return err
		}
	}
	return nil
}

func (t *turn) readWanted(ctx context.Context) error {
	t.report.phase(proto.PhaseReading)
	return t.read(ctx, t.writer.Wanted, true)
}

// budget is how many messages the job may still read.
func (t *turn) budget(ctx context.Context) (int, error) {
	if t.params.MaxMessages <= 0 {
		return math.MaxInt, nil
	}
	counts, _, _, err := t.writer.Progress(ctx)
	return max(t.params.MaxMessages-counts.Scanned, 0), err
}

// read goes over a set of ids once, newest first, and reads a few at a time.
// last tells that a message which is not found is gone. What is in hand when
// something goes wrong, or others wait, is finished.
func (t *turn) read(ctx context.Context, ids func(ctx context.Context, below string, n int) ([]string, error), last bool) error {
	left, err := t.budget(ctx)
	if err != nil {
		return err
	}
	var group errgroup.Group
	var failed atomic.Bool
	feed := func() error {
		for below := ""; ; {
			more, err := ids(ctx, below, batch)
			if err != nil || len(more) == 0 {
				return err
			}
			for _, id := range more {
				if err := t.report.checkpoint(ctx, false); err != nil || failed.Load() {
					return err
				}
				if left == 0 {
					t.place.Stopped = true
					return nil
				}
				left--
				if err := t.gmail.gate.enter(ctx); err != nil {
					return err
				}
				group.Go(func() error {
					defer t.gmail.gate.leave()
					err := t.readMessage(ctx, id, last)
					if err != nil {
						failed.Store(true)
					}
					return err
				})
			}
			below = more[len(more)-1]
		}
	}
	fed := feed()
	return errors.Join(group.Wait(), fed)
}

// crashes is how many jobs may crash with a message in hand before it is read
// no more.
const crashes = 2

// readSuspects comes before anything else is read: so what crashed once crashes
// again at once, and alone, before a new one can.
// What crashed its reader twice is given up, and the queue is told so: it counts
// crashes since the job last moved.
func (t *turn) readSuspects(ctx context.Context, suspects []string) error {
	t.report.phase(proto.PhaseReading)
	for _, id := range suspects {
		if t.marked[id] < crashes {
			continue
		}
		t.log.ErrorContext(ctx, "message crashes its reader", "business_id", t.business, "message_id", id)
		if err := t.save(ctx, crashedReader(id)); err != nil {
			return err
		}
		if err := t.report.checkpoint(ctx, true); err != nil {
			return err
		}
	}
	once := func(_ context.Context, below string, _ int) ([]string, error) {
		if below != "" {
			return nil, nil
		}
		return slices.DeleteFunc(slices.Clone(suspects), func(id string) bool { return t.marked[id] >= crashes }), nil
	}
	return t.read(ctx, once, true)
}

func crashedReader(id string) receiptstore.Message {
	return receiptstore.Message{
		ID: id, ExtractorVersion: receiptmail.Version, Outcome: receiptstore.OutcomeFailed,
		Reason: receiptstore.Reason{Code: "crashed_reader", Message: "The mail crashed the reader"},
	}
}

// everyReader is all shares of what keeps a suspect apart: more than messages
// can be in hand.
const everyReader = 1 << 20

// take marks a message as in this turn's hands. One that a job crashed with is in
// hand beside no other of this worker's, whatever its business, so that a second
// crash is its own doing.
func (t *turn) take(ctx context.Context, id string) (putDown func(), err error) {
	shares := int64(1)
	if t.marked[id] > 0 {
		shares = everyReader
	}
	if err := t.apart.Acquire(ctx, shares); err != nil {
		return nil, context.Cause(ctx)
	}
	t.inHand.Add(1)
	if err := t.writer.Mark(ctx, id); err != nil {
		t.apart.Release(shares)
		return nil, err
	}
	return func() { t.apart.Release(shares) }, nil
}

// readMessage reads one message and writes what became of it. It is marked before
// it is asked for: what it takes to decode the answer may be what crashes.
func (t *turn) readMessage(ctx context.Context, id string, last bool) error {
	if t.marked[id] >= crashes {
		return t.save(ctx, crashedReader(id))
	}
	putDown, err := t.take(ctx, id)
	if err != nil {
		return err
	}
	defer putDown()
	ctx, release := t.oneLargeAtATime(ctx)
	defer release()
	message, err := t.gmail.message(ctx, id)
	outcome := receiptstore.Message{ID: id, ExtractorVersion: receiptmail.Version}
	switch {
	case errors.Is(err, errGone) && !last:
		return nil
	case errors.Is(err, errGone), err == nil && hidden(message.LabelIds):
		outcome.Outcome = receiptstore.OutcomeGone
	case errors.Is(err, errTooLarge):
		outcome.Outcome, outcome.Reason = receiptstore.OutcomeFailed, receiptstore.Reason{Code: "too_large", Message: "The mail is larger than Gmail delivers"}
	case err != nil:
		return err
	default:
		err := t.interpret(ctx, &outcome, message.Raw, time.UnixMilli(message.InternalDate).UTC())
		if ctx.Err() != nil { // what was read by then is not all that it says
			return context.Cause(ctx)
		}
		if err != nil {
			return err
		}
	}
	if err := t.save(ctx, outcome); err != nil {
		return err
	}
	t.inHand.Add(-1)
	return nil
}

// save writes what became of a message.
func (t *turn) save(ctx context.Context, m receiptstore.Message) error {
	saved, err := t.writer.Save(ctx, m)
	if err != nil {
		return err
	}
	t.metrics.saved(m.Outcome, saved)
	t.report.wrote()
	return nil
}

// interpret turns a message's bytes, as Gmail encodes them, into its outcome.
// What is the message's own fault is noted, and the rest go on; what is not, as
// a PDF sandbox that does not start, is an error.
func (t *turn) interpret(ctx context.Context, outcome *receiptstore.Message, encoded string, received time.Time) error {
	result, err := t.extractFrom(ctx, outcome.ID, encoded, received)
	_, unreadable := errors.AsType[*receiptmail.UnreadableError](err)
	switch {
	case err != nil && !unreadable && !errors.Is(err, errOwnFault):
		return fmt.Errorf("read message %s of business %s: %w", outcome.ID, t.business, err)
	case err != nil:
		t.log.WarnContext(ctx, "message could not be read", "business_id", t.business, "message_id", outcome.ID, "err", err)
		outcome.Outcome, outcome.Reason = receiptstore.OutcomeFailed, receiptstore.Reason{Code: "unreadable", Message: "The mail could not be read"}
	case len(result.Receipts) > receiptstore.MaxReceipts:
		outcome.Outcome, outcome.Reason = receiptstore.OutcomeFailed, receiptstore.Reason{Code: "too_many_receipts", Message: "The mail holds more receipts than one mail can"}
	case len(result.Receipts) == 0:
		outcome.Outcome = receiptstore.OutcomeNotReceipt
	default:
		outcome.Outcome = receiptstore.OutcomeReceipt
		for _, r := range result.Receipts {
			r.ReceivedAt = received
			outcome.Receipts = append(outcome.Receipts, receiptstore.Found{Origin: r.Origin, Ordinal: r.Ordinal, Receipt: r.ReceiptDetail})
		}
	}
	return nil
}

// errOwnFault says that a message cannot be read, whoever tries.
var errOwnFault = errors.New("the message's own fault")

// extractFrom reads receipts out of a message. A reader that panics loses that
// message alone.
func (t *turn) extractFrom(ctx context.Context, id, encoded string, received time.Time) (result receiptmail.Result, err error) {
	defer func() {
		if r := recover(); r != nil {
			t.log.ErrorContext(ctx, "mail reader panicked", "business_id", t.business, "message_id", id, "stack", string(debug.Stack()))
			err = fmt.Errorf("the reader panicked: %w", errOwnFault)
		}
	}()
	// base64url, with padding or without (Gmail: users.messages, field raw).
	raw, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(encoded, "="))
	if err != nil {
		return receiptmail.Result{}, fmt.Errorf("decode the raw message: %w: %w", errOwnFault, err)
	}
	if len(raw) == 0 {
		return receiptmail.Result{}, fmt.Errorf("the raw message is empty: %w", errOwnFault)
	}
	return t.extract(ctx, raw, received)
}
