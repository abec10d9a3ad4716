package gmailsync

import (
	"fmt"
	"strconv"
	"time"

	"github.com/prosaas/receipts/pkg/queue"
	"github.com/prosaas/receipts/pkg/receiptstore"
	"github.com/prosaas/receipts/proto"
)

// defaultMonths is how far back a full sync reaches that names no months.
const defaultMonths = 36

// firstDays is how far back an incremental sync reaches where no sync of the
// business has finished yet: history alone would begin with today.
const firstDays = 30

// window is half-open, in Unix seconds: words for dates mean midnight in
// California to Gmail.
type window struct{ after, before int64 }

// windows tiles [from, to) by the zone's calendar months, newest first.
func windows(from, to int64, zone *time.Location) []window {
	var out []window
	for to > from {
		last := time.Unix(to-1, 0).In(zone)
		start := max(time.Date(last.Year(), last.Month(), 1, 0, 0, 0, 0, zone).Unix(), from)
		out = append(out, window{start, to})
		to = start
	}
	return out
}

// reach tells what a job lists, as Unix seconds, half-open; nothing where the
// cursor alone leads to all that it wants. Dates are the zone's, both inclusive.
func reach(e proto.Envelope, state receiptstore.State, zone *time.Location) (from, to int64, err error) {
	now := state.Now.In(zone)
	// Two days on, since what Gmail received is dated by Gmail's clock.
	end := time.Date(now.Year(), now.Month(), now.Day()+2, 0, 0, 0, 0, zone)
	months := e.Params.MonthsBack
	if months <= 0 {
		months = defaultMonths
	}
	switch e.Mode {
	case proto.ModeIncremental:
		if !state.LastOK.IsZero() && state.Cursor != "" {
			return 0, 0, nil
		}
		return time.Date(now.Year(), now.Month(), now.Day()-firstDays, 0, 0, 0, 0, zone).Unix(), end.Unix(), nil
	case proto.ModeFull:
		return monthsBefore(now, months).Unix(), end.Unix(), nil
	case proto.ModeRange:
		last := now
		if e.Params.ToDate != "" {
			if last, err = day(e.Params.ToDate, zone); err != nil {
				return 0, 0, err
			}
			end = time.Date(last.Year(), last.Month(), last.Day()+1, 0, 0, 0, 0, zone)
		}
		if e.Params.FromDate == "" {
			return monthsBefore(last, months).Unix(), end.Unix(), nil
		}
		first, err := day(e.Params.FromDate, zone)
		return first.Unix(), end.Unix(), err
	}
	return 0, 0, unreadable(fmt.Errorf("job %s: unknown mode %q", e.JobID, e.Mode))
}

// monthsBefore is the first midnight of the month that lies so many months
// before t's: a month is reached whole, and none is skipped over for having
// fewer days than t's.
func monthsBefore(t time.Time, months int) time.Time {
	return time.Date(t.Year(), t.Month()-time.Month(months), 1, 0, 0, 0, 0, t.Location())
}

func day(date string, zone *time.Location) (time.Time, error) {
	t, err := time.ParseInLocation(time.DateOnly, date, zone)
	if err != nil {
		return time.Time{}, unreadable(fmt.Errorf("date of a range: %w", err))
	}
	return t, nil
}

func unreadable(cause error) error {
	return &queue.FailError{Public: proto.JobError{
		Code: "unreadable_job", Message: "The sync's parameters could not be read", Action: "Start the sync again",
	}, Cause: cause}
}

// searches chooses candidates in one window: listing costs a hundredth of
// reading. Each is a query in Gmail's language; a message that several find is
// read once. Gmail matches whole words, so that Hebrew's prefixes are spelled out.
func searches() []string {
	return []string{
		`has:attachment {receipt invoice order payment statement bill filename:receipt filename:invoice ` +
			`קבלה הקבלה קבלות חשבונית החשבונית חשבוניות חשבון הזמנה תשלום filename:קבלה filename:חשבונית}`,
		`{receipt receipts invoice invoices "tax invoice" "order confirmation" "your order" "payment received" "payment confirmation" ` +
			`"amount paid" "amount charged" "total paid" "total charged" "order total" "grand total" "you paid" "credit note" refund refunded ` +
			`"your subscription" "billing statement" "e-ticket" rechnung quittung facture reçu factura recibo fattura ricevuta}`,
		`{קבלה הקבלה קבלות חשבונית החשבונית חשבוניות "חשבון עסקה" "אישור תשלום" "אישור הזמנה" "סיכום הזמנה" "דרישת תשלום" "סהכ לתשלום" ` +
			`"סה״כ לתשלום" "סה״כ שולם" "חיוב בסך" "התשלום התקבל" זיכוי}`,
		`{category:purchases from:receipt from:receipts from:invoice from:invoices from:billing from:kabala from:stripe from:paypal ` +
			`from:morning.co from:greeninvoice.co.il from:icount.co.il from:invoice4u.co.il from:ezcount.co.il from:rivhit.co.il ` +
			`from:sumit.co.il from:payplus.co.il from:invoice-one.com from:tabit.cloud}`,
	}
}

// notMail leaves out what lies in All Mail but is none. Spam and trash are left
// out by Gmail itself.
const notMail = " -in:drafts -in:chats"

// query is a search within a window; before is 0 for no end.
func query(search string, w window) string {
	q := search + " after:" + strconv.FormatInt(w.after, 10)
	if w.before > 0 {
		q += " before:" + strconv.FormatInt(w.before, 10)
	}
	return q + notMail
}
