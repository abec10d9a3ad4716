// Package money reads amounts: what is one, what it is worth, and in which
// currency if that stands beside it. There is no default currency. It is pure, and
// the time it takes is bounded by the length of the text.
package money

import (
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/shopspring/decimal"
	"golang.org/x/text/currency"

	"github.com/prosaas/receipts/pkg/receiptmail/internal/dates"
	"github.com/prosaas/receipts/pkg/receiptmail/internal/script"
)

// Amount is a number that can be money.
type Amount struct {
	Value     decimal.Decimal
	Currency  string // ISO 4217, or one of the shared signs below, or empty
	Ambiguous bool   // 1.234: a thousand, or one and a bit
	Decimals  bool   // written with two decimals
	Start     int    // where it stands in its cell, its currency included
	End       int
}

// Signs that several currencies share: which one is meant, the document tells.
const (
	Dollar = "$"
	Yen    = "¥"
	Krone  = "kr"
	Rupee  = "Rs"
)

// currencyWords maps what stands beside an amount to its currency. Keys are lower case.
var currencyWords = map[string]string{
	"₪": "ILS", `ש"ח`: "ILS", "שח": "ILS", "ש'ח": "ILS", "nis": "ILS", "ils": "ILS", "שקל": "ILS", "שקלים": "ILS",
	"us$": "USD", "$us": "USD", "usd": "USD", "u.s.$": "USD", "usd$": "USD", "us dollars": "USD", "דולר": "USD", "$usd": "USD",
	"€": "EUR", "eur": "EUR", "euro": "EUR", "euros": "EUR", "יורו": "EUR", "אירו": "EUR",
	"£": "GBP", "gbp": "GBP", "£gbp": "GBP",
	"ca$": "CAD", "c$": "CAD", "cad": "CAD", "cad$": "CAD", "cdn$": "CAD",
	"a$": "AUD", "au$": "AUD", "aud": "AUD", "aud$": "AUD",
	"nz$": "NZD", "nzd": "NZD", "nzd$": "NZD", "hk$": "HKD", "hkd$": "HKD", "hkd": "HKD", "s$": "SGD", "sgd": "SGD", "mx$": "MXN", "mxn": "MXN", "nt$": "TWD", "twd": "TWD",
	"r$": "BRL", "brl": "BRL", "zł": "PLN", "zl": "PLN", "pln": "PLN", "chf": "CHF", "fr.": "CHF", "sfr": "CHF",
	"jpy": "JPY", "円": "JPY", "cny": "CNY", "rmb": "CNY", "元": "CNY", "cn¥": "CNY", "jp¥": "JPY",
	"₹": "INR", "inr": "INR", "sek": "SEK", "nok": "NOK", "dkk": "DKK", "kč": "CZK", "czk": "CZK", "ft": "HUF", "huf": "HUF",
	"ron": "RON", "lei": "RON", "bgn": "BGN", "лв": "BGN", "₽": "RUB", "rub": "RUB", "руб": "RUB", "₴": "UAH", "uah": "UAH",
	"₺": "TRY", "try": "TRY", "₩": "KRW", "krw": "KRW", "฿": "THB", "thb": "THB", "aed": "AED", "sar": "SAR", "zar": "ZAR", "₱": "PHP", "php": "PHP",
	"jod": "JOD", "egp": "EGP", "ars": "ARS", "clp": "CLP", "cop": "COP", "myr": "MYR", "rm": "MYR", "idr": "IDR", "vnd": "VND", "₫": "VND", "đ": "VND", "ngn": "NGN", "₦": "NGN", "kes": "KES",
	"$": Dollar, "¥": Yen, "kr": Krone, "kr.": Krone, "rs": Rupee, "rs.": Rupee,
}

// Pattern is what may name a currency beside an amount, in any regular expression.
const Pattern = `US\s?\$|\$US|USD\s?\$|U\.S\.\s?\$|CA\s?\$|CAD\s?\$|CDN\s?\$|AU\s?\$|AUD\s?\$|NZD?\s?\$|HKD?\s?\$|MX\s?\$|NT\s?\$|CN¥|JP¥|[CASR]\$|[$€£₪¥₹₽₴₺₩฿₱₫₦円元]|ש"ח|ש'ח|שח|שקלים|שקל|דולר|יורו|אירו|[zZ][łŁ]|[đĐ]|Kč|лв|руб|Fr\.|Rs\.?|kr\.?|(?:[A-Za-z]{2,5})`

