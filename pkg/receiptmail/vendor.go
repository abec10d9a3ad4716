package receiptmail

import (
	"strings"

	"golang.org/x/net/publicsuffix"

	"github.com/prosaas/receipts/pkg/receiptmail/internal/label"
	"github.com/prosaas/receipts/pkg/receiptmail/internal/pattern"
	"github.com/prosaas/receipts/pkg/receiptmail/internal/script"
	"github.com/prosaas/receipts/proto"
)

// platforms send receipts in the name of others: their domain and name are not
// the seller's. Keys are registered domains.
var platforms = map[string]bool{
	"stripe.com": true, "squareup.com": true, "square.com": true, "intuit.com": true, "quickbooks.com": true,
	"xero.com": true, "freshbooks.com": true, "waveapps.com": true, "zoho.com": true, "paddle.com": true, "paddle.net": true, "fastspring.com": true, "gumroad.com": true,
	"lemonsqueezy.com": true, "lemonsqueezy-mail.com": true, "2checkout.com": true, "shopify.com": true, "shopifyemail.com": true, "klarna.com": true, "venmo.com": true, "cash.app": true, "square.online": true, "sumup.com": true, "bill.com": true, "gocardless.com": true,
	"morning.co": true, "greeninvoice.co.il": true, "icount.co.il": true, "invoice4u.co.il": true, "ezcount.co.il": true, "rivhit.co.il": true, "sumit.co.il": true,
	"payplus.co.il": true, "invoice-one.com": true, "cardcom.co.il": true, "cardcom.solutions": true, "meshulam.co.il": true, "grow.business": true, "tranzila.com": true,
	"tabit.cloud": true, "printernet.co.il": true, "finbot.co.il": true, "linet.org.il": true, "hashavshevet.com": true, "easycount.co.il": true, "10ten.co.il": true,
	"sendgrid.net": true, "mailgun.org": true, "amazonses.com": true, "mandrillapp.com": true, "mcsv.net": true, "mailchimpapp.net": true, "sparkpostmail.com": true,
	"gmail.com": true, "googlemail.com": true, "outlook.com": true, "hotmail.com": true, "yahoo.com": true, "walla.co.il": true, "icloud.com": true, "live.com": true,
}

const nameValue = `([\p{L}\p{N}][^\n<>|]{1,60}?)`

// statedSellers are the ways in which a subject or body names who sold.
var statedSellers = []*pattern.Pattern{
	pattern.MustCompile(`(?i)^(?:fwd?: |re: )*(?:your |new |a )?(?:(?:payment|order|purchase|sales|tax|paid|refund) )*(?:receipt|invoice|bill|statement|refund|credit note)(?: #?[\w-]*\d[\w-]*)? from ` + nameValue + `(?: (?:is|for|on|has|was|due)\b.*| [#(\[].*| - .*|[!.,:].*)?$`),
	pattern.MustCompile(`(?i)\b(?:payment|purchase|transaction) (?:of \S+(?: [A-Z]{3})? )?(?:to|at|from|with) ` + nameValue + `(?: (?:on|for|has|was|is)\b.*| [#(].*|[!.,(].*)?$`),
	pattern.MustCompile(`(?i)^you (?:paid|sent) ([^\d$€£₪<>|]{2,60}?) (?:[A-Z]{0,3}[$€£₪]|[\d.,]+ ?[A-Z€₪£$]).*$`),
	pattern.MustCompile(`(?i)\b(?:amounting to|payment of|paid|a total of|sent) [^A-Za-z]{0,4}[\d.,]+(?: ?[A-Z]{3})? to ` + nameValue + `(?: (?:on|for|via|with|using|was|has)\b.*|\s*\(.*|[.!,](?: .*)?)?$`),
	pattern.MustCompile(`(?:חשבונית מס(?:\s?/?-?\s?קבלה)?|חשבונית|קבלה|חשבון עסקה)(?: שלך)?(?: (?:מס'|מספר))? ?#?\d* ?(?:- ?| מאת | עבור | מ-)` + nameValue + `(?: מ(?:ס|ספר) .*| #.*)?$`),
	pattern.MustCompile(`^` + nameValue + ` (?:שלח(?:/ה|ה)? (?:לך|לכם|אליך)|הפיק(?:/ה|ה)? (?:עבורך|לך)) `),
	pattern.MustCompile(`(?:תשלום|חיוב|קנייה|רכישה|עסקה)(?: שלך)?(?: על סך \S+(?: \S{1,5})?)? (?:ל-|אצל |בבית העסק |לטובת )` + nameValue + `(?: (?:התקבל|בוצע|אושר|נקלט|בתאריך).*)?$`),
}

