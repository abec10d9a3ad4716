package receiptmail

import (
	"regexp"
	"slices"
	"strings"

	"github.com/prosaas/receipts/pkg/receiptmail/internal/page"
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
	hebrewNoun  = `(?:מספר|מס'|מס\.?)`
	numberValue = `#?\s?([A-Za-z0-9][A-Za-z0-9._/-]{1,38}[A-Za-z0-9])(?:$|[\s,;)\].])`
)

// identityRules tell each kind's labels: what names the document, and with it
// or without, that a number follows.
var identityRules = map[identity][]*regexp.Regexp{
	identityInvoice: {
		regexp.MustCompile(`(?i)(?:tax invoice|invoice|receipt|document|credit note|credit memo|bill)\s?(?:` + numberNoun + `\s?)+(?:is\s?)?[:.\s-]*`),
		regexp.MustCompile(`(?i)(?:tax invoice|invoice|receipt|document|credit note)\s?[:#]\s?`),
		regexp.MustCompile(`(?:חשבונית(?: מס)?(?:\s?/?-?\s?קבלה)?(?: זיכוי)?|קבלה|מסמך|חשבון(?: עסקה)?|זיכוי)\s?(?:` + hebrewNoun + `)\s?[:#-]?\s?`),
		regexp.MustCompile(`(?:מספר|מס'|מס) (?:ה)?(?:חשבונית(?: מס)?(?:\s?/\s?קבלה)?|קבלה|מסמך|חשבון עסקה)\s?[:#-]?\s?`),
		regexp.MustCompile(`(?:חשבונית (?:מס|עסקה|זיכוי)(?:\s?/?-?\s?קבלה)?(?: זיכוי)?|חשבונית|קבלה)\s?[:#]?\s?#?`),
		regexp.MustCompile(`(?i)(?:rechnung(?:s-?)?\s?(?:\(\d{3}\)\s?)?(?:nummer|nr\.?|-nr\.?|#)|(?:n° (?:de )?)?facture\s?(?:n°|no\.?|num[ée]ro)?|numero fattura|fattura n\.?|factura n[.º°]?|n[úu]mero de factura|faktura (?:nr|vat)?\.?|factuurnummer|fakturanummer)\s?[:#-]?\s?`),
	},
	identityOrder: {
		regexp.MustCompile(`(?i)(?:order|purchase|po)\s?(?:` + numberNoun + `\s?)+(?:is\s?)?[:.\s-]*`),
		regexp.MustCompile(`(?i)\border\s?[:#]\s?`),
		regexp.MustCompile(`(?:ご?注文番号|订单号|訂單編號)\s?[:#]?\s?`),
		regexp.MustCompile(`(?:הזמנה|הזמנתך|רכישה|קנייה)\s?(?:` + hebrewNoun + `|#)?\s?[:#-]?\s?`),
		regexp.MustCompile(`(?:מספר|מס'|מס) (?:ה)?(?:הזמנה|רכישה|קנייה)(?: שלך)?\s?[:#-]?\s?`),
		regexp.MustCompile(`(?i)(?:bestell(?:ung(?:s)?)?-?\s?(?:nummer|nr\.?)|(?:n° de |num[ée]ro de )?commande\s?(?:n°|no\.?)?|numero (?:d'|dell')?ordine|ordine n\.?|n[úu]mero de pedido|pedido n[.º°]?|numer zamówienia|bestelnummer|ordernummer)\s?[:#-]?\s?`),
	},
	identityBooking: {
		regexp.MustCompile(`(?i)(?:confirmation|booking|reservation|itinerary|record|pnr|ticket|réservation|dossier|reserva|prenotazione)\s?(?:` + numberNoun + `\s?)+(?:\(pnr\)\s?)?(?:is\s?)?[:.\s-]*`),
		regexp.MustCompile(`(?i)(?:confirmation(?: receipt)?|booking|reservation|record locator|pnr)\s?[:#]\s?`),
		regexp.MustCompile(`(?i)(?:\bPNR|localizador|buchungs(?:code|nummer)|codice (?:di )?prenotazione|código de reserva|boekings(?:nummer|code)|bokningsnummer|r[ée]f[ée]rence (?:de )?(?:dossier|réservation))\s?[:#]?\s?`),
		regexp.MustCompile(`(?:אישור|הזמנת מקום|קוד הזמנה|קוד אישור)\s?(?:` + hebrewNoun + `)?\s?[:#]\s?`),
	},
	identityTransaction: {
		regexp.MustCompile(`(?i)(?:transaction|payment|charge|trip|reference)\s?(?:` + numberNoun + `\s?)+[:.\s-]*`),
		regexp.MustCompile(`(?i)\breference\s?[:#]\s?`),
		regexp.MustCompile(`(?:אסמכתא|(?:מספר|מס') (?:ה)?(?:עסקה|אסמכתא|תשלום|אישור|נסיעה|פעולה|העברה))\s?[:#-]?\s?`),
	}, identityAccount: {
		regexp.MustCompile(`(?i)(?:account|contract|customer)\s?(?:` + numberNoun + `\s?)+[:.\s-]*`),
		regexp.MustCompile(`(?:מספר|מס') (?:ה)?(?:חשבון|חוזה|לקוח|מנוי)\s?[:#-]?\s?`),
	},
}

