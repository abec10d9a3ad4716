package receiptmail

import (
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"
)

// months in the tongues that receipts here come in; keys are lower case, and
// three letters stand for the longer form.
var months = map[string]time.Month{
	"jan": 1, "january": 1, "feb": 2, "february": 2, "mar": 3, "march": 3, "apr": 4, "april": 4, "may": 5, "jun": 6, "june": 6,
	"jul": 7, "july": 7, "aug": 8, "august": 8, "sep": 9, "sept": 9, "september": 9, "oct": 10, "october": 10, "nov": 11, "november": 11, "dec": 12, "december": 12,
	"ינואר": 1, "פברואר": 2, "מרץ": 3, "מרס": 3, "אפריל": 4, "מאי": 5, "יוני": 6, "יולי": 7, "אוגוסט": 8, "ספטמבר": 9, "אוקטובר": 10, "נובמבר": 11, "דצמבר": 12,
	"ינו'": 1, "פבר'": 2, "אפר'": 4, "אוג'": 8, "ספט'": 9, "אוק'": 10, "נוב'": 11, "דצמ'": 12,
	"januar": 1, "februar": 2, "märz": 3, "mai": 5, "juni": 6, "juli": 7, "oktober": 10, "okt": 10, "dezember": 12, "dez": 12,
	"janvier": 1, "février": 2, "mars": 3, "avril": 4, "juin": 6, "juillet": 7, "août": 8, "septembre": 9, "octobre": 10, "novembre": 11, "décembre": 12,
	"enero": 1, "febrero": 2, "marzo": 3, "abril": 4, "mayo": 5, "junio": 6, "julio": 7, "agosto": 8, "septiembre": 9, "octubre": 10, "noviembre": 11, "diciembre": 12,
	"gennaio": 1, "febbraio": 2, "aprile": 4, "maggio": 5, "giugno": 6, "luglio": 7, "settembre": 9, "ottobre": 10, "dicembre": 12,
}

var (
	dayFirst   = regexp.MustCompile(`(?:^|[^\d\p{L}])(\d{1,2})(?:st|nd|rd|th|\.)?[\s-]{1,2}(?:de |ב|of )?-?([\p{L}]{3,10}'?)\.?,?[\s-]{1,2}(?:de )?(\d{4}|'?\d{2})(?:\D|$)`)
	monthFirst = regexp.MustCompile(`(?:^|[^\d\p{L}])(\p{L}{3,9})\.? (\d{1,2})(?:st|nd|rd|th)?,? (\d{4})(?:\D|$)`)
	isoDate    = regexp.MustCompile(`(?:^|\D)(\d{4})[-/.](\d{1,2})[-/.](\d{1,2})(?:\D|$)`)
	numeric    = regexp.MustCompile(`(?:^|[^\d./-])(\d{1,2})([./-])(\d{1,2})([./-])(\d{4}|\d{2})(?:$|[^\d./-]|[.](?:\s|$))`)

	dateLabels = []struct {
		pattern *regexp.Regexp
		sure    float64
	}{
		{regexp.MustCompile(`(?i)(invoice|issue|receipt|document|billing|bill) date|date (of issue|issued|of invoice)|issued( on)?\b|invoiced on|תאריך (ה)?(הפקה|הפקת|חשבונית|מסמך|המסמך|קבלה|החשבונית|הקבלה)|rechnungsdatum|date de (la )?facture|data (della )?fattura|fecha de (la )?factura|data wystawienia|factuurdatum`), 0.9},
		{regexp.MustCompile(`(?i)(order|transaction|payment|purchase|booking|charge) date|date (paid|of (payment|purchase|order|transaction))|(paid|ordered|placed|purchased|charged|payment|charge) on|תאריך (ה)?(עסקה|תשלום|התשלום|הזמנה|ההזמנה|חיוב|רכישה|ביצוע)|bestelldatum|date de (la )?commande`), 0.8},
		{regexp.MustCompile(`(?i)\bdate\b|תאריך|\bdatum\b|\bfecha\b|\bdata\b`), 0.75},
	}
	otherDate = regexp.MustCompile(`(?i)\bdue\b|deliver|arriv|expir|birth|valid|renew|next|check-?(in|out)|depart|return by|until|start|end date|אספקה|תוקף|לידה|יעד|פירעון|לתשלום עד|חידוש|הבא`)
)

// foundDate is a day with the text it was read from.
type foundDate struct {
	day  time.Time
	text string
	sure float64
}

// How far from the mail a document's date may lie.
const (
	oldestDocument = 400 * 24 * time.Hour
	newestDocument = 48 * time.Hour // clocks and time zones
	nearMail       = 3 * 24 * time.Hour
	sureUnlabelled = 0.5
)

