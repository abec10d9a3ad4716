// Package receiptmail reads receipts out of mails: the bytes of one message go
// in, receipts with the reasons for them come out.
//
// It is pure: no network, no clock, no state, so the same bytes always give the
// same answer and a crash leaves nothing behind. Whatever the input, it neither
// panics nor goes on for ever: parts, depth, text and candidates are bounded,
// and what lies beyond a bound is left out.
//
// It never guesses. An amount is what a label, a table or the mail's own markup
// says it is, in the currency that the mail names; what is not told stays
// absent, and what is doubtful is marked for review with the reason.
//
// The way down: [Read] takes the message apart (message.go, html.go, text.go),
// asks each strategy for findings (schemaorg.go, labelled.go), weighs whether
// it is a receipt (decide.go), and keeps the surest finding of each field.
package receiptmail

import (
	"slices"
	"time"

	"github.com/prosaas/receipts/proto"
)

// Version is the version of the extractor, stored with each outcome: a message
// read by an older one can be read again.
const Version = 1

// Result is what a message came to. No receipts: it is none.
type Result struct {
	Receipts []Receipt
	Decision Decision
}

// Receipt is one receipt of a message. ID, Status, ReceivedAt and
// GmailMessageID are the store's to fill.
type Receipt struct {
	proto.ReceiptDetail
	Origin  string // what it was read from: "body", or the sha256 of an attachment in hex
	Ordinal int    // among the receipts of that origin, from 0
}

// The reasons for review, as ReviewReasons holds them.
const (
	ReviewNoTotal           = "no_total"
	ReviewNoCurrency        = "no_currency"
	ReviewLowConfidence     = "low_confidence"      // of the total or its currency
	ReviewConflictingTotals = "conflicting_totals"  // the mail tells two
	ReviewAttachmentNotRead = "attachment_not_read" // and the mail itself tells no total
	ReviewNoVendor          = "no_vendor"
	ReviewAmountDue         = "amount_due" // asked for, not known to be paid
)

// sureEnough is the confidence below which a person should look. It lies below
// every label that stands right beside its amount, and above amounts that only
// follow from their surroundings.
const sureEnough = 0.6

// strategy reads findings out of a message: one way of knowing. A new one is
// added to [strategies] and changes nothing else.
type strategy interface {
	read(m *message) []finding
}

// strategies lists every strategy, surest first.
func strategies() []strategy {
	return []strategy{schemaOrg{}, labelled{}}
}

// field names a field as [proto.ReceiptDetail.Fields] does.
type field string

const (
	fieldTotal    field = "total"
	fieldCurrency field = "currency"
	fieldTax      field = "tax"
	fieldSubtotal field = "subtotal"
	fieldNumber   field = "number"
	fieldOrderID  field = "order_id"
	fieldIssuedOn field = "issued_on"
	fieldVendor   field = "vendor"
	fieldTaxID    field = "vendor_tax_id"
)

const maxFieldText = 200 // characters, as [proto.Field] promises

// finding is one value that a strategy read for one field of one purchase.
type finding struct {
	origin     string
	ordinal    int
	field      field
	value      string
	source     string
	confidence float64
	text       string

	role     role // of a total: what its label says
	conflict bool // of a total: the same source also tells another
}

// Read reads one message, as RFC 5322 has it. received is when Gmail got it;
// zero is unknown.// An error, of type [UnreadableError], says that nothing of it could be read.
func Read(raw []byte, received time.Time) (Result, error) {
	m, err := parseMessage(raw, received)
	if err != nil {
		return Result{}, err
	}
	var found []finding
	for _, s := range strategies() {
		found = append(found, s.read(m)...)
	}
	result := Result{Decision: decide(m, found)}
	if !result.Decision.Receipt {
		return result, nil
	}
	vendor, from := vendorOf(m)
	for _, p := range groupPurchases(m, found) {
		result.Receipts = append(result.Receipts, receiptOf(m, p, vendor, from))
	}
	return result, nil
}

// group is what all strategies found of one purchase.
type group struct {
	origin   string
	ordinal  int
	findings []finding
}

