package httpapi

import (
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/shopspring/decimal"

	"github.com/prosaas/receipts/pkg/receiptstore"
	"github.com/prosaas/receipts/proto"
)

// listReceipts ⑧ answers one page of what the syncs brought in.
func (a *API) listReceipts(c echo.Context) error {
	params, err := readQuery(c, slices.Collect(maps.Keys(receiptParams))...)
	if err != nil {
		return err
	}
	var zone *time.Location
	if params["from_date"] != "" || params["to_date"] != "" {
		if zone, err = a.zone(c); err != nil {
			return err
		}
	}
	filter, err := filterOf(params, zone)
	if err != nil {
		return err
	}
	ctx, cancel := patient(c)
	defer cancel()
	items, next, err := a.Receipts.List(ctx, caller(c).BusinessID, filter)
	if err != nil {
		return err
	}
	answer := proto.List[proto.Receipt]{Success: true, Items: items}
	if next != "" {
		answer.NextCursor = &next
	}
	return c.JSON(http.StatusOK, answer)
}

func (a *API) receipt(c echo.Context) error {
	id := c.Param("id")
	if !proto.ValidID(id) {
		return errNoSuchReceipt
	}
	ctx, cancel := patient(c)
	defer cancel()
	receipt, err := a.Receipts.Get(ctx, caller(c).BusinessID, id)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, proto.ReceiptAnswer{Success: true, Receipt: receipt})
}

const (
	maxText = 200 // characters of vendor and q

	defaultLimit, maxLimit = 50, 200 // items of a page
)

var (
	// Bounded: the exponent of "1e999999999" would cost all memory.
	amountPattern   = regexp.MustCompile(`^-?[0-9]{1,15}(\.[0-9]{1,6})?$`)
	currencyPattern = regexp.MustCompile(`^[A-Za-z]{3}$`)
)

// receiptParams reads each parameter of a list of receipts into its filter, or
// answers what it must be. Days are those of the zone, both inclusive.
var receiptParams = map[string]func(f *receiptstore.Filter, value string, zone *time.Location) (must string){
	"status": func(f *receiptstore.Filter, value string, _ *time.Location) string {
		f.Status = proto.ReceiptStatus(value)
		return unless(slices.Contains(proto.ReceiptStatuses(), f.Status), "must be 'pending_review', 'approved', 'rejected' or 'not_receipt'")
	},
	"type": func(f *receiptstore.Filter, value string, _ *time.Location) string {
		f.Type = proto.ReceiptType(value)
		return unless(slices.Contains(listedTypes, f.Type), "must be a type of receipt, as 'invoice'")
	},
	"vendor": func(f *receiptstore.Filter, value string, _ *time.Location) string {
		f.Vendor = value
		return unless(len([]rune(value)) <= maxText, "must be at most 200 characters")
	},
	"q": func(f *receiptstore.Filter, value string, _ *time.Location) string {
		f.Q = value
		return unless(len([]rune(value)) <= maxText, "must be at most 200 characters")
	},
	"from_date": func(f *receiptstore.Filter, value string, zone *time.Location) (must string) {
		f.From, must = midnight(value, 0, zone)
		return must
	},
	"to_date": func(f *receiptstore.Filter, value string, zone *time.Location) (must string) {
		f.Before, must = midnight(value, 1, zone)
		return must
	},
	"min_amount": func(f *receiptstore.Filter, value string, _ *time.Location) (must string) {
		f.MinAmount, must = amount(value)
		return must
	},
	"max_amount": func(f *receiptstore.Filter, value string, _ *time.Location) (must string) {
		f.MaxAmount, must = amount(value)
		return must
	},
	"currency": func(f *receiptstore.Filter, value string, _ *time.Location) string {
		f.Currency = value
		return unless(currencyPattern.MatchString(value), "must be three letters, as 'ILS'")
	},
	"needs_review": func(f *receiptstore.Filter, value string, _ *time.Location) string {
		needs := value == "true"
		f.NeedsReview = &needs
		return unless(needs || value == "false", "must be 'true' or 'false'")
	},
	"sort": func(f *receiptstore.Filter, value string, _ *time.Location) string {
		f.Ascending = value == "date"
		return unless(f.Ascending || value == "-date", "must be '-date' or 'date'")
	},
	"limit": func(f *receiptstore.Filter, value string, _ *time.Location) (must string) {
		f.Limit, must = limitOf(value)
		return must
	},
	"cursor": func(f *receiptstore.Filter, value string, _ *time.Location) string {
		f.Cursor = value
		return ""
	},
}

var listedTypes = []proto.ReceiptType{
	proto.TypeReceipt, proto.TypeInvoice, proto.TypeInvoiceReceipt, proto.TypeCreditNote,
	proto.TypeOrder, proto.TypePayment, proto.TypeStatement, proto.TypeNotReceipt,
}

// filterOf reads the parameters of a list. An empty one counts as not given, as
// forms send it. The zone is needed only where one is a day.
func filterOf(params map[string]string, zone *time.Location) (receiptstore.Filter, error) {
	var f receiptstore.Filter
	for _, name := range slices.Sorted(maps.Keys(params)) {
		if params[name] == "" {
			continue
		}
		if must := receiptParams[name](&f, params[name], zone); must != "" {
			return f, badField(name, must)
		}
	}
	if !f.From.IsZero() && !f.Before.IsZero() && !f.From.Before(f.Before) {
		return f, badField("from_date", "must not be after to_date")
	}
	return f, nil
}

// limitOf reads how many items a page is to have at most.
func limitOf(value string) (n int, must string) {
	n, err := strconv.Atoi(value)
	return n, unless(err == nil && n >= 1 && n <= maxLimit, "must be 1 to 200")
}

func unless(well bool, must string) string {
	if well {
		return ""
	}
	return must
}

// midnight is when the day, or the one so many days later, begins in the zone.
func midnight(value string, later int, zone *time.Location) (at time.Time, must string) {
	day, err := time.Parse(time.DateOnly, value)
	if err != nil {
		return time.Time{}, "must be a day as YYYY-MM-DD"
	}
	return time.Date(day.Year(), day.Month(), day.Day()+later, 0, 0, 0, 0, zone), ""
}

func amount(value string) (*decimal.Decimal, string) {
	if !amountPattern.MatchString(value) {
		return nil, "must be an amount, as '12.30'"
	}
	d := decimal.RequireFromString(value) // the pattern is narrower than what it takes
	return &d, ""
}
