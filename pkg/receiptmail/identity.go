package receiptmail

import (
	"strings"
	"time"

	"github.com/prosaas/receipts/pkg/receiptmail/internal/label"
	"github.com/prosaas/receipts/pkg/receiptmail/internal/page"
	"github.com/prosaas/receipts/pkg/receiptmail/internal/pattern"
	"github.com/prosaas/receipts/pkg/receiptmail/internal/script"
)

// identity is what kind of number identifies a purchase.
type identity int

const (
	identityInvoice identity = iota // of an invoice, receipt or other document
	identityOrder
	identityBooking // a code of letters and digits, or of letters alone
	identityTransaction
	identityAccount // of the customer: better than none
)

const (
	numberNoun  = `(?:numbers?|num\b\.?|nos?\b\.?|nr\b\.?|n°|№|id\b|code|ref(?:erence)?\b\.?|locator|מספר|מס'|#)`
	hebrewNoun  = `(?:מספר|מס'|מס\.?|מזהה)`
	numberValue = `#?\s?([A-Za-z0-9][A-Za-z0-9._/-]{1,38}[A-Za-z0-9])(?:$|[\s,;)\].])`
)

// identities tell of each kind which field it fills and how sure it is; what
// names the document, and with it or without, that a number follows; and numbers
// that need no such word.
var identities = [...]struct {
	field  field
	sure   float64
	labels []*pattern.Pattern
	bare   *pattern.Pattern // nil: there are none
}{
	identityInvoice: {field: fieldNumber, sure: 0.9, labels: []*pattern.Pattern{
		pattern.MustCompile(`(?i)(?:tax invoice|invoice|receipt|document|credit note|credit memo|bill)\s?(?:` + numberNoun + `\s?)+(?:is\s?)?[:.\s-]*`),
		pattern.MustCompile(`(?i)(?:tax invoice|invoice|receipt|document|credit note)\s?[:#]\s?`),
		pattern.MustCompile(`(?:חשבונית(?: מס)?(?:\s?/?-?\s?קבלה)?(?: זיכוי)?|קבלה|מסמך|חשבון(?: עסקה)?|זיכוי)\s?(?:` + hebrewNoun + `)\s?[:#-]?\s?`),
		pattern.MustCompile(`(?:מספר|מס'|מס) (?:ה)?(?:חשבונית(?: מס)?(?:\s?/\s?קבלה)?|קבלה|מסמך|חשבון עסקה)\s?[:#-]?\s?`),
		pattern.MustCompile(`(?:חשבונית (?:מס|עסקה|זיכוי)(?:\s?/?-?\s?קבלה)?(?: זיכוי)?|חשבונית|קבלה)\s?[:#]?\s?#?`),
		pattern.MustCompile(`(?i)(?:rechnung(?:s-?)?\s?(?:\(\d{3}\)\s?)?(?:nummer|nr\.?|-nr\.?|#)|(?:n° (?:de )?)?facture\s?(?:n°|no\.?|num[ée]ro)?|numero fattura|fattura n\.?|factura n[.º°]?|n[úu]mero de factura|faktura (?:nr|vat)?\.?|factuurnummer|fakturanummer)\s?[:#-]?\s?`),
	}, bare: pattern.MustCompile(`(?i)(?:^|[\s(:])(?:invoice|receipt|credit note|bill|rechnung|gutschrift|facture|avoir|factura|fattura|fatura|faktura|\p{L}*factuur)\s+(?:nr\.?|no\.?|n\.?[°ºo]?|#)?\s?([A-Z]{1,6}[-/]?\d[A-Za-z0-9/-]{2,30}|(?:FT|FR|FS|FAC) [A-Z0-9]{1,8}/\d{1,12}|\d{4}[-/]\d{3,12}|\d{5,20})(?:$|[\s,;)])`)}, // "Invoice FA-2017-0008"
	identityOrder: {field: fieldOrderID, sure: 0.9, labels: []*pattern.Pattern{
		pattern.MustCompile(`(?i)(?:order|purchase|po)\s?(?:` + numberNoun + `\s?)+(?:is\s?)?[:.\s-]*`),
		pattern.MustCompile(`(?i)\b(?:order|commande|pedido|ordine|bestellung|bestelling)(?: reference)?\s?[:#]\s?`),
		pattern.MustCompile(`(?:ご?注文番号|订单号|訂單編號)\s?[:#]?\s?`),
		pattern.MustCompile(`(?:הזמנה|הזמנתך|רכישה|קנייה)\s?(?:` + hebrewNoun + `|#)?\s?[:#-]?\s?`),
		pattern.MustCompile(`(?:מספר|מס'|מס) (?:ה)?(?:הזמנה|רכישה|קנייה)(?: שלך)?\s?[:#-]?\s?`),
		pattern.MustCompile(`(?i)(?:(?:bestell(?:ung(?:s)?)?|auftrag(?:s)?)-?\s?(?:nummer|nr\.?|id|#|:)|(?:n° de |num[ée]ro de )?commande\s?(?:n°|no\.?)?|numero (?:d'|dell')?ordine|ordine n\.?|n[úu]mero de pedido|pedido n[.º°]?|numer zamówienia|bestelnummer|ordernummer)\s?[:#-]?\s?`),
	}, bare: pattern.MustCompile(`(?i)(?:\b(?:order|bestellung|bestelling|commande|pedido|ordine|auftrag)|הזמנה(?: שלך)?|הזמנתך)\s+(?:#([A-Z]{0,6}-?\d[A-Z0-9-]{0,30})|(\d[\d-]{5,30}\d|[A-Z]{1,6}-\d{2,}[A-Z0-9-]{0,20}|[A-Z0-9]{0,4}\d[A-Z0-9]{4,12}))(?:$|[\s,;:)\].])`)}, // "for order 8190447712"
	identityBooking: {field: fieldOrderID, sure: 0.8, labels: []*pattern.Pattern{
		pattern.MustCompile(`(?i)(?:confirmation|booking|reservation|itinerary|record|pnr|ticket|réservation|dossier|reserva|prenotazione)\s?(?:` + numberNoun + `\s?)+(?:\(pnr\)\s?)?(?:is\s?)?[:.\s-]*`),
		pattern.MustCompile(`(?i)dossier(?: voyage)?\s?[:#]\s?`),
		pattern.MustCompile(`(?i)(?:confirmation(?: receipt)?|booking|reservation|record locator|pnr)\s?[:#]\s?`),
		pattern.MustCompile(`(?i)(?:\bPNR|localizador|buchung(?:s(?:code|nummer|referenz))?|codice (?:di )?prenotazione|código de reserva|boekings(?:nummer|code)|bokningsnummer|r[ée]f[ée]rence (?:de )?(?:dossier|réservation))\s?[:#]?\s?`),
		pattern.MustCompile(`(?:אישור|הזמנת מקום|קוד הזמנה|קוד אישור)\s?(?:` + hebrewNoun + `)?\s?[:#]\s?`),
	}},
	identityTransaction: {field: fieldNumber, sure: 0.6, labels: []*pattern.Pattern{
		pattern.MustCompile(`(?i)(?:transaction|payment|charge|trip|reference)\s?(?:` + numberNoun + `\s?)+[:.\s-]*`),
		pattern.MustCompile(`(?i)\breference\s?[:#]\s?`),
		pattern.MustCompile(`(?:אסמכתא|(?:מספר|מס'|מזהה|קוד) (?:ה)?(?:פוליסה|עסקה|אסמכתא|תשלום|אישור|נסיעה|פעולה|העברה|שובר|פריט))\s?[:#-]?\s?`),
	}},
	identityAccount: {field: fieldNumber, sure: 0.5, labels: []*pattern.Pattern{
		pattern.MustCompile(`(?i)(?:account|contract|customer)\s?(?:` + numberNoun + `\s?)+[:.\s-]*`),
		pattern.MustCompile(`(?:מספר|מס') (?:ה)?(?:חשבון|חוזה|לקוח|מנוי)\s?[:#-]?\s?`),
	}},
}

