// Package label tells what the words beside an amount say of it: that it is a
// total, a tax, what was charged, or nothing of the kind. It is pure, and bounded
// in the length of what it reads.
package label

import (
	"strings"
	"unicode/utf8"

	"github.com/prosaas/receipts/pkg/receiptmail/internal/pattern"
)

// Role is what a label says of the amount beside it. Of roles that can be a
// receipt's total the higher one wins: what was charged is the total, whatever
// the goods came to before credits and points; what is due comes last.
type Role int

// The roles, the least first.
const (
	None     Role = iota // no label
	Other                // an amount that is not asked for: shipping, savings, a balance
	Item                 // the price of one thing bought
	Subtotal             // before tax
	Tax
	Lone  // none, and yet it is the only one that can be the total
	Weak  // "amount", "sum": a total if nothing better is there
	Due   // what is still to be paid
	Total // "total"
	Grand // a total that says of what: order total, total to pay, total including VAT
	Charged
	Refunded
	Received // money that came to the mailbox's owner
)

// IsTotal tells whether an amount of the role can be a receipt's total.
func (r Role) IsTotal() bool { return r >= Weak }

// rules are tried in order; the first that matches decides. Labels come
// normalised, in lower case, without what stands in brackets.
var rules = []struct {
	pattern *pattern.Pattern
	role    Role
}{
	{anyOf(
		`total (savings?|saved|discounts?|points|items?|qty|quantity|weight|nights|guests|miles|distance|time|credits?|rewards?|hours|products?|units?|number|balance|usage|refundable|donations? to date)\b`,
		`.*\b(per|each) (person|night|month|unit|item|day|year|adult|traveler|passenger|guest)\b`, `per-person`,
		`.*\b(saved|savings?|you save|rewards?|points|cashback|cash back|gift ?cards?|vouchers?|coupons?|promo(tion|code)?s?|credit limit|exchange rate|available)\b`,
		`.*(חסכת|חיסכון|נקודות|קופון|שובר|גיפט|זיכוי קודם|מסגרת|עודף|טיפ|תשר)`,
		`(סכום )?הנחה|הנחת `, `הנחות`, `(minimum|min\.?|last|previous|prior|next|future|upcoming|scheduled|recurring|late|past) (payment|bill|balance|order|charge|fee|invoice|total|amount)`,
		`(opening |closing |current |new |account |remaining |available |credit |statement |points )?balance( (before|after|brought|carried|forward|as of|from|remaining).*)?$`, `balance (before|brought|carried|forward|b/f|c/f)`,
		`.*(חיוב|תשלום|החיוב|התשלום) (הבא|העתידי)( .*|:.*)?$`, `(next|upcoming|future|following) .*`,
		`.*\b(raised|goal|so far|out of|a further|as little as|just|only|starting|sum assured|coverage|cover amount|declared value|market value|credit limit|limit)( of)?$`, `.*(עד כה|נאספו|מתוך|יעד|ערך מוצהר|סכום ביטוח|כיסוי|החל מ-?|רק ב-?)$`,
		`.*\d*\s?(x|×|\*|תשלומים|installments?|payments|raten|cuotas)\s?[x×]$`,
		`(total )?(shipping|delivery|postage|handling|packaging|freight|insurance|service fee|booking fee|tip|gratuity|surcharge|deposit|discount|cash tendered|change|adjustments?|other adjustments)\b`,
		`(תוספת )?(דמי )?(משלוח|שילוח|פיקדון|פקדון|עיגול)`, `(יתרה|יתרת|חוב) (קודמת|קודם|לפני|פתיחה|סגירה|זכות|נקודות)`, `יתרה( אחרי| נוכחית| בחשבון)?$`, `יתרת`,
		`(average|maximum|max|up to|starting at|from|worth|value of|save|earn|was$|list price|rrp|msrp)\b`,
		`(versandkosten|versand|lieferung|frais de (port|livraison)|livraison|spedizione|costi di spedizione|env[ií]o|verzendkosten|rabatt|remise|sconto|descuento)\b`,
		`(מזומן|cash|bar|espèces|efectivo)( שהתקבל| received| given| gegeben)?$`, // may be more than was due
		`(.*\d+ ?)?(x )?(תשלומים|installments?|instalments?|monthly payments|raten|mensualités|cuotas|rate)( \p{Hebrew}+){0,3} ?(של|בסך|of|à|de|von|da)$`, `.*\d+ ?(x )?(תשלומים|payments|installments?|raten|mensualités|cuotas)$`, `(כל )?תשלום (ראשון|שני|נוסף|אחרון).*`, `.*תשלומים.*(ראשון|ראשונה)$`, `.*תשלומים:? (ה?ראשון|ראשונה|כ"א|כל אחד).*`, `(תשלום|תשלומים|חיוב|אגרה|דמי) (קבוע|קבועה|קבועים|שימוש|מנוי|אספקה|חלוקה).*`,
		`taxes( and|,| &)? (other )?(fees|surcharges|carrier)`, `taxes, fees`,
		`(gesamtbetrag|summe|total|montant|totale) (der|of|des|dei|de los)\b.*(zuschläge|abschläge|rabatte|nachlässe|allowances|discounts|remises|sconti|descuentos)`, `(erhaltene )?anzahlung(en)?\b`, `skonto\b`, `acomptes? (versés?|reçus?)`,
	), Other},
	{anyOf(
		`sub[ -]?totals?\b`, `(order |cart |items? |product |merchandise )sub ?total`, `net (amount|total|price|sum|value)`, `total net\b`, `total( amount)?,? (before|excl|excluding|exclusive|ex\b|ex\.|without|w/o|net of)`,
		`.*\b(before|excluding|excl\.?|without|ex) (tax|taxes|vat|gst)`, `.*(לפני|ללא|לא כולל|בלי) מע"?מ`, `סכום ביניים|סיכום ביניים|סה"כ ביניים|סה"כ (חייב|ללא|לפני)|סכום חייב במע"מ|חייב במע"מ|סה"כ מוצרים|סה"כ פריטים`,
		`.*\b(ohne|exkl\.?|excl\.?|zzgl\.?|vor) (ust|mwst|umsatzsteuer|mehrwertsteuer|steuern?|btw|tva|iva)\b`, `(positions|waren|artikel)(summe|wert)|basisbetrag|(rechnungs|gesamt)(summe|betrag) netto|total (hors taxes|ht)\b|exclusief btw|totaal excl`,
		`zwischensumme|netto(betrag|summe)?\b|gesamt netto|sous[ -]?total|total h\.?t\.?\b|montant h\.?t|imponibile|totale parziale|totale netto|.*iva esclusa|base imponible|wartość netto|suma netto|subtotaal|delsumma|mezisoučet`,
	), Subtotal},
	{anyOf(
		`(total|amount|sum|price|grand total|order total)\b.*\b(incl|including|inclusive|inc)\b.*(tax|vat|gst|fees)`,
		`(סה"כ|סך|סכום|מחיר|לתשלום|סך הכל|סה"כ לתשלום).* ?(כולל|בתוספת) מע"?מ`, `סה"כ כולל`,
		`(rechnungs|gesamt)?(summe|betrag) brutto|rechnungssumme$`,
		`total t\.?t\.?c|montant t\.?t\.?c|(gesamt|summe|total|betrag|rechnungsbetrag).*inkl.*`, `brutto(betrag|summe)?|gesamt brutto|(totale|importe|total).*iva (inclusa|incluido|incl)|wartość brutto|suma brutto`,
	), Grand},
	{anyOf(
		`(total |estimated |sales |incl(uding|\.)? |includes |plus )?(tax|vat|v\.a\.t\.?|gst|hst|pst|iva|tva|mwst\.?|ust\.?|btw|moms|pdv|dph|taxes)( total| amount| collected| to be collected| included| incluido| inclus| inclusa| incluso| inklusive)?( ?[(@].*| ?\d.*| on .*| at .*|:.*)?$`,
		`(sales|state|city|local|county|occupancy|value added|total sales|new york sales) tax\b`, `(\p{Hebrew}+ ){0,2}(ה|ב)?מע"?מ( .*)?$`, `(ה)?מי?סים( .*)?$`, `\d+(\.\d+)? ?% (ה)?מע"?מ$`, `(\p{L}+ ){0,2}(tax|vat|[cis]?gst|hst|pst|qst|tva|iva|mwst|ust|btw|moms)( (of|included|inclus[aeo]?|totale?|total|\P{L}+|税|消費税))?$`, `מס ערך מוסף`,
		`(steuer|mwst|ust|umsatzsteuer|mehrwertsteuer|tax|vat)[ .-]*(betrag|summe|gesamt)\b`, `total (des )?taxes\b`,
		`.*\b(tax|vat|[cs]gst|igst|gst|hst|pst|qst|tva|iva|i\.v\.a\.|mwst\.?|ust\.?|\p{L}*steuer|btw|moms|mva|dph|alv|áfa)\b.*\d ?%.*`, `\(?\d+([.,]\d+)? ?%\)? .*\b(tax|vat|[cis]?gst|hst|pst|qst|tva|iva|mwst|ust|\p{L}*steuer|btw|moms|mva|dph|alv)\b.*`, `([cs]|i|ut)gst\b.*`,
		`(zzgl\.?|inkl\.?|enthaltene?|davon) .*(mwst|ust|umsatzsteuer|mehrwertsteuer)`, `umsatzsteuer|mehrwertsteuer|montant (de la )?tva|totale iva|di cui iva|cuota iva|podatek|kwota vat|importe iva`,
	), Tax},
	{anyOf(
		`(total |amount |net )?refund(ed)?( (total|amount|to|issued|via|on)\b.*)?$`, `(total|amount)( has been| was)? refunded`, `.*\b(we('ve| have)?|has been|was|been) refunded( you)?$`, `refund (of|in the amount of|for)$`, `.*\b(refund of|issued a refund of|credit(ed)? (you|your account)( with)?)$`,
		`(סכום|סה"כ) (ה)?(זיכוי|החזר|מזוכה|לזיכוי|להחזר)`, `.*(זוכית|זוכה|זיכוי|החזר)( כספי)?( על סך| בסך| בסכום)?( של)?$`, `credit (note )?(total|amount)`, `total(e|t|aal)? (te ontvangen|da ricevere|a devolver|erstattet)`, `(gutschrift|erstattung|remboursement|rimborso|reembolso|avoir)(sbetrag)?\b.*`,
	), Refunded},
	{anyOf(
		`.*\b(you('ve| have)? (received|got)|sent you|paid you)( a payment of| money:?)?$`, `.*\bpayment received from .*`, `.*\b(payout|payment to you|deposited to your (bank|account))( of| amount)?( of)?$`,
		`.*(קיבלת|התקבלה העברה|העביר לך|העבירה לך|שלח לך|שלחה לך)( תשלום| העברה| כסף)?( של| על סך| בסך| בסכום( של)?)?$`,
	), Received},
	{anyOf(
		`(?:the |your )?(amount|balance|total|payment|total amount|total balance|net amount|sum|please pay|invoice amount)( now)? (due|owing|outstanding|payable)\b.*`, `(please pay|due|due now|due today|outstanding|to be paid|pay this amount|amount to pay)\b.*`, `.*balance due`,
		`.*(טרם|לא) שול(ם|מה|מו)( .*)?$`, `(יתרה|נותר|סכום|חוב) לתשלום`, `לתשלום( עד.*)?$`, `יתרה פתוחה`, `residual|restbetrag|offener betrag|reste dû|noch zu zahlen|amount remaining`, `zahlbetrag|zu zahlen|fälliger betrag|reste à payer|à régler|saldo dovuto|pozostało do zapłaty`,
	), Due},
	{anyOf(
		`(total |amount |you |you've |you have |sum |we |we've |order )*(charged|paid|billed|debited)( (to|by|with|via|using|on|from|in|today|for|through|at|x|your|the)\b.*| \d.*)?$`,
		`(total |your )?(amount|sum|payment) (charged|paid|billed|taken|tendered|debited|processed|received|successful)\b.*`, `total (charges?|payments?|charged|paid|billed)\b.*`, `(card|credit card|debit card|cc|bank card) (payment|charged?|ending|purchase)\b.*`, `(your )?payments?( amount| total| method.*)?$`, `payments? (of|received|by|via|from|made|with)\b.*`, `charged?( amount| total)?$`, `transaction (amount|total)`, `charge (amount|total|of)`,
		`you('ve| have)? (just )?(paid|sent|gave|tipped|donated)\b.{0,40}$`, `.*\b(acknowledge|confirm)\b.*\breceipt of$`,
		`(visa|master ?card|amex|american express|apple pay|google pay|paypal|venmo|discover|maestro|diners|isracard|klarna|revolut|cash app|shop pay|bit|sepa)\b(\P{L}{0,40}|.{0,30}\b(ending|account|card|credit|debit|payment|electron|direct|transfer|lastschrift|x|xxxx)\b.{0,30}|.{0,30}(הסתיים|מסתיים|המסתיים|ספרות).{0,20})$`, `(visa|mastercard|card) (ending|\*|x|\.)`, `.*(•|\*|x|\.){2,4} ?\d{4}$`,
		`.*\b(we('ve| have)? charged|you (have )?(paid|sent|spent)|paid|charge of|payment of|payment in the amount of|a total of|was charged|been charged|amounting to|debited|purchase of|transaction of|order of|in the amount of|for the amount of|sum of|donation of|gift of)( a (total|payment|sum) of)?$`,
		`(סה"כ |סך |ה?סכום )?(\p{Hebrew}+ )?(ה)?(שולם|שולמו|חויב|חוייב|ששולם|ששולמה|ששולמו|שחויב|התקבל|שהתקבל|נגבה|שנגבה)( .{0,40})?$`, `(סה"כ |סך |ה?סכום )?(ה)?(חיוב|לחיוב|עסקה|תשלום|תשלומים)( (ב|על|עבור|מ|באמצעות).{0,40})?$`, `(סה"כ|סך|ה?סכום) (ה)?(חיוב|תשלום|עסקה|העסקה|לחיוב)( .*)?$`, `(ו)?(שילמת|חויבת)$`, `.*\byour (instal?lment|deposit) of$`, `.*(חויבת|חויב כרטיסך|שילמת|חיוב|תשלום|עסקה|תרומה|הוראת קבע|רכישה|הזמנה|קבלה)( \S{1,20}){0,4} ?(בסך|על סך|בסכום|בסכום של|בסך של|על סך של)$`, `(אמצעי תשלום|כרטיס אשראי|ויזה|מאסטרקארד|ישראכרט|אשראי|ביט|העברה בנקאית|אפל פיי|גוגל פיי).{0,40}$`,
		`(total|montant|somme|totale|gesamt|importe|importo|betrag|bedrag|kwota|razem|suma|totaal|summa) (payée?|réglée?|débitée?|prélevée?|pagato|addebitato|pagado|cobrado|abonado|bezahlt|gezahlt|zapłacono|betaald|betalt)(?:$|[ :(].*)`,
		`pagato( con)?.*|pagado.*|payé.*|montant (payé|débité).*|bezahlt.*|gezahlt.*|zapłacono.*|opłacono.*|betaald.*|betalt.*|importe pagado|abgebucht.*`,
	), Charged},
	{anyOf(
		`(grand|order|invoice|purchase|trip|booking|receipt|bill|transaction|final|overall|cart|basket|your|ride|fare|reservation|ticket|subscription|monthly|new|fixed|document|estimated|combined|stay|bag|checkout|usd|eur|gbp|ils|net grand) total\b.*`, `(your |the )?total (amount|price|cost|sum|value|fare|to pay|payable|for|order|purchase|invoice|of|bill|fee|fees|rate|incl|due today|paid|usd|eur|gbp|in)\b.*`, `(amount|price|invoice|order|receipt|purchase|bill) (total|amount|value|sum)`, `(ticket|booking|reservation|trip|itinerary|ride|stay|rental) (amount|cost|charges?|value)`, `final (cost|price|amount|charge|payment)`, `.*\b(invoice|bill|order|receipt)\b.{0,40} (for|of|totall?ing)$`,
		`סה"כ (ה)?חיובים( .*)?$`, `ה?סכום (ה)?תרומה$`, `(סה"כ|סך הכל|סך הכול|סך|סכום) (סופי|כולל|לתשלום|הזמנה|ההזמנה|חשבונית|החשבונית|קבלה|הקבלה|חשבון|החשבון|מסמך|המסמך|רכישה|הרכישה|הקנייה|קנייה|נסיעה|נטו לתשלום|עסקה|לחשבונית|להזמנה|שולם).*`, `סכום (הקבלה|ההזמנה|החשבונית|הקנייה|הרכישה|המסמך|התשלום|לתשלום).*`, `מחיר (סופי|כולל|לתשלום)`, `סה"כ ב(ש"ח|שקלים|דולר|יורו|מטבע).*`,
		`importo (totale|pagato).*|valor (total|a pagar|pago).*|łączna kwota.*|(całkowita|łącznie) .*kwota.*|totalt( att betala)?.*|total ttc.*|`+`gesamt(betrag|summe|preis)\b.*|totaalprijs|totalpris|(prix|precio|prezzo|cena) (total|totale|całkowita)|rechnungsbetrag|endbetrag|bestellsumme|summe gesamt|montant total.*|total général|total (de la |de votre |de )?(commande|facture)|(somme|montant|total|reste) (totale? |due? |net )?à (payer|régler)|montant (total|dû|du prélèvement|prélevé)|net à payer.*|totale (ordine|fattura|complessivo|documento|da pagare).*|importe total.*|total (a pagar|pedido|factura).*|do zapłaty.*|razem do zapłaty|łącznie|totaalbedrag|te betalen|att betala|at betale|celkem k úhradě|kwota do zapłaty|お?支払い?(合計|金額)|ご請求(金)?額|合計金額|總計|总计`,
	), Grand},
	{anyOf(
		`(the )?totals?$`, `\p{L}+ total$`, `((the|your) )?total (is|was|comes to|[a-z]{3})$`, `סה"?'?כ( .{0,12})?$`, `(ב)?סך הכ[ו]?ל$`, `(gesamt|summe|totale?|totaal|suma|razem|summa|sammanlagt|celkem|összesen|итого|合計|合计)$`,
	), Total},
	{anyOf(`(item |unit |your |list |base )?(price|fare|rate|cost)( each)?$`, `(מחיר|עלות)( יחידה| ליחידה| פריט)?$`, `item (total|price)`, `base fare.*`, `(trip|ride|lyft|uber) fare.*`), Item},
	{anyOf(`(the )?(amount|sum|value)$`, `ה?סכום$`, `(importe|montant|betrag|importo|kwota|bedrag|belopp|valor)$`, `.*(על סך|בסך|בסכום)( של)?$`, `(.* )?סך של$`, `(your |my |single |one-?off |monthly |instal?lment |renewal )*(donation|gift|contribution|pledge|premium)( amount| of)?$`, `.*\b(price|cost)$`), Weak},
}

