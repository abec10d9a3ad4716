package receiptmail

import (
	"regexp"
	"slices"
	"strings"

	"github.com/shopspring/decimal"
)

// labelled reads amounts by the labels beside them, in the rows of tables and
// in running text, in Hebrew, English and the commonest words of other tongues.
type labelled struct{}

// read takes the document that tells the best total, HTML before text: a mail's
// texts are versions of each other. Where none tells one, the mail may still
// tell a number or a date.
func (labelled) read(m *message) []finding {
	var best []finding
	top := roleNone
	for i, doc := range preferHTML(m.docs) {
		readings := readLabelled(doc.lines, currenciesOf(m, doc))
		total, conflict, ok := chooseTotal(readings)
		if !ok && i == 0 {
			best = identify(m, doc, doc.lines, m.subject, 0)
		}
		if total.role <= top {
			continue
		}
		top, best = total.role, nil
		for n, p := range purchasesOf(doc, readings, total, conflict) {
			best = append(best, p.findings(m, doc, n)...)
		}
		if top >= roleTotal {
			break
		}
	}
	return best
}

// purchasesOf tells the purchase that a total is of, or the several that it sums up.
func purchasesOf(doc document, readings []reading, total reading, conflict bool) []purchase {
	if parts := splitPurchases(doc, readings); parts != nil {
		return parts
	}
	one := purchase{total: total, conflict: conflict, to: len(doc.lines)}
	one.complete(readings)
	return []purchase{one}
}

// preferHTML puts HTML first: its tables tell which label an amount belongs to.
func preferHTML(docs []document) []document {
	sorted := slices.Clone(docs)
	slices.SortStableFunc(sorted, func(a, b document) int { return strings.Compare(a.kind, b.kind) }) // "html" < "text"
	return sorted
}

// reading is one amount with what its label says.
type reading struct {
	role       role
	amount     amount
	label      string
	text       string // as read, for the record
	line       int
	confidence float64

	currencySure float64 // of the amount's currency
}

// How sure an amount is of its label, by where the label stands.
const (
	sureRow      = 0.85 // in the cell before
	sureCell     = 0.85 // before it in the same cell, short
	sureSentence = 0.75 // in running text before it
	sureAbove    = 0.75 // alone in the line above
	sureColumn   = 0.65 // at the head of its column
	sureAfter    = 0.6  // behind it, in the same cell

	maxReadings = 1000 // of one document
)

func readLabelled(lines []line, money *currencies) []reading {
	var found []reading
	looked := 0
	for i, l := range lines {
		for j, cell := range l.cells {
			if len(found) >= maxReadings || looked >= maxNumbers {
				return found
			}
			amounts := scanAmounts(cell, &looked)
			from := 0
			for k, a := range amounts {
				r, ok := labelOf(lines, i, j, from, k, a, len(amounts))
				from = a.end
				if !ok {
					continue
				}
				r.line, r.amount = i, a
				if a.currency == "" && !a.decimals && !plainNumberCounts(r, l) {
					continue
				}
				r.amount, r.currencySure = money.settle(a, r.label)
				if a.ambiguous {
					r.confidence -= 0.2
				}
				r.text = clip(strings.TrimSpace(r.label+" "+cell[a.start:a.end]), maxFieldText)
				found = append(found, r)
			}
		}
	}
	return found
}

// plainNumberCounts tells whether digits with neither currency nor decimals can
// be an amount: only right beside a label that says total or amount, and not
// where they look like a year. Beside a means of payment they are a card's.
func plainNumberCounts(r reading, l line) bool {
	year := r.amount.value.GreaterThanOrEqual(decimal.NewFromInt(1900)) && r.amount.value.LessThan(decimal.NewFromInt(2100))
	return r.role >= roleDue && r.confidence >= sureRow && !year && len([]rune(l.text())) <= maxLabel && saysAmount.MatchString(r.label)
}

