package receiptmail

import (
	"slices"
	"strings"

	"github.com/shopspring/decimal"

	"github.com/prosaas/receipts/pkg/receiptmail/internal/label"
	"github.com/prosaas/receipts/pkg/receiptmail/internal/money"
	"github.com/prosaas/receipts/pkg/receiptmail/internal/page"
	"github.com/prosaas/receipts/pkg/receiptmail/internal/pattern"
	"github.com/prosaas/receipts/pkg/receiptmail/internal/script"
)

// labelled reads amounts by the labels beside them, in the rows of tables and
// in running text, in Hebrew, English and the commonest words of other tongues.
type labelled struct{}

// read takes the mail's text that tells the best total, HTML first: they are
// versions of each other. Each PDF stands for itself.
func (labelled) read(m *message) []finding {
	all := readVersions(m, m.texts())
	if _, ok := surest(all, fieldTotal); !ok && m.subject != "" { // the subject alone may tell it
		said := &document{kind: "subject", origin: originBody, lines: []page.Line{{Cells: []string{m.subject}}}}
		told := readVersions(m, []*document{said})
		if _, ok := surest(told, fieldTotal); ok {
			all = append(all, told...)
		}
	}
	for _, doc := range m.docs {
		if doc.kind == kindPDF {
			all = append(all, readVersions(m, []*document{doc})...)
		}
	}
	return all
}

// readVersions reads texts that say the same. Where none tells a total, the
// first may still tell a number or a date.
func readVersions(m *message, docs []*document) []finding {
	var best []finding
	top := label.None
	for i, doc := range docs {
		readings := m.readingsOf(doc)
		total, conflict, ok := chooseTotal(readings)
		if ok {
			total.role = roleInContext(m, doc, total.role)
		}
		if !ok && i == 0 {
			best = identify(m, doc, doc.lines, m.subject, 0)
		}
		if total.role <= top {
			continue
		}
		top, best = total.role, nil
		for n, p := range purchasesOf(m, doc, readings, total, conflict) {
			best = append(best, p.findings(m, doc, n)...)
		}
		if top >= label.Total {
			break
		}
	}
	return best
}

var (
	creditTitle  = pattern.MustCompile(`(?i)^(?:credit (?:note|memo)|gutschrift|stornorechnung|\p{L}*creditfactuur|creditnota|nota di credito|nota de cr[ée]dito|facture d'avoir|avoir n[°ºo.])|חשבונית (?:מס )?זיכוי|הודעת זיכוי`)
	ownerWasPaid = pattern.MustCompile(`(?i)(?:לקוח|קונה)\S* שילמ?ה? ב|הודעה לבעל העסק|הכסף יועבר לחשבונך|\byou(?:'ve| have)? (?:made a sale|received a new (?:payment|order))|\byou got paid|\byour payout`)
)

// roleInContext turns a total into one that was given back, or that came in,
// where the subject, or a short line at the document's head, says so.
func roleInContext(m *message, doc *document, r label.Role) label.Role {
	if r >= label.Refunded {
		return r
	}
	says := func(p *pattern.Pattern) bool {
		return p.MatchString(m.subject) || slices.ContainsFunc(doc.lines[:min(openingLines, len(doc.lines))], func(l page.Line) bool {
			return slices.ContainsFunc(l.Cells, func(c string) bool { return label.Fits(c) && p.MatchString(c) })
		})
	}
	switch {
	case r < label.Charged && says(creditTitle):
		return label.Refunded
	case says(ownerWasPaid):
		return label.Received
	}
	return r
}

// reading is one amount with what its label says.
type reading struct {
	role       label.Role
	amount     money.Amount
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
	sureWeak     = 0.5  // its label says "amount" and no more, and there are others

	maxReadings = 1000 // of one document
)

// readingsOf reads a document's amounts once, however many strategies ask.
func (m *message) readingsOf(doc *document) []reading {
	if doc.readings == nil {
		doc.readings = readLabelled(doc, currenciesOf(m, doc))
	}
	return doc.readings
}

func readLabelled(doc *document, in *currencies) []reading {
	lines, all := doc.lines, doc.scan()
	found := []reading{}
	for i, l := range lines {
		for j, cell := range l.Cells {
			if len(found) >= maxReadings {
				return found
			}
			amounts := all[i][j]
			from, paid := 0, 0 // where the text before this number begins, and before this amount
			for k, a := range amounts {
				if !script.HasLetter(cell[from:a.Start]) && paid < from && script.HasLetter(cell[paid:a.Start]) {
					from, k = paid, 0 // "charged to card 4821: $5.00": only a card stands between
				}
				r, ok := labelOf(lines, i, j, from, k, a, len(amounts))
				if from = a.End; a.Currency != "" || a.Decimals {
					paid = a.End
				}
				if !ok {
					continue
				}
				r.line, r.amount = i, a
				if conditional.MatchString(script.Leading(cell[a.End:], maxSentence)) {
					r.role = label.Other // "a refund of $5.00 will be issued once we have the parcel"
				}
				if a.Currency == "" && !a.Decimals && !plainNumberCounts(r, l) {
					continue
				}
				r.amount, r.currencySure = in.settle(a, r.label)
				if a.Ambiguous {
					r.confidence -= 0.2
				}
				r.text = script.Clip(strings.TrimSpace(r.label+" "+cell[a.Start:a.End]), maxFieldText)
				found = append(found, r)
			}
		}
	}
	return found
}

