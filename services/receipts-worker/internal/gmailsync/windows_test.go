package gmailsync

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/prosaas/receipts/pkg/receiptstore"
	"github.com/prosaas/receipts/proto"
)

// zones have what calendars have: months that end in daylight saving, a day
// without a midnight, a half-hour offset.
func zones(t *testing.T) []*time.Location {
	t.Helper()
	var out []*time.Location
	for _, name := range []string{"Asia/Jerusalem", "America/New_York", "America/Sao_Paulo", "Africa/Cairo", "Australia/Lord_Howe", "Pacific/Apia", "UTC"} {
		zone, err := time.LoadLocation(name)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, zone)
	}
	return out
}

// Every second of a reach lies in exactly one window, and every window in one
// month: over thirty years, leap days and changes of the clock included.
func TestWindowsTileTheCalendar(t *testing.T) {
	t.Parallel()
	for _, zone := range zones(t) {
		from := time.Date(2000, 1, 17, 5, 4, 3, 0, zone).Unix()
		to := time.Date(2030, 3, 1, 0, 0, 0, 0, zone).Unix()
		all := windows(from, to, zone)
		if len(all) != 30*12+2 {
			t.Errorf("%s: %d windows, want %d", zone, len(all), 30*12+2)
		}
		end := to
		for _, w := range all {
			if w.before != end || w.after >= w.before {
				t.Fatalf("%s: window %+v does not end where the one before begins (%d)", zone, w, end)
			}
			first, last := time.Unix(w.after, 0).In(zone), time.Unix(w.before-1, 0).In(zone)
			if first.Month() != last.Month() || first.Year() != last.Year() {
				t.Errorf("%s: a window from %s to %s", zone, first, last)
			}
			end = w.after
		}
		if end != from {
			t.Errorf("%s: the last window begins at %d, want %d", zone, end, from)
		}
	}
	if none := windows(0, 0, time.UTC); len(none) != 0 {
		t.Errorf("windows of nothing: %v", none)
	}
}

// edges is a receipt at each of these moments.
type edges struct {
	alike
	at []time.Time
}

func (e edges) Date(i int) time.Time { return e.at[i] }

// calendarEdges are both sides of everything that happens to the zone's calendar
// from one day to another: months that begin, the leap day, clocks that change.
func calendarEdges(from, to time.Time) (at []time.Time) {
	for t := from; !t.After(to); t = t.Add(time.Hour) {
		_, before := t.Add(-time.Second).Zone()
		_, after := t.Zone()
		leaps := t.Hour() == 0 && (t.Month() == time.February && t.Day() == 29 || t.Month() == time.March && t.Day() == 1)
		if before != after || leaps || t.Add(-time.Second).Month() != t.Month() {
			at = append(at, t.Add(-time.Second), t)
		}
	}
	return at
}

// Of mails that came in the very second before or after a month, a leap day or a
// change of the clock a sync of a leap year reads each once, those of the second
// before and after the year not at all.
func TestEveryEdgeOfTheCalendarIsReadOnce(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]int{"Asia/Jerusalem": 2*13 + 4, "America/New_York": 2*13 + 4, "UTC": 2 * 13} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			zone, err := time.LoadLocation(name)
			if err != nil {
				t.Fatal(err)
			}
			at := calendarEdges(time.Date(2024, 1, 1, 0, 0, 0, 0, zone), time.Date(2025, 1, 1, 0, 0, 0, 0, zone))
			w := newWorld(t, options{source: edges{alike{len(at)}, at}})
			w.open = func(context.Context, string) (Mailbox, error) {
				return Mailbox{Tokens: w.tokens, Address: w.box.Address(), Epoch: epoch, Zone: zone}, nil
			}
			e := envelope("j1", proto.ModeRange)
			e.Params.FromDate, e.Params.ToDate = "2024-01-01", "2024-12-31"
			j, result := w.mustSync(e)
			if listed := j.told[len(j.told)-1].Listed; len(at) != want+2 || listed != want || result.Scanned != want || w.sim.Ledger().Reads.Repeated != 0 {
				t.Errorf("of %d mails, two of them outside, %d were chosen and %d read, want %d once: %+v", len(at), listed, result.Scanned, want, w.sim.Ledger().Reads)
			}
			for id := range w.hash(w.keys.Outcomes(business)) {
				if m, err := w.box.Get(id); err != nil || m.Date.In(zone).Year() != 2024 {
					t.Errorf("read a message of %s, %v", m.Date.In(zone), err)
				}
			}
		})
	}
}

