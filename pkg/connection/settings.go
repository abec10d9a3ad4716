package connection

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/prosaas/receipts/pkg/redisclient"
)

// The fields of the settings' hash. One that is not there was not set.
//
//	v          version of the record, 1
//	time_zone  IANA name
//	auto_sync  ms between automatic syncs, 0 for none
//	language   of the pages, as "he"

// ErrTimeZone says that there is no time zone of that name.
var ErrTimeZone = errors.New("no such time zone")

// Settings are what a business chose for itself. A field's zero value says that
// nothing was chosen: the system's setting counts.
type Settings struct {
	TimeZone string         // IANA name, as "Asia/Jerusalem"
	AutoSync *time.Duration // between automatic syncs, 0 for none; whole milliseconds
	Language string         // of the pages, as "he"
}

// Zone is the time zone in which the business counts its days and months:
// unset, where it chose none. It fails with [ErrTimeZone].
func (s Settings) Zone(unset *time.Location) (*time.Location, error) {
	if s.TimeZone == "" {
		return unset, nil
	}
	zone, err := time.LoadLocation(s.TimeZone)
	if err != nil || zone == time.Local { // Local is the machine's, and no name of a zone
		return nil, fmt.Errorf("time zone %q: %w", s.TimeZone, ErrTimeZone)
	}
	return zone, nil
}

// Settings answers what the business chose.
func (k *Keeper) Settings(ctx context.Context, business string) (Settings, error) {
	r, err := k.load(ctx, business)
	return r.settings, err
}

// Choose writes the settings that are given, and leaves the others as they are.
// They need no connection, and outlive it, whichever mailbox comes next. A time
// zone that is none is refused with [ErrTimeZone].
func (k *Keeper) Choose(ctx context.Context, business string, s Settings) error {
	if _, err := s.Zone(nil); err != nil {
		return fmt.Errorf("choose settings of business %s: %w", business, err)
	}
	var fields []string
	if s.TimeZone != "" {
		fields = append(fields, "time_zone", s.TimeZone)
	}
	if s.AutoSync != nil {
		fields = append(fields, "auto_sync", strconv.FormatInt(s.AutoSync.Milliseconds(), 10))
	}
	if s.Language != "" {
		fields = append(fields, "language", s.Language)
	}
	if _, err := k.store.Run(ctx, chooseScript, []string{k.keys.Settings(business)}, fields...); err != nil {
		return fmt.Errorf("choose settings of business %s: %w", business, err)
	}
	return nil
}

// KEYS: settings. ARGV: fields and values. Safe to repeat. What a newer release
// wrote stays what it is.
var chooseScript = redisclient.NewRepeatableScript(`
redis.call('HSETNX', KEYS[1], 'v', '1')
if #ARGV > 0 then redis.call('HSET', KEYS[1], unpack(ARGV)) end
return 'ok'
`)

// settingsOf reads the fields time_zone, auto_sync and language, "" for none.
// What a newer release wrote in its own way counts as not set: no setting is
// worth a connection that cannot be read.
func settingsOf(fields []string) Settings {
	s := Settings{TimeZone: fields[0], Language: fields[2]}
	if ms, err := strconv.ParseInt(fields[1], 10, 64); err == nil {
		every := time.Duration(ms) * time.Millisecond
		s.AutoSync = &every
	}
	return s
}
