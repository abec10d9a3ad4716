package receiptmail

import (
	"regexp"
	"slices"
	"strings"
)

// identity is what kind of number identifies a purchase.
type identity int

const (
	identityInvoice identity = iota // of an invoice, receipt or other document
	identityOrder
	identityBooking // a code of letters and digits, or of letters alone
	identityTransaction
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
		regexp.MustCompile(`(?i)(?:tax invoice|invoice|receipt|document|credit note|credit memo|bill)\s?(?:` + numberNoun + `\s?)+(?:is )?[:.\s-]*`),
		regexp.MustCompile(`(?i)(?:tax invoice|invoice|receipt|document|credit note)\s?[:#]\s?`),
		regexp.MustCompile(`(?:חשבונית(?: מס)?(?:\s?/?-?\s?קבלה)?(?: זיכוי)?|קבלה|מסמך|חשבון(?: עסקה)?|זיכוי)\s?(?:` + hebrewNoun + `)\s?[:#-]?\s?`),
		regexp.MustCompile(`(?:מספר|מס'|מס) (?:ה)?(?:חשבונית(?: מס)?(?:\s?/\s?קבלה)?|קבלה|מסמך|חשבון)\s?[:#-]?\s?`),
		regexp.MustCompile(`(?:חשבונית מס(?:\s?/?-?\s?קבלה)?|חשבונית|קבלה)\s?[:#]?\s?#?`),
		regexp.MustCompile(`(?i)(?:rechnung(?:s-?)?\s?(?:nummer|nr\.?|-nr\.?)|(?:n° (?:de )?)?facture\s?(?:n°|no\.?|num[ée]ro)?|numero fattura|fattura n\.?|factura n[.º°]?|n[úu]mero de factura|faktura (?:nr|vat)?\.?|factuurnummer|fakturanummer)\s?[:#-]?\s?`),
	},
	identityOrder: {
		regexp.MustCompile(`(?i)(?:order|purchase|po)\s?(?:` + numberNoun + `\s?)+(?:is )?[:.\s-]*`),
		regexp.MustCompile(`(?i)\border\s?[:#]\s?`),
		regexp.MustCompile(`(?:הזמנה|הזמנתך|רכישה|קנייה)\s?(?:` + hebrewNoun + `|#)?\s?[:#-]?\s?`),
		regexp.MustCompile(`(?:מספר|מס'|מס) (?:ה)?(?:הזמנה|רכישה|קנייה)(?: שלך)?\s?[:#-]?\s?`),
		regexp.MustCompile(`(?i)(?:bestell(?:ung(?:s)?)?-?\s?(?:nummer|nr\.?)|(?:n° de |num[ée]ro de )?commande\s?(?:n°|no\.?)?|numero (?:d'|dell')?ordine|ordine n\.?|n[úu]mero de pedido|pedido n[.º°]?|numer zamówienia|bestelnummer|ordernummer)\s?[:#-]?\s?`),
	},
	identityBooking: {
		regexp.MustCompile(`(?i)(?:confirmation|booking|reservation|itinerary|record|pnr|ticket)\s?(?:` + numberNoun + `\s?)+(?:\(pnr\)\s?)?(?:is )?[:.\s-]*`),
		regexp.MustCompile(`(?i)(?:confirmation(?: receipt)?|booking|reservation|record locator|pnr)\s?[:#]\s?`),
		regexp.MustCompile(`(?:אישור|הזמנת מקום|קוד הזמנה|קוד אישור)\s?(?:` + hebrewNoun + `)?\s?[:#]\s?`),
	},
	identityTransaction: {
		regexp.MustCompile(`(?i)(?:transaction|payment|charge|trip|reference)\s?(?:` + numberNoun + `\s?)+[:.\s-]*`),
		regexp.MustCompile(`(?i)\breference\s?[:#]\s?`),
		regexp.MustCompile(`(?:אסמכתא|(?:מספר|מס') (?:עסקה|אסמכתא|תשלום|אישור))\s?[:#-]?\s?`),
	},
}

// identityStems are what a text must hold, in lower case, for any of its kind's
// rules to match: most texts are done with then.
var identityStems = map[identity][]string{
	identityInvoice:     {"invoice", "receipt", "document", "credit", "bill", "חשבו", "קבלה", "מסמך", "זיכוי", "rechnung", "factur", "fattura", "faktur"},
	identityOrder:       {"order", "purchase", "po", "הזמנ", "רכיש", "קניי", "bestel", "commande", "ordin", "pedido", "zamówieni"},
	identityBooking:     {"confirmation", "booking", "reservation", "itinerary", "record", "pnr", "ticket", "אישור", "קוד", "הזמנת מקום"},
	identityTransaction: {"transaction", "payment", "charge", "trip", "reference", "אסמכתא", "עסקה", "תשלום", "אישור"},
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
func identityAt(lines []line, i int, kind identity) (string, bool) {
	for j, cell := range lines[i].cells {
		if id, rest, ok := identityIn(cell, kind); ok {
			return id, true
		} else if !rest {
			continue
		}
		var next string
		switch {
		case j+1 < len(lines[i].cells):
			next = lines[i].cells[j+1]
		case i+1 < len(lines):
			next = lines[i+1].cells[0]
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
	text = clip(text, maxSentence)
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
	return "", labelOnly, false
}

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
func identify(m *message, doc document, lines []line, subject string, ordinal int) []finding {
	var all []finding
	found := func(f field, value, text, source string, sure float64) {
		all = append(all, finding{origin: doc.origin, ordinal: ordinal, field: f, value: value, source: source, confidence: sure, text: clip(text, maxFieldText)})
	}
	for kind := identityInvoice; kind <= identityTransaction; kind++ {
		to := identitySure[kind]
		if id, _, ok := identityIn(subject, kind); ok {
			found(to.field, id, subject, "labelled/subject", to.sure+0.02)
		}
		for i := range lines {
			if id, ok := identityAt(lines, i, kind); ok {
				found(to.field, id, lines[i].text(), "labelled/"+doc.kind, to.sure)
				break
			}
		}
	}
	if d, ok := readDate(m, doc, lines); ok {
		found(fieldIssuedOn, d.day.Format("2006-01-02"), d.text, "labelled/"+doc.kind, d.sure)
	}
	if id, text, ok := readTaxID(lines); ok {
		found(fieldTaxID, id, text, "labelled/"+doc.kind, 0.8)
	}
	return all
}

var taxIDLabel = regexp.MustCompile(`(?:ח\.?\s?"?פ\.?|ע\.?\s?"?מ\.?|ח\.צ\.?|ע\.ר\.?|עוסק (?:מורשה|פטור|זעיר)|(?:מספר|מס') (?:עוסק|חברה|תאגיד))(?: מס'| מספר)?\s?[:./-]?\s?(\d{2}-?\d{6}-?\d|\d{9})(?:\D|$)`)

// readTaxID finds the seller's Israeli tax id. Of several the first is the
// issuer's: its details head the document.
func readTaxID(lines []line) (id, text string, ok bool) {
	for _, l := range lines {
		t := l.text()
		if !hasHebrew(t) {
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
