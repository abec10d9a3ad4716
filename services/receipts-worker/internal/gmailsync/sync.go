package gmailsync

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/prosaas/receipts/pkg/queue"
	"github.com/prosaas/receipts/pkg/receiptstore"
	"github.com/prosaas/receipts/proto"
)

// turn is one turn of a job: from its claim until it has finished, failed,
// waits, or gives way.
type turn struct {
	*Syncer
	job      Job
	business string
	params   proto.Params
	writer   *receiptstore.Writer
	gmail    *client
	report   *reporter
	place    place
	windows  []window
	marked   map[string]int // messages that jobs crashed with, and how many did
	inHand   atomic.Int64   // messages marked, and not saved yet
}

// place is where a job stands, kept with the business from turn to turn.
type place struct {
	Version int    `json:"v"`
	Zone    string `json:"zone"`           // whose months the windows are
	From    int64  `json:"from"`           // Unix seconds: what the windows tile
	To      int64  `json:"to"`             // exclusive
	Window  int    `json:"window"`         // the first that is not wholly listed
	Search  int    `json:"search"`         // of that window
	Page    string `json:"page,omitempty"` // of that search

	Expired bool `json:"expired,omitempty"` // Gmail no longer knew the cursor
	Stopped bool `json:"stopped,omitempty"` // max_messages was reached

	AwaySince int64 `json:"away_since,omitempty"` // Unix seconds: since when Gmail is away, and nothing was done
	AwayAt    int   `json:"away_at,omitempty"`    // how much was done by then
}

func (p place) encode() []byte {
	data, err := json.Marshal(p)
	if err != nil { // a struct of numbers, strings and booleans
		panic(err)
	}
	return data
}

// Sync does one turn of a job. It answers the result of a job that is done, or
// an error that says how the turn came out: the types of pkg/queue, an error of
// Redis, [receiptstore.ErrFenced], or the cause with which ctx ended.
func (s *Syncer) Sync(ctx context.Context, job Job) (proto.SyncResult, error) {
	envelope := job.Envelope()
	mailbox, err := s.open(ctx, envelope.BusinessID)
	if err != nil {
		if ctx.Err() != nil {
			return proto.SyncResult{}, context.Cause(ctx)
		}
		return proto.SyncResult{}, fromTokens(err)
	}
	t := &turn{
		Syncer: s, job: job, business: envelope.BusinessID, params: envelope.Params,
		writer: s.store.Writer(receiptstore.Fence{Business: envelope.BusinessID, Job: envelope.JobID, Lease: job.Lease(), Epoch: mailbox.Epoch}),
	}
	t.report = &reporter{turn: t, began: s.clock.now()}
	if t.gmail, err = s.client(ctx, t, mailbox); err != nil {
		return proto.SyncResult{}, err
	}
	result, err := t.run(ctx, mailbox.Zone)
	t.leave(ctx, err)
	if retry, ok := errors.AsType[*queue.RetryError](err); ok && ctx.Err() == nil && retry.Public.Code == unavailable {
		err = t.outwait(ctx, retry)
	}
	if err != nil && ctx.Err() != nil {
		return proto.SyncResult{}, context.Cause(ctx)
	}
	if deferred, ok := errors.AsType[*queue.DeferError](err); ok {
		t.report.deferred(ctx, deferred)
	}
	return result, err
}

func (t *turn) run(ctx context.Context, zone *time.Location) (proto.SyncResult, error) {
	state, err := t.writer.Begin(ctx)
	if err != nil {
		return proto.SyncResult{}, err
	}
	if err := t.locate(state, zone); err != nil {
		return proto.SyncResult{}, err
	}
	if state.Done { // its outcome was lost on the way to the queue
		return t.result(state.Counts), nil
	}
	t.marked = state.Marked
	if err := t.readSuspects(ctx, state.Suspects); err != nil {
		return proto.SyncResult{}, err
	}
	justAnnounced, err := t.catchUp(ctx, state)
	if err != nil {
		return proto.SyncResult{}, err
	}
	if err := t.readOwed(ctx, justAnnounced); err != nil {
		return proto.SyncResult{}, err
	}
	for {
		// A window that an earlier turn left half listed is listed first, so that
		// what several searches find is read once.
		if t.place.Search == 0 && t.place.Page == "" {
			if err := t.readWanted(ctx); err != nil {
				return proto.SyncResult{}, err
			}
		}
		if t.place.Stopped || t.place.Window == len(t.windows) {
			break
		}
		if err := t.listWindow(ctx); err != nil {
			return proto.SyncResult{}, err
		}
	}
	if err := t.readOwed(ctx, false); err != nil { // what was asked to be read again meanwhile
		return proto.SyncResult{}, err
	}
	if err := t.writer.Finish(ctx, t.place.encode()); err != nil {
		return proto.SyncResult{}, err
	}
	counts, err := t.report.done(ctx)
	return t.result(counts), err
}

