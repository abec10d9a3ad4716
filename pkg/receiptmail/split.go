package receiptmail

import (
	"slices"
	"strings"

	"github.com/shopspring/decimal"
)

const maxPurchases = 50 // in one document

// marker is a line that tells which purchase the lines around it are of.
type marker struct {
	line int
	id   string
}

// splitPurchases takes a document apart that tells several purchases, each with
// an order or transaction number of its own. It does so only where the parts
// add up to another total that the document tells: else nil.
func splitPurchases(doc document, readings []reading) []purchase {
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
	}
	return nil
}

const maxOverall = 10

// overallTotals lists the different amounts that may be the sum of all purchases.
func overallTotals(readings []reading) []reading {
	totals := slices.DeleteFunc(slices.Clone(readings), func(r reading) bool { return !r.role.isTotal() })
	totals = distinctAmounts(totals)
	return totals[:min(len(totals), maxOverall)]
}

func markersOf(lines []line, kind identity) []marker {
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
		if !ok || t.amount.currency != whole.amount.currency {
			return nil
		}
		sum = sum.Add(t.amount.value)
		if n, seen := at[m.id]; seen { // several things of one order
			p := &parts[n]
			p.total.amount.value = p.total.amount.value.Add(t.amount.value)
			p.total.text = clip(p.total.text+" + "+t.text, maxFieldText)
			continue
		}
		at[m.id] = len(parts)
		parts = append(parts, purchase{total: t, from: from, to: to, id: m.id})
	}
	if len(parts) < 2 || !sum.Equal(whole.amount.value) {
		return nil
	}
	return parts
}

// sectionTotal is the total told in the lines from to to, or the sum of their
// items; the total of all purchases does not count.
func sectionTotal(readings []reading, whole reading, from, to int) (reading, bool) {
	var inside []reading
	for _, r := range readings {
		if r.line >= from && r.line < to && !r.amount.value.Equal(whole.amount.value) {
			inside = append(inside, r)
		}
	}
	if t, conflict, ok := chooseTotal(inside); ok {
		return t, !conflict
	}
	var sum reading
	var texts []string
	for _, r := range inside {
		if r.role != roleItem {
			continue
		}
		value := sum.amount.value.Add(r.amount.value)
		texts = append(texts, r.text)
		sum = r
		sum.amount.value, sum.role = value, roleTotal
	}
	sum.text = clip(strings.Join(texts, " + "), maxFieldText)
	return sum, len(texts) > 0
}
