package mailgen

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/prosaas/receipts/tools/gmailsim/mailbox"
)

// receipt is one purchase at v, told as v tells it: what was bought, the sum
// before tax, the tax, what was paid, and around it numbers that are no
// amounts.
func receipt(rng *rand.Rand, v vendor, day time.Time) letter {
	l := letter{fromName: v.name, fromAddress: v.address, hebrew: v.hebrew}
	if v.sender != "" {
		l.fromName = v.sender
	}
	number := digits(rng, v.number)
	l.subject = fmt.Sprintf(v.subject, v.name, number)
	if !strings.Contains(v.subject, "%[2]s") {
		l.subject = fmt.Sprintf(v.subject, v.name)
	}
	l.label("CATEGORY_UPDATES")
	if rng.IntN(3) > 0 {
		l.label("CATEGORY_PURCHASES")
	}

	l.heading(v.words.title)
	if v.sender != "" {
		l.say(fmt.Sprintf("%s שלח/ה לך מסמך מספר %s", v.name, number))
	}
	l.row(v.words.number, number)
	l.row(v.words.date, day.Format("02/01/2006"))
	if v.tax == vatIsrael && v.hebrew {
		l.row("ח.פ.", taxID(vendorDigits(v.name)))
	}
	sum := 0
	for _, item := range rng.Perm(len(v.items))[:1+rng.IntN(len(v.items))] {
		price := v.low + rng.IntN(v.high-v.low)
		sum += price
		l.row(v.items[item], v.money.write(price))
	}
	total, net, taxed := sum, sum, 0
	percent := v.tax.percent(day)
	switch v.tax {
	case noTax:
	case salesTax:
		taxed = (sum*percent + 50) / 100
		total = sum + taxed
	case vatIsrael, vatBritain, vatGermany:
		taxed = (sum*percent + (100+percent)/2) / (100 + percent)
		net = sum - taxed
	}
	if v.tax != noTax {
		l.row(v.words.subtotal, v.money.write(net))
		l.row(fmt.Sprintf("%s %d%%", v.words.tax, percent), v.money.write(taxed))
	}
	l.row(v.words.total, v.money.write(total))
	l.row(v.words.paidBy, fmt.Sprintf("Visa **** %04d", rng.IntN(10000)))
	l.say(v.words.thanks)

	l.truth = mailbox.Truth{
		IsReceipt: true, Total: fmt.Sprintf("%d.%02d", total/100, total%100),
		Currency: v.money.currency, Vendor: v.name,
	}
	if v.pdf {
		l.attach(receiptPDF(rng, v, number, day, total))
	}
	return l
}

func receiptPDF(rng *rand.Rand, v vendor, number string, day time.Time, total int) file {
	padding := 0
	if rng.IntN(40) == 0 {
		padding = 20_000 + rng.IntN(100_000)
	}
	name := strings.ToLower(strings.ReplaceAll(v.name, " ", "-"))
	return file{name: name + "-" + number + ".pdf", mediaType: "application/pdf", content: pdf([]string{
		v.name, v.words.title, v.words.number + ": " + number, v.words.date + ": " + day.Format("2006-01-02"),
		v.words.total + ": " + v.money.write(total),
	}, padding)}
}

// digits puts a digit for every # of the pattern.
func digits(rng *rand.Rand, pattern string) string {
	return strings.Map(func(r rune) rune {
		if r == '#' {
			return '0' + rune(rng.IntN(10))
		}
		return r
	}, pattern)
}

// vendorDigits is the same seven digits for a vendor each time.
func vendorDigits(name string) string {
	var sum uint64
	for _, r := range name {
		sum = mix(sum + uint64(r))
	}
	return fmt.Sprintf("51%06d", sum%1_000_000)
}

// taxID appends the check digit of an Israeli company number: digits weighted
// 1, 2, 1, 2 …, those of each product added, up to the next ten.
func taxID(eight string) string {
	sum := 0
	for k, r := range eight {
		product := int(r-'0') * (1 + k%2)
		sum += product/10 + product%10
	}
	return fmt.Sprintf("%s%d", eight, (10-sum%10)%10)
}