var (
	// "Receipt for order 94107-334" names what was bought, not who sold it.
	documentName = pattern.MustCompile(`(?i)^(?:(?:your |the )?(?:tax )?(?:order|invoice|receipt|purchase|payment|booking|reservation|transaction|subscription|document)|ה?(?:הזמנה|הזמנתך|הזמנת|חשבונית(?: מס)?(?:\s?/?-?\s?קבלה)?|קבלה|עסקה|רכישה|קנייה|תשלום|מסמך|חשבון(?: עסקה)?))(?:\s+(?:numbers?|no\.?|nr\.?|id|מספר|מס'|מס\.?)(?:[\s:#-]*\p{L}{0,4}[-/]?\d[\p{L}\d./-]*)?|[\s:#-]*\p{L}{0,4}[-/]?\d[\p{L}\d./-]*)$`)

	viaPlatform = pattern.MustCompile(`(?i)\s+\(?(?:via|through|באמצעות|דרך)\s+.*$`)
	notAName    = pattern.MustCompile(`(?i)^(?:no[-_. ]?reply|do[-_. ]?not[-_. ]?reply|info|billing|support|service|sales|orders?|receipts?|invoices?|notifications?|accounts?|payments?|mailer|noreply.*|hello|team|customer (?:service|support)|הודעות|חשבוניות|קבלות|שירות לקוחות)$|^(?:חיוב|תשלום|הוראת קבע|מנוי|הזמנה)(?: .*)?$|^(?:hi|hello|dear|שלום|היי|לכבוד)\P{L}`)
	onBehalf    = pattern.MustCompile(`(?i)\b(?:on behalf of|from) (\S.*)$`) // "Dana from Oak Bakery"
	descriptor  = pattern.MustCompile(`\s+[|–—-]\s+.*$`)                     // "Oak Bakery | bread since 1921"
	roleBefore  = pattern.MustCompile(`(?i)^(?:billing|orders?|receipts?|invoices?|payments?|חשבוניות|קבלות|הזמנות|תשלומים)\s*[:|-]\s*`)
	senderRole  = pattern.MustCompile(`(?i)[\s,:|-]+(?:e-?receipts?|receipts?|invoices?|billing|payments?|orders?|support|reservations?|bookings?|notifications?|no-?reply|customer (?:service|support|care)|(?:support |billing |sales )?team|accounts?|store|service|confirmations?|mailer|e-?mail|info|שירות לקוחות|חשבוניות|קבלות|הזמנות|חיובים|תשלומים|כרטיסים|הודעות|גבייה|הנהלת חשבונות|כספים)$`)
)

// department is part of many a company's name; it is none where the rest is the
// domain's.
var department = pattern.MustCompile(`(?i)[\s,:|-]+(?:accounting|finance|front desk|notices|alerts|tickets|online|particuliers|kundenservice|customer care)$`)

// vendorOf tells who sold: the sender, unless that is a platform that sends for
// others, or nobody known; then whoever subject or text name.
func vendorOf(m *message) (proto.Vendor, proto.Field) {
	domain := registeredDomain(m.from.domain)
	name := m.from.name
	via := viaPlatform.MatchString(name)
	if domain == "" || isPlatform(m, name, domain) || via {
		before := strings.TrimSpace(viaPlatform.ReplaceAllString(name, ""))
		if via && knownPlatform(domain) && isName(before) {
			return proto.Vendor{Name: before}, proto.Field{Source: "sender/name", Confidence: 0.85, Text: script.Clip(name, maxFieldText)}
		}
		if stated, text, source := statedSeller(m); stated != "" {
			return proto.Vendor{Name: stated}, proto.Field{Source: source, Confidence: 0.8, Text: script.Clip(text, maxFieldText)}
		}
		if seller, kind, ok := documentSeller(m); ok {
			return proto.Vendor{Name: seller.name}, proto.Field{Source: wayLabelled + kind, Confidence: seller.sure, Text: script.Clip(seller.text, maxFieldText)}
		}
		domain = ""
	}
	name = strings.TrimSpace(viaPlatform.ReplaceAllString(name, ""))
	if through := onBehalf.FindStringSubmatch(name); through != nil {
		name = through[1]
	}
	if name = roleBefore.ReplaceAllString(name, ""); len(strings.Fields(name)) > 3 { // "Gal - Pharm" is a name
		name = descriptor.ReplaceAllString(name, "")
	}
	for senderRole.MatchString(name) {
		name = senderRole.ReplaceAllString(name, "")
	}
	if bare := department.ReplaceAllString(name, ""); domain != "" && foldLetters(bare) == foldLetters(firstLabel(domain)) {
		name = bare
	}
	name = strings.Trim(name, `"' ,.-`)
	if name == "" || notAName.MatchString(name) || strings.Contains(name, "@") {
		if domain == "" {
			return proto.Vendor{}, proto.Field{}
		}
		first := firstLabel(domain)
		return proto.Vendor{Name: strings.ToUpper(first[:1]) + first[1:], Domain: domain}, proto.Field{Source: "sender/domain", Confidence: 0.6, Text: domain}
	}
	if seller, kind, ok := documentSeller(m); ok && domain != "" && !ownsDomain(name, domain) && ownsDomain(seller.name, domain) && len(foldLetters(seller.name)) >= len(foldLetters(firstLabel(domain))) {
		return proto.Vendor{Name: seller.name, Domain: domain}, proto.Field{Source: wayLabelled + kind, Confidence: seller.sure, Text: script.Clip(seller.text, maxFieldText)} // a person of the firm sent it
	}
	sure := 0.85
	if domain == "" && !via {
		sure = 0.4 // the platform's own name, or a person's
	}
	return proto.Vendor{Name: name, Domain: domain}, proto.Field{Source: "sender/name", Confidence: sure, Text: script.Clip(m.from.name, maxFieldText)}
}

