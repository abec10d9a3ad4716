// Package receiptmail reads receipts out of mails: the bytes of one message go
// in, receipts with the reasons for them come out.
//
// It is pure: no network, no clock, no state, so the same bytes always give the
// same answer and a crash leaves nothing behind but compiled code in a cache. (A
// PDF that takes longer than ten seconds is the one thing that a clock cuts off.)
// Whatever the input, it neither panics nor goes on for ever: parts, depth, text,
// pages and candidates are bounded, and what lies beyond a bound is left out.
//
// It never guesses. An amount is what a label, a table or the mail's own markup
// says it is, in the currency that the mail names; what is not told stays
// absent, and what is doubtful is marked for review with the reason.
//
// The way down: [Reader.Read] takes the message apart (message.go) and reads what
// came with it (files.go), asks each strategy for findings (files.go for
// structured invoices, schemaorg.go, senders.go, labelled.go with total.go,
// payment.go, purchase.go and identity.go, and where none tells a total
// unlabelled.go), weighs whether it is a receipt (decide.go, signs.go), tells
// its purchases apart, and believes of each field what most speaks for
// (resolve.go). internal/ holds what needs no mail around it: pages, amounts and
// their labels, dates, charsets, PDFs, structured invoices, markup.
package receiptmail

import (
	"context"
	"slices"
	"time"

	"github.com/prosaas/receipts/pkg/receiptmail/internal/label"
	"github.com/prosaas/receipts/pkg/receiptmail/internal/pdf"
	"github.com/prosaas/receipts/proto"
)

// Version is the version of the extractor, stored with each outcome: a message
// read by an older one can be read again.
const Version = 3

// Result is what a message came to. No receipts: it is none.
type Result struct {
	Sender   string // whose rule was used, "" for none
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
	ReviewZeroTotal         = "zero_total"
	ReviewNoCurrency        = "no_currency"
	ReviewLowConfidence     = "low_confidence"      // of the total or its currency
	ReviewConflictingTotals = "conflicting_totals"  // the mail tells two
	ReviewAttachmentNotRead = "attachment_not_read" // and the mail itself tells no total
	ReviewWinmailNotRead    = "winmail_not_read"    // the same, and Outlook hid what is attached in a winmail.dat
	ReviewNoVendor          = "no_vendor"
	ReviewAmountDue         = "amount_due"           // asked for, not known to be paid
	ReviewNoAllocation      = "no_allocation_number" // Israeli VAT that cannot be deducted without
)

// sureEnough is the confidence below which a person should look. It lies below
// every label that stands right beside its amount, and above amounts that only
// follow from their surroundings.
const sureEnough = 0.7

// strategy reads findings out of a message: one way of knowing. [Reader.Read]
// lists them, surest first.
type strategy interface {
	read(m *message) []finding
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

	fieldAllocation field = "allocation_number"
)

// The strategies, as the sources of their findings begin.
const (
	wayStated   = "e_invoice/"
	waySchema   = "schema_org/"
	waySender   = "sender_rule/"
	wayLabelled = "labelled/"
	wayAlone    = "unlabelled/"
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

	role     label.Role // of a total: what its label says
	conflict bool       // of a total: the same source also tells another
}

// Reader reads messages. It is safe for concurrent use.
type Reader struct {
	pdf     *pdf.Engine
	senders []senderRule
}

// NewReader makes a reader, which must be closed. It starts its PDF sandbox with
// the first PDF; cacheDir, where it is not empty, keeps the sandbox's compiled
// code, without which each start costs some seconds.
func NewReader(cacheDir string) *Reader {
	return &Reader{pdf: pdf.New(cacheDir), senders: senderRules()}
}

// Without is a reader that has no rule for the sender, as it would be had nobody
// met it yet. It is closed with the one it was made of.
func (r *Reader) Without(sender string) *Reader {
	rules := slices.DeleteFunc(slices.Clone(r.senders), func(s senderRule) bool { return s.name == sender })
	return &Reader{pdf: r.pdf, senders: rules}
}

// Close ends the reader's sandbox. No message may be in hand.
func (r *Reader) Close(ctx context.Context) error { return r.pdf.Close(ctx) }

