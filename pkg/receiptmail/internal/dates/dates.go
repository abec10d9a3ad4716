// Package dates reads the dates of documents, strictly: a day that no calendar
// has, or that could be two, is none. It is pure.
package dates

import (
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prosaas/receipts/pkg/receiptmail/internal/pattern"
	"github.com/prosaas/receipts/pkg/receiptmail/internal/script"
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
	"januari": 1, "februari": 2, "maart": 3, "mei": 5, "augustus": 8, "augusti": 8, "marts": 3, "maj": 5,
	"janeiro": 1, "fevereiro": 2, "março": 3, "maio": 5, "junho": 6, "julho": 7, "setembro": 9, "outubro": 10, "novembro": 11, "dezembro": 12,
	"stycznia": 1, "lutego": 2, "marca": 3, "kwietnia": 4, "maja": 5, "czerwca": 6, "lipca": 7, "sierpnia": 8, "września": 9, "października": 10, "listopada": 11, "grudnia": 12,
	"gennaio": 1, "febbraio": 2, "aprile": 4, "maggio": 5, "giugno": 6, "luglio": 7, "settembre": 9, "ottobre": 10, "dicembre": 12,
}

var (
	anyMonth   = pattern.MustCompile(strings.Join(slices.Sorted(maps.Keys(months)), `|`))
	dayFirst   = regexp.MustCompile(`(?:^|[^\d\p{L}])(\d{1,2})(?:st|nd|rd|th|\.)?[\s/-]{0,2}(?:de |ב|of )?-?([\p{L}]{3,12}'?)\.?,?[\s/-]{0,2}(?:de )?(\d{4}|'?\d{2})(?:\D|$)`)
	monthFirst = regexp.MustCompile(`(?:^|[^\d\p{L}])(\p{L}{3,9})\.? (\d{1,2})(?:st|nd|rd|th)? ?,? ?(\d{4})(?:\D|$)`)
	isoDate    = regexp.MustCompile(`(?:^|\D)(\d{4})[-/.](\d{1,2})[-/.](\d{1,2})(?:\D|$)`)
	numeric    = regexp.MustCompile(`(?:^|[^\d./-]|\p{Hebrew}-)(\d{1,2})([./-])(\d{1,2})([./-])(\d{4}|\d{2})(?:$|[^\d./-]|[.](?:\s|$))`)
)

// How far from the mail a document's date may lie.
const (
	Oldest = 400 * 24 * time.Hour
	Newest = 48 * time.Hour // clocks and time zones
	Near   = 3 * 24 * time.Hour
)

// Order is how a document writes 03/04/2026.
type Order int

// The orders. A document of unknown order has unambiguous dates alone.
const (
	Unknown Order = iota
	DMY
	MDY
)

// Orders counts the dates of a text that can be read one way alone: with the day
// first, and with the month first. Dots say nothing: nobody writes the month
// first with them.
func Orders(s string) (dayFirst, monthFirst int) {
	for _, d := range numeric.FindAllStringSubmatch(script.Clip(s, maxText), 4) {
		first, second := asMonth(d[1]), asMonth(d[3])
		switch {
		case d[2] == ".":
		case first > 12 && second <= 12:
			dayFirst++
		case first <= 12 && second > 12:
			monthFirst++
		}
	}
	return dayFirst, monthFirst
}

const maxText = 300 // characters that are looked at

// Parse finds one date in a text. Two numbers that may be day and month
// either way are read by the document's order if the day comes first; else as
// what lies near the mail, and as the month first where that is the order.
func Parse(s string, orderOf func() Order, received time.Time) (time.Time, bool) {
	if !strings.ContainsAny(s, "0123456789") {
		return time.Time{}, false
	}
	s = script.Clip(s, maxText)
	if m := isoDate.FindStringSubmatch(s); m != nil {
		return makeDate(m[1], asMonth(m[2]), m[3])
	}
	if lower := strings.ToLower(s); anyMonth.MatchString(lower) {
		if m := dayFirst.FindStringSubmatch(lower); m != nil {
			if month, ok := MonthOf(m[2]); ok {
				return makeDate(m[3], month, m[1])
			}
		}
		if m := monthFirst.FindStringSubmatch(lower); m != nil {
			if month, ok := MonthOf(m[1]); ok {
				return makeDate(m[3], month, m[2])
			}
		}
	}
	m := numeric.FindStringSubmatch(s)
	if m == nil || m[2] != m[4] {
		return time.Time{}, false
	}
	dmy, okDMY := makeDate(m[5], asMonth(m[3]), m[1])
	mdy, okMDY := makeDate(m[5], asMonth(m[1]), m[3])
	order := DMY // with dots nobody writes the month first
	if m[2] != "." {
		order = orderOf()
	}
	near := func(t time.Time) bool {
		return t.Before(received.Add(Newest)) && t.After(received.Add(-Near))
	}
	switch {
	case !okDMY && !okMDY:
		return time.Time{}, false
	case !okDMY:
		return mdy, true
	case !okMDY, dmy.Equal(mdy), order == DMY:
		return dmy, true
	case near(dmy) != near(mdy): // a receipt is written when its mail is
		if near(dmy) {
			return dmy, true
		}
		return mdy, true
	}
	return mdy, order == MDY
}

// MonthOf is the month of a name in lower case, also with the Hebrew "in" before it.
func MonthOf(word string) (time.Month, bool) {
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
