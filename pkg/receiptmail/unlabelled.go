package receiptmail

import (
	"slices"

	"github.com/shopspring/decimal"

	"github.com/prosaas/receipts/pkg/receiptmail/internal/label"
	"github.com/prosaas/receipts/pkg/receiptmail/internal/pattern"
	"github.com/prosaas/receipts/pkg/receiptmail/internal/script"
)

// unlabelled reads the total of a mail that labels none in words that are known
// here: the amount that those before it add up to, or else the only one that can
// be it. Either is for a person to look at.
type unlabelled struct{}

const (
	sureSum  = 0.65 // two amounts and more make up the one behind them
	sureLone = 0.5

	maxAddends  = 40
	headAmounts = 12 // lines at the head of a mail in which an amount may stand alone
)

// offered is what stands before amounts that nobody is asked to pay, in words
// that no label has: "from", "only", "up to".
var offered = pattern.MustCompile(`(?i)\b(?:from|only|just|up to|over|save|worth|off|as low as|starting at|limit|per)\s*$|(?:רק|החל מ-?|עד|במקום|שווי|מתוך)\s*$`)

func (unlabelled) read(m *message) []finding {
	docs := m.texts()
	for _, doc := range m.docs {
		if doc.kind == kindPDF {
			docs = append(docs, doc)
		}
	}
	for _, doc := range docs {
		total, ok := loneTotal(doc, m.readingsOf(doc), currenciesOf(m, doc))
		if !ok {
			continue
		}
		p := purchase{total: total, to: len(doc.lines)}
		return p.amounts(doc.origin, wayAlone+doc.kind, 0)
	}
	return nil
}

// loneTotal picks, of a document whose readings tell no total, the amount that
// others add up to; the price of the one thing bought; the one amount that
// stands alone at its head; or the one that it tells at all.
func loneTotal(doc *document, readings []reading, in *currencies) (reading, bool) {
	var all, lone, alone []reading
	for i, cells := range doc.scan() {
		for j, amounts := range cells {
			cell := doc.lines[i].Cells[j]
			for _, a := range amounts {
				if a.Currency == "" && !a.Decimals || a.Value.IsZero() || offered.MatchString(script.Trailing(cell[:a.Start], label.MaxLength)) {
					continue
				}
				r := reading{role: label.Lone, line: i, confidence: sureLone, text: script.Clip(cell, maxFieldText)}
				if r.amount, r.currencySure = in.settle(a, ""); r.amount.Currency == "" {
					continue
				}
				all = append(all, r)
				if r.amount.Value = r.amount.Value.Abs(); labelledElse(readings, r) || !label.Fits(cell) {
					continue
				}
				lone = append(lone, r)
				if i < headAmounts && len(cells) == 1 && !script.HasLetter(cell[:a.Start]) && !script.HasLetter(cell[a.End:]) {
					alone = append(alone, r)
				}
			}
		}
	}
	if sum, ok := sumOfAbove(all); ok && !labelledElse(readings, sum) {
		return sum, true
	}
	items := slices.DeleteFunc(slices.Clone(readings), func(r reading) bool { return r.role != label.Item || r.amount.Currency == "" })
	for i, only := range [][]reading{items, alone, lone} {
		if distinct := distinctAmounts(only); len(distinct) == 1 {
			r := distinct[0]
			if r.role, r.confidence = label.Lone, sureLone; i == 0 {
				r.role = label.Weak // it has a label, after all
			}
			return r, true
		}
	}
	return reading{}, false
}

// labelledElse tells whether a label says that the amount is no total: a tax,
// a fee, a balance.
func labelledElse(readings []reading, of reading) bool {
	return slices.ContainsFunc(readings, func(r reading) bool {
		return r.line == of.line && r.role != label.Item && r.amount.Value.Equal(of.amount.Value)
	})
}

// sumOfAbove finds the last amount that two or more before it, one after the
// other, add up to.
func sumOfAbove(all []reading) (reading, bool) {
	for i := len(all) - 1; i > 1; i-- {
		sum := decimal.Zero
		for back := i - 1; back >= max(0, i-maxAddends) && all[back].amount.Currency == all[i].amount.Currency; back-- {
			if sum = sum.Add(all[back].amount.Value); sum.Equal(all[i].amount.Value) && back < i-1 {
				r := all[i]
				if r.role, r.confidence = label.Total, sureSum; r.amount.Value.IsNegative() {
					r.role = label.Refunded
				}
				return r, true
			}
		}
	}
	return reading{}, false
}
