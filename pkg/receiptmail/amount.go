package receiptmail

import (
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/shopspring/decimal"
)

// amount is a number that can be money.
type amount struct {
	value     decimal.Decimal
	currency  string // ISO 4217, or one of the shared signs below, or empty
	ambiguous bool   // 1.234: a thousand, or one and a bit
	decimals  bool   // written with two decimals
	start     int    // where it stands in its cell, its currency included
	end       int
}

// Signs that several currencies share; [currencyReader] decides.
const (
	signDollar = "$"
	signYen    = "¥"
	signKrone  = "kr"
	signRupee  = "Rs"
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
	"jod": "JOD", "egp": "EGP", "ars": "ARS", "clp": "CLP", "cop": "COP", "myr": "MYR", "rm": "MYR", "idr": "IDR", "vnd": "VND", "₫": "VND", "ngn": "NGN", "₦": "NGN", "kes": "KES",
	"$": signDollar, "¥": signYen, "kr": signKrone, "kr.": signKrone, "rs": signRupee, "rs.": signRupee,
}

const currencyPattern = `US\s?\$|\$US|USD\s?\$|U\.S\.\s?\$|CA\s?\$|CAD\s?\$|CDN\s?\$|AU\s?\$|AUD\s?\$|NZD?\s?\$|HKD?\s?\$|MX\s?\$|NT\s?\$|CN¥|JP¥|[CASR]\$|[$€£₪¥₹₽₴₺₩฿₱₫₦円元]|ש"ח|ש'ח|שח|שקלים|שקל|דולר|יורו|אירו|zł|Kč|лв|руб|Fr\.|Rs\.?|kr\.?|(?:[A-Za-z]{2,5})`

var (
	number = regexp.MustCompile(`^(?:\d{1,3}(?:[ ,.']\d{3})+(?:[.,]\d{1,2})?|\d+(?:[.,]\d{1,4})?)`)
	// Spaces part thousands only for those who write a decimal comma: "2 150.00" is
	// a quantity and an amount.
	spaceBeforePoint = regexp.MustCompile(` [\d .,']*\.\d{1,2}$`)

	currencyBefore = regexp.MustCompile(`(` + currencyPattern + `)\s?-?\s?$`)
	currencyAfter  = regexp.MustCompile(`^\s?(` + currencyPattern + `)`)
	indianNumber   = regexp.MustCompile(`^\d{1,3}(,\d{2})+,\d{3}(\.\d{1,2})?`)
	percentAfter   = regexp.MustCompile(`^\s?(%|‰|percent|אחוז)`)
	negativeBefore = regexp.MustCompile(`(?:^|[\s:(])-\s?$`)
	unitAfter      = regexp.MustCompile(`^\s?(?i)(kg|km|mi|miles|min|mins|minutes|hours?|hrs?|days?|gb|mb|tb|kwh|pcs|items?|nights?|pts|points|miles|x|am|pm|stars?|units?|pages?|seats?|people|guests?|adults?|years?|months?|weeks?|ק"מ|דקות|שעות|ימים|יחידות|פריטים|נקודות|קוט"ש)(?:$|[^\p{L}])`)
)

// A mail may be one long line of numbers: whatever stands beside a number is
// looked at no farther than the longest pattern above reaches, or reading would
// cost the square of the line's length.
const (
	maxAmountsPerCell = 12
	maxNumbersPerCell = 200  // looked at, amounts or not
	maxNumbers        = 2000 // of one document
	maxBefore         = 24   // bytes before a number
	maxAfter          = 64   // and after it
	maxNumber         = 40   // bytes of one; more is no money
	digits            = "0123456789"
)

// readAmounts finds every number in a cell that can be money. Percentages,
// dates, times, numbers with units, and digits that are part of a longer code
// or telephone number are none.
func readAmounts(cell string) []amount {
	looked := 0
	return scanAmounts(cell, &looked)
}

// scanAmounts adds to looked the numbers it looked at, and stops where that
// passes the bound of a document.
func scanAmounts(cell string, looked *int) []amount {
	var found []amount
	most := min(*looked+maxNumbersPerCell, maxNumbers)
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
			if n := len(found); n > 0 && a.start < found[n-1].end { // "5€ 6": the sign is the first one's
				a.start, a.currency = start, ""
			}
			found = append(found, a)
			at = max(at, a.end)
		} else {
			at = endOfCode(cell, end)
		}
	}
	return found
}

