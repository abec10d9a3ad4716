package receiptmail

import (
	"slices"
	"strings"

	"github.com/shopspring/decimal"

	"github.com/prosaas/receipts/pkg/receiptmail/internal/label"
	"github.com/prosaas/receipts/pkg/receiptmail/internal/page"
	"github.com/prosaas/receipts/pkg/receiptmail/internal/script"
)

const maxPurchases = 50 // in one document

// marker is a line that tells which purchase the lines around it are of.
type marker struct {
	line int
	id   string
}

// splitPurchases takes a document apart that tells several purchases, each with
// an order or transaction number of its own. It does so only where the parts
// add up to another total that the document tells, or are orders with a total
// each: else nil.
func splitPurchases(doc *document, readings []reading) []purchase {
	for _, kind := range []identity{identityOrder, identityTransaction} {
		markers := markersOf(doc.lines, kind)
		if len(markers) < 2 || len(markers) > maxPurchases {
			continue
		}
		for _, whole := range overallTotals(readings) {
			for _, after := range []bool{true, false} { // the number stands above its lines, or below them
				if parts := sections(markers, len(doc.lines), after, whole, readings); parts != nil {
					return parts
				}
			}
		}
		if kind == identityOrder {
			if parts := separateOrders(markers, len(doc.lines), readings); parts != nil {
				return parts
			}
		}
	}
	return nil
}

// separateOrders reads orders that a document tells one below the other, each
// with a number, a total of its own, and nothing that sums them up.
func separateOrders(markers []marker, end int, readings []reading) []purchase {
	var parts []purchase
	for i, m := range markers {
		to := end
		if i+1 < len(markers) {
			to = markers[i+1].line
		}
		var inside []reading
		for _, r := range readings {
			if r.line >= m.line && r.line < to {
				inside = append(inside, r)
			}
		}
		t, conflict, ok := chooseTotal(inside)
		if !ok || conflict || t.role != label.Grand || slices.ContainsFunc(parts, func(p purchase) bool { return p.id == m.id }) {
			return nil
		}
		parts = append(parts, purchase{total: t, from: m.line, to: to, id: m.id})
	}
	return parts
}

const maxOverall = 10

// overallTotals lists the different amounts that may be the sum of all purchases.
func overallTotals(readings []reading) []reading {
	totals := slices.DeleteFunc(slices.Clone(readings), func(r reading) bool { return !r.role.IsTotal() })
	totals = distinctAmounts(totals)
	return totals[:min(len(totals), maxOverall)]
}

func markersOf(lines []page.Line, kind identity) []marker {
	var markers []marker
	distinct := map[string]bool{}
	for i := range lines {
		if id, ok := identityAt(lines, i, kind); ok {
			markers = append(markers, marker{i, id})
			distinct[id] = true
		}
	}
	if len(distinct) < 2 {
		return nil
	}
	return markers
}

// sections reads one purchase a marker, and gives them if they add up to whole.
func sections(markers []marker, end int, after bool, whole reading, readings []reading) []purchase {
	var parts []purchase
	at := map[string]int{}
	sum := decimal.Zero
	for i, m := range markers {
		from, to := m.line, end
		if after && i+1 < len(markers) {
			to = markers[i+1].line
		}
		if !after {
			from, to = 0, m.line+1
			if i > 0 {
				from = markers[i-1].line + 1
			}
		}
		t, ok := sectionTotal(readings, whole, from, to)
		if !ok || t.amount.Currency != whole.amount.Currency {
			return nil
		}
		sum = sum.Add(t.amount.Value)
		if n, seen := at[m.id]; seen { // several things of one order
			p := &parts[n]
			p.total.amount.Value = p.total.amount.Value.Add(t.amount.Value)
			p.total.text = script.Clip(p.total.text+" + "+t.text, maxFieldText)
			continue
		}
		at[m.id] = len(parts)
		parts = append(parts, purchase{total: t, from: from, to: to, id: m.id})
	}
	if len(parts) < 2 || !sum.Equal(whole.amount.Value) {
		return nil
	}
	return parts
}

// sectionTotal is the total told in the lines from to to, or the sum of their
// items; the total of all purchases does not count.
func sectionTotal(readings []reading, whole reading, from, to int) (reading, bool) {
	var inside []reading
	for _, r := range readings {
		if r.line >= from && r.line < to && !r.amount.Value.Equal(whole.amount.Value) {
			inside = append(inside, r)
		}
	}
	if t, conflict, ok := chooseTotal(inside); ok {
		return t, !conflict
	}
	var sum reading
	var texts []string
	for _, r := range inside {
		if r.role != label.Item {
			continue
		}
		value := sum.amount.Value.Add(r.amount.Value)
		texts = append(texts, r.text)
		sum = r
		sum.amount.Value, sum.role = value, label.Total
	}
	sum.text = script.Clip(strings.Join(texts, " + "), maxFieldText)
	return sum, len(texts) > 0
}