// anyOf joins patterns that must match from the label's beginning.
func anyOf(patterns ...string) *pattern.Pattern {
	return pattern.MustCompile(`^(?:` + strings.Join(patterns, `|`) + `)`)
}

var (
	wholeSum   = pattern.MustCompile(`(?:^|ב)ה?סך הכ[ו]?ל\b|^ב?סך הכו?ל`)
	bracketed  = pattern.MustCompile(`\([^()]{0,60}\)|\[[^\[\]]{0,60}\]`)
	beforeMore = pattern.MustCompile(`\b(before|excluding|excl\.?|exclusive of|without|ex) (tax|taxes|vat|gst)|(לפני|ללא|לא כולל|בלי) מע"?מ|לפני הנחה|\bbefore discounts?`)
)

// MaxLength is how many characters a label has at most: a longer text beside an
// amount is none.
const MaxLength = 60

// Fits tells whether a text is short enough to be a label.
func Fits(s string) bool { return utf8.RuneCountInString(s) <= MaxLength }

const maxSentence = 300 // characters of running text before an amount, of which the end is read

// edges is what may stand around a label and is none of it.
const edges = " :=-*•.,;>|/#!\t"

// Trim cuts off what stands around a label.
func Trim(s string) string { return strings.Trim(s, edges) }

