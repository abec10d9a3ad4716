package httpapi

import (
	"fmt"
	"time"

	"github.com/prosaas/receipts/proto"
)

const (
	defaultMonthsBack = 36
	maxMonthsBack     = 120
	maxMaxMessages    = 100000

	// Gmail began in 2004. A bound on the other side keeps a mistyped year from
	// becoming a thousand windows of a month.
	firstYear, lastYear = 2004, 2099
)

// plan is what a sync request asks for, said in one way: two requests that ask
// for the same have equal plans. today answers the day that it is for the
// business, and is asked only where it counts.
func plan(r proto.SyncRequest, today func() (time.Time, error)) (proto.Mode, proto.Params, error) {
	var p proto.Params
	mode, err := planMode(r.Mode)
	if err != nil {
		return "", p, err
	}
	monthsBack := defaultMonthsBack
	if r.MonthsBack != nil {
		monthsBack = *r.MonthsBack
		if monthsBack < 1 || monthsBack > maxMonthsBack {
			return "", p, badField("months_back", fmt.Sprintf("must be 1 to %d", maxMonthsBack))
		}
	}
	if r.MaxMessages != nil {
		p.MaxMessages = *r.MaxMessages
		if p.MaxMessages < 1 || p.MaxMessages > maxMaxMessages {
			return "", p, badField("max_messages", fmt.Sprintf("must be 1 to %d", maxMaxMessages))
		}
	}
	if r.Force != nil {
		p.Force = *r.Force
	}
	from, err := planDate("from_date", r.FromDate)
	if err != nil {
		return "", p, err
	}
	to, err := planDate("to_date", r.ToDate)
	if err != nil {
		return "", p, err
	}
	switch {
	case from == nil && to == nil:
		if mode == proto.ModeFull {
			p.MonthsBack = monthsBack
		}
		return mode, p, nil
	case mode == proto.ModeFull:
		return "", p, badField("mode", "must not be 'full' together with from_date or to_date")
	case to == nil:
		now, err := today()
		if err != nil {
			return "", p, err
		}
		to = &now
	case from == nil:
		from = monthsBefore(*to, monthsBack)
	}
	p.FromDate, p.ToDate = from.Format(time.DateOnly), to.Format(time.DateOnly)
	if p.FromDate > p.ToDate {
		return "", p, badField("from_date", "must not be after to_date, or after today")
	}
	return proto.ModeRange, p, nil
}

func planMode(given *string) (proto.Mode, error) {
	if given == nil {
		return proto.ModeIncremental, nil
	}
	switch *given {
	case "incremental":
		return proto.ModeIncremental, nil
	case "full", "full_backfill":
		return proto.ModeFull, nil
	default:
		return "", badField("mode", "must be 'incremental' or 'full'")
	}
}

// planDate reads a calendar day; nil is none.
func planDate(name string, given *string) (*time.Time, error) {
	if given == nil {
		return nil, nil
	}
	day, err := time.Parse(time.DateOnly, *given)
	if err != nil || day.Year() < firstYear || day.Year() > lastYear {
		return nil, badField(name, fmt.Sprintf("must be a day as YYYY-MM-DD, from %d to %d", firstYear, lastYear))
	}
	return &day, nil
}

// monthsBefore is the same day n months before; where that month is too short,
// its last day.
func monthsBefore(day time.Time, n int) *time.Time {
	first := time.Date(day.Year(), day.Month()-time.Month(n), 1, 0, 0, 0, 0, time.UTC)
	last := first.AddDate(0, 1, -1).Day()
	before := first.AddDate(0, 0, min(day.Day(), last)-1)
	return &before
}