var (
	number = regexp.MustCompile(`^(?:\d{1,3}(?:[ ,.']\d{3})+(?:[.,]\d{1,2})?|\d+(?:[.,]\d{1,4})?)`)
	// Spaces part thousands only for those who write a decimal comma: "2 150.00" is
	// a quantity and an amount.
	spaceBeforePoint = regexp.MustCompile(` [\d .,']*\.\d{1,2}$`)

	currencyBefore = regexp.MustCompile(`(` + Pattern + `)\s?-?\s?$`)
	currencyAfter  = regexp.MustCompile(`^\s?(` + Pattern + `)`)
	indianNumber   = regexp.MustCompile(`^\d{1,3}(,\d{2})+,\d{3}(\.\d{1,2})?`)
	percentAfter   = regexp.MustCompile(`^\s?(%|‰|percent|אחוז)`)
	negativeBefore = regexp.MustCompile(`(?:^|[\s:(])-$|(?:^|[:(])\s*-\s$`)
	perPeriod      = regexp.MustCompile(`^\s?/\s?(?i:mo|month|yr|year|week|day|חודש|שנה|monat|mois|mes|mese)`)
	unitAfter      = regexp.MustCompile(`^\s?(?i)(kg|km|mi|miles|min|mins|minutes|hours?|hrs?|days?|gb|mb|tb|kwh|pcs|items?|nights?|pts|points|miles|x|am|pm|stars?|units?|pages?|seats?|people|guests?|adults?|years?|months?|weeks?|ק"מ|דקות|שעות|ימים|יחידות|פריטים|נקודות|קוט"ש)(?:$|[^\p{L}])`)
)

// A mail may be one long line of numbers: whatever stands beside a number is
// looked at no farther than the longest pattern above reaches, or reading would
// cost the square of the line's length.
const (
	maxAmountsPerCell = 12
	MaxNumbersPerCell = 200  // looked at, amounts or not
	MaxNumbers        = 2000 // of one document
	maxBefore         = 24   // bytes before a number
	MaxAfter          = 64   // and after it
	maxNumber         = 40   // bytes of one; more is no money
	digits            = "0123456789"
)

// Read finds every number in a cell that can be money. Percentages,
// dates, times, numbers with units, and digits that are part of a longer code
// or telephone number are none.
func Read(cell string) []Amount {
	looked := 0
	return Scan(cell, &looked)
}

// Scan adds to looked the numbers it looked at, and stops where that
// passes the bound of a document.
func Scan(cell string, looked *int) []Amount {
	var found []Amount
	most := min(*looked+MaxNumbersPerCell, MaxNumbers)
	for at := 0; at < len(cell) && len(found) < maxAmountsPerCell && *looked < most; *looked++ {
		digit := strings.IndexAny(cell[at:], digits)
		if digit < 0 {
			break
		}
		start := at + digit
		end := endOfNumber(cell, start)
		if end-start > maxNumber {
			at = len(cell) - len(strings.TrimLeft(cell[end:], digits+" ,.'"))
			continue
		}
		at = end
		if a, ok := readAmount(cell, start, end); ok {
			if n := len(found); n > 0 && a.Start < found[n-1].End { // "5€ 6": the sign is the first one's
				a.Start, a.Currency = start, ""
			}
			found = append(found, a)
			at = max(at, a.End)
		} else {
			at = endOfCode(cell, end)
		}
	}
	return found
}

// endOfNumber is where the number ends that begins at start.
func endOfNumber(cell string, start int) int {
	rest := script.Leading(cell[start:], MaxAfter)
	end := len(number.FindString(rest))
	if gap := spaceBeforePoint.FindStringIndex(rest[:end]); gap != nil {
		end = gap[0]
	}
	if indian := indianNumber.FindStringIndex(rest); indian != nil {
		end = indian[1]
	}
	return start + end
}

// endOfCode skips the rest of a code, date or telephone number whose first
// digits were no amount, so that its later digits are not taken for one.
func endOfCode(cell string, end int) int {
	for end < len(cell) {
		r, n := utf8.DecodeRuneInString(cell[end:])
		if !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune("-/.:_#", r) {
			break
		}
		end += n
	}
	return end
}