var (
	valueAtStart = pattern.MustCompile(`^` + numberValue)
	wholeValue   = pattern.MustCompile(`^[:#]?\s?([A-Za-z0-9][A-Za-z0-9._/-]{1,38}[A-Za-z0-9])$`)
	bookingCode  = pattern.MustCompile(`^[A-Z]{5,8}$`)
	orderCode    = pattern.MustCompile(`^[A-Z]{9}$`) // as PrestaShop makes them
	looksDated   = pattern.MustCompile(`^\d{1,2}[./-]\d{1,2}[./-]\d{2,4}$|^\d{4}[./-]\d{1,2}[./-]\d{1,2}$`)
	hasDigit     = pattern.MustCompile(`\d`)
	moneyLike    = pattern.MustCompile(`^\d+[.,]\d{2}$`)
)

// identityAt looks for a number of the kind in line i: behind its label in one
// cell, in the next cell, or alone in the next line.
func identityAt(lines []page.Line, i int, kind identity) (string, bool) {
	for j, cell := range lines[i].Cells {
		id, labelOnly, ok := identityIn(cell, kind)
		if ok {
			return id, true
		}
		if !labelOnly {
			continue
		}
		for _, next := range besideAndBelow(lines, i, j) {
			if m := wholeValue.FindStringSubmatch(next); m != nil && isIdentity(m[1], kind) {
				return m[1], true
			}
		}
	}
	return "", false
}

// besideAndBelow is what may hold the value of a label that has a cell to itself.
func besideAndBelow(lines []page.Line, i, j int) []string {
	var next []string
	cells := lines[i].Cells
	if j+1 < len(cells) {
		next = append(next, cells[j+1])
	}
	if i+1 == len(lines) {
		return next
	}
	if len(cells) == 1 {
		return append(next, lines[i+1].Cells[0])
	}
	if below := page.Column(lines[i], lines[i+1], j); below >= 0 {
		next = append(next, lines[i+1].Cells[below])
	}
	return next
}