// locate finds where the job stood, or, on its first turn, decides how far it
// reaches: that stays, however long the job lives.
func (t *turn) locate(state receiptstore.State, zone *time.Location) error {
	if len(state.Position) > 0 {
		if err := json.Unmarshal(state.Position, &t.place); err != nil {
			return fmt.Errorf("decode position of job %s: %w", t.job.Envelope().JobID, err)
		}
	} else {
		from, to, err := reach(t.job.Envelope(), state, zone)
		if err != nil {
			return err
		}
		t.place = place{Version: 1, Zone: zone.String(), From: from, To: to}
	}
	zone, err := time.LoadLocation(t.place.Zone)
	if err != nil {
		return fmt.Errorf("time zone of job %s: %w", t.job.Envelope().JobID, err)
	}
	t.windows = windows(t.place.From, t.place.To, zone)
	return nil
}

const (
	// outageWait is how long the job leaves Gmail alone while that is away.
	outageWait = time.Minute
	// longestOutage is for how long that is no attempt of the job's. Nothing of
	// Gmail's lasts as long; what still fails then is asked for in vain.
	longestOutage = 2 * time.Hour
)

// outwait turns an attempt that failed because Gmail is away into a wait. What
// is known of the outage lies with the position, so that it outlives the turn.
func (t *turn) outwait(ctx context.Context, retry *queue.RetryError) error {
	counts, _, _, err := t.writer.Progress(ctx)
	if err != nil {
		return err
	}
	now, done := t.clock.now(), counts.Listed+counts.Scanned+counts.Gone
	if t.place.AwaySince == 0 || t.place.AwayAt != done {
		t.place.AwaySince, t.place.AwayAt = now.Unix(), done
		if err := t.writer.SetPosition(ctx, t.place.encode()); err != nil {
			return err
		}
	}
	if now.Sub(time.Unix(t.place.AwaySince, 0)) > longestOutage {
		return retry
	}
	t.log.WarnContext(ctx, "gmail is away, the job waits", "business_id", t.business, "job_id", t.job.Envelope().JobID, "err", retry.Cause)
	return &queue.DeferError{After: outageWait/2 + jitter(outageWait/2), Reason: unavailable}
}

// leaveTime bounds what is written although the turn is over.
const leaveTime = 2 * time.Second

// leave gives back what the turn has taken and not spent, what it has in hand,
// and, where the job was canceled, what it wanted. Where Redis does not take it, a
// message is suspected that crashed nobody: it is read alone then. Only if that is
// cut off in the same way is it given up, and listed, for a person to retry.
func (t *turn) leave(ctx context.Context, err error) {
	canceled := errors.Is(err, queue.ErrCanceled) || errors.Is(context.Cause(ctx), queue.ErrCanceled)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), leaveTime)
	defer cancel()
	if err := t.gmail.spending.giveBack(ctx); err != nil {
		t.log.WarnContext(ctx, "quota not given back", "business_id", t.business, "err", err)
	}
	if t.inHand.Load() == 0 && !canceled {
		return
	}
	if err := t.writer.Leave(ctx, canceled); err != nil {
		t.log.WarnContext(ctx, "marks not taken back", "business_id", t.business, "job_id", t.job.Envelope().JobID, "err", err)
	}
}

func (t *turn) result(c receiptstore.Counts) proto.SyncResult {
	return proto.SyncResult{
		Scanned: c.Scanned, Saved: c.Saved, Updated: c.Updated, Duplicates: c.Duplicates, NotReceipts: c.NotReceipts,
		Gone: c.Gone, Errors: c.Errors, Units: c.Units, StoppedEarly: t.place.Stopped, HistoryExpired: t.place.Expired,
	}
}

// at tells how many windows are listed and read, of how many.
func (t *turn) at() (done, all int) { return t.place.Window, len(t.windows) }
