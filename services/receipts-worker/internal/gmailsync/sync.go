package gmailsync

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
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
	if t.gmail, err = s.client(ctx, t, mailbox.Tokens); err != nil {
		return proto.SyncResult{}, err
	}
	result, err := t.run(ctx, mailbox.Zone)
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
	justAnnounced, err := t.catchUp(ctx, state)
	if err != nil {
		return proto.SyncResult{}, err
	}
	if err := t.readOwed(ctx, justAnnounced); err != nil {
		return proto.SyncResult{}, err
	}
	for {
		// What an earlier turn left to read comes before the next window: a
		// message that kills its reader must not be passed by, window by window.
		if err := t.readWanted(ctx); err != nil {
			return proto.SyncResult{}, err
		}
		if t.place.Stopped || t.place.Window == len(t.windows) {
			break
		}
		if err := t.listWindow(ctx); err != nil {
			return proto.SyncResult{}, err
		}
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

func (t *turn) result(c receiptstore.Counts) proto.SyncResult {
	return proto.SyncResult{
		Scanned: c.Scanned, Saved: c.Saved, Updated: c.Updated, Duplicates: c.Duplicates, NotReceipts: c.NotReceipts,
		Gone: c.Gone, Errors: c.Errors, Units: c.Units, StoppedEarly: t.place.Stopped, HistoryExpired: t.place.Expired,
	}
}

// at tells how many windows are listed and read, of how many.
func (t *turn) at() (done, all int) { return t.place.Window, len(t.windows) }
