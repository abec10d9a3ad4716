package receiptmail

import (
	"time"

	"github.com/shopspring/decimal"

	"github.com/prosaas/receipts/pkg/receiptmail/internal/label"
	"github.com/prosaas/receipts/pkg/receiptmail/internal/page"
	"github.com/prosaas/receipts/pkg/receiptmail/internal/pattern"
	"github.com/prosaas/receipts/pkg/receiptmail/internal/script"
	"github.com/prosaas/receipts/proto"
)

// From a day on, the rate of VAT in Israel, newest first.
var israeliVAT = []struct {
	from time.Time
	rate decimal.Decimal
}{
	{time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC), decimal.New(18, -2)},
	{time.Date(2015, 10, 1, 0, 0, 0, 0, time.UTC), decimal.New(17, -2)},
}

// From a day on, the net amount in shekels above which the VAT of an invoice is
// deductible only with an allocation number (מספר הקצאה), newest first.
var allocationThresholds = []struct {
	from time.Time
	net  decimal.Decimal
}{
	{time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC), decimal.NewFromInt(5_000)},
	{time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), decimal.NewFromInt(10_000)},
	{time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC), decimal.NewFromInt(20_000)},
	{time.Date(2024, 5, 5, 0, 0, 0, 0, time.UTC), decimal.NewFromInt(25_000)},
}

// isVAT tells whether tax on net is the rate of the day, or of any day if that is
// unknown. Sums that merely add up are common; the ratio is what tells VAT.
func isVAT(net, tax decimal.Decimal, on time.Time) bool {
	for _, v := range israeliVAT {
		if !on.IsZero() && on.Before(v.from) {
			continue
		}
		if net.Mul(v.rate).Sub(tax).Abs().LessThanOrEqual(cents2) {
			return true
		}
		if !on.IsZero() {
			return false
		}
	}
	return false
}

var allocationLabel = pattern.MustCompile(`(?:(?:מספר|מס'|מס\.?) (?:ה)?הקצאה(?: חשבונית)?|(?i:allocation (?:number|no\.?)))\s?[:#-]?\s*(\d{9,20})(?:\D|$)`)

// readAllocation finds the number that the tax authority gave an invoice: it has
// more than the nine digits that it is often cut down to.
func readAllocation(lines []page.Line) (number, text string, ok bool) {
	for i, l := range lines {
		t := script.Clip(l.Text(), maxSentence)
		if i+1 < len(lines) && len(l.Cells) == 1 {
			t += " " + script.Clip(lines[i+1].Text(), label.MaxLength) // the number may stand below its label
		}
		if m := allocationLabel.FindStringSubmatch(t); m != nil {
			return m[1], l.Text(), true
		}
	}
	return "", "", false
}

// lacksAllocation tells whether an Israeli tax invoice is large enough to need
// an allocation number, and has none.
func lacksAllocation(r proto.ReceiptDetail, received time.Time) bool {
	if r.AllocationNumber != nil || r.Total == nil || r.Tax == nil || r.Currency == nil || *r.Currency != "ILS" || r.Type != proto.TypeInvoice && r.Type != proto.TypeInvoiceReceipt {
		return false
	}
	day := received
	if r.IssuedOn != nil {
		day, _ = time.Parse(time.DateOnly, *r.IssuedOn) // as written by this package
	}
	net := amountOf(*r.Total).Sub(amountOf(*r.Tax))
	if !amountOf(*r.Tax).IsPositive() {
		return false
	}
	for _, t := range allocationThresholds {
		if !day.Before(t.from) {
			return net.GreaterThan(t.net)
		}
	}
	return false
}
