package receiptmail

import (
	"slices"
	"strings"
	"unicode"

	"github.com/prosaas/receipts/pkg/receiptmail/internal/label"
	"github.com/prosaas/receipts/pkg/receiptmail/internal/page"
	"github.com/prosaas/receipts/pkg/receiptmail/internal/pattern"
	"github.com/prosaas/receipts/pkg/receiptmail/internal/script"
)

// named is a name that a text gives for who sold, and how sure it is.
type named struct {
	name, text string
	sure       float64
}

var (
	sellerLabel = pattern.MustCompile(`(?i)^(?:sold by|seller|merchant|vendor|supplier|issued by|issuer|billed by|invoice from|bill from|service provider|provider|store|shop|payee|paid to|retailer|restaurant|business name|company name|verkäufer|rechnungssteller|rechnungsersteller|vendu par|vendeur|vendedor|venditore|emisor|sprzedawca|verkoper|שם (?:ה)?עסק|(?:שם )?בית (?:ה)?עסק|שם (?:ה)?ספק|ספק|המוכר|מנפיק|שם העוסק)(?: name)?\s*(?::|$)\s*(.*)$`)
	buyerLabel  = pattern.MustCompile(`(?i)\b(?:bill(?:ed|ing)?(?: address)?(?: to)?|invoice(?:d)? to|sold to|ship(?:ped|ping)?(?: address)?(?: to)?|customer|client|buyer|deliver(?:y|ed)?(?: address| to)|attn|recipient|rechnungsempfänger|leistungsempfänger|käufer|kunde|lieferadresse|client|acheteur|cliente|nabywca|klant)\b|\breceived (?:with thanks )?from\b|קיבלתי מ|התקבל מ|לכבוד|שם (?:ה)?לקוח|פרטי (?:ה)?לקוח|(?:ה)?לקוח|עבור:`)
	// A company's legal form closes its name.
	legalName     = pattern.MustCompile(`^(?:(?:from|by|©|\(c\)|copyright|\d{4})\s+)*([\p{L}\p{N}][\p{L}\p{N}&.,'+ -]{1,60}?,? (?:Ltd\.?|Limited|Inc\.?|LLC|L\.L\.C\.|LLP|PLC|Corp\.?|Corporation|Co\.|Company|GmbH(?: & Co\.? KG)?|AG|KG|UG|e\.K\.|B\.V\.|BV|N\.V\.|S\.A\.(?:S\.|R\.L\.)?|SAS|SARL|SA|S\.r\.l\.|SRL|S\.p\.A\.|SpA|S\.L\.|SL|Sp\. z o\.o\.|s\.r\.o\.|a\.s\.|Oy|AB|ApS|A/S|AS|Kft\.?|Pty\.?(?: Ltd\.?)?|Pvt\.? Ltd\.?|K\.K\.|Sàrl|בע"מ))(?:[\s,.;)|-]|$)`)
	hebrewCompany = pattern.MustCompile(`([\p{Hebrew}][\p{Hebrew}\p{N}&.,'" -]{1,50}? בע"מ)(?:[\s,.;)|-]|$)`)
	titleName     = pattern.MustCompile(`(?i)^([\p{L}\p{N}][\p{L}\p{N}&.' -]{1,40}?)\s+(?:tax |sales |vat |e-?|payment |order |purchase )?(?:invoice|receipt|bill)$`)
	titleWords    = pattern.MustCompile(`(?i)^(?:tax|sales|vat|your|the|this|an?|original|copy|retail|commercial|official|e|duplicate|final|new|paid|payment|order|purchase|online|electronic|credit|proforma|pro-forma|simplified|monthly|annual|full|digital)\b`)
	webAddress    = pattern.MustCompile(`(?i)(?:https?://|www\.|[a-z0-9._%+-]+@)?((?:[a-z0-9](?:[a-z0-9-]{0,40}[a-z0-9])?\.){1,4}[a-z]{2,12})\b`)
)

