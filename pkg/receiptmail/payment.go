package receiptmail

import (
	"slices"

	"github.com/shopspring/decimal"

	"github.com/prosaas/receipts/pkg/receiptmail/internal/label"
	"github.com/prosaas/receipts/pkg/receiptmail/internal/pattern"
)

// wholeOfPart is the greater total that a document tells, where what it says was
// paid is but a part: a fee in between makes up the rest, or nothing does while
// all that is known of the payment is its means.
func wholeOfPart(doc *document, readings []reading, paid reading) (reading, bool) {
	if paid.role != label.Charged {
		return reading{}, false
	}
	byMeans := meansOfPayment.MatchString(paid.label)
	unexplained := byMeans && !explained(doc, readings, paid)
	for _, r := range readings {
		if r.role != label.Total && r.role != label.Grand || r.amount.Currency != paid.amount.Currency || !r.amount.Value.GreaterThan(paid.amount.Value) {
			continue
		}
		rest := r.amount.Value.Sub(paid.amount.Value)
		for i := min(paid.line, r.line); i < max(paid.line, r.line); i++ {
			if text := doc.lines[i].Text(); doc.holds(i, rest) && fee.MatchString(text) && !waived.MatchString(text) {
				return r, true
			}
		}
		if unexplained || byMeans && paidBeside(doc, r, rest) {
			return r, true
		}
	}
	return reading{}, false
}

// paidBeside tells whether the rest of a total stands behind it as another
// payment, and as no credit.
func paidBeside(doc *document, total reading, rest decimal.Decimal) bool {
	for i := total.line + 1; i < len(doc.lines); i++ {
		if text := doc.lines[i].Text(); doc.holds(i, rest) && otherMeans.MatchString(text) && !credit.MatchString(text) {
			return true
		}
	}
	return false
}

var (
	otherMeans = pattern.MustCompile(`(?i)\b(?:card|cash|bank|visa|master ?card|amex|paypal|transfer)\b|כרטיס|קארד|אשראי|מזומן|העברה|ביט\s`)
	credit     = pattern.MustCompile(`(?i)\b(?:gift|voucher|points|credit|coupon|discount|reward|refund|wallet|loyalty|balance|e-?gift|trip cash)|ארנק|יתרה|מועדון|זיכוי|שובר|נקודות|קופון|גיפט|מתנה|הנחה`)
	waived     = pattern.MustCompile(`(?i)waived|free|חינם|פטור`)
	fee        = pattern.MustCompile(`(?i)\b(?:fees?|surcharge|tip|gratuity)\b|עמלה|עמלת|דמי|טיפ`)
)

// meansOfPayment is a label that says how something was paid, and no more.
var meansOfPayment = pattern.MustCompile(`(?i)^[^\p{L}]*(?:(?:paid|payment|charged) )?(?:(?:via|with|by|to|using) )?(?:your )?(?:visa|master ?card|amex|american express|discover|maestro|diners|paypal|sepa|bank transfer|כרטיס|אשראי|ויזה|מאסטרקארד)`)

// inOwnCurrency is the total that the document tells in its own currency, where
// all that was read of the payment is what it came to in the card's.
func inOwnCurrency(candidates []reading, paid reading) reading {
	if !meansOfPayment.MatchString(paid.label) {
		return paid
	}
	for _, r := range candidates {
		if (r.role == label.Total || r.role == label.Grand) && r.amount.Currency != "" && r.amount.Currency != paid.amount.Currency {
			return r
		}
	}
	return paid
}

// wholeOfPayments puts a total back together that was paid in several ways, or of
// which an invoice records that a part was paid. (Who says "deposit paid" tells
// what was charged.)
func wholeOfPayments(candidates []reading, best reading) reading {
	sum := decimal.Zero
	seen := map[string]bool{}
	for _, r := range candidates {
		if key := r.label + r.amount.Value.String(); r.role == label.Charged && !seen[key] {
			seen[key] = true
			sum = sum.Add(r.amount.Value)
		}
	}
	for _, r := range candidates {
		if r.role != label.Total && r.role != label.Grand || !r.amount.Value.GreaterThan(best.amount.Value) {
			continue
		}
		rest := r.amount.Value.Sub(best.amount.Value)
		if r.amount.Value.Equal(sum) || meansOfPayment.MatchString(best.label) && slices.ContainsFunc(candidates, func(d reading) bool { return d.role == label.Due && d.amount.Value.Equal(rest) }) {
			return r
		}
	}
	return best
}