// identityIn looks in one text. labelOnly says that it ends in a label, so that
// the number may follow in the next one.
func identityIn(text string, kind identity) (id string, labelOnly, ok bool) {
	text = script.Clip(text, maxSentence)
	for _, p := range identities[kind].labels {
		for _, loc := range p.FindAllStringIndex(text, 4) {
			rest := text[loc[1]:]
			if m := valueAtStart.FindStringSubmatch(rest); m != nil && isIdentity(m[1], kind) {
				return m[1], false, true
			}
			labelOnly = labelOnly || label.Trim(rest) == ""
		}
	}
	if bare := identities[kind].bare; bare != nil {
		if m := bare.FindStringSubmatch(text); m != nil {
			return strings.Join(m[1:], ""), false, true
		}
	}
	return "", labelOnly, false
}

// subjectOrder is a long number after "order" anywhere in a subject.
var subjectOrder = pattern.MustCompile(`(?i)(?:\b(?:order|bestellung|bestelling|commande|pedido|ordine|zamówienie)\b|הזמנה|הזמנתך).{0,40}?(?:^|[\s#(-])([A-Z]{0,3}\d{6,}[\d-]*)(?:$|[\s,;:)\].])`)

func isIdentity(value string, kind identity) bool {
	if looksDated.MatchString(value) || moneyLike.MatchString(value) {
		return false
	}
	if !hasDigit.MatchString(value) {
		return kind == identityBooking && bookingCode.MatchString(value) || kind == identityOrder && orderCode.MatchString(value)
	}
	return len(value) >= 3
}

// identify finds the numbers and the date of a purchase told in lines.
func identify(m *message, doc *document, lines []page.Line, subject string, ordinal int) []finding {
	var all []finding
	found := func(f field, value, text, source string, sure float64) {
		all = append(all, finding{origin: doc.origin, ordinal: ordinal, field: f, value: value, source: source, confidence: sure, text: script.Clip(text, maxFieldText)})
	}
	for kind := identityInvoice; kind <= identityAccount; kind++ {
		to := identities[kind]
		if id, _, ok := identityIn(subject, kind); ok {
			found(to.field, id, subject, wayLabelled+"subject", to.sure+0.02)
		} else if order := subjectOrder.FindStringSubmatch(subject); order != nil && kind == identityOrder {
			found(to.field, strings.TrimRight(order[1], "-"), subject, wayLabelled+"subject", 0.7)
		}
		for i := range lines {
			if id, ok := identityAt(lines, i, kind); ok {
				found(to.field, id, lines[i].Text(), wayLabelled+doc.kind, to.sure)
				break
			}
		}
	}
	if d, ok := readDate(m, doc, lines); ok {
		found(fieldIssuedOn, d.day.Format(time.DateOnly), d.text, wayLabelled+doc.kind, d.sure)
	} else if d, ok := readDate(m, doc, []page.Line{{Cells: []string{subject}}}); ok {
		found(fieldIssuedOn, d.day.Format(time.DateOnly), d.text, wayLabelled+"subject", d.sure)
	}
	if id, text, ok := readAllocation(lines); ok {
		found(fieldAllocation, id, text, wayLabelled+doc.kind, 0.9)
	}
	if id, text, ok := readTaxID(lines); ok {
		found(fieldTaxID, id, text, wayLabelled+doc.kind, 0.8)
	}
	return all
}

var taxIDLabel = pattern.MustCompile(`(?:ח\.?\s?"?פ\.?|ע\.?\s?"?מ\.?|ח\.צ\.?|ע\.ר\.?|עוסק (?:מורשה|פטור|זעיר)|(?:מספר|מס') (?:עוסק|חברה|תאגיד))(?: מס'| מספר)?\s?[:./-]?\s?(\d{2}-?\d{6}-?\d|\d{9})(?:\D|$)`)

// readTaxID finds the seller's Israeli tax id. Of several the first is the
// issuer's: its details head the document.
func readTaxID(lines []page.Line) (id, text string, ok bool) {
	for _, l := range lines {
		t := l.Text()
		if !script.HasHebrew(t) {
			continue
		}
		if m := taxIDLabel.FindStringSubmatch(t); m != nil {
			if id = strings.ReplaceAll(m[1], "-", ""); validTaxID(id) {
				return id, t, true
			}
		}
	}
	return "", "", false
}

// validTaxID checks the last of the nine digits: weights 1 and 2 by turns, the
// digits of each product summed, the whole a multiple of ten.
func validTaxID(id string) bool {
	if len(id) != 9 {
		return false
	}
	sum := 0
	for i, c := range id {
		d := int(c-'0') * (1 + i%2)
		sum += d/10 + d%10
	}
	return sum > 0 && sum%10 == 0
}