// Read reads one message, as RFC 5322 has it. received is when Gmail got it;
// zero is unknown. An error of type [UnreadableError] says that nothing of it
// could be read; others are ctx's cause, or that the PDF sandbox does not start.
func (r *Reader) Read(ctx context.Context, raw []byte, received time.Time) (Result, error) {
	m, err := parseMessage(raw, received)
	if err != nil {
		return Result{}, err
	}
	if err := r.readFiles(ctx, m); err != nil {
		return Result{}, err
	}
	ways := []strategy{stated{}, schemaOrg{}}
	rule, ruled := senderRuleOf(r.senders, m)
	if ruled {
		ways = append(ways, rule)
	}
	ways = append(ways, labelled{})
	var found []finding
	for _, w := range ways {
		found = append(found, w.read(m)...)
	}
	if _, told := surest(found, fieldTotal); !told {
		found = append(found, unlabelled{}.read(m)...)
	}
	result := Result{Sender: rule.name, Decision: decide(m, rule, found)}
	if !result.Decision.Receipt {
		return result, nil
	}
	vendor, from := vendorOf(m)
	for _, p := range groupPurchases(m, found) {
		result.Receipts = append(result.Receipts, receiptOf(m, p, vendor, from))
	}
	return result, nil
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
		a, ok := agree(g.findings, name)
		if !ok {
			return nil
		}
		r.Fields[string(name)] = proto.Field{Source: a.best.source, Confidence: a.best.confidence, Text: a.best.text}
		return &a.best.value
	}
	r.Total, r.Currency = take(fieldTotal), take(fieldCurrency)
	r.Tax, r.Subtotal = take(fieldTax), take(fieldSubtotal)
	r.Number, r.OrderID, r.IssuedOn = take(fieldNumber), take(fieldOrderID), take(fieldIssuedOn)
	r.AllocationNumber = take(fieldAllocation)

	if name := take(fieldVendor); name != nil {
		vendor.Name = *name
	} else if vendor != (proto.Vendor{}) {
		r.Fields[string(fieldVendor)] = from
	}
	if id := take(fieldTaxID); id != nil {
		vendor.TaxID = *id
	}
	r.Vendor = vendor

	total, _ := agree(g.findings, fieldTotal)
	r.Type = typeOf(m, total.best.role == label.Refunded)
	r.LineItems = lineItemsOf(m, g)
	r.Group = purchaseKey(r.ReceiptDetail, m.received)
	r.ReviewReasons = reviewReasons(m, g, r.ReceiptDetail)
	r.NeedsReview = len(r.ReviewReasons) > 0
	return r
}

// reviewReasons tells why a person should look. A total that two strategies
// tell differently is a conflict, unless one of them stated it.
func reviewReasons(m *message, g group, r proto.ReceiptDetail) []string {
	reasons := []string{}
	total, told := agree(g.findings, fieldTotal)
	if !told {
		reasons = append(reasons, ReviewNoTotal)
		switch {
		case slices.ContainsFunc(m.files, isWinmail):
			reasons = append(reasons, ReviewWinmailNotRead)
		case slices.ContainsFunc(m.files, func(f file) bool { return !f.read }):
			reasons = append(reasons, ReviewAttachmentNotRead)
		}
	}
	if told && amountOf(total.best.value).IsZero() {
		reasons = append(reasons, ReviewZeroTotal)
	}
	if r.Currency == nil {
		reasons = append(reasons, ReviewNoCurrency)
	}
	currency, priced := agree(g.findings, fieldCurrency)
	if told && total.best.confidence < sureEnough || priced && currency.best.confidence < sureEnough {
		reasons = append(reasons, ReviewLowConfidence)
	}
	if told && total.best.confidence < sureStatedInvoice && (total.best.conflict || total.against > 0 || priced && currency.against > 0) {
		reasons = append(reasons, ReviewConflictingTotals)
	}
	if told && total.best.role == label.Due {
		reasons = append(reasons, ReviewAmountDue)
	}
	if r.Vendor.Name == "" {
		reasons = append(reasons, ReviewNoVendor)
	}
	if lacksAllocation(r, m.received) {
		reasons = append(reasons, ReviewNoAllocation)
	}
	return reasons
}
