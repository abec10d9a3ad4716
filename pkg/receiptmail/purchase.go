package receiptmail

import (
	"slices"
	"sync"
	"time"

	"github.com/shopspring/decimal"

	"github.com/prosaas/receipts/pkg/receiptmail/internal/label"
	"github.com/prosaas/receipts/pkg/receiptmail/internal/money"
	"github.com/prosaas/receipts/pkg/receiptmail/internal/pattern"
	"github.com/prosaas/receipts/pkg/receiptmail/internal/script"
)

// purchasesOf tells the purchase that a total is of, or the several that it sums up.
func purchasesOf(m *message, doc *document, readings []reading, total reading, conflict bool) []purchase {
	if parts := splitPurchases(doc, readings); parts != nil {
		return parts
	}
	day := sync.OnceValue(func() time.Time { return dayOf(m, doc) })
	total, conflict = withLegalVAT(readings, total, conflict, day)
	one := purchase{total: total, conflict: conflict, to: len(doc.lines)}
	if whole, ok := wholeOfPart(doc, readings, total); ok {
		one.total = whole
	} else if !explained(doc, readings, total) {
		one.conflict = true
	}
	if givenBackBeside(m, readings, total) {
		one.conflict = true
	}
	one.complete(readings, day)
	return []purchase{one}
}

// givenBackBeside tells whether a refund, or money received, stands beside more
// that was paid, while the subject speaks of neither: it may be a row of rewards.
func givenBackBeside(m *message, readings []reading, total reading) bool {
	return total.role >= label.Refunded && !givenBack.MatchString(m.subject) && slices.ContainsFunc(readings, func(r reading) bool {
		return (r.role == label.Total || r.role == label.Grand || r.role == label.Charged) && r.amount.Value.GreaterThan(total.amount.Value.Abs())
	})
}

var givenBack = pattern.MustCompile(`(?i)refund|credit|received|payout|paid you|sent you|זיכוי|זוכ|החזר|קיבלת|התקבל|gutschrift|erstattung|remboursement|rimborso|reembolso|avoir`)

// withLegalVAT is the total of which the VAT told is what Israel's law takes,
// where the one chosen is not, and another is. What was charged stays: a tip, or
// a gift card, has no VAT.
func withLegalVAT(readings []reading, total reading, conflict bool, day func() time.Time) (reading, bool) {
	if total.amount.Currency != "ILS" || !total.amount.Value.IsPositive() || total.role >= label.Charged {
		return total, conflict
	}
	taxes := taxesOf(readings)
	legal := func(r reading) bool {
		return slices.ContainsFunc(taxes, func(tax reading) bool {
			return isVAT(r.amount.Value.Sub(tax.amount.Value), tax.amount.Value, day())
		})
	}
	if legal(total) {
		return total, conflict
	}
	for _, r := range readings {
		if r.role.IsTotal() && r.amount.Currency == "ILS" && legal(r) {
			return r, false
		}
	}
	return total, conflict
}

// maxTaxes is how many different taxes of one document are tried.
const maxTaxes = 10

// taxesOf lists the different positive taxes that a document tells.
func taxesOf(readings []reading) []reading {
	var taxes []reading
	for _, r := range readings {
		if r.role == label.Tax && r.amount.Value.IsPositive() {
			taxes = append(taxes, r)
		}
	}
	taxes = distinctAmounts(taxes)
	return taxes[:min(len(taxes), maxTaxes)]
}

// dayOf is the day that a document tells, or else that of its mail.
func dayOf(m *message, doc *document) time.Time {
	if d, ok := readDate(m, doc, doc.lines); ok {
		return d.day
	}
	return m.received
}

// purchase is one total with what belongs to it, told in lines from to to.
type purchase struct {
	total    reading
	conflict bool
	tax      *reading
	subtotal *reading
	from, to int
	id       string // the order or transaction that sets it apart from others in the mail
}

// complete finds the tax and subtotal that go with the total. day tells that
// of the purchase, zero if unknown.
func (p *purchase) complete(readings []reading, day func() time.Time) {
	p.takeGross(readings)
	total := p.total.amount.Value.Abs()
	var taxes, subtotals []reading
	for _, r := range readings {
		v := r.amount.Value.Abs()
		if r.amount.Currency != p.total.amount.Currency && r.amount.Currency != "" || v.GreaterThan(total) {
			continue
		}
		switch r.role {
		case label.Tax:
			if v.Mul(decimal.NewFromInt(leastGross)).LessThanOrEqual(total) { // else it is what the tax is of
				taxes = append(taxes, r)
			}
		case label.Subtotal:
			subtotals = append(subtotals, r)
		default:
		}
	}
	if p.takePair(subtotals, taxes, day) {
		return
	}
	if len(subtotals) > 0 {
		p.subtotal = &subtotals[0]
	}
	distinct := distinctAmounts(taxes)
	if of, ok := taxesByRate(distinct, subtotals, total); ok {
		p.subtotal, p.tax = &of[0], &of[1]
		return
	}
	if len(distinct) > 1 && p.total.amount.Currency == "ILS" {
		distinct = slices.DeleteFunc(distinct, func(t reading) bool {
			tax := t.amount.Value.Abs()
			return !isVAT(total.Sub(tax), tax, day())
		})
	}
	if len(distinct) == 1 {
		p.tax = &distinct[0]
	}
}

