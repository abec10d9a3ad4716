package receiptmail

import (
	"slices"
	"strings"

	"github.com/prosaas/receipts/pkg/receiptmail/internal/label"
	"github.com/prosaas/receipts/pkg/receiptmail/internal/pattern"
)

// sign is one thing that speaks for or against.
type sign struct {
	reason string
	weight int
	holds  func(*evidence) bool
}

var (
	receiptSubject   = pattern.MustCompile(`(?i)\b(e-?receipts?|receipts?|invoices?|tax invoice|order (confirm|#|no|number|receipt|summary|received|placed)|(your|new) (\w+ ){0,2}(order|purchase|donation|gift|bill)\b|payment acknowledge?ment|for subscribing|you (have )?received .{0,6}\d|you completed|bestellungen|bestelnummer|purchase (confirm|receipt)|payment (confirm|receipt|received|successful|processed|approved|to)|you (paid|sent|made a payment)|thank(s| you) for (your )?(order|purchase|payment|shopping|booking|donation)|ordered:|order of|booking (is )?confirm|booking confirm|reservation (is )?confirm|trip confirm|e-?ticket|billing statement|your bill|charged|refund(ed)?|credit note|renewal receipt|rechnung|quittung|bestellbestätigung|bestellung|bestellt|bestelling|beställning|orderbevestiging|orderbekräftelse|bestilling|facture|reçu|commande|ricevuta|fattura|ordine|factura|recibo|pedido|faktura|rachunek|paragon|kvitto|kvittering|\p{L}*factuur|factur\w*|fatura|creditnota|buchungs?(bestätigung)?|zahlung|erstattung|gutschrift|paiement|règlement|billet|achats?|acquisto|biglietto|prenotazione|pagamento|reserva|compra|pago|boeking|betaling|potwierdzenie|bokning|betalning|(electronic|online|mobile) tickets?|your (\w+ ){0,2}(booking|reservation)|(got|your) (\w+ ){0,2}tickets|(received|sent) (you )?a payment|(subscription|membership|plan|policy|domain)s?( has been| was| is)? renewed|(trip|travel|flight|stay|rental|tickets?|reservation|ride)( is| has been)? (confirmed|booked)|authori[sz]ed a payment|issued (you )?.{0,20}refund|(payment|charge|transaction) (of|notification|notice)|(received|posted) your payment|you made a purchase|your .{0,30}(purchase|payment|transaction|pledge|folio))\b|płatność|ご注文|領収|請求書`)
	hebrewReceipt    = pattern.MustCompile(`קבלה|קבלת תשלום|חשבונית|אישור (תשלום|הזמנה|עסקה|רכישה|קנייה|תרומה)|תשלום (התקבל|בוצע|אושר)|התשלום (התקבל|בוצע|אושר)|הזמנה (אושרה|התקבלה|מאושרת)|ההזמנה (שלך )?(אושרה|התקבלה)|הזמנתך|הזמנה (מספר |מס' )?#?\d{3,}|פרטי (ה)?הזמנה|תודה על (ה)?(הזמנה|הזמנתך|רכישה|רכישתך|קנייה|קנייתך|תשלום|תרומה)|פירוט (חיוב|עסקה)|החשבון (שלך|החודשי)|עסקה מאושרת|חויב|חיוב|זיכוי|תרומתך|קיבלת (תשלום|העברה)|העברת .{0,20}(ש"ח|₪)|העברה.{0,12} (בוצעה|הושלמה|אושרה)|(הרשמה|הזמנה|רכישה|שובר|העסקה) ותשלום|בוצעה (עסקה|העברה|רכישה)|עסקה (בוצעה|בכרטיס)|תשלום .{0,40}(התקבל|בוצע|אושר|נקלט)|הזמנה .{0,20}(אושרה|התקבלה)|רכישת |חשבון .{0,20}(לחודש|לתקופה)|(ה)?חשבון (ה)?(חודשי|דו-חודשי)|לחודש \d{1,2}/\d{4}.*חשבון`)
	receiptBody      = pattern.MustCompile(`(?i)\b(thank(s| you) for (your )?(order|purchase|payment|shopping|booking|donation|gift|subscribing|riding|recent (purchase|transaction|order|payment))|confirms? your (recent )?(payment|order|purchase|booking)|for your records|as (a|your) (record|receipt|proof)|acknowledge.{0,20} receipt|your order details|order (is |has been )?confirmed|payment (received|confirmed|successful|was successful|method)|(has been|was|been) (charged|paid)|we('ve| have)? charged|you('ve| have)? (paid|sent|authori[sz]ed|submitted) (a |an )?(payment|order|[^a-z]{0,3}\d)|(this|email|serves?|your|official|full) .{0,30}receipt|receipt (number|no|#|id)|invoice (number|no|#|id|date)|order (number|no|#|id|total|summary)|payment summary|amount (paid|charged)|billed to|proof of (your )?(payment|transaction|purchase))|חשבונית מס|קבלה (מס|מספר)|אישור תשלום|תודה על (ה)?(רכישה|הזמנה|קנייה|תשלום|רכישתך|הזמנתך|תרומתך)|שולם ב|התקבל תשלום|התשלום התקבל|עוסק מורשה|חויב|מספר (ה)?הזמנה|הזמנתך (התקבלה|אושרה)|(נתוני|פרטי|סיכום) (ה)?הזמנה|מועד (אחרון לתשלום|החיוב)|bestellnummer|rechnungs(nummer|datum)|ihre bestellung|vielen dank für (ihre|deine|den)|numéro de (commande|facture)|merci pour votre (commande|achat)|numero (d'|di )?(ordine|fattura)|número de (pedido|factura)|gracias por (tu|su) (compra|pedido)|numer (zamówienia|faktury)|dziękujemy za (zakup|zamówienie)|注文番号|領収書|bedankt voor (je|uw) (bestelling|aankoop)|tack för (ditt|din) (köp|beställning|order)|takk for|tak for din|ご注文ありがとう|děkujeme za|grazie per (il tuo|l'|aver)|rechnung (nr|#|vom|von)|handelsrechnung|facture (n°|[a-z]{0,4}-?\d)`)
	shipping         = pattern.MustCompile(`(?i)\b(shipped|dispatched|despatched|delivered|delivery (update|attempt|is coming|notice|scheduled|today|exception|notification)|out for delivery|on (its|the|their) way|in transit|tracking|track your|arriving|expected delivery|estimated delivery|(package|parcel|shipment)s?\b|pick ?up|ready for (collection|pickup)|spedit[oa]|in consegna|versandt|versendet|unterwegs|zugestellt|expédiée?|livraison|en camino|enviado|bezorgd|onderweg|skickats|på väg|verzonden|geleverd|consegnato|spedito|livrée?|entregado|levererat|zugestellt|dostarczono|wysłano|leveret|afsendt|toimitettu|kézbesítve|doručen\w*)|paczk|przesyłk|doręcz|wysłan|נשלחה|נשלח אליך|יצא(ה)? לדרך|בדרך אלי|נמסר|חבילה|המשלוח|מעקב|לאיסוף`)
	promotion        = pattern.MustCompile(`(?i)\d+ ?% (off|discount|הנחה)|\b(sale|deals?|offers?|save (up to|\d|[$€£₪])|discount|coupon|promo|free shipping|newsletter|black friday|cyber monday|last chance|don't miss|new arrivals|limited time|shop now|exclusive|win|giveaway|weekly|digest|webinar|tips|trends|introducing|news|how to|beware|scams?|fraud)\b|מבצע|הנחה|הנחות|קופון|הטבה|הטבות|ניוזלטר|עדכון שבועי|בלעדי|הזדמנות|רק היום|אל תפספס|חדש!|מתנה|במחיר|סייל`)
	notYet           = pattern.MustCompile(`(?i)\bnot an? (payment |final |official )?receipt\b|(left|still) in your (cart|basket)|abandoned (cart|checkout)|complete your (order|purchase|booking)|items? in your (cart|basket)|forgot something in|quote\b.*(valid|expires)|\b(price )?(quotation|estimate|proposal|pro ?forma)\b|הצעת מחיר|העגלה שלך|שכחת משהו|\bangebot\b|kostenvoranschlag|\bdevis\b|presupuesto|preventiv[o]|\bofferte\b|orçamento|אינו קבלה|אינה קבלה|אינו חשבונית|אינה חשבונית|אינו מהווה (חשבונית|קבלה)|אינה מהווה (חשבונית|קבלה)|הזמנת רכש|לכבוד ספק|(דף|ריכוז|פירוט) (ה)?(פירוט|עסקאות|חיובים) (חודשי|בכרטיס|ה?חודשי)|ריכוז (ה)?עסקאות`)
	failedPayment    = pattern.MustCompile(`(?i)(didn.t|did not) go through|refund request|(add|upload|submit) a receipt|fehlgeschlagen|abgelehnt|échoué|refusée?\b|fallit[oa]|rifiutat[oa]|rechazad[oa]|mislukt|geweigerd|(couldn.t|could not|unable to|having trouble).{0,30}(process|collect|charge|authori[sz]e)|(account|subscription|service).{0,20}\bon hold\b|(receipt|invoice)s? (is |are )?(required|missing|needed)|missing (a )?(receipt|invoice)|(הזמנה|הזמנתך|ההזמנה)( \S+){0,3} בוטלה|payment (.{0,40} )?(was )?(failed|declined|unsuccessful|did not go through|could not be processed|problem)|(card|payment) (was |has been )?(declined|expired|expiring)|update your (payment|billing|card)|unable to (charge|process)|(order|booking|reservation|subscription)\b.{0,40}\bcancell?ed|could(n.t| not) (process|charge|complete|collect|take)\b.{0,30}payment|payment .{0,20}(failed|declined)|התשלום (נכשל|נדחה)|החיוב נכשל|כרטיס האשראי (פג|נדחה)|עדכן אמצעי תשלום|עדכון אמצעי תשלום|הזמנה בוטלה|ההזמנה בוטלה`)
	declined         = pattern.MustCompile(`(?i)(payment|charge|card)\b.{0,40}\b(was|has been|got) (declined|rejected)|you (have not been|were not|won't be) charged|refund request (was |has been )?(received|submitted)|לא חויב|לא יחויב|טרם בוצע|לא בוצע זיכוי|בקשתך ל(החזר|זיכוי)|בקשת (ה)?(החזר|זיכוי)|we couldn.t process|(?:were|was) unable to charge|missing a receipt|(could(n.t| not)|unable to|cannot|can.t) (approve|issue|process|grant)\b.{0,40}refund|refund\b.{0,20}\b(was|has been|is) (denied|declined|rejected)|הבקשה להחזר נדחתה|לא הצלחנו לחייב|לא בוצע חיוב`)
	notCharged       = pattern.MustCompile(`(?i)\b(?:has|have) not (?:yet )?been charged|\bwas not charged|\bpayment was declined|\bwe tried to charge|\breceipt required|not a confirmation of refund`)
	toCome           = pattern.MustCompile(`(?i)\bscade tra|in scadenza|läuft .{0,20}\bab\b|\bexpire (?:dans|le)\b|\bcaduca|\b(renews? (soon|on|in)|will (be )?(auto-?)?(renew|charge)|(upcoming|next) (renewal|charge|payment|invoice|bill)|renewal (notice|reminder)|trial (ends|is ending|will end)|about to (renew|expire))|יתחדש|חידוש (קרוב|מתקרב)|לקראת חידוש`)
	paidWith         = pattern.MustCompile(`(?i)\b(?:visa|master ?card|amex|american express|discover|maestro|diners|card|carte|karte|tarjeta|carta)\b.{0,20}?(?:[*•x.#-]{2,}|ending(?: in| with)?:?|x-)\s?\d{4}\b|(?:כרטיס|אשראי|ויזה|מאסטרקארד|ישראכרט|ישראכארט).{0,25}?(?:[*•xX.-]{2,}|ספרות(?: אחרונות)?:?|מסתיים ב-?|שמסתיים ב-?|המסתיים ב-?)\s?\d{4}`)
	oneTimeCode      = pattern.MustCompile(`(?i)\b(?:OTP|one[- ]time (?:password|pass ?code|code|pin)|verification code)\b|קוד (?:אימות|חד[- ]פעמי)|סיסמה חד[- ]פעמית`)
	bankAlert        = pattern.MustCompile(`(?i)\b(?:as requested, we('re| are) letting you know|account alert|transaction alert|alert you (?:set|requested)|alerts? subscription|if you (?:don't|do not|did not|didn't) (?:recogni[sz]e|make|authori[sz]e) this (?:transaction|purchase|charge)|not you\?)`)
	unpaid           = pattern.MustCompile(`(?i)\b(?:payment reminder|past[- ]due|overdue|final notice|unpaid invoice|second reminder)\b|zahlungserinnerung|mahnung|rappel de paiement|sollecito|recordatorio de pago|betalingsherinnering|טרם שולמה?|תזכורת תשלום|תזכורת לתשלום|חוב פתוח|התראה לפני`)
	accountStatement = pattern.MustCompile(`(?i)\bstatement (?:from|for|of)\b|statement of account|\bkontoauszug|relevé de compte|estratto conto|extract[o] de cuenta|כרטסת|מצב חשבון|דף חשבון`)
	balance          = pattern.MustCompile(`(?i)\bbalance\b|saldo|solde|יתרה|יתרת`)
	cardStatement    = pattern.MustCompile(`(?i)\b(?:card|account|monthly|bank) statement|statement .{0,20}(?:ready|available)|פירוט (?:ה)?(?:חיובים|עסקאות)|(?:ה)?חיובים שלך|ריכוז (?:ה)?(?:חיובים|עסקאות)|דף (?:פירוט|חשבון)`)
	manyMerchants    = pattern.MustCompile(`(?i)\b(?:minimum payment|new balance|merchant name|transactions?)\b|עסקאות|בית? (?:ה)?עסק|בתי (?:ה)?עסק`)
	salary           = pattern.MustCompile(`(?i)\b(pay ?slip|pay ?stub|payroll|salary)\b|תלוש|משכורת|שכר עבודה`)
	account          = pattern.MustCompile(`(?i)\b(password|verify your|verification code|security alert|sign-?in|login|log-in|2fa|one-time code|confirm your (email|account)|welcome to|terms of service|privacy policy update|activate your)\b|סיסמה|סיסמא|קוד אימות|התחברות|אימות חשבון|ברוכים הבאים|ברוך הבא`)
	reminder         = pattern.MustCompile(`(?i)\b(reminder|upcoming|appointment|scheduled for|invitation|calendar|survey|feedback|review your|rate your|how (was|did)|check-?in (is )?(now )?open|get ready|itinerary change|schedule change|price (alert|drop)|statement is (ready|available)|application|job|interview|meeting)\b|תזכורת|תור |פגישה|סקר|משוב|דרג|חוות דעת|הזמנה ל(אירוע|כנס|וובינר|חתונה)`)
	billingSender    = pattern.MustCompile(`(?i)receipts?|invoices?|billing|payments?|orders?|auto-confirm|bookings?|reservations?|חשבוניות|קבלות`)
	documentFile     = pattern.MustCompile(`(?i)invoice|receipt|bill|rechnung|facture|fattura|factura|faktura|חשבונית|קבלה|חשבון|זיכוי|(^|[^a-z])(inv|rcpt)[-_ ]?\d`)
)

