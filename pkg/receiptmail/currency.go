package receiptmail

import (
	"strings"

	"github.com/prosaas/receipts/pkg/receiptmail/internal/money"
	"github.com/prosaas/receipts/pkg/receiptmail/internal/pattern"
	"github.com/prosaas/receipts/pkg/receiptmail/internal/script"
)

// currencies settles which currency an amount of one document is in, from what
// stands beside the amount and from what the document says. There is no
// default: where nothing tells, an amount has none.
type currencies struct {
	shared map[string]sureCurrency // what a sign that several currencies share means here
	stated sureCurrency            // of amounts that carry none
}

type sureCurrency struct {
	code string
	sure float64
}

const (
	sureSign     = 0.95 // the currency's own sign or code
	sureStated   = 0.8  // the document says so of all its amounts, or the label does
	sureCountry  = 0.9  // a shared sign, and words of one of its countries
	sureLoneSign = 0.7  // "$", and nothing that points to any other dollar than the commonest
	sureOnly     = 0.5  // no sign at all, while every other amount has the same one
)

// country is one owner of a shared sign: what names its currency, and what
// merely names the place.
type country struct {
	sign, code string
	named      *pattern.Pattern
	seen       *pattern.Pattern
}

var unitedStates = pattern.MustCompile(`United States|\bUSA\b|\bU\.S\.|\b[A-Z]{2},? \d{5}(-\d{4})?\b|\b(New York|California|Texas|Florida|Washington|Delaware|Illinois|Massachusetts|Nevada), `)

var countries = []country{
	{money.Dollar, "USD", pattern.MustCompile(`\bUSD\b|\bUS\$|\bUS \$|\$US\b|\bUS dollar\b`), unitedStates},
	{money.Dollar, "AUD", pattern.MustCompile(`\bAUD\b|\bA\$|\bAU\$`), pattern.MustCompile(`Australia\b|\bABN\b|\.com\.au\b|\b(NSW|VIC|QLD|ACT) \d{4}\b`)},
	{money.Dollar, "CAD", pattern.MustCompile(`\bCAD\b|\bC\$|\bCA\$`), pattern.MustCompile(`Canada\b|\b(HST|QST)\b|\.ca\b|\b[A-Z]\d[A-Z] \d[A-Z]\d\b`)},
	{money.Dollar, "NZD", pattern.MustCompile(`\bNZD\b|\bNZ\$`), pattern.MustCompile(`New Zealand|\.co\.nz\b`)},
	{money.Dollar, "SGD", pattern.MustCompile(`\bSGD\b|\bS\$`), pattern.MustCompile(`Singapore|\.com\.sg\b`)},
	{money.Dollar, "HKD", pattern.MustCompile(`\bHKD\b|\bHK\$`), pattern.MustCompile(`Hong Kong|\.com\.hk\b`)},
	{money.Dollar, "MXN", pattern.MustCompile(`\bMXN\b|\bMX\$`), pattern.MustCompile(`M[eé]xico, |\bRFC\b|\.com\.mx\b`)},
	{money.Yen, "JPY", pattern.MustCompile(`\bJPY\b|円`), pattern.MustCompile(`Japan|税|注文|\.jp\b`)},
	{money.Yen, "CNY", pattern.MustCompile(`\bCNY\b|\bRMB\b|元`), pattern.MustCompile(`China|中国|\.cn\b`)},
	{money.Krone, "SEK", pattern.MustCompile(`\bSEK\b`), pattern.MustCompile(`Sweden|Sverige|\.se\b`)},
	{money.Krone, "NOK", pattern.MustCompile(`\bNOK\b`), pattern.MustCompile(`Norway|Norge|\.no\b`)},
	{money.Krone, "DKK", pattern.MustCompile(`\bDKK\b`), pattern.MustCompile(`Denmark|Danmark|\.dk\b`)},
	{money.Rupee, "INR", pattern.MustCompile(`\bINR\b|₹`), pattern.MustCompile(`India\b|\bGSTIN\b|\.in\b`)},
	{money.Rupee, "PKR", pattern.MustCompile(`\bPKR\b`), pattern.MustCompile(`Pakistan|\.pk\b`)},
	{money.Rupee, "LKR", pattern.MustCompile(`\bLKR\b`), pattern.MustCompile(`Sri Lanka|\.lk\b`)},
}

