package receiptmail

import (
	"strings"
	"sync"
	"time"

	"github.com/prosaas/receipts/pkg/receiptmail/internal/dates"
	"github.com/prosaas/receipts/pkg/receiptmail/internal/label"
	"github.com/prosaas/receipts/pkg/receiptmail/internal/page"
	"github.com/prosaas/receipts/pkg/receiptmail/internal/pattern"
	"github.com/prosaas/receipts/pkg/receiptmail/internal/script"
)

var (
	dateLabels = []struct {
		pattern *pattern.Pattern
		sure    float64
	}{
		{pattern.MustCompile(`(?i)(invoice|issue|receipt|document|billing|bill) date|date (of issue|issued|of invoice)|issued( on)?\b|invoiced on|תאריך (ה)?(הפקה|הפקת|חשבונית|מסמך|המסמך|קבלה|החשבונית|הקבלה)|rechnungsdatum|date de (la )?facture|data (della )?fattura|fecha de (la )?factura|data wystawienia|factuurdatum`), 0.9},
		{pattern.MustCompile(`(?i)(order|transaction|payment|purchase|booking|charge) date|date (paid|of (payment|purchase|order|transaction))|(paid|ordered|placed|purchased|charged|payment|charge) on|תאריך (ה)?(עסקה|תשלום|התשלום|הזמנה|ההזמנה|חיוב|רכישה|ביצוע)|bestelldatum|date de (la )?commande`), 0.8},
		{pattern.MustCompile(`(?i)\bdate\b|תאריך|\bdatum\b|\bfecha\b|\bdata\b`), 0.75},
	}
	// A document's own line tells its day: "Facture n° 12 du 2 juillet 2015".
	documentDate = pattern.MustCompile(`(?i)(\b(invoice|receipt|bill|facture|factura|fattura|faktura|factuur)|rechnung)\b.{0,40}(\b(dated|of|from|on|issued|du|vom|von|de|del|z dnia|van|date)\b|[·|])|(חשבונית|קבלה|מסמך).{0,40}(מיום|מתאריך|בתאריך)`)
	orderWord    = pattern.MustCompile(`(?i)\border|bestellung|commande|auftrag|הזמנה`)
	otherDate    = pattern.MustCompile(`(?i)\bdue\b|deliver|arriv|expir|birth|valid|renew|next|check-?(in|out)|depart|return by|until|start|end date|אספקה|תוקף|לידה|יעד|פירעון|לתשלום עד|חידוש|(?:חיוב|תשלום|חשבון|מועד) (?:ה)?הבא|limite|échéance|fällig|scadenza|vencimiento|termin płatności|vervaldatum|prélèvement à partir|periode?\b|per[ií]odo|period\b|zeitraum|comprendido|תקופה`)
)

// foundDate is a day with the text it was read from.
type foundDate struct {
	day  time.Time
	text string
	sure float64
}

const (
	sureUnlabelled = 0.5
	sureHead       = 0.45 // at the head of a document of which nobody knows when it came
	headLines      = 15

	sureDocumentDate = 0.85
)

// readDate finds the day a document was issued: the best labelled one, or one
// without a label that lies next to the day the mail came.
func readDate(m *message, doc *document, lines []page.Line) (foundDate, bool) {
	order := sync.OnceValue(func() dates.Order { return dateOrderOf(m, doc) })
	var best foundDate
	for i, l := range lines {
		for j, cell := range l.Cells {
			beside := dateLabelOf(lines, i, j)
			if otherDate.MatchString(beside) {
				continue
			}
			cell, end := script.Clip(cell, maxSentence), 0
			for _, text := range clausesOf(cell) {
				end += len(text)
				day, ok := dates.Parse(text, order, m.received)
				if !ok || otherDate.MatchString(text) || !m.received.IsZero() && (day.After(m.received.Add(dates.Newest)) || day.Before(m.received.Add(-dates.Oldest))) {
					continue
				}
				sure := sureOfDate(cell[:end], beside)
				if m.received.IsZero() && i < headLines {
					sure = max(sure, sureHead)
				} else if gap := m.received.Sub(day); gap < dates.Near && gap > -dates.Newest {
					sure = max(sure, sureUnlabelled)
				}
				if sure > best.sure {
					best = foundDate{day: day, text: script.Clip(strings.TrimSpace(beside+" "+text), maxFieldText), sure: sure}
				}
			}
		}
	}
	return best, best.sure > 0
}

