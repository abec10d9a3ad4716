package pattern

import (
	"math/rand/v2"
	"regexp/syntax"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestWords: what an expression is known to hold.
func TestWords(t *testing.T) {
	t.Parallel()
	for expr, want := range map[string][]string{
		`total`:                      {"total"},
		`(?i)Net`:                    {"net"},
		`Total`:                      {"Total"},
		`(?i)\bpaid\b`:               {"paid"},
		`(?i)tax`:                    {"tax"},
		`(?i)skip`:                   {"skip", "s\u212aip", "\u017fkip", "\u017f\u212aip"}, // the long s, and the sign of Kelvin
		`(?i)é`:                      {"É", "é"},
		`factur[ea]`:                 {"factura", "facture"},
		`renew|refund`:               {"refund", "renew"},
		`e-?mail`:                    {"email", "e-mail"},
		`(?:gross|net) amount`:       {"gross amount", "net amount"},
		`(?:\d+ )?nights? booked`:    {"night booked", "nights booked"},
		`(?:ab){2,3}c`:               {"ab"},
		`(?:ab){0,3}c`:               nil,
		`(?:abc)+d`:                  {"abc"},
		`paid .{0,20}card`:           {"paid "},
		`total|\d+`:                  nil,
		`(?:total)?`:                 nil,
		`.*`:                         nil,
		`x`:                          nil,
		`(?:ab)*`:                    nil,
		`^(?:total|sum)$`:            {"sum", "total"},
		`[a-z]+ order`:               {" order"},
		`(?:one|two|\w) of (?:many)`: {" of many"},
	} {
		tree, err := syntax.Parse(expr, syntax.Perl)
		if err != nil {
			t.Fatal(err)
		}
		got := matchesOf(tree).words()
		slices.Sort(got)
		slices.Sort(want)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", expr, diff)
		}
	}
}

// TestAsRegexp: a pattern finds what package regexp finds, in texts that nearly match.
func TestAsRegexp(t *testing.T) {
	t.Parallel()
	exprs := []string{
		`(?i)\b(e-?receipts?|receipts?|invoices?|order (confirm|#|no|number)|(your|new) (order|purchase))\b|קבלה`,
		`(?i)skip(?:ped)? (?:is|was)|booked`, `(?i)^(?:total|sum) (\d+)$|^due`, `\b[A-Z]{2},? \d{5}\b|\b(?:Ohio|Utah), `,
		`סה"?'?כ( .{0,12})?$`, `(?i)(invoice|bill)\s?(?:no\.?\s?)+[:.\s-]*([A-Z0-9]+)`, `(?i)reçu|café (?:\w+)`, `x|`, `(?:abc)*`, `(?i)[k-s]elvin`,
	}
	pieces := []string{
		"receipt", "RECEIPTS", "invoice", "Invoice", "order", "your", "confirm", "#", "no.", "skip", "ſKip", "was", "booked", "BooKed", "total", "sum", "12", "Ohio", "OH", "78701", ",",
		" ", " ", " ", ":", "סה\"כ", "סהכ", "קבלה", "reçu", "REÇU", "café", "abc", "x", "Kelvin", "due", "A1", "\n", "\xff", "",
	}
	random := rand.New(rand.NewPCG(1, 2))
	var patterns []*Pattern
	for _, expr := range exprs {
		patterns = append(patterns, MustCompile(expr))
	}
	matched := 0
	for range 5_000 {
		var b strings.Builder
		for range random.IntN(8) {
			b.WriteString(pieces[random.IntN(len(pieces))])
		}
		text, p := b.String(), patterns[random.IntN(len(patterns))]
		re := p.Regexp
		if re.MatchString(text) {
			matched++
		}
		type found struct {
			Match    bool
			Index    []int
			All      [][]int
			Groups   []string
			AllFound [][]string
		}
		want := found{re.MatchString(text), re.FindStringIndex(text), re.FindAllStringIndex(text, -1), re.FindStringSubmatch(text), re.FindAllStringSubmatch(text, -1)}
		got := found{p.MatchString(text), p.FindStringIndex(text), p.FindAllStringIndex(text, -1), p.FindStringSubmatch(text), p.FindAllStringSubmatch(text, -1)}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("%s in %q: %s", re, text, diff)
		}
	}
	if matched < 500 {
		t.Errorf("%d texts of 5,000 matched, want a fair share", matched)
	}
}

func TestCompileRefuses(t *testing.T) {
	t.Parallel()
	if p, err := Compile(`(`); err == nil {
		t.Errorf("compiled to %v", p)
	}
}