// groupPurchases sorts findings by purchase. A purchase without a total, beside
// others that have one, is a leftover of those. A mail that tells no total at
// all is one receipt still, of its document if it brought one.
func groupPurchases(m *message, found []finding) []group {
	var groups []group
	for _, f := range found {
		i := slices.IndexFunc(groups, func(g group) bool { return g.origin == f.origin && g.ordinal == f.ordinal })
		if i < 0 {
			groups = append(groups, group{origin: f.origin, ordinal: f.ordinal})
			i = len(groups) - 1
		}
		groups[i].findings = append(groups[i].findings, f)
	}
	withTotal := slices.DeleteFunc(slices.Clone(groups), func(g group) bool { _, ok := surest(g.findings, fieldTotal); return !ok })
	if len(withTotal) > 0 {
		return withTotal
	}
	rest := group{origin: originBody}
	if f, ok := mainDocument(m); ok {
		rest.origin = f.sha256
	}
	for _, g := range groups {
		rest.findings = append(rest.findings, g.findings...)
	}
	return []group{rest}
}

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

// receiptOf takes the surest of what was found; vendor, with the reason from, is
// who sold unless a finding tells it.
func receiptOf(m *message, g group, vendor proto.Vendor, from proto.Field) Receipt {
	r := Receipt{Origin: g.origin, Ordinal: g.ordinal}
	r.Fields = map[string]proto.Field{}
	r.LineItems = []proto.LineItem{}
	r.Edited = []string{}
	r.Attachments = []proto.Attachment{}
	for _, f := range m.files {
		r.Attachments = append(r.Attachments, f.Attachment)
	}
	take := func(name field) *string {
		f, ok := surest(g.findings, name)
		if !ok {
			return nil
		}
		r.Fields[string(name)] = proto.Field{Source: f.source, Confidence: f.confidence, Text: f.text}
		return &f.value
	}
	r.Total, r.Currency = take(fieldTotal), take(fieldCurrency)
	r.Tax, r.Subtotal = take(fieldTax), take(fieldSubtotal)
	r.Number, r.OrderID, r.IssuedOn = take(fieldNumber), take(fieldOrderID), take(fieldIssuedOn)

	if name := take(fieldVendor); name != nil {
		vendor.Name = *name
	} else if vendor != (proto.Vendor{}) {
		r.Fields[string(fieldVendor)] = from
	}
	if id := take(fieldTaxID); id != nil {
		vendor.TaxID = *id
	}
	r.Vendor = vendor

	total, _ := surest(g.findings, fieldTotal)
	r.Type = typeOf(m, total.role == roleRefunded)
	r.ReviewReasons = reviewReasons(m, g, r.ReceiptDetail)
	r.NeedsReview = len(r.ReviewReasons) > 0
	return r
}

// reviewReasons tells why a person should look. A total that two strategies
// tell differently is a conflict, however sure each is.
func reviewReasons(m *message, g group, r proto.ReceiptDetail) []string {
	reasons := []string{}
	total, told := surest(g.findings, fieldTotal)
	if !told {
		reasons = append(reasons, ReviewNoTotal)
		if len(m.files) > 0 {
			reasons = append(reasons, ReviewAttachmentNotRead)
		}
	}
	if r.Currency == nil {
		reasons = append(reasons, ReviewNoCurrency)
	}
	currency, priced := surest(g.findings, fieldCurrency)
	if told && total.confidence < sureEnough || priced && currency.confidence < sureEnough {
		reasons = append(reasons, ReviewLowConfidence)
	}
	if slices.ContainsFunc(g.findings, func(f finding) bool {
		return f.field == fieldTotal && (f.conflict && f.source == total.source || f.value != total.value)
	}) {
		reasons = append(reasons, ReviewConflictingTotals)
	}
	if told && total.role == roleDue {
		reasons = append(reasons, ReviewAmountDue)
	}
	if r.Vendor.Name == "" {
		reasons = append(reasons, ReviewNoVendor)
	}
	return reasons
}
