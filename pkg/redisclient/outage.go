package redisclient

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"
)

const (
	remindEvery = time.Minute      // while Redis stays away
	quietAfter  = 10 * time.Second // after the last line: a Redis that comes and goes fills no log
)

// outage logs that Redis is away, once a minute while it is, and that it is back.
// Callers whose call failed for it need not log that: see [LevelOf].
type outage struct {
	log       *slog.Logger
	addresses []string
	server    string // redis, or store where that is another
	setting   string // that names its address

	mu     sync.Mutex
	since  time.Time // when it began; zero while Redis is there
	warned time.Time // when it was last logged
	logged bool      // this outage was
}

// note takes what a call came to, and returns it.
func (o *outage) note(ctx context.Context, err error) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	away := errors.Is(err, ErrUnavailable)
	if !away && o.since.IsZero() {
		return err
	}
	now := time.Now()
	if !away {
		if o.logged {
			o.log.InfoContext(ctx, o.server+" is back", //nolint:sloglint // people grep for the name
				"addresses", o.addresses, "away_for", now.Sub(o.since).Round(time.Millisecond).String())
		}
		o.since, o.logged = time.Time{}, false
		return err
	}
	if o.since.IsZero() {
		o.since = now
	}
	wait := quietAfter
	if o.logged {
		wait = remindEvery
	}
	if now.Sub(o.warned) >= wait {
		o.warned, o.logged = now, true
		o.log.WarnContext(ctx, o.server+" does not answer, trying again: start it, or correct "+o.setting, //nolint:sloglint // as above
			"addresses", o.addresses,
			"away_for", now.Sub(o.since).Round(time.Millisecond).String(), "err", err)
	}
	return err
}

// LevelOf is the level at which a caller logs that its call failed: one that
// failed because Redis is away is the client's to log, once for all callers.
func LevelOf(err error) slog.Level {
	if errors.Is(err, ErrUnavailable) {
		return slog.LevelDebug
	}
	return slog.LevelWarn
}