func readAmount(cell string, start, end int) (Amount, bool) {
	before, after := script.Trailing(cell[:start], maxBefore), script.Leading(cell[end:], MaxAfter)
	a := Amount{Start: start, End: end}

	// Most numbers are no money, and one look at their neighbours tells without
	// the patterns: a unit begins with a letter, a currency with a letter or a sign.
	last, _ := utf8.DecodeLastRuneInString(strings.TrimRight(before, " -"))
	next, _ := utf8.DecodeRuneInString(strings.TrimLeft(after, " "))
	wordFollows := unicode.In(next, unicode.Letter, unicode.Sc)

	if strings.HasSuffix(before, "%") || percentAfter.MatchString(after) || wordFollows && unitAfter.MatchString(after) {
		return Amount{}, false
	}
	if unicode.In(last, unicode.Letter, unicode.Sc) || last == '.' {
		if m := currencyBefore.FindStringSubmatchIndex(before); m != nil {
			word := before[m[2]:m[3]]
			if c, ok := Code(word); ok && !letterBefore(before[:m[2]], word) {
				a.Currency, a.Start = c, start-len(before)+m[2]
			}
		}
	}
	if wordFollows {
		if m := currencyAfter.FindStringSubmatchIndex(after); m != nil {
			word := after[m[2]:m[3]]
			if c, ok := Code(word); ok && !letterAfter(after[m[3]:], word) && !signOfNext(word, after[m[3]:]) {
				// "$12.00 USD": the word says which dollar.
				if a.Currency == "" || a.Currency == Dollar || a.Currency == Yen || a.Currency == Krone {
					a.Currency = c
				}
				a.End = end + m[3]
			}
		}
	}
	if a.Start == start && !freeBefore(before) || a.End == end && !freeAfter(after) && (a.Currency == "" || !perPeriod.MatchString(after)) {
		return Amount{}, false
	}
	var ok bool
	if a.Value, a.Ambiguous, a.Decimals, ok = ParseNumber(cell[start:end]); !ok {
		return Amount{}, false
	}
	if a.Currency == "" && !a.Decimals && besideMonth(before, after) {
		return Amount{}, false
	}
	if sign, width := signBefore(script.Trailing(cell[:a.Start], maxBefore), cell[a.Start:start]); sign {
		a.Value, a.Start = a.Value.Neg(), a.Start-width
	} else if strings.HasPrefix(cell[a.End:], ")") && strings.HasSuffix(cell[:a.Start], "(") && a.Currency != "" && a.Start == 1 {
		a.Value = a.Value.Neg() // bookkeeping's (12.00)
	} else if strings.HasPrefix(cell[a.End:], "-") && (a.End+1 == len(cell) || cell[a.End+1] == ' ' && a.Currency != "" && a.End+2 >= len(cell)) {
		a.Value, a.End = a.Value.Neg(), a.End+1
	}
	return a, true
}

// signOfNext tells whether the word is the next amount's: "1234 US $5.00".
func signOfNext(word, after string) bool {
	return strings.HasSuffix(word, "$") && after != "" && strings.Contains(digits, after[:1])
}

var (
	wordBefore = regexp.MustCompile(`([\p{L}]{3,10})\.? $`)
	wordAfter  = regexp.MustCompile(`^(?:st|nd|rd|th|\.)?[ -](?:de |of )?([\p{L}]{3,10})`)
)

// besideMonth tells whether a number stands in a date: "May 30", "30 במאי".
func besideMonth(before, after string) bool {
	for _, m := range [][]string{wordBefore.FindStringSubmatch(before), wordAfter.FindStringSubmatch(after)} {
		if m == nil {
			continue
		}
		if _, ok := dates.MonthOf(strings.ToLower(m[1])); ok {
			return true
		}
	}
	return false
}

// signBefore looks for a minus before the amount, or between currency and digits.
func signBefore(before, between string) (negative bool, width int) {
	if strings.Contains(between, "-") {
		return true, 0
	}
	if loc := negativeBefore.FindStringIndex(before); loc != nil {
		return true, len(before) - strings.LastIndexByte(before, '-')
	}
	return false, 0
}

// Code is the currency that a word or sign names, or one of the shared signs.
func Code(word string) (string, bool) {
	word = strings.ToLower(strings.ReplaceAll(word, " ", ""))
	c, ok := currencyWords[word]
	return c, ok
}

// letterBefore keeps "usd" inside a longer word from being a currency.
func letterBefore(rest, word string) bool {
	first, _ := utf8.DecodeRuneInString(word)
	last, _ := utf8.DecodeLastRuneInString(rest)
	return unicode.IsLetter(first) && rest != "" && (unicode.IsLetter(last) || unicode.IsDigit(last))
}