// takePair: a subtotal and a tax that add up to the total say that all three are
// right; of several such pairs, the one whose ratio is that of the tax.
func (p *purchase) takePair(subtotals, taxes []reading, day func() time.Time) bool {
	total := p.total.amount.Value.Abs()
	found := false
	for _, s := range subtotals {
		for _, t := range taxes {
			net, tax := s.amount.Value.Abs(), t.amount.Value.Abs()
			if net.Add(tax).Sub(total).Abs().GreaterThan(cents2) || tax.IsZero() || tax.GreaterThan(net) {
				continue
			}
			if !found || p.total.amount.Currency == "ILS" && isVAT(net, tax, day()) {
				p.subtotal, p.tax, found = &s, &t, true
			}
		}
	}
	if found {
		p.subtotal.confidence, p.tax.confidence = 0.95, 0.95
		p.total.confidence = min(p.total.confidence+0.1, 0.97)
		p.conflict = false
	}
	return found
}

// taxesByRate adds up taxes told rate by rate, where they and a subtotal make the
// total.
func taxesByRate(taxes, subtotals []reading, total decimal.Decimal) ([2]reading, bool) {
	if len(taxes) < 2 {
		return [2]reading{}, false
	}
	all := taxes[0]
	for _, t := range taxes[1:] {
		all.amount.Value = all.amount.Value.Add(t.amount.Value)
		all.text = script.Clip(all.text+" + "+t.text, maxFieldText)
	}
	for _, s := range subtotals {
		if s.amount.Value.Abs().Add(all.amount.Value.Abs()).Sub(total).Abs().LessThanOrEqual(cents2) {
			return [2]reading{s, all}, true
		}
	}
	return [2]reading{}, false
}

// takeGross: where a tax makes up a greater total with another amount of the
// document, the "total" chosen is that one's net, or comes before a discount.
func (p *purchase) takeGross(readings []reading) {
	if p.total.role >= label.Charged {
		return
	}
	nets := map[int64]reading{} // by hundredths
	for _, r := range readings {
		if r.role != label.Tax {
			nets[cents(r.amount.Value)] = r
		}
	}
	for _, tax := range taxesOf(readings) {
		if tax.amount.Value.GreaterThanOrEqual(p.total.amount.Value) {
			continue
		}
		for _, r := range readings {
			if !r.role.IsTotal() || !r.amount.Value.GreaterThan(p.total.amount.Value) || r.amount.Currency != p.total.amount.Currency && r.amount.Currency != "" {
				continue
			}
			if net, ok := nearest(nets, cents(r.amount.Value.Sub(tax.amount.Value))); ok {
				net.role = label.Subtotal
				p.subtotal, p.tax = &net, &tax
				p.total, p.conflict = r, false
				return
			}
		}
	}
}

// nearest is the amount that is as much, but for rounding.
func nearest(amounts map[int64]reading, hundredths int64) (reading, bool) {
	for _, off := range []int64{0, 1, -1, 2, -2} {
		if r, ok := amounts[hundredths+off]; ok {
			return r, true
		}
	}
	return reading{}, false
}

// leastGross is how many times a tax a gross amount is at least: no country
// takes more than a quarter of it.
const leastGross = 4

// cents2 is how far net and tax may be from the gross by rounding.
var cents2 = decimal.New(2, -2)

func distinctAmounts(readings []reading) []reading {
	var distinct []reading
	for _, r := range readings {
		if !slices.ContainsFunc(distinct, func(d reading) bool { return d.amount.Value.Equal(r.amount.Value) }) {
			distinct = append(distinct, r)
		}
	}
	return distinct
}

// findings tells what the purchase is, for the record.
func (p *purchase) findings(m *message, doc *document, ordinal int) []finding {
	subject := m.subject
	if p.id != "" {
		subject = "" // it speaks of all of them
	}
	return append(p.amounts(doc.origin, wayLabelled+doc.kind, ordinal), identify(m, doc, doc.lines[p.from:p.to], subject, ordinal)...)
}

func (p *purchase) amounts(origin, source string, ordinal int) []finding {
	tell := func(f field, r reading) finding {
		value := r.amount.Value
		if p.total.role == label.Refunded || p.total.role == label.Received {
			value = value.Abs().Neg()
		}
		return finding{
			origin: origin, ordinal: ordinal, field: f, value: money.Format(value, p.total.amount.Currency),
			source: source, confidence: r.confidence, text: r.text,
		}
	}
	total := tell(fieldTotal, p.total)
	total.role, total.conflict = p.total.role, p.conflict
	all := []finding{total}
	if p.total.amount.Currency != "" {
		c := tell(fieldCurrency, p.total)
		c.value, c.confidence = p.total.amount.Currency, p.total.currencySure
		all = append(all, c)
	}
	if p.tax != nil {
		all = append(all, tell(fieldTax, *p.tax))
	}
	if p.subtotal != nil {
		all = append(all, tell(fieldSubtotal, *p.subtotal))
	}
	return all
}