func TestReach(t *testing.T) {
	t.Parallel()
	zone, err := time.LoadLocation("Asia/Jerusalem")
	if err != nil {
		t.Fatal(err)
	}
	// In Jerusalem it is already 1 April.
	now := time.Date(2026, 3, 31, 22, 30, 0, 0, time.UTC)
	known := receiptstore.State{Now: now, Cursor: "5", LastOK: now.Add(-time.Hour)}
	rows := []struct {
		name     string
		mode     proto.Mode
		params   proto.Params
		state    receiptstore.State
		from, to string // of the zone's days, from the first's midnight to the last's end
	}{
		{"incremental", proto.ModeIncremental, proto.Params{}, known, "", ""},
		{"incremental, never synced", proto.ModeIncremental, proto.Params{}, receiptstore.State{Now: now}, "2026-03-02", "2026-04-02"},
		{"incremental, never finished", proto.ModeIncremental, proto.Params{}, receiptstore.State{Now: now, Cursor: "5"}, "2026-03-02", "2026-04-02"},
		{"full", proto.ModeFull, proto.Params{}, known, "2023-04-01", "2026-04-02"},
		{"full, two months", proto.ModeFull, proto.Params{MonthsBack: 2}, known, "2026-02-01", "2026-04-02"},
		{"full, over the year", proto.ModeFull, proto.Params{MonthsBack: 5}, known, "2025-11-01", "2026-04-02"},
		{"range", proto.ModeRange, proto.Params{FromDate: "2026-03-27", ToDate: "2026-03-28"}, known, "2026-03-27", "2026-03-28"},
		{"range of one day", proto.ModeRange, proto.Params{FromDate: "2024-02-29", ToDate: "2024-02-29"}, known, "2024-02-29", "2024-02-29"},
		{"range from", proto.ModeRange, proto.Params{FromDate: "2026-01-31"}, known, "2026-01-31", "2026-04-02"},
		{"range to", proto.ModeRange, proto.Params{ToDate: "2026-01-31"}, known, "2023-01-01", "2026-01-31"},
		{"range to, two months", proto.ModeRange, proto.Params{ToDate: "2026-01-31", MonthsBack: 2}, known, "2025-11-01", "2026-01-31"},
	}
	for _, row := range rows {
		from, to, err := reach(proto.Envelope{Mode: row.mode, Params: row.params}, row.state, zone)
		if err != nil {
			t.Errorf("%s: %v", row.name, err)
		}
		if row.from == "" {
			if from != to {
				t.Errorf("%s: %d to %d, want nothing", row.name, from, to)
			}
			continue
		}
		first, last := time.Unix(from, 0).In(zone), time.Unix(to, 0).In(zone)
		if first.Format("2006-01-02 15:04:05") != row.from+" 00:00:00" || last.AddDate(0, 0, -1).Format("2006-01-02 15:04:05") != row.to+" 00:00:00" {
			t.Errorf("%s: %s to %s, want from %s to the end of %s", row.name, first, last, row.from, row.to)
		}
	}
	for _, bad := range []proto.Envelope{
		{Mode: "sideways"}, {Mode: proto.ModeRange, Params: proto.Params{FromDate: "31/01/2026"}}, {Mode: proto.ModeRange, Params: proto.Params{ToDate: "2026-02-30"}},
	} {
		if _, _, err := reach(bad, known, zone); how(err) != "fail unreadable_job" {
			t.Errorf("%+v: %v, want it to fail", bad, err)
		}
	}
}

func TestQueries(t *testing.T) {
	t.Parallel()
	for _, search := range searches() {
		q := query(search, window{after: 10, before: 20})
		for _, part := range []string{search, " after:10 before:20", " -in:drafts", " -in:chats"} {
			if !strings.Contains(q, part) {
				t.Errorf("query %q lacks %q", q, part)
			}
		}
		if len(q) > 1500 {
			t.Errorf("query of %d bytes: %q", len(q), q)
		}
	}
	if q := query("", window{after: 10}); strings.Contains(q, "before") {
		t.Errorf("query %q has an end", q)
	}
}