// Of tells what a label says. Running text counts by how it ends.
func Of(label string) Role {
	text := strings.ToLower(label)
	trimmed := Trim(strings.Trim(bracketed.ReplaceAllString(text, " "), "()[] "))
	trimmed = wholeSum.ReplaceAllString(strings.Join(strings.Fields(trimmed), " "), `סה"כ`)
	if trimmed == "" {
		trimmed = strings.Trim(text, "()[]"+edges)
	}
	if trimmed == "" {
		return None
	}
	if runes := []rune(trimmed); len(runes) > MaxLength {
		if len(runes) > maxSentence {
			runes = runes[len(runes)-maxSentence:]
		}
		trimmed = lastClause(string(runes))
	}
	if r := roleOf(trimmed, text); r != None {
		return r
	}
	if last := lastClause(trimmed); last != trimmed {
		return roleOf(last, text) // "Thank you! Your total is"
	}
	return None
}

// roleOf tells what a label says; text is all that stands there, brackets too.
func roleOf(label, text string) Role {
	for _, r := range rules {
		if !r.pattern.MatchString(label) {
			continue
		}
		if r.role.IsTotal() && beforeMore.MatchString(text) {
			return Subtotal // said in brackets
		}
		return r.role
	}
	return None
}

var clauseEnd = pattern.MustCompile(`[.;:!?]\s+|,\s+| - `)

// lastClause is what stands after the last stop of a running text.
func lastClause(s string) string {
	if all := clauseEnd.FindAllStringIndex(s, -1); all != nil {
		s = s[all[len(all)-1][1]:]
	}
	return s
}
