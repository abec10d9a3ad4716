package receiptmail

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"
	"time"

	"github.com/shopspring/decimal"

	"github.com/prosaas/receipts/pkg/receiptmail/internal/pattern"
	"github.com/prosaas/receipts/proto"
)

// group is what was found of one purchase.
type group struct {
	origin   string
	ordinal  int
	findings []finding
}

func (g *group) total() (decimal.Decimal, bool) {
	f, ok := surest(g.findings, fieldTotal)
	if !ok {
		return decimal.Decimal{}, false
	}
	return amountOf(f.value), true
}

// amountOf is the amount of a finding, which [money.Format] wrote.
func amountOf(value string) decimal.Decimal {
	d, _ := decimal.NewFromString(value)
	return d
}

// surest is the finding of a field in which to believe: the first of the most
// confident, as strategies come surest first.
func surest(found []finding, name field) (best finding, ok bool) {
	for _, f := range found {
		if f.field == name && (!ok || f.confidence > best.confidence) {
			best, ok = f, true
		}
	}
	return best, ok
}

// groupPurchases sorts findings by purchase: those that the mail itself tells,
// and those of the documents attached, which are the same ones told again, or
// more. Receipts read from the mail keep their place whatever is attached.
func groupPurchases(m *message, found []finding) []group {
	var own, attached []group
	var leftover []finding // without a total: beside others it tells a number or a day
	for _, origin := range originsOf(m, found) {
		var told []group
		for _, way := range []string{waySender, wayStated, waySchema, wayLabelled, wayAlone} {
			told = mergeTelling(m, told, tellingOf(found, origin, way, &leftover))
		}
		if origin == originBody {
			own = told
			continue
		}
		for _, g := range told {
			if i := slices.IndexFunc(attached, func(a group) bool { return samePurchase(m, a, g) }); i >= 0 {
				attached[i].findings = append(attached[i].findings, g.findings...)
			} else {
				attached = append(attached, g)
			}
		}
	}
	purchases := joinAttached(m, own, attached)
	switch len(purchases) {
	case 0: // no total at all: one receipt still, of its document if it brought one
		rest := group{origin: originBody, findings: leftover}
		if f, ok := mainDocument(m); ok {
			rest.origin = f.sha256
		}
		purchases = []group{rest}
	case 1:
		purchases[0].findings = append(purchases[0].findings, leftover...)
	default: // who sold is the same for all; a number is of one of them, nobody knows which
		leftover = slices.DeleteFunc(leftover, func(f finding) bool { return f.field != fieldVendor && f.field != fieldTaxID })
		for i := range purchases {
			purchases[i].findings = append(purchases[i].findings, leftover...)
		}
	}
	count(purchases)
	return purchases
}

// mergeTelling adds what another strategy tells of the same text. The first one
// that tells totals has parted the purchases.
func mergeTelling(m *message, known, told []group) []group {
	if len(known) == 0 {
		return told
	}
	for _, g := range told {
		i := slices.IndexFunc(known, func(k group) bool { return samePurchase(m, k, g) })
		if len(known) == 1 && len(told) == 1 {
			i = 0
		}
		if i >= 0 {
			known[i].findings = append(known[i].findings, g.findings...)
		}
	}
	return known
}

// joinAttached joins what the mail tells with what its documents do.
func joinAttached(m *message, own, attached []group) []group {
	switch {
	case len(own) == 0 || len(own) == 1 && len(attached) > 1 && sameAmount(sumOf(attached), own[0]):
		return attached // the mail tells the sum of them, or nothing
	case len(own) == 1 && len(attached) == 1:
		own[0].findings = append(own[0].findings, attached[0].findings...)
		return own
	}
	several := len(own) > 1
	for _, g := range attached {
		i := slices.IndexFunc(own, func(k group) bool { return samePurchase(m, k, g) })
		switch {
		case i >= 0:
			own[i].findings = append(own[i].findings, g.findings...)
		case !several || !sameAmount(sumOf(own), g): // else it is the sum of them
			own = append(own, g)
		}
	}
	return own
}

// count numbers the purchases of each origin.
func count(purchases []group) {
	next := map[string]int{}
	for i := range purchases {
		purchases[i].ordinal = next[purchases[i].origin]
		next[purchases[i].origin]++
	}
}

func originsOf(m *message, found []finding) []string {
	origins := []string{originBody}
	for _, f := range m.files { // in the mail's order
		if slices.ContainsFunc(found, func(of finding) bool { return of.origin == f.sha256 }) && !slices.Contains(origins, f.sha256) {
			origins = append(origins, f.sha256)
		}
	}
	return origins
}

// tellingOf is all purchases with a total that one strategy tells of one origin;
// what it tells without any goes to leftover.
func tellingOf(found []finding, origin, way string, leftover *[]finding) []group {
	var groups []group
	for _, f := range found {
		if f.origin != origin || !strings.HasPrefix(f.source, way) {
			continue
		}
		i := slices.IndexFunc(groups, func(g group) bool { return g.ordinal == f.ordinal })
		if i < 0 {
			groups = append(groups, group{origin: origin, ordinal: f.ordinal})
			i = len(groups) - 1
		}
		groups[i].findings = append(groups[i].findings, f)
	}
	withTotal := slices.DeleteFunc(slices.Clone(groups), func(g group) bool { _, ok := g.total(); return !ok })
	if len(withTotal) == 0 && len(groups) > 0 {
		*leftover = append(*leftover, groups[0].findings...)
	}
	return withTotal
}