// plainNumberCounts tells whether digits with neither currency nor decimals can
// be an amount: only right beside a label that says total or amount, and not
// where they look like a year. Beside a means of payment they are a card's.
func plainNumberCounts(r reading, l page.Line) bool {
	year := r.amount.Value.GreaterThanOrEqual(decimal.NewFromInt(1900)) && r.amount.Value.LessThan(decimal.NewFromInt(2100))
	return r.role >= label.Due && r.confidence >= sureRow && !year && label.Fits(l.Text()) && saysAmount.MatchString(r.label) && !saysCard.MatchString(r.label)
}

var saysCard = pattern.MustCompile(`(?i)\b(card|ending|account|acct)\b|[x*•]{2}|כרטיס|מסתיים|ספרות|חשבון בנק`)

var saysAmount = pattern.MustCompile(`(?i)\b(total|amount|sum|due|price|gesamt|betrag|summe|totale|importe|montant)|סה"?'?כ|סך|סכום|לתשלום`)

var conditional = pattern.MustCompile(`(?i)^\s?[x×]\s?\d+\b|^\s*will be .{0,40}\b(?:once|after|when|if)\b`)

// labelOf finds the label of amount number k of a cell, whose own text begins
// at from.
func labelOf(lines []page.Line, i, j, from, k int, a money.Amount, count int) (reading, bool) {
	cells := lines[i].Cells
	own := cells[j][from:a.Start]
	if script.HasLetter(own) {
		if r := label.Of(own); r != label.None {
			sure := sureCell
			if !label.Fits(own) {
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
	if script.HasLetter(cells[j][a.End:]) && count == 1 {
		return reading{}, false // "12 nights": the amount begins a text
	}
	for back := j - 1; back >= 0 && back >= j-maxBack; back-- {
		if !script.HasLetter(cells[back]) || money.Holds(cells[back]) && label.Of(cells[back]) == label.None {
			continue
		}
		r := label.Of(cells[back])
		if r == label.None {
			return reading{}, false
		}
		if r.IsTotal() && len(cells) > 2 { // a row of totals: its columns tell of what
			if column, ok := columnOf(lines, i, j); ok && !column.role.IsTotal() {
				return column, true
			}
		}
		return reading{role: r, label: cells[back], confidence: sureRow}, true
	}
	if last := cells[len(cells)-1]; j == 0 && len(cells) > 1 && script.HasHebrew(last) && !money.Holds(last) && !script.HasLetter(strings.Join(cells[:len(cells)-1], "")) {
		if r := label.Of(last); r != label.None { // a table whose right column comes last
			return reading{role: r, label: last, confidence: sureColumn}, true
		}
	}
	if i == 0 {
		return reading{}, false
	}
	if len(cells) > 1 {
		if at := page.Column(lines[i], lines[i-1], j); at >= 0 {
			if above := lines[i-1].Cells[at]; label.Of(above) != label.None && !money.Holds(above) {
				return reading{role: label.Of(above), label: above, confidence: sureColumn}, true
			}
		}
		return reading{}, false
	}
	above := lines[i-1].Cells
	last := above[len(above)-1]
	if at := page.Column(lines[i], lines[i-1], j); at >= 0 && label.Of(last) == label.None {
		last = above[at]
	}
	if r := label.Of(last); r != label.None && !money.Holds(last) && label.Fits(last) {
		return reading{role: r, label: last, confidence: sureAbove}, true
	}
	return reading{}, false
}

const (
	maxBack   = 8  // cells before an amount that its label may stand
	maxColumn = 60 // lines above it that its column's head may stand
)

// columnOf reads the head of the column in which cell j of line i stands.
func columnOf(lines []page.Line, i, j int) (reading, bool) {
	for up := i - 1; up >= 0 && up >= i-maxColumn; up-- {
		at := page.Column(lines[i], lines[up], j)
		if at < 0 || len(lines[up].Cells) < 3 || !script.HasLetter(lines[up].Cells[at]) {
			continue
		}
		head := lines[up].Cells[at]
		if money.Holds(head) {
			continue
		}
		r := label.Of(head)
		return reading{role: r, label: head, confidence: sureColumn}, r != label.None
	}
	return reading{}, false
}

// spent follows an amount in "your $5.00 purchase at Corner Shop".
var spent = pattern.MustCompile(`(?i)^(?:transaction|purchase|payment|charge) (?:with|at|to|from|by|on)\b`)

// includedTax follows an amount in "(includes £7.16 VAT)".
var includedTax = pattern.MustCompile(`(?i)^(?:of )?(?:vat|gst|hst|tax|iva|tva|mwst|ust|btw|moms|מע"?מ)[^\d\p{L}]*$`)

// roleAfter reads a label that stands behind its amount: "12.00 USD total".
func roleAfter(cell string, a money.Amount) (reading, bool) {
	rest := label.Trim(cell[a.End:])
	if spent.MatchString(rest) {
		return reading{role: label.Charged, label: script.Clip(rest, label.MaxLength), confidence: sureAfter}, true
	}
	if rest == "" || len([]rune(rest)) > 20 || !script.HasLetter(rest) {
		return reading{}, false
	}
	r := label.Of(rest)
	if r == label.Tax && !includedTax.MatchString(rest) {
		return reading{}, false // "49.00 incl. VAT" is no tax
	}
	if r != label.Total && r != label.Grand && r != label.Charged && r != label.Tax {
		return reading{}, false
	}
	return reading{role: r, label: rest, confidence: sureAfter}, true
}