func inSubject(p ...*pattern.Pattern) func(*evidence) bool {
	return func(e *evidence) bool {
		return slices.ContainsFunc(p, func(p *pattern.Pattern) bool { return p.MatchString(e.subject) })
	}
}

func topRole(e *evidence) label.Role {
	top := label.None
	for _, f := range e.found {
		if f.field == fieldTotal && !strings.HasPrefix(f.value, "0.00") {
			top = max(top, f.role)
		}
	}
	return top
}

func hasField(e *evidence, fields ...field) bool {
	return slices.ContainsFunc(e.found, func(f finding) bool { return slices.Contains(fields, f.field) })
}

// signs lists what speaks for a receipt, then what speaks against.
var signs = []sign{
	{"structured_invoice", 9, func(e *evidence) bool { return len(e.message.invoices) > 0 }},
	{"amount_charged", 4, func(e *evidence) bool { return topRole(e) >= label.Charged && hasField(e, fieldCurrency) }},
	{"total", 3, func(e *evidence) bool {
		r := topRole(e)
		return (r == label.Total || r == label.Grand) && hasField(e, fieldCurrency)
	}},
	{"lone_amount", -1, func(e *evidence) bool { return topRole(e) == label.Lone && !hasField(e, fieldNumber, fieldOrderID) }},
	{"bare_total", 1, func(e *evidence) bool { return topRole(e) > label.Lone && !hasField(e, fieldCurrency) }},
	{"amount_due", 2, func(e *evidence) bool {
		r := topRole(e)
		return (r == label.Due || r == label.Weak) && hasField(e, fieldCurrency)
	}},
	{"subject", 4, func(e *evidence) bool {
		return !aboutShipping(e) && (receiptSubject.MatchString(e.heading) || hebrewReceipt.MatchString(e.heading))
	}},
	{"words", 2, func(e *evidence) bool { return slices.ContainsFunc(e.all, receiptBody.MatchString) }},
	{"sender", 1, func(e *evidence) bool {
		local, _, _ := strings.Cut(e.message.from.address, "@")
		return billingSender.MatchString(local) || billingSender.MatchString(e.message.from.name) || knownPlatform(registeredDomain(e.message.from.domain)) && topRole(e) >= label.Charged
	}},
	{"adds_up", 1, func(e *evidence) bool {
		return hasField(e, fieldSubtotal) && hasField(e, fieldTax) && topRole(e) > label.Lone
	}},
	{"dated", 1, func(e *evidence) bool {
		return slices.ContainsFunc(e.found, func(f finding) bool { return f.field == fieldIssuedOn && f.confidence >= sureDated })
	}},
	{"means", 1, func(e *evidence) bool { return slices.ContainsFunc(e.all, paidWith.MatchString) }},
	{"number", 1, func(e *evidence) bool { return hasField(e, fieldNumber, fieldOrderID) }},
	{"tax", 1, func(e *evidence) bool { return hasField(e, fieldTax, fieldTaxID) }},
	{"document_attached", 3, func(e *evidence) bool {
		return slices.ContainsFunc(e.message.files, func(f file) bool { return isDocument(f) && documentFile.MatchString(f.Name) })
	}},
	{"document_title", 3, func(e *evidence) bool { return titledDocument(e.message) }},
	{"bare_document", 4, func(e *evidence) bool { // nothing but a PDF: only reading it could tell more
		return e.subject == "" && len(e.all) == 0 && slices.ContainsFunc(e.message.files, isDocument)
	}},
	{"pdf_attached", 1, func(e *evidence) bool { return slices.ContainsFunc(e.message.files, isDocument) }},
	{"winmail_attached", 1, func(e *evidence) bool { return slices.ContainsFunc(e.message.files, isWinmail) }},

	{"sender_says_not", -9, func(e *evidence) bool {
		return matchesAny(e.rule.notReceipt, e.subject)
	}},
	{"not_a_receipt", -6, func(e *evidence) bool {
		return notYet.MatchString(e.subject) || topRole(e) < label.Charged && notYet.MatchString(e.body)
	}},
	{"account_statement", -6, func(e *evidence) bool {
		return topRole(e) < label.Charged && accountStatement.MatchString(e.subject) && slices.ContainsFunc(e.all, balance.MatchString)
	}},
	{"card_statement", -9, func(e *evidence) bool {
		return cardStatement.MatchString(e.subject) && slices.ContainsFunc(e.all, manyMerchants.MatchString)
	}},
	{"unpaid", -6, func(e *evidence) bool {
		return topRole(e) < label.Charged && (unpaid.MatchString(e.subject) || unpaid.MatchString(e.body))
	}},
	{"shipping", -7, aboutShipping},
	{"shipping_words", -2, func(e *evidence) bool { return shipping.MatchString(e.body) && topRole(e) < label.Total }},
	{"failed_payment", -6, func(e *evidence) bool { // what was refunded is a credit note
		return topRole(e) < label.Refunded && failedPayment.MatchString(e.subject)
	}},
	{"one_time_code", -9, func(e *evidence) bool { return oneTimeCode.MatchString(e.heading) || oneTimeCode.MatchString(e.body) }},
	{"bank_alert", -6, func(e *evidence) bool { return bankAlert.MatchString(e.body) }},
	{"not_charged", -9, func(e *evidence) bool { return topRole(e) < label.Refunded && notCharged.MatchString(e.body) }},
	{"declined", -5, func(e *evidence) bool { return declined.MatchString(e.body) }},
	{"to_come", -5, inSubject(toCome)},
	{"salary", -9, func(e *evidence) bool {
		return salary.MatchString(e.subject) || slices.ContainsFunc(e.message.files, func(f file) bool { return salary.MatchString(f.Name) })
	}},
	{"account", -5, inSubject(account)},
	{"reminder", -4, inSubject(reminder)},
	{"promotion", -4, func(e *evidence) bool { return promotion.MatchString(e.subject) }},
	{"bulk", -2, func(e *evidence) bool {
		return e.message.bulk && topRole(e) < label.Charged && !hasField(e, fieldNumber, fieldOrderID)
	}},
	{"no_amount", -2, func(e *evidence) bool {
		return topRole(e) == label.None && !slices.ContainsFunc(e.message.files, isDocument) && !slices.ContainsFunc(e.message.files, isWinmail)
	}},
}

