// Package gmailsync takes one business from where it stands to where Gmail
// stands. It is the worker's only user of Gmail's API.
//
// There is one way for every mode: first what Gmail's history says since the
// cursor (history.go), then, for a full or range sync, month windows newest
// first, each searched and then read (windows.go, listing.go, reading.go).
//
// Nothing is held between two calls that a crash could lose: ids are owed in
// the script that moves the cursor, chosen in the script that moves the
// position, and leave their set in the script that writes their outcome. So a
// sync may be stopped at any instruction, and whoever goes on reads no message
// twice but those that were in hand. Every call goes through one place that
// counts quota, paces, retries and turns Gmail's errors into what is to be done
// (client.go, reaction.go).
package gmailsync

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/semaphore"

	"github.com/prosaas/receipts/pkg/connection"
	"github.com/prosaas/receipts/pkg/receiptmail"
	"github.com/prosaas/receipts/pkg/receiptstore"
	"github.com/prosaas/receipts/proto"
)

// Job is what a sync needs of the job it does. Checkpoint tells progress and
// whether anything was written since the last one, and answers whether other
// jobs wait; its errors end the turn.
type Job interface {
	Envelope() proto.Envelope
	Lease() int64
	Checkpoint(ctx context.Context, p proto.Progress, moved bool) (others bool, err error)
}

// Tokens hands out access tokens of one mailbox. Refresh answers another one
// than that which Gmail rejected.
type Tokens interface {
	Token(ctx context.Context) (string, error)
	Refresh(ctx context.Context, rejected string) (string, error)
	MarkReconnect(ctx context.Context, reason connection.Reason) error
}

// Mailbox is a business's connection as a job finds it.
type Mailbox struct {
	Tokens  Tokens
	Address string         // whose quota is spent
	Epoch   int64          // of the connection: every write is compared by it
	Zone    *time.Location // in which the business's months and days begin
}

// Options are the optional settings of a syncer.
type Options struct {
	Endpoint   string                // of Gmail's API; Google's by default
	Quota      Quota                 // Quota2026 by default
	JobTimeout time.Duration         // of one turn; a sync yields after half of it; 2 h by default
	Logger     *slog.Logger          // discards by default
	Registerer prometheus.Registerer // none by default
}

// Syncer does syncs. It is safe for concurrent use by jobs of different businesses.
type Syncer struct {
	store   *receiptstore.Store
	meters  connection.Meters
	open    func(ctx context.Context, business string) (Mailbox, error)
	extract func(ctx context.Context, raw []byte, received time.Time) (receiptmail.Result, error)

	endpoint  string
	quota     tariff
	transport *http.Transport
	most      int                 // bytes of one answer
	large     chan struct{}       // held by whoever reads a large message
	apart     *semaphore.Weighted // a share for each message in hand, all for one that a job crashed with
	halftime  time.Duration
	pacific   *time.Location // where Gmail's day begins
	log       *slog.Logger
	metrics   *metrics
	clock     clock
}

// New makes a syncer over the store, which spends quota by meters and reads
// mails with reader. open answers a business's mailbox; its errors are those of
// [connection.Keeper.Tokens].
func New(store *receiptstore.Store, meters connection.Meters, open func(ctx context.Context, business string) (Mailbox, error), reader *receiptmail.Reader, opts Options) (*Syncer, error) {
	if opts.Endpoint == "" {
		opts.Endpoint = "https://gmail.googleapis.com/"
	}
	if opts.Quota == "" {
		opts.Quota = Quota2026
	}
	if opts.JobTimeout <= 0 {
		opts.JobTimeout = 2 * time.Hour
	}
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	if opts.Registerer == nil {
		opts.Registerer = prometheus.NewRegistry()
	}
	tariff, err := opts.Quota.tariff()
	if err != nil {
		return nil, err
	}
	pacific, err := time.LoadLocation("America/Los_Angeles")
	if err != nil {
		return nil, fmt.Errorf("load the time zone of gmail's day: %w", err)
	}
	return &Syncer{
		store: store, meters: meters, open: open, extract: reader.Read,
		endpoint: opts.Endpoint, quota: tariff, transport: newTransport(), most: mostAnswer,
		large: make(chan struct{}, 1), apart: semaphore.NewWeighted(everyReader), halftime: opts.JobTimeout / 2, pacific: pacific,
		log: opts.Logger, metrics: newMetrics(opts.Registerer), clock: systemClock(),
	}, nil
}

// Close ends idle connections to Gmail.
func (s *Syncer) Close() { s.transport.CloseIdleConnections() }

// clock is the time; tests move it.
type clock struct {
	now   func() time.Time
	sleep func(ctx context.Context, d time.Duration) error
}

func systemClock() clock {
	return clock{now: time.Now, sleep: func(ctx context.Context, d time.Duration) error {
		if d <= 0 {
			return context.Cause(ctx)
		}
		timer := time.NewTimer(d)
		defer timer.Stop()
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-timer.C:
			return nil
		}
	}}
}