func sumOf(groups []group) decimal.Decimal {
	sum := decimal.Zero
	for _, g := range groups {
		total, _ := g.total()
		sum = sum.Add(total)
	}
	return sum
}

func sameAmount(amount decimal.Decimal, g group) bool {
	total, ok := g.total()
	return ok && total.Equal(amount)
}

// samePurchase tells whether two groups are one purchase: they name the same
// number, or the same total while no number speaks against it.
func samePurchase(m *message, a, b group) bool {
	x, y := numbersOf(a), numbersOf(b)
	for _, n := range x {
		if slices.Contains(y, n) || m.mentions(b.origin, n) && b.origin != a.origin {
			return true
		}
	}
	total, _ := a.total()
	if !sameAmount(total, b) {
		return false
	}
	if a.origin != b.origin && a.origin != originBody { // two documents of one amount, each with a number of its own
		return len(x) == 0 || len(y) == 0 || slices.ContainsFunc(y, func(n string) bool { return m.mentions(a.origin, n) })
	}
	return true
}

func numbersOf(g group) []string {
	var numbers []string
	for _, name := range []field{fieldNumber, fieldOrderID} {
		if f, ok := surest(g.findings, name); ok && len(f.value) >= 4 {
			numbers = append(numbers, f.value)
		}
	}
	return numbers
}

// mentions tells whether the document of that origin holds the text.
func (m *message) mentions(origin, text string) bool {
	for _, doc := range m.docs {
		if doc.origin != origin {
			continue
		}
		for _, l := range doc.lines {
			if slices.ContainsFunc(l.Cells, func(c string) bool { return strings.Contains(c, text) }) {
				return true
			}
		}
	}
	return false
}

// purchaseKey is the same for all receipts of one purchase, whatever mail tells
// it: the vendor with the order's id, or the document's number, or else the
// amount and the day. A refund is of the purchase that it gives back. Nil where
// too little is known.
func purchaseKey(r proto.ReceiptDetail, received time.Time) *string {
	vendor := foldLetters(legalEnd.ReplaceAllString(r.Vendor.Name, ""))
	var what string
	switch {
	case vendor == "":
		return nil
	case r.OrderID != nil:
		what = foldLetters(*r.OrderID)
	case r.Number != nil:
		what = foldLetters(*r.Number)
	case r.Total != nil && r.Currency != nil:
		day := received.Format(time.DateOnly)
		if r.IssuedOn != nil {
			day = *r.IssuedOn
		} else if received.IsZero() {
			return nil
		}
		what = amountOf(*r.Total).Abs().String() + *r.Currency + day
	default:
		return nil
	}
	sum := sha256.Sum256([]byte(vendor + "\n" + what))
	return new(hex.EncodeToString(sum[:8]))
}

var legalEnd = pattern.MustCompile(`(?i)(?:[\s,.]+(?:inc|llc|ltd|limited|gmbh|ag|b\.?v|s\.?a|corp|co|plc|pty)\.?|\.(?:com|net|io|co\.il|co\.uk|de|fr)|[\s,]+בע"מ)$`)

// mainDocument is the attachment that looks most like the receipt.
func mainDocument(m *message) (file, bool) {
	documents := slices.DeleteFunc(slices.Clone(m.files), func(f file) bool { return !isDocument(f) })
	for _, f := range documents {
		if documentFile.MatchString(f.Name) {
			return f, true
		}
	}
	if len(documents) == 0 {
		return file{}, false
	}
	return documents[0], true
}

// agreement is what all findings of one field of one purchase come to: the value
// to believe, how sure it is with all that speaks for it, and the surest value
// that speaks against it.
type agreement struct {
	best    finding
	against float64
}

// agree weighs the findings of a field. Findings of different strategies or
// origins are independent: two that agree are surer than each.
func agree(found []finding, name field) (agreement, bool) {
	best, ok := surest(found, name)
	if !ok {
		return agreement{}, false
	}
	a := agreement{best: best}
	doubt := map[string]float64{} // by source, of the best value
	for _, f := range found {
		switch {
		case f.field != name:
		case sameValue(name, f.value, best.value):
			key := f.origin + f.source
			if d, seen := doubt[key]; !seen || 1-f.confidence < d {
				doubt[key] = 1 - f.confidence
			}
		default:
			a.against = max(a.against, f.confidence)
		}
	}
	left := 1.0
	for _, d := range doubt {
		left *= d
	}
	a.best.confidence = min(max(best.confidence, 1-left), 0.99)
	return a, true
}

func sameValue(name field, a, b string) bool {
	switch name {
	case fieldTotal, fieldTax, fieldSubtotal:
		return amountOf(a).Equal(amountOf(b))
	default:
		return a == b
	}
}