var saysAmount = regexp.MustCompile(`(?i)\b(total|amount|sum|due|price|gesamt|betrag|summe|totale|importe|montant)|סה"?'?כ|סך|סכום|לתשלום`)

// labelOf finds the label of amount number k of a cell, whose own text begins
// at from.
func labelOf(lines []line, i, j, from, k int, a amount, count int) (reading, bool) {
	cells := lines[i].cells
	own := cells[j][from:a.start]
	if hasLetter(own) {
		if r := labelRole(own); r != roleNone {
			sure := sureCell
			if len([]rune(own)) > maxLabel {
				sure = sureSentence
			}
			return reading{role: r, label: own, confidence: sure}, true
		}
		if after, ok := roleAfter(cells[j], a); ok {
			return after, true
		}
		return reading{}, false
	}
	if k > 0 {
		return reading{}, false // the second number of one label
	}
	if after, ok := roleAfter(cells[j], a); ok {
		return after, true
	}
	if hasLetter(cells[j][a.end:]) && count == 1 {
		return reading{}, false // "12 nights": the amount begins a text
	}
	for back := j - 1; back >= 0 && back >= j-3; back-- {
		if !hasLetter(cells[back]) || holdsMoney(cells[back]) && labelRole(cells[back]) == roleNone {
			continue
		}
		if r := labelRole(cells[back]); r != roleNone {
			return reading{role: r, label: cells[back], confidence: sureRow}, true
		}
		return reading{}, false
	}
	if i == 0 {
		return reading{}, false
	}
	above := lines[i-1].cells
	if len(cells) > 1 && len(above) == len(cells) {
		if r := labelRole(above[j]); r != roleNone && !holdsMoney(above[j]) {
			return reading{role: r, label: above[j], confidence: sureColumn}, true
		}
		return reading{}, false
	}
	if len(cells) == 1 {
		last := above[len(above)-1]
		if r := labelRole(last); r != roleNone && !holdsMoney(last) && len([]rune(last)) <= maxLabel {
			return reading{role: r, label: last, confidence: sureAbove}, true
		}
	}
	return reading{}, false
}

// roleAfter reads a label that stands behind its amount: "12.00 USD total".
func roleAfter(cell string, a amount) (reading, bool) {
	rest := strings.Trim(cell[a.end:], labelEdges)
	if rest == "" || len([]rune(rest)) > 20 || !hasLetter(rest) {
		return reading{}, false
	}
	r := labelRole(rest)
	if r != roleTotal && r != roleGrand && r != roleCharged {
		return reading{}, false
	}
	return reading{role: r, label: rest, confidence: sureAfter}, true
}

// chooseTotal picks the reading that is the total: by role, by how often the
// same amount is told, by confidence. conflict says that another of the same
// role, as sure, tells a different amount.
func chooseTotal(readings []reading) (best reading, conflict, ok bool) {
	due := slices.ContainsFunc(readings, func(r reading) bool { return r.role == roleDue && r.amount.value.IsPositive() })
	var candidates []reading
	for _, r := range readings {
		if !r.role.isTotal() || r.role < roleRefunded && r.amount.value.IsNegative() {
			continue
		}
		if r.amount.value.IsZero() && (r.role == roleDue || r.role == roleCharged && due) {
			continue // nothing is left to pay, or nothing was paid yet
		}
		candidates = append(candidates, r)
	}
	if len(candidates) == 0 {
		return reading{}, false, false
	}
	support := map[string]int{}
	for _, r := range candidates {
		support[r.amount.value.String()]++
	}
	rank := func(r reading) float64 {
		return float64(r.role)*10 + min(float64(support[r.amount.value.String()]), 4) + r.confidence
	}
	best = slices.MaxFunc(candidates, func(a, b reading) int {
		switch ra, rb := rank(a), rank(b); {
		case ra < rb:
			return -1
		case ra > rb:
			return 1
		}
		return a.amount.value.Abs().Cmp(b.amount.value.Abs()) // two alike: the one that holds the other
	})
	if best.role == roleCharged {
		best = wholeOfPayments(candidates, best)
	}
	for _, r := range candidates {
		if r.role == best.role && !r.amount.value.Equal(best.amount.value) && support[r.amount.value.String()] >= support[best.amount.value.String()] && r.confidence >= best.confidence {
			conflict = true
		}
	}
	if support[best.amount.value.String()] > 1 {
		best.confidence = min(best.confidence+0.1, 0.95)
	}
	return best, conflict, true
}