// knownPlatform tells whether a domain is a platform's. PayPal has one in every
// country.
func knownPlatform(domain string) bool { return platforms[domain] || firstLabel(domain) == "paypal" }

// isPlatform tells whether a sender sends for others: a known one, or one of
// which the mail says that it was sent through it.
func isPlatform(m *message, name, domain string) bool {
	if knownPlatform(domain) {
		return true
	}
	sender := foldLetters(name)
	if len(sender) < 4 {
		return false
	}
	for _, doc := range m.texts() {
		for _, l := range doc.lines {
			if through := sentThrough.FindStringSubmatch(script.Clip(l.Text(), maxSentence)); through != nil && strings.HasPrefix(foldLetters(through[1]), sender) {
				return true
			}
		}
	}
	return false
}

var sentThrough = pattern.MustCompile(`(?i)(?:sent (?:via|through|with|using)|powered by|issued (?:via|through)|generated by|(?:נשלח|נשלחה|הופק|הופקה) (?:באמצעות|על ידי|דרך|ע"י))\s+(.*)$`)

// ownsDomain tells whether a domain is the name's own: shoe-house.co.uk is Shoe House Ltd's.
func ownsDomain(name, domain string) bool {
	label, name := foldLetters(firstLabel(domain)), foldLetters(name)
	return len(label) > 3 && (strings.HasPrefix(name, label) || len(name) > 3 && strings.HasPrefix(label, name))
}

func firstLabel(domain string) string {
	label, _, _ := strings.Cut(domain, ".")
	return label
}

// documentSeller is who issued the document attached, or else the mail's text.
func documentSeller(m *message) (seller named, kind string, ok bool) {
	for _, pdf := range []bool{true, false} {
		for _, doc := range m.docs {
			if pdf != (doc.kind == kindPDF) {
				continue
			}
			if seller, ok = sellerInText(doc.lines); ok {
				return seller, doc.kind, true
			}
		}
	}
	return named{}, "", false
}

func statedSeller(m *message) (name, text, source string) {
	if name = sellerIn(m.subject); name != "" {
		return name, m.subject, wayLabelled + "subject"
	}
	for _, doc := range m.texts() {
		for _, l := range doc.lines[:min(len(doc.lines), 40)] {
			t := l.Text()
			if len(t) > 2*maxSentence {
				continue
			}
			if name = sellerIn(t); name != "" {
				return name, t, wayLabelled + doc.kind
			}
		}
	}
	return "", "", ""
}

func sellerIn(text string) string {
	for _, p := range statedSellers {
		if m := p.FindStringSubmatch(text); m != nil {
			if name := strings.Trim(m[1], ` "'.,:;-`); !documentName.MatchString(name) && isName(name) && label.Of(name) == label.None {
				return name
			}
		}
	}
	return ""
}

// registeredDomain is the part of a domain that somebody registered:
// mail.shop.example.co.il is example.co.il. Empty is unknown.
func registeredDomain(domain string) string {
	suffix, icann := publicsuffix.PublicSuffix(domain)
	d, err := publicsuffix.EffectiveTLDPlusOne(domain)
	if err != nil || !icann && !strings.Contains(suffix, ".") { // no such top-level domain
		return ""
	}
	return d
}