var statedCurrency = pattern.MustCompile(`(?i)(?:(?:amounts?|prices?|totals?|charged|billed|values?) (?:is |are |shown |listed |stated |quoted |charged |billed )*in|currency(?: code)?:?|(?:beträge|preise|angaben|montants?|prix|importi|prezzi|precios|bedragen|kwoty) (?:sind |sont |est |exprimés )?(?:in|en|w)|(?:rechnungs)?währung|devise|valuta|moneda|divisa|waluta|כל המחירים ב-?|הסכומים(?: נקובים)? ב-?|המחירים ב-?|מטבע:?)\s*:?\s*(` + money.Pattern + `)(.{0,30})`)

// currencyAlone finds what names a currency in a text whose amounts carry none:
// "Betrag EUR", "Gesamt/€".
var currencyAlone = pattern.MustCompile(`(?:^|[\s(\[/])ב?-?(EUR|USD|GBP|ILS|NIS|CHF|PLN|CAD|AUD|INR|€|£|₪|ש"ח|שקלים|שקל)(?:$|[\s)\]:.,])`)

const maxNamed = 100 // in one cell

const maxCurrencyText = 64 << 10 // of a document, looked through for words of countries

func currenciesOf(m *message, doc *document) *currencies {
	cells := []string{m.subject, m.from.domain}
	seen := map[string]bool{}
	amounts, text := doc.scan(), 0
	for i, l := range doc.lines {
		if text > maxCurrencyText {
			break
		}
		for j, c := range l.Cells {
			cells, text = append(cells, c), text+len(c)
			for _, a := range amounts[i][j] {
				if a.Currency != "" {
					seen[a.Currency] = true
				}
			}
		}
		if len(l.Cells) > 1 && len(l.Cells) < 4 { // "Currency:", "EUR"
			cells = append(cells, l.Text())
		}
	}
	c := &currencies{shared: map[string]sureCurrency{}}
	for _, sign := range []string{money.Dollar, money.Yen, money.Krone, money.Rupee} {
		if seen[sign] {
			c.shared[sign] = settleSign(sign, cells)
		}
	}
	for _, cell := range cells {
		if found := statedCurrency.FindStringSubmatch(script.Clip(cell, maxSentence)); found != nil {
			for _, word := range strings.FieldsFunc(found[1]+found[2], notOfCode) { // "in New Zealand dollars (NZD)"
				if code, ok := money.Code(word); ok {
					c.stated = sureCurrency{code, sureStated}
					return c
				}
			}
		}
	}
	if len(seen) == 0 {
		for _, cell := range cells {
			if word := currencyAlone.FindStringSubmatch(script.Clip(cell, maxSentence)); word != nil {
				code, _ := money.Code(word[1])
				seen[code] = true
			}
		}
	}
	if len(seen) == 1 {
		for only := range seen {
			c.stated = sureCurrency{only, sureOnly}
		}
	}
	return c
}

func notOfCode(r rune) bool { return r == ' ' || r == '(' || r == ')' || r == ',' || r == '.' }

// settleSign finds the one country whose currency a document names, or else
// which it merely names.
func settleSign(sign string, cells []string) sureCurrency {
	byName := func(c country) int {
		n := 0
		for _, cell := range cells {
			n += len(c.named.FindAllStringIndex(cell, maxNamed))
		}
		return n
	}
	byPlace := func(c country) int {
		n := 0
		for _, cell := range cells {
			if c.seen.MatchString(cell) {
				n++
			}
		}
		return n
	}
	for _, count := range []func(country) int{byName, byPlace} {
		best, most, tie := "", 0, false
		for _, c := range countries {
			if c.sign != sign {
				continue
			}
			switch n := count(c); {
			case n > most:
				best, most, tie = c.code, n, false
			case n == most && n > 0:
				tie = true
			}
		}
		if tie {
			return sureCurrency{}
		}
		if most > 0 {
			return sureCurrency{best, sureCountry}
		}
	}
	if sign == money.Dollar {
		return sureCurrency{"USD", sureLoneSign}
	}
	return sureCurrency{}
}

var labelCurrency = pattern.MustCompile(`(?i)(?:^|[\s(\[/])(?:ב-?)?(` + money.Pattern + `)[\s)\]:.]*$`)

// settle tells the amount's currency and how sure that is.
func (c *currencies) settle(a money.Amount, label string) (money.Amount, float64) {
	sure := sureSign
	if a.Currency == "" {
		if found := labelCurrency.FindStringSubmatch(label); found != nil { // "Total (EUR)"
			a.Currency, _ = money.Code(found[1])
			sure = sureStated
		}
	}
	if a.Currency == "" {
		a.Currency, sure = c.stated.code, c.stated.sure
	}
	if s, ok := c.shared[a.Currency]; ok {
		a.Currency, sure = s.code, min(sure, s.sure)
	} else if len(a.Currency) != 3 { // a shared sign that only the label or the statement has
		a.Currency, sure = "", 0
	}
	return a, sure
}