// readDate finds the day a document was issued: the best labelled one, or one
// without a label that lies next to the day the mail came.
func readDate(m *message, doc document, lines []line) (foundDate, bool) {
	order := sync.OnceValue(func() dateOrder { return dateOrderOf(m, doc) })
	var best foundDate
	for i, l := range lines {
		for j, cell := range l.cells {
			cell = clip(cell, maxSentence)
			day, ok := parseDate(cell, order, m.received)
			if !ok || !m.received.IsZero() && (day.After(m.received.Add(newestDocument)) || day.Before(m.received.Add(-oldestDocument))) {
				continue
			}
			label := dateLabelOf(lines, i, j)
			if otherDate.MatchString(label) || otherDate.MatchString(cell) {
				continue
			}
			sure := 0.0
			if gap := m.received.Sub(day); gap < nearMail && gap > -newestDocument {
				sure = sureUnlabelled
			}
			for _, r := range dateLabels {
				if r.pattern.MatchString(label) || len([]rune(cell)) <= maxLabel && r.pattern.MatchString(cell) {
					sure = r.sure
					break
				}
			}
			if sure > best.sure {
				best = foundDate{day: day, text: clip(strings.TrimSpace(label+" "+cell), maxFieldText), sure: sure}
			}
		}
	}
	return best, best.sure > 0
}

// dateLabelOf is what stands before the cell, or above it.
func dateLabelOf(lines []line, i, j int) string {
	switch {
	case j > 0:
		return lines[i].cells[j-1]
	case i > 0 && len([]rune(lines[i-1].text())) <= maxLabel:
		above := lines[i-1].cells
		return above[min(j, len(above)-1)]
	}
	return ""
}

// dateOrder is how a document writes 03/04/2026.
type dateOrder int

const (
	orderUnknown dateOrder = iota
	orderDMY
	orderMDY
)

// dateOrderOf: Hebrew documents write the day first; so does nearly everybody,
// but who names the United States.
func dateOrderOf(m *message, doc document) dateOrder {
	us := false
	for _, l := range doc.lines {
		for _, c := range l.cells {
			if hasHebrew(c) {
				return orderDMY
			}
			us = us || strings.Contains(c, "USD") || unitedStates.MatchString(c)
		}
	}
	if us {
		return orderMDY
	}
	if i := strings.LastIndexByte(m.from.domain, '.'); i >= 0 && len(m.from.domain)-i == 3 && !strings.HasSuffix(m.from.domain, ".us") && !strings.HasSuffix(m.from.domain, ".co") {
		return orderDMY // a country's own domain
	}
	return orderUnknown
}

// parseDate finds one date in a text. Two numbers that may be day and month
// either way are read by the document's order if the day comes first; else as
// what lies near the mail, and as the month first where that is the order.
func parseDate(s string, orderOf func() dateOrder, received time.Time) (time.Time, bool) {
	if !strings.ContainsAny(s, digits) {
		return time.Time{}, false
	}
	s = clip(s, maxSentence)
	if m := isoDate.FindStringSubmatch(s); m != nil {
		return makeDate(m[1], asMonth(m[2]), m[3])
	}
	lower := strings.ToLower(s)
	if m := dayFirst.FindStringSubmatch(lower); m != nil {
		if month, ok := monthOf(m[2]); ok {
			return makeDate(m[3], month, m[1])
		}
	}
	if m := monthFirst.FindStringSubmatch(lower); m != nil {
		if month, ok := monthOf(m[1]); ok {
			return makeDate(m[3], month, m[2])
		}
	}
	m := numeric.FindStringSubmatch(s)
	if m == nil || m[2] != m[4] {
		return time.Time{}, false
	}
	dmy, okDMY := makeDate(m[5], asMonth(m[3]), m[1])
	mdy, okMDY := makeDate(m[5], asMonth(m[1]), m[3])
	order := orderDMY // with dots nobody writes the month first
	if m[2] != "." {
		order = orderOf()
	}
	near := func(t time.Time) bool {
		return t.Before(received.Add(newestDocument)) && t.After(received.Add(-nearMail))
	}
	switch {
	case !okDMY && !okMDY:
		return time.Time{}, false
	case !okDMY:
		return mdy, true
	case !okMDY, dmy.Equal(mdy), order == orderDMY:
		return dmy, true
	case near(dmy) != near(mdy): // a receipt is written when its mail is
		if near(dmy) {
			return dmy, true
		}
		return mdy, true
	}
	return mdy, order == orderMDY
}

func monthOf(word string) (time.Month, bool) {
	if m, ok := months[word]; ok {
		return m, true
	}
	m, ok := months[strings.TrimPrefix(word, "ב")]
	return m, ok
}

func asMonth(s string) time.Month {
	n, _ := strconv.Atoi(s)
	return time.Month(n)
}

// makeDate refuses days that no calendar has.
func makeDate(year string, month time.Month, day string) (time.Time, bool) {
	y, _ := strconv.Atoi(strings.TrimPrefix(year, "'"))
	if y < 100 {
		y += 2000
	}
	d, _ := strconv.Atoi(day)
	t := time.Date(y, month, d, 0, 0, 0, 0, time.UTC)
	return t, t.Year() == y && t.Month() == month && t.Day() == d && month >= 1
}