// endOfNumber is where the number ends that begins at start.
func endOfNumber(cell string, start int) int {
	rest := leading(cell[start:], maxAfter)
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

func readAmount(cell string, start, end int) (amount, bool) {
	before, after := trailing(cell[:start], maxBefore), leading(cell[end:], maxAfter)
	a := amount{start: start, end: end}

	// Most numbers are no money, and one look at their neighbours tells without
	// the patterns: a unit begins with a letter, a currency with a letter or a sign.
	last, _ := utf8.DecodeLastRuneInString(strings.TrimRight(before, " -"))
	next, _ := utf8.DecodeRuneInString(strings.TrimLeft(after, " "))
	wordFollows := unicode.In(next, unicode.Letter, unicode.Sc)

	if strings.HasSuffix(before, "%") || percentAfter.MatchString(after) || wordFollows && unitAfter.MatchString(after) {
		return amount{}, false
	}
	if unicode.In(last, unicode.Letter, unicode.Sc) || last == '.' {
		if m := currencyBefore.FindStringSubmatchIndex(before); m != nil {
			word := before[m[2]:m[3]]
			if c, ok := currencyOf(word); ok && !letterBefore(before[:m[2]], word) {
				a.currency, a.start = c, start-len(before)+m[2]
			}
		}
	}
	if wordFollows {
		if m := currencyAfter.FindStringSubmatchIndex(after); m != nil {
			word := after[m[2]:m[3]]
			if c, ok := currencyOf(word); ok && !letterAfter(after[m[3]:], word) {
				// "$12.00 USD": the word says which dollar.
				if a.currency == "" || a.currency == signDollar || a.currency == signYen || a.currency == signKrone {
					a.currency = c
				}
				a.end = end + m[3]
			}
		}
	}
	if a.start == start && !freeBefore(before) || a.end == end && !freeAfter(after) {
		return amount{}, false
	}
	var ok bool
	if a.value, a.ambiguous, a.decimals, ok = parseNumber(cell[start:end]); !ok {
		return amount{}, false
	}
	if a.currency == "" && !a.decimals && besideMonth(before, after) {
		return amount{}, false
	}
	if sign, width := signBefore(trailing(cell[:a.start], maxBefore), cell[a.start:start]); sign {
		a.value, a.start = a.value.Neg(), a.start-width
	} else if strings.HasPrefix(cell[a.end:], ")") && strings.HasSuffix(cell[:a.start], "(") && a.currency != "" && a.start == 1 {
		a.value = a.value.Neg() // bookkeeping's (12.00)
	} else if strings.HasPrefix(cell[a.end:], "-") && (a.end+1 == len(cell) || cell[a.end+1] == ' ' && a.currency != "" && a.end+2 >= len(cell)) {
		a.value, a.end = a.value.Neg(), a.end+1
	}
	return a, true
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
		if _, ok := monthOf(strings.ToLower(m[1])); ok {
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

func currencyOf(word string) (string, bool) {
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
	if unicode.IsLetter(r) || unicode.IsDigit(r) || strings.ContainsRune("#/@*_.,", r) {
		return false
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

// parseNumber reads 1,234.56, 1.234,56, 1 234,56, 1'234.56, 1,23,456.00 and
// 1234.5. ok is false for what cannot be money: more than two decimals, or more
// than twelve digits.
func parseNumber(s string) (value decimal.Decimal, ambiguous, decimals, ok bool) {
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

// isLoneAmount tells whether a line holds one amount with a currency or
// decimals, and no words.
func isLoneAmount(l line) bool {
	if len(l.cells) != 1 {
		return false
	}
	a, ok := loneAmount(l.cells[0])
	return ok && (a.currency != "" || a.decimals)
}

// holdsMoney tells whether a cell holds an amount with a currency or decimals.
func holdsMoney(cell string) bool {
	return slices.ContainsFunc(readAmounts(cell), func(a amount) bool { return a.currency != "" || a.decimals })
}

// loneAmount reads a cell that holds an amount and no words.
func loneAmount(cell string) (amount, bool) {
	if len(cell) > 2*maxAfter {
		return amount{}, false
	}
	found := readAmounts(cell)
	if len(found) != 1 {
		return amount{}, false
	}
	a := found[0]
	return a, !hasLetter(cell[:a.start]) && !hasLetter(cell[a.end:])
}