// wholeOfPayments puts a total back together that was paid in several ways.
func wholeOfPayments(candidates []reading, best reading) reading {
	sum := decimal.Zero
	seen := map[string]bool{}
	for _, r := range candidates {
		if key := r.label + r.amount.value.String(); r.role == roleCharged && !seen[key] {
			seen[key] = true
			sum = sum.Add(r.amount.value)
		}
	}
	for _, r := range candidates {
		if (r.role == roleTotal || r.role == roleGrand) && r.amount.value.Equal(sum) && r.amount.value.GreaterThan(best.amount.value) {
			return r
		}
	}
	return best
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

// complete finds the tax and subtotal that go with the total.
func (p *purchase) complete(readings []reading) {
	total := p.total.amount.value.Abs()
	var taxes, subtotals []reading
	for _, r := range readings {
		if v := r.amount.value.Abs(); r.amount.currency != p.total.amount.currency && r.amount.currency != "" || v.GreaterThan(total) {
			continue
		}
		switch r.role {
		case roleTax:
			taxes = append(taxes, r)
		case roleSubtotal:
			subtotals = append(subtotals, r)
		default:
		}
	}
	// The pair that adds up says that all three are right.
	for _, s := range subtotals {
		for _, t := range taxes {
			if s.amount.value.Add(t.amount.value).Sub(total).Abs().LessThanOrEqual(cents2) && !t.amount.value.IsZero() {
				s.confidence, t.confidence = 0.95, 0.95
				p.subtotal, p.tax = &s, &t
				p.total.confidence = min(p.total.confidence+0.1, 0.97)
				p.conflict = false
				return
			}
		}
	}
	if len(subtotals) > 0 {
		p.subtotal = &subtotals[0]
	}
	if distinct := distinctAmounts(taxes); len(distinct) == 1 {
		p.tax = &distinct[0]
	}
}

// cents2 is how far net and tax may be from the gross by rounding.
var cents2 = decimal.New(2, -2)

func distinctAmounts(readings []reading) []reading {
	var distinct []reading
	for _, r := range readings {
		if !slices.ContainsFunc(distinct, func(d reading) bool { return d.amount.value.Equal(r.amount.value) }) {
			distinct = append(distinct, r)
		}
	}
	return distinct
}

// findings tells what the purchase is, for the record.
func (p *purchase) findings(m *message, doc document, ordinal int) []finding {
	tell := func(f field, r reading) finding {
		value := r.amount.value
		if p.total.role == roleRefunded || p.total.role == roleReceived {
			value = value.Abs().Neg()
		}
		return finding{
			origin: doc.origin, ordinal: ordinal, field: f, value: formatAmount(value, p.total.amount.currency),
			source: "labelled/" + doc.kind, confidence: r.confidence, text: r.text,
		}
	}
	total := tell(fieldTotal, p.total)
	total.role, total.conflict = p.total.role, p.conflict
	all := []finding{total}
	if p.total.amount.currency != "" {
		c := tell(fieldCurrency, p.total)
		c.value, c.confidence = p.total.amount.currency, p.total.currencySure
		all = append(all, c)
	}
	if p.tax != nil {
		all = append(all, tell(fieldTax, *p.tax))
	}
	if p.subtotal != nil {
		all = append(all, tell(fieldSubtotal, *p.subtotal))
	}
	subject := m.subject
	if p.id != "" {
		subject = "" // it speaks of all of them
	}
	return append(all, identify(m, doc, doc.lines[p.from:p.to], subject, ordinal)...)
}
