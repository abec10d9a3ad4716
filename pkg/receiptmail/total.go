package receiptmail

import (
	"slices"

	"github.com/shopspring/decimal"

	"github.com/prosaas/receipts/pkg/receiptmail/internal/label"
)

// chooseTotal picks the reading that is the total: by role, by how often the
// same amount is told, by confidence. conflict says that another of the same
// role, as sure, tells a different amount.
func chooseTotal(readings []reading) (best reading, conflict, ok bool) {
	due := slices.ContainsFunc(readings, func(r reading) bool { return r.role == label.Due && r.amount.Value.IsPositive() })
	owed := slices.ContainsFunc(readings, func(r reading) bool { return r.role >= label.Due && r.amount.Value.IsPositive() })
	var candidates []reading
	for _, r := range readings {
		if !r.role.IsTotal() {
			continue
		}
		if r.role < label.Refunded && r.amount.Value.IsNegative() {
			if owed || r.role < label.Due {
				continue
			}
			r.role = label.Refunded // a credit note: whatever it totals is given back
		}
		if r.amount.Value.IsZero() && (r.role == label.Due || r.role == label.Refunded || r.role == label.Charged && due) {
			continue // nothing is left to pay, or nothing was paid yet
		}
		candidates = append(candidates, r)
	}
	if len(candidates) == 0 {
		return reading{}, false, false
	}
	support := map[string]int{}
	for _, r := range candidates {
		support[r.amount.Value.String()]++
	}
	rank := func(r reading) float64 {
		return float64(r.role)*10 + min(float64(support[r.amount.Value.String()]), 4) + r.confidence
	}
	best = slices.MaxFunc(candidates, func(a, b reading) int {
		switch ra, rb := rank(a), rank(b); {
		case ra < rb:
			return -1
		case ra > rb:
			return 1
		}
		return a.amount.Value.Abs().Cmp(b.amount.Value.Abs()) // two alike: the one that holds the other
	})
	if best.role == label.Charged {
		best = wholeOfPayments(candidates, inOwnCurrency(candidates, best))
	}
	for _, r := range candidates { // the same amount, told with its currency elsewhere
		if r.currencySure > best.currencySure && r.amount.Value.Equal(best.amount.Value) {
			best.amount.Currency, best.currencySure = r.amount.Currency, r.currencySure
		}
	}
	for _, r := range candidates {
		if r.role == best.role && !r.amount.Value.IsZero() && !r.amount.Value.Equal(best.amount.Value) && support[r.amount.Value.String()] >= support[best.amount.Value.String()] && r.confidence >= best.confidence {
			conflict = true
		}
	}
	if support[best.amount.Value.String()] > 1 {
		best.confidence = min(best.confidence+0.1, 0.95)
	}
	if best.role == label.Weak && len(distinctAmounts(readings)) > 1 {
		best.confidence = min(best.confidence, sureWeak)
	}
	return best, conflict, true
}

// explained tells whether a document's other amounts allow this total: what was
// charged is a total that it tells, or becomes one with credits, or points, that
// it tells too; and a total is not less than what it is made of, but for
// discounts. Else the document says two things, and a person has to tell which
// is right.
func explained(doc *document, readings []reading, total reading) bool {
	if total.role >= label.Refunded {
		return true
	}
	var wholes, parts []decimal.Decimal
	for _, r := range readings {
		switch {
		case total.role == label.Charged && (r.role == label.Total || r.role == label.Grand):
			wholes = append(wholes, r.amount.Value)
		case (r.role == label.Subtotal || r.role == label.Item) && r.amount.Value.GreaterThan(total.amount.Value) && (r.amount.Currency == "" || r.amount.Currency == total.amount.Currency):
			parts = append(parts, r.amount.Value)
		default:
		}
	}
	if len(wholes) == 0 && len(parts) == 0 {
		return true
	}
	between := stepsOf(doc, readings)
	leads := func(from decimal.Decimal) bool {
		return reaches(cents(from.Sub(total.amount.Value)), between, maxSteps)
	}
	if len(wholes) > 0 {
		return slices.ContainsFunc(wholes, leads)
	}
	return slices.ContainsFunc(parts, leads)
}

// maxSteps is how many discounts, fees and credits may lie between two amounts.
// More would find a way between any two.
const maxSteps = 3

// reaches tells whether some of the amounts, added or taken off, make up gap.
func reaches(gap int64, amounts []int64, steps int) bool {
	if gap == 0 {
		return true
	}
	if steps == 0 {
		return false
	}
	for i, a := range amounts {
		if reaches(gap-a, amounts[i+1:], steps-1) || reaches(gap+a, amounts[i+1:], steps-1) {
			return true
		}
	}
	return false
}

const maxDistinct = 40

func cents(d decimal.Decimal) int64 { return d.Shift(2).IntPart() }

// stepsOf lists the different amounts of a document that are neither totals nor
// parts of one, in hundredths and without their signs: its discounts, fees,
// credits and taxes.
func stepsOf(doc *document, readings []reading) []int64 {
	left := map[int64]int{} // how often an amount is told, but for where it is a total or a part
	for _, r := range readings {
		if r.role.IsTotal() || r.role == label.Subtotal || r.role == label.Item {
			left[cents(r.amount.Value.Abs())]--
		}
	}
	var steps []int64
	for _, a := range slices.Concat(slices.Concat(doc.scan()...)...) {
		v := cents(a.Value.Abs())
		if !a.Decimals && a.Currency == "" || v == 0 {
			continue
		}
		if left[v]++; left[v] == 1 && len(steps) < maxDistinct && !slices.Contains(steps, v) {
			steps = append(steps, v)
		}
	}
	return steps
}
