// Package runner is what each kind of job does: it joins the queue's jobs to
// the packages that do the work.
//
// It holds nothing. What a crash leaves behind of a job is theirs, and the
// queue's, to go on from.
package runner

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/prosaas/receipts/pkg/connection"
	"github.com/prosaas/receipts/pkg/queue"
	"github.com/prosaas/receipts/pkg/receiptstore"
	"github.com/prosaas/receipts/pkg/redisclient"
	"github.com/prosaas/receipts/proto"
	"github.com/prosaas/receipts/services/receipts-worker/internal/gmailsync"
)

// noopConnections is how many stored connections a noop opens: enough to find
// keys that were replaced, few enough to cost nothing.
const noopConnections = 5

// Mailboxes answers how a sync finds a business's mailbox: its connection, and
// the zone in which its months begin, which is unset where it chose none.
func Mailboxes(keeper *connection.Keeper, unset *time.Location) func(ctx context.Context, business string) (gmailsync.Mailbox, error) {
	return func(ctx context.Context, business string) (gmailsync.Mailbox, error) {
		tokens, err := keeper.Tokens(ctx, business)
		if err != nil {
			return gmailsync.Mailbox{}, err
		}
		zone, err := tokens.Settings.Zone(unset)
		if err != nil {
			return gmailsync.Mailbox{}, fmt.Errorf("mailbox of business %s: %w", business, err)
		}
		return gmailsync.Mailbox{Tokens: tokens, Address: tokens.Address, Epoch: tokens.Epoch, Zone: zone}, nil
	}
}

// GmailSync takes a business from where it stands to where Gmail stands.
func GmailSync(syncer *gmailsync.Syncer) queue.Work {
	return queue.Work{
		Title: "Gmail receipts sync",
		Handle: func(ctx context.Context, job *queue.Job) (slog.LogValuer, error) {
			result, err := syncer.Sync(ctx, job)
			if errors.Is(err, receiptstore.ErrFenced) {
				err = fmt.Errorf("%w: %w", queue.ErrStale, err)
			}
			return result, err
		},
	}
}

// Noop opens a few stored connections, as a sync would, and reports in its
// result how many of them this worker cannot open. It then holds its slot for as
// long as its parameters say, at most 30 s. It changes nothing and calls nobody.
func Noop(keeper *connection.Keeper) queue.Work {
	return queue.Work{
		Title: "No operation",
		Handle: func(ctx context.Context, job *queue.Job) (slog.LogValuer, error) {
			opened, err := keeper.TryOpening(ctx, noopConnections)
			result := proto.NoopResult{Connections: &opened}
			switch {
			case errors.Is(err, redisclient.ErrStoreUnavailable):
				result.Connections = nil // the noop checks the queue, which is well
			case err != nil:
				return nil, err
			}
			seconds := min(max(job.Envelope().Params.Seconds, 0), 30)
			timer := time.NewTimer(time.Duration(seconds) * time.Second)
			defer timer.Stop()
			select {
			case <-ctx.Done():
				return nil, context.Cause(ctx)
			case <-timer.C:
				return result, nil
			}
		},
	}
}
