package receiptmail

import (
	"strings"

	"github.com/prosaas/receipts/pkg/receiptmail/internal/pattern"
	"github.com/prosaas/receipts/pkg/receiptmail/internal/script"
	"github.com/prosaas/receipts/proto"
)

// Decision is whether a message is a receipt, and why.
type Decision struct {
	Receipt bool
	Score   int      // at least the threshold, for a receipt
	Reasons []string // stable codes of what spoke for and against, in the order weighed
}

// receiptScore is the score from which a message is a receipt. The weights
// below were chosen on mails with known answers: one strong sign (an amount
// labelled as charged) is nearly enough, no weak one is.
const receiptScore = 5

// evidence is what a decision weighs.
type evidence struct {
	message *message
	subject string
	heading string   // the subject, or of a mail without one its first lines
	body    string   // the first lines, where a mail says what it is
	all     []string // the lines of all text, bounded
	found   []finding
	rule    senderRule // of the sender, if there is one
}

const (
	openingLines = 25
	headingLines = 3
	maxEvidence  = 16 << 10 // bytes
	maxOpening   = 8 << 10
)

func gather(m *message, found []finding) *evidence {
	e := &evidence{message: m, subject: m.subject, found: found}
	var opening strings.Builder
	size := 0
	var told []*document
	if texts := m.texts(); len(texts) > 0 {
		told = texts[:1]
	}
	for _, doc := range m.docs {
		if doc.kind == kindPDF {
			told = append(told, doc)
		}
	}
	for _, doc := range told {
		for i, l := range doc.lines {
			t := l.Text()
			if size += len(t); size > maxEvidence {
				break
			}
			if i < openingLines {
				opening.WriteString(t + "\n")
			}
			e.all = append(e.all, t)
		}
	}
	e.body = script.Leading(opening.String(), maxOpening)
	if e.heading = e.subject; e.heading == "" {
		e.heading = script.Clip(strings.Join(e.all[:min(headingLines, len(e.all))], "\n"), maxSentence)
	}
	return e
}

// decide weighs what is known of a message.
func decide(m *message, rule senderRule, found []finding) Decision {
	e := gather(m, found)
	e.rule = rule
	var d Decision
	for _, s := range signs {
		if s.holds(e) {
			d.Score += s.weight
			d.Reasons = append(d.Reasons, s.reason)
		}
	}
	d.Receipt = d.Score >= receiptScore
	return d
}

// typeRules tell what kind of document a text says it is, longest names first.
var typeRules = []struct {
	pattern *pattern.Pattern
	kind    proto.ReceiptType
}{
	{pattern.MustCompile(`(?i)credit (note|memo)|\brefund|חשבונית (מס )?זיכוי|הודעת זיכוי|זיכוי|החזר כספי|gutschrift|avoir\b|nota di credito|nota de crédito`), proto.TypeCreditNote},
	{pattern.MustCompile(`(?i)חשבונית(?: מס)?\s?[/-]?\s?קבלה|invoice[\s/-]*receipt|receipt[\s/-]*invoice`), proto.TypeInvoiceReceipt},
	{pattern.MustCompile(`(?i)\b(account|billing|monthly|card) statement|statement of account|דף (חשבון|פירוט)|פירוט חיובים`), proto.TypeStatement},
	{pattern.MustCompile(`(?i)\b(tax )?invoice\b|חשבונית|חשבון עסקה|\brechnung|\bfactur[ea]\b|\bfattura\b|\bfaktura\b|\bfactuur\b`), proto.TypeInvoice},
	{pattern.MustCompile(`(?i)\be?-?receipt\b|קבלה|\bquittung|\breçu\b|\bricevuta\b|\brecibo\b`), proto.TypeReceipt},
	{pattern.MustCompile(`(?i)\b(order|booking|reservation|ordered|trip|itinerary)\b|הזמנה|הזמנתך|\bbestell|\bcommande\b|\bordine\b|\bpedido\b|zamówieni`), proto.TypeOrder},
	{pattern.MustCompile(`(?i)\b(payment|paid|charge|charged|transaction)\b|תשלום|חיוב|עסקה`), proto.TypePayment},
}

// typeOf reads the kind from the subject, or else from the opening lines.
func typeOf(m *message, refunded bool) proto.ReceiptType {
	if refunded {
		return proto.TypeCreditNote
	}
	texts := []string{m.subject}
	lines := m.main().lines
	for _, l := range lines[:min(openingLines, len(lines))] {
		texts = append(texts, l.Text())
	}
	for _, t := range texts {
		for _, r := range typeRules {
			if r.kind != proto.TypeCreditNote && len([]rune(t)) <= maxSentence && r.pattern.MatchString(t) {
				return r.kind
			}
		}
	}
	return proto.TypeReceipt
}