var commonDomain = pattern.MustCompile(`\.(?:com|net|org|io|co|de|fr|it|es|nl|be|at|ch|pl|se|no|dk|fi|cz|uk|il|eu|us|ca|au|app|dev|shop|store|ai)$`)

// elsewhere are domains that many receipts name, and none belongs to the seller.
var elsewhere = map[string]bool{
	"facebook.com": true, "twitter.com": true, "instagram.com": true, "linkedin.com": true, "youtube.com": true, "tiktok.com": true, "pinterest.com": true,
	"x.com": true, "t.co": true, "goo.gl": true, "bit.ly": true, "w3.org": true, "schema.org": true, "visa.com": true, "mastercard.com": true, "trustpilot.com": true,
	"whatsapp.com": true, "wa.me": true, "apple.com": true, "google.com": true, "example.com": true, "example.net": true, "example.org": true, "gov.il": true,
}

const (
	sureSellerLabel = 0.75
	sureSellerTitle = 0.65
	sureSellerLegal = 0.7
	sureSellerSite  = 0.7
	sureSellerHead  = 0.45 // the first line, if nothing else is known

	sellerHead = 30 // lines of a document, at its head and foot, that tell whose it is
	sellerFoot = 25
)

// sellerInText finds who issued a document of which no sender is known: whom it
// names as seller, whose name stands in its title, closes with a legal form, or
// is that of its web address.
func sellerInText(lines []page.Line) (named, bool) {
	var all []named
	buyer := -10 // the line that last began a buyer's address
	for i, l := range lines {
		if i >= sellerHead && i < len(lines)-sellerFoot {
			continue
		}
		for j, cell := range l.Cells {
			cell = script.Clip(cell, maxSentence)
			if buyerLabel.MatchString(cell) {
				buyer = i
			}
			if found, ok := labelledSeller(lines, i, j); ok {
				all = append(all, found)
			}
			for _, form := range []*pattern.Pattern{legalName, hebrewCompany} {
				if m := form.FindStringSubmatch(cell); m != nil && i-buyer > 3 {
					all = append(all, named{strings.Trim(m[1], " ,"), cell, sureSellerLegal - float64(min(i, 20))/200})
					break
				}
			}
			if at := taxIDLabel.FindStringIndex(cell); at != nil && i-buyer > 3 {
				if name := strings.Trim(cell[:at[0]], " |,-–()·"); isName(name) {
					all = append(all, named{name, cell, sureSellerLegal})
				}
			}
			if m := titleName.FindStringSubmatch(cell); m != nil && i < 5 && !titleWords.MatchString(m[1]) && i-buyer > 3 {
				all = append(all, named{m[1], cell, sureSellerTitle})
			}
		}
	}
	all = append(all, sellerOfSite(lines)...)
	if len(all) == 0 && len(lines) > 0 {
		if head := script.Clip(lines[0].Cells[0], maxSentence); isName(head) && !documentTitle.MatchString(head) && !buyerLabel.MatchString(head) && label.Of(head) == label.None && !strings.ContainsAny(head, "0123456789/@:") && len(strings.Fields(head)) <= maxSpelled+1 {
			all = append(all, named{head, head, sureSellerHead})
		}
	}
	return mostNamed(all)
}

func labelledSeller(lines []page.Line, i, j int) (named, bool) {
	cells := lines[i].Cells
	m := sellerLabel.FindStringSubmatch(script.Clip(cells[j], maxSentence))
	if m == nil {
		return named{}, false
	}
	name := m[1]
	if name == "" && j+1 < len(cells) {
		name = cells[j+1]
	} else if name == "" && i+1 < len(lines) {
		if at := page.Column(lines[i], lines[i+1], j); at >= 0 {
			name = lines[i+1].Cells[at]
		} else if len(cells) == 1 {
			name = lines[i+1].Cells[0]
		}
	}
	name = strings.Trim(name, " ,.:-")
	if !isName(name) {
		return named{}, false
	}
	return named{name, cells[j], sureSellerLabel}, true
}