// identityStems are what a text must hold, in lower case, for any of its kind's
// rules to match: most texts are done with then.
var identityStems = map[identity][]string{
	identityInvoice:     {"invoice", "receipt", "document", "credit", "bill", "חשבו", "קבלה", "מסמך", "זיכוי", "rechnung", "factur", "fattura", "faktur", "factuur", "avoir", "gutschrift"},
	identityOrder:       {"order", "purchase", "po", "הזמנ", "רכיש", "קניי", "bestel", "注文", "commande", "ordin", "pedido", "zamówieni"},
	identityBooking:     {"confirmation", "booking", "reservation", "itinerary", "record", "pnr", "ticket", "localizador", "buchungs", "prenotazione", "reserva", "boeking", "bokning", "dossier", "réservation", "אישור", "קוד", "הזמנת מקום"},
	identityTransaction: {"transaction", "payment", "charge", "trip", "reference", "אסמכתא", "עסקה", "תשלום", "אישור", "נסיעה", "פעולה", "העברה"},
	identityAccount:     {"account", "contract", "customer", "חשבון", "חוזה", "לקוח", "מנוי"},
}

// identitySure is how sure each kind is, and which field it fills.
var identitySure = map[identity]struct {
	field field
	sure  float64
}{
	identityInvoice:     {fieldNumber, 0.9},
	identityOrder:       {fieldOrderID, 0.9},
	identityBooking:     {fieldOrderID, 0.8},
	identityTransaction: {fieldNumber, 0.6},
	identityAccount:     {fieldNumber, 0.5},
}

var (
	valueAtStart = regexp.MustCompile(`^` + numberValue)
	wholeValue   = regexp.MustCompile(`^#?\s?([A-Za-z0-9][A-Za-z0-9._/-]{1,38}[A-Za-z0-9])$`)
	bookingCode  = regexp.MustCompile(`^[A-Z]{5,8}$`)
	looksDated   = regexp.MustCompile(`^\d{1,2}[./-]\d{1,2}[./-]\d{2,4}$|^\d{4}[./-]\d{1,2}[./-]\d{1,2}$`)
	hasDigit     = regexp.MustCompile(`\d`)
	moneyLike    = regexp.MustCompile(`^\d+[.,]\d{2}$`)
)

// identityAt looks for a number of the kind in line i: behind its label in one
// cell, in the next cell, or alone in the next line.
func identityAt(lines []page.Line, i int, kind identity) (string, bool) {
	for j, cell := range lines[i].Cells {
		if id, rest, ok := identityIn(cell, kind); ok {
			return id, true
		} else if !rest {
			continue
		}
		var next string
		switch {
		case j+1 < len(lines[i].Cells):
			next = lines[i].Cells[j+1]
		}
		if m := wholeValue.FindStringSubmatch(next); m != nil && isIdentity(m[1], kind) {
			return m[1], true
		}
		if i+1 < len(lines) { // below it
			if next = lines[i+1].Cells[0]; len(lines[i].Cells) > 1 {
				below := page.Column(lines[i], lines[i+1], j)
				if below < 0 {
					continue
				}
				next = lines[i+1].Cells[below]
			}
		}
		if m := wholeValue.FindStringSubmatch(next); m != nil && isIdentity(m[1], kind) {
			return m[1], true
		}
	}
	return "", false
}