func letterAfter(rest, word string) bool {
	last, _ := utf8.DecodeLastRuneInString(word)
	first, _ := utf8.DecodeRuneInString(rest)
	return unicode.IsLetter(last) && rest != "" && (unicode.IsLetter(first) || unicode.IsDigit(first))
}

// freeBefore and freeAfter tell whether a number stands by itself.
func freeBefore(before string) bool {
	if before == "" {
		return true
	}
	r, n := utf8.DecodeLastRuneInString(before)
	if unicode.IsLetter(r) || unicode.IsDigit(r) || strings.ContainsRune("#/@_.,", r) {
		return false
	}
	if r == '*' { // "*360.00*" is set bold; "**4417" and "2*30" are no amounts
		prev, _ := utf8.DecodeLastRuneInString(before[:len(before)-n])
		return prev != '*' && !unicode.IsDigit(prev)
	}
	if r == '-' || r == '+' || r == ':' { // 2024-11, +972, 12:30: but "-5.00" and "Total:5.00" are free
		prev, _ := utf8.DecodeLastRuneInString(before[:len(before)-n])
		return r != '+' && !unicode.IsDigit(prev) && (r == ':' || !unicode.IsLetter(prev))
	}
	return true
}

func freeAfter(after string) bool {
	if after == "" {
		return true
	}
	r, n := utf8.DecodeRuneInString(after)
	next, _ := utf8.DecodeRuneInString(after[n:])
	if unicode.IsLetter(r) || unicode.IsDigit(r) || r == '@' || r == '_' {
		return false
	}
	if strings.ContainsRune("/:.,-'", r) {
		return !unicode.IsDigit(next) && (r != '/' || !unicode.IsLetter(next)) && (r != '-' || !unicode.IsLetter(next))
	}
	return true
}

// ParseNumber reads 1,234.56, 1.234,56, 1 234,56, 1'234.56, 1,23,456.00 and
// 1234.5. ok is false for what cannot be money: more than two decimals, or more
// than twelve digits.
func ParseNumber(s string) (value decimal.Decimal, ambiguous, decimals, ok bool) {
	whole, cents := s, ""
	if i := strings.LastIndexAny(s, ".,"); i >= 0 {
		tail := s[i+1:]
		switch {
		case len(tail) <= 2:
			whole, cents = s[:i], tail
		case len(tail) == 3:
			// The only mark, three digits after it: thousands with a comma, and
			// with a dot too, but there it may be a decimal mark as well.
			ambiguous = s[i] == '.' && strings.Count(s, ".") == 1 && !strings.ContainsAny(s, ", '")
			if ambiguous && strings.HasPrefix(s, "0") {
				return value, false, false, false
			}
		default:
			return value, false, false, false
		}
	}
	plain := unmarked.Replace(whole)
	if plain == "" || len(plain) > 12 || len(plain) > 1 && plain[0] == '0' {
		return value, false, false, false
	}
	if cents != "" {
		plain += "." + cents
	}
	value, err := decimal.NewFromString(plain)
	return value, ambiguous, len(cents) == 2, err == nil
}

// unmarked strips the marks between thousands.
var unmarked = strings.NewReplacer(",", "", ".", "", " ", "", "'", "")

// Holds tells whether a cell holds an amount with a currency or decimals.
func Holds(cell string) bool {
	return slices.ContainsFunc(Read(cell), func(a Amount) bool { return a.Currency != "" || a.Decimals })
}

// Lone reads a cell that holds an amount and no words.
func Lone(cell string) (Amount, bool) {
	if len(cell) > 2*MaxAfter {
		return Amount{}, false
	}
	found := Read(cell)
	if len(found) != 1 {
		return Amount{}, false
	}
	a := found[0]
	return a, !script.HasLetter(cell[:a.Start]) && !script.HasLetter(cell[a.End:])
}

// IsBare tells whether a cell holds digits and their marks, and nothing else.
func IsBare(s string) bool {
	return s != "" && len(s) <= maxNumber && strings.Trim(s, digits+" .,'-") == "" && strings.ContainsAny(s, digits)
}

// Format writes an amount with its currency's decimals, and more where
// more were told.
func Format(value decimal.Decimal, code string) string {
	scale := 2
	if unit, err := currency.ParseISO(code); err == nil {
		scale, _ = currency.Standard.Rounding(unit)
	}
	return value.StringFixed(max(int32(scale), -value.Exponent()))
}