// isName tells whether a text may be a company's name: short, with letters, and
// neither an address nor a number.
func isName(s string) bool {
	letters, all := 0, 0
	for _, r := range s {
		if all++; unicode.IsLetter(r) {
			letters++
		}
	}
	return letters >= 2 && all <= 60 && 2*letters > all && !strings.Contains(s, "@") && !notAName.MatchString(s) && !documentName.MatchString(s) && !strings.HasSuffix(s, ":")
}

// sellerOfSite names the owner of the web address that a document names most, in
// the document's own spelling of it.
func sellerOfSite(lines []page.Line) []named {
	count := map[string]int{}
	var order []string
	for _, l := range lines {
		for _, cell := range l.Cells {
			if len(cell) > page.MaxCell || !strings.Contains(cell, ".") {
				continue
			}
			for _, m := range webAddress.FindAllStringSubmatch(cell, 10) {
				d := registeredDomain(strings.ToLower(m[1]))
				if m[0] == m[1] && !commonDomain.MatchString(m[1]) { // neither www. nor @: "Art.Nr" is none
					continue
				}
				if d == "" || elsewhere[d] || knownPlatform(d) {
					continue
				}
				if count[d]++; count[d] == 1 {
					order = append(order, d)
				}
			}
		}
	}
	var all []named
	for _, d := range order {
		if name, text := spelled(lines, foldLetters(firstLabel(d))); name != "" {
			all = append(all, named{name, text, sureSellerSite + min(0.05*float64(count[d]), 0.15)})
		}
	}
	return all
}

const maxSpelled = 4 // words of a name that one web address joins

// spelled finds words of the document that, joined, are the label.
func spelled(lines []page.Line, label string) (name, text string) {
	if len(label) < 3 {
		return "", ""
	}
	for _, l := range lines {
		for _, cell := range l.Cells {
			words := strings.Fields(script.Clip(cell, maxSentence))
			for i := range words {
				var joined strings.Builder
				for n := i; n < len(words) && n < i+maxSpelled; n++ {
					word := strings.Trim(words[n], `.,:;()"'|`)
					joined.WriteString(foldLetters(word))
					if joined.String() == label && !strings.Contains(words[n], "@") && !strings.Contains(strings.Trim(word, "."), ".") && unicode.IsUpper([]rune(words[i])[0]) {
						return strings.Trim(strings.Join(words[i:n+1], " "), ` .,:;()"'|`), cell
					}
					if host, _, cut := strings.Cut(word, "."); n == i && cut && foldLetters(host) == label && unicode.IsUpper([]rune(host)[0]) {
						return host, cell // "Flipkart.com"
					}
					if joined.Len() >= len(label) {
						break
					}
				}
			}
		}
	}
	return "", ""
}

func foldLetters(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) || unicode.IsDigit(r) {
			return unicode.ToLower(r)
		}
		return -1
	}, s)
}

// mostNamed is the name that is surest, where several ways that give the same
// name, or one that begins like it, count together; of those it is the longest
// without a legal form.
func mostNamed(all []named) (named, bool) {
	best, most := named{}, 0.0
	for _, n := range all {
		doubt := 1.0
		var seen []float64
		for _, o := range all {
			a, b := foldLetters(n.name), foldLetters(o.name)
			if (strings.HasPrefix(a, b) || strings.HasPrefix(b, a)) && min(len(a), len(b)) > 2 && !slices.Contains(seen, o.sure) {
				seen = append(seen, o.sure)
				doubt *= 1 - o.sure
			}
		}
		sure := 1 - doubt
		alike := sure > most-0.001 && sure < most+0.001
		if sure > most && !alike || alike && !legalName.MatchString(n.name) && (legalName.MatchString(best.name) || len(n.name) > len(best.name)) {
			best, most = named{n.name, n.text, min(sure, 0.9)}, sure
		}
	}
	return best, most > 0
}