var documentTitle = pattern.MustCompile(`(?i)^(?:original |copy |tax |sales |vat |retail |commercial )*(?:e?-?invoice|receipt|credit note|credit memo|rechnung|quittung|gutschrift|facture|avoir|reçu|fattura|ricevuta|factura|recibo|faktura|paragon|factuur|kvitto|חשבונית|קבלה|חשבון עסקה)\b|^(?:מקור |העתק )?(?:חשבונית|קבלה|חשבון עסקה)`)

// titledDocument tells whether a PDF, or a text that is all there is, calls
// itself an invoice or a receipt.
func titledDocument(m *message) bool {
	for _, doc := range m.docs {
		if doc.kind != kindPDF && m.subject != "" {
			continue
		}
		for _, l := range doc.lines[:min(openingLines, len(doc.lines))] {
			if slices.ContainsFunc(l.Cells, func(c string) bool { return label.Fits(c) && documentTitle.MatchString(c) }) {
				return true
			}
		}
	}
	return false
}

// aboutShipping tells a notice of delivery, which often repeats the order's
// total, from a receipt that mentions delivery: that names itself, or says what was charged.
func aboutShipping(e *evidence) bool {
	if !shipping.MatchString(e.subject) || statesReceipt.MatchString(e.subject) {
		return false
	}
	if hasField(e, fieldSubtotal) && slices.ContainsFunc(e.all, foodDelivery.MatchString) {
		return false // food comes with its bill
	}
	return topRole(e) < label.Charged || !statesReceipt.MatchString(e.body)
}

var foodDelivery = pattern.MustCompile(`(?i)^(?:driver |dasher |courier |delivery )?(?:tip|gratuity)\b|^(?:טיפ|תשר)`)

var statesReceipt = pattern.MustCompile(`(?i)\b(receipts?|invoices?)\b|קבלה|חשבונית`)

// sureDated is how sure a day is that a label calls the payment's or document's own.
const sureDated = 0.8