// identityIn looks in one text. labelOnly says that it ends in a label, so that
// the number may follow in the next one.
func identityIn(text string, kind identity) (id string, labelOnly, ok bool) {
	text = script.Clip(text, maxSentence)
	lower := strings.ToLower(text)
	if !slices.ContainsFunc(identityStems[kind], func(stem string) bool { return strings.Contains(lower, stem) }) {
		return "", false, false
	}
	for _, p := range identityRules[kind] {
		for _, loc := range p.FindAllStringIndex(text, 4) {
			rest := text[loc[1]:]
			if m := valueAtStart.FindStringSubmatch(rest); m != nil && isIdentity(m[1], kind) {
				return m[1], false, true
			}
			labelOnly = labelOnly || strings.Trim(rest, labelEdges) == ""
		}
	}
	if m := bareOrder.FindStringSubmatch(text); kind == identityOrder && m != nil {
		return m[1], false, true
	}
	if m := bareDocument.FindStringSubmatch(text); kind == identityInvoice && m != nil {
		return m[1], false, true
	}
	return "", labelOnly, false
}

// subjectOrder is a long number after "order" anywhere in a subject.
var subjectOrder = regexp.MustCompile(`(?i)(?:\b(?:order|bestellung|bestelling|commande|pedido|ordine|zamówienie)\b|הזמנה|הזמנתך).{0,40}?(?:^|[\s#(-])([A-Z]{0,3}\d{6,}[\d-]*)(?:$|[\s,;:)\].])`)

// bareDocument is a title with its number: "Invoice FA-2017-0008".
var bareDocument = regexp.MustCompile(`(?i)^(?:tax |sales |vat )?(?:invoice|receipt|credit note|bill|rechnung|gutschrift|facture|avoir|factura|fattura|faktura|factuur)\s+(?:nr\.?|no\.?|n°)?\s?([A-Z]{1,6}[-/]?\d[A-Za-z0-9/-]{2,30})(?:$|[\s,;)])`)

// bareOrder needs no "number" to be one: "for order 8190447712".
var bareOrder = regexp.MustCompile(`(?i)\b(?:order|הזמנה|הזמנתך|bestellung|commande|pedido|ordine)\s+#?(\d[\d-]{5,30}\d|[A-Z]{1,6}-\d{2,}[A-Z0-9-]{0,20})(?:$|[\s,;:)\].])`)

func isIdentity(value string, kind identity) bool {
	if looksDated.MatchString(value) || moneyLike.MatchString(value) {
		return false
	}
	if !hasDigit.MatchString(value) {
		return kind == identityBooking && bookingCode.MatchString(value)
	}
	return len(value) >= 3
}

// identify finds the numbers and the date of a purchase told in lines.
func identify(m *message, doc document, lines []page.Line, subject string, ordinal int) []finding {
	var all []finding
	found := func(f field, value, text, source string, sure float64) {
		all = append(all, finding{origin: doc.origin, ordinal: ordinal, field: f, value: value, source: source, confidence: sure, text: script.Clip(text, maxFieldText)})
	}
	for kind := identityInvoice; kind <= identityAccount; kind++ {
		to := identitySure[kind]
		if id, _, ok := identityIn(subject, kind); ok {
			found(to.field, id, subject, wayLabelled+"subject", to.sure+0.02)
		} else if order := subjectOrder.FindStringSubmatch(subject); kind == identityOrder && order != nil {
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
		found(fieldIssuedOn, d.day.Format("2006-01-02"), d.text, wayLabelled+doc.kind, d.sure)
	} else if d, ok := readDate(m, doc, []page.Line{{Cells: []string{subject}}}); ok {
		found(fieldIssuedOn, d.day.Format("2006-01-02"), d.text, wayLabelled+"subject", d.sure)
	}
	if id, text, ok := readAllocation(lines); ok {
		found(fieldAllocation, id, text, wayLabelled+doc.kind, 0.9)
	}
	if id, text, ok := readTaxID(lines); ok {
		found(fieldTaxID, id, text, wayLabelled+doc.kind, 0.8)
	}
	return all
}

var taxIDLabel = regexp.MustCompile(`(?:ח\.?\s?"?פ\.?|ע\.?\s?"?מ\.?|ח\.צ\.?|ע\.ר\.?|עוסק (?:מורשה|פטור|זעיר)|(?:מספר|מס') (?:עוסק|חברה|תאגיד))(?: מס'| מספר)?\s?[:./-]?\s?(\d{2}-?\d{6}-?\d|\d{9})(?:\D|$)`)

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
