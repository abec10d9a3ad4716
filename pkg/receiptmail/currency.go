package receiptmail

import (
	"regexp"
	"strings"

	"github.com/shopspring/decimal"
	"golang.org/x/text/currency"
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
	named      []string
	seen       *regexp.Regexp
}

var unitedStates = regexp.MustCompile(`United States|\bUSA\b|\bU\.S\.|\b[A-Z]{2},? \d{5}(-\d{4})?\b|\b(New York|California|Texas|Florida|Washington|Delaware|Illinois|Massachusetts|Nevada), `)

var countries = []country{
	{signDollar, "USD", []string{"USD", "US$", "US $", "$US", "US dollar"}, unitedStates},
	{signDollar, "AUD", []string{"AUD", " A$", "AU$"}, regexp.MustCompile(`Australia\b|\bABN\b|\.com\.au\b|\b(NSW|VIC|QLD|ACT) \d{4}\b`)},
	{signDollar, "CAD", []string{"CAD", " C$", "CA$"}, regexp.MustCompile(`Canada\b|\b(HST|PST|QST)\b|\.ca\b|\b[A-Z]\d[A-Z] \d[A-Z]\d\b`)},
	{signDollar, "NZD", []string{"NZD", "NZ$"}, regexp.MustCompile(`New Zealand|\.co\.nz\b`)},
	{signDollar, "SGD", []string{"SGD", " S$"}, regexp.MustCompile(`Singapore|\.com\.sg\b`)},
	{signDollar, "HKD", []string{"HKD", "HK$"}, regexp.MustCompile(`Hong Kong|\.com\.hk\b`)},
	{signDollar, "MXN", []string{"MXN", "MX$"}, regexp.MustCompile(`M[eé]xico, |\bRFC\b|\.com\.mx\b`)},
	{signYen, "JPY", []string{"JPY", "円"}, regexp.MustCompile(`Japan|税|注文|\.jp\b`)},
	{signYen, "CNY", []string{"CNY", "RMB", "元"}, regexp.MustCompile(`China|中国|\.cn\b`)},
	{signKrone, "SEK", []string{"SEK"}, regexp.MustCompile(`Sweden|Sverige|\.se\b`)},
	{signKrone, "NOK", []string{"NOK"}, regexp.MustCompile(`Norway|Norge|\.no\b`)},
	{signKrone, "DKK", []string{"DKK"}, regexp.MustCompile(`Denmark|Danmark|\.dk\b`)},
	{signRupee, "INR", []string{"INR", "₹"}, regexp.MustCompile(`India\b|\bGSTIN\b|\.in\b`)},
	{signRupee, "PKR", []string{"PKR"}, regexp.MustCompile(`Pakistan|\.pk\b`)},
	{signRupee, "LKR", []string{"LKR"}, regexp.MustCompile(`Sri Lanka|\.lk\b`)},
}

var statedCurrency = regexp.MustCompile(`(?i)(?:(?:amounts?|prices?|totals?|charged|billed|values?) (?:is |are |shown |listed |stated |quoted |charged |billed )*in|currency(?: code)?:?|הסכומים(?: נקובים)? ב-?|המחירים ב-?|מטבע:?)\s*(` + currencyPattern + `)`)

const maxCurrencyText = 64 << 10 // of a document, looked through for words of countries

func currenciesOf(m *message, doc document) *currencies {
	var b strings.Builder
	b.WriteString(m.subject + " " + m.from.domain + " ")
	seen := map[string]bool{}
	looked := 0
	for _, l := range doc.lines {
		if b.Len() > maxCurrencyText {
			break
		}
		for _, c := range l.cells {
			b.WriteString(c + " ")
			for _, a := range scanAmounts(c, &looked) {
				if a.currency != "" {
					seen[a.currency] = true
				}
			}
		}
		b.WriteByte('\n')
	}
	text := b.String()
	c := &currencies{shared: map[string]sureCurrency{}}
	for _, sign := range []string{signDollar, signYen, signKrone, signRupee} {
		if seen[sign] {
			c.shared[sign] = settleSign(sign, text)
		}
	}
	if found := statedCurrency.FindStringSubmatch(text); found != nil {
		if code, ok := currencyOf(found[1]); ok {
			c.stated = sureCurrency{code, sureStated}
		}
	}
	if c.stated.code == "" && len(seen) == 1 {
		for only := range seen {
			c.stated = sureCurrency{only, sureOnly}
		}
	}
	return c
}

// settleSign finds the one country whose currency a document names, or else
// which it merely names.
func settleSign(sign, text string) sureCurrency {
	byName := func(c country) int {
		n := 0
		for _, word := range c.named {
			n += strings.Count(text, word)
		}
		return n
	}
	byPlace := func(c country) int { return len(c.seen.FindAllStringIndex(text, 50)) }
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
	if sign == signDollar {
		return sureCurrency{"USD", sureLoneSign}
	}
	return sureCurrency{}
}

var labelCurrency = regexp.MustCompile(`(?i)(?:^|[\s(\[])(?:ב-?)?(` + currencyPattern + `)[\s)\]:.]*$`)

// settle tells the amount's currency and how sure that is.
func (c *currencies) settle(a amount, label string) (amount, float64) {
	sure := sureSign
	if a.currency == "" {
		if found := labelCurrency.FindStringSubmatch(label); found != nil { // "Total (EUR)"
			a.currency, _ = currencyOf(found[1])
			sure = sureStated
		}
	}
	if a.currency == "" {
		a.currency, sure = c.stated.code, c.stated.sure
	}
	if s, ok := c.shared[a.currency]; ok {
		a.currency, sure = s.code, min(sure, s.sure)
	} else if len(a.currency) != 3 { // a shared sign that only the label or the statement has
		a.currency, sure = "", 0
	}
	return a, sure
}

// formatAmount writes an amount with its currency's decimals, and more where
// more were told.
func formatAmount(value decimal.Decimal, code string) string {
	scale := 2
	if unit, err := currency.ParseISO(code); err == nil {
		scale, _ = currency.Standard.Rounding(unit)
	}
	return value.StringFixed(max(int32(scale), -value.Exponent()))
}