// sureOfDate tells how sure a date is that ends text, by what is said before it
// there, and beside it.
func sureOfDate(text, beside string) float64 {
	sure := 0.0
	if documentDate.MatchString(text) && !orderWord.MatchString(text) {
		sure = sureDocumentDate
	}
	for _, r := range dateLabels {
		if sure >= r.sure {
			break
		}
		if r.pattern.MatchString(beside) || label.Fits(text) && r.pattern.MatchString(text) {
			return r.sure
		}
	}
	return sure
}

// betweenClauses parts what is said of one date from what is said of another. A
// point behind a digit may be the date's own.
var betweenClauses = pattern.MustCompile(`\p{L}[.;]\s|[;()·|]`)

func clausesOf(text string) []string {
	var clauses []string
	from := 0
	for _, at := range betweenClauses.FindAllStringIndex(text, maxClauses) {
		clauses, from = append(clauses, text[from:at[1]]), at[1]
	}
	return append(clauses, text[from:])
}

const maxClauses = 20 // of one cell

// dateLabelOf is what stands before the cell, or above it.
func dateLabelOf(lines []page.Line, i, j int) string {
	if i > 0 && len(lines[i].Cells) > 1 {
		if at := page.Column(lines[i], lines[i-1], j); at >= 0 && (j == 0 || looksLikeValue(lines[i].Cells[j-1])) {
			return lines[i-1].Cells[at]
		}
	}
	switch {
	case j > 0:
		return lines[i].Cells[j-1]
	case i > 0 && label.Fits(lines[i-1].Text()):
		above := lines[i-1].Cells
		return above[min(j, len(above)-1)]
	}
	return ""
}

// looksLikeValue tells a number, date or code from a label.
func looksLikeValue(s string) bool {
	return strings.ContainsAny(s, "0123456789") || !script.HasLetter(s)
}

// dateOrderOf: a date that can be read one way alone tells how the others are
// read. Else Hebrew documents write the day first; so does nearly everybody, but
// who names the United States.
func dateOrderOf(m *message, doc *document) dates.Order {
	dayFirst, monthFirst := 0, 0
	us, hebrew, europe := false, false, false
	looked := 0
	for _, l := range doc.lines {
		for _, c := range l.Cells {
			hebrew = hebrew || script.HasHebrew(c)
			us = us || strings.Contains(c, "USD") || unitedStates.MatchString(c)
			europe = europe || strings.ContainsAny(c, "€£") || europeanWords.MatchString(c)
			if !strings.ContainsAny(c, "/-") || looked >= maxDatesLooked {
				continue
			}
			looked++
			day, month := dates.Orders(c)
			dayFirst, monthFirst = dayFirst+day, monthFirst+month
		}
	}
	switch {
	case hebrew, dayFirst > monthFirst:
		return dates.DMY
	case monthFirst > dayFirst, us:
		return dates.MDY
	case europe:
		return dates.DMY
	}
	if i := strings.LastIndexByte(m.from.domain, '.'); i >= 0 && len(m.from.domain)-i == 3 && !strings.HasSuffix(m.from.domain, ".us") && !strings.HasSuffix(m.from.domain, ".co") {
		return dates.DMY // a country's own domain
	}
	return dates.Unknown
}

const maxDatesLooked = 500 // cells of one document

var europeanWords = pattern.MustCompile(`(?i)\b(rechnung|facture|fattura|factura|faktura|factuur|datum|fecha|montant|betrag|importe|totale|VAT|ABN)\b`)
