package proto

import "time"

// ReceiptType is what kind of document a receipt is.
type ReceiptType string

// The types of a receipt, and not_receipt for a mail that is none.
const (
	TypeReceipt        ReceiptType = "receipt"
	TypeInvoice        ReceiptType = "invoice"
	TypeInvoiceReceipt ReceiptType = "invoice_receipt"
	TypeCreditNote     ReceiptType = "credit_note"
	TypeOrder          ReceiptType = "order"
	TypePayment        ReceiptType = "payment"
	TypeStatement      ReceiptType = "statement"
	TypeNotReceipt     ReceiptType = "not_receipt"
)

// ReceiptStatus is what a person, or the decision, said of a receipt.
type ReceiptStatus string

// The statuses of a receipt. A new one is approved where nothing needs review.
const (
	StatusPendingReview ReceiptStatus = "pending_review"
	StatusApproved      ReceiptStatus = "approved"
	StatusRejected      ReceiptStatus = "rejected"
	StatusNotReceipt    ReceiptStatus = "not_receipt"
)

// ReceiptStatuses lists every status.
func ReceiptStatuses() []ReceiptStatus {
	return []ReceiptStatus{StatusPendingReview, StatusApproved, StatusRejected, StatusNotReceipt}
}

// Vendor is who sold. Empty is unknown.
type Vendor struct {
	Name   string `json:"name"`
	Domain string `json:"domain"`
	TaxID  string `json:"tax_id"`
}

// Attachment is a file that came with the receipt's mail.
type Attachment struct {
	N         int    `json:"n"`
	Name      string `json:"name"`
	MediaType string `json:"media_type"`
	Size      int64  `json:"size"`
}

// Field tells where one field was read from.
type Field struct {
	Source     string  `json:"source"`     // the strategy and the part: "labelled/html"
	Confidence float64 `json:"confidence"` // 0 to 1
	Text       string  `json:"text"`       // what was read, at most 200 characters
}

// LineItem is one line of a receipt. Amounts are decimal strings.
type LineItem struct {
	Description string  `json:"description"`
	Quantity    *string `json:"quantity"`
	Amount      *string `json:"amount"`
}

// ReceiptVersion is the version of the stored record. An older one is brought up on read.
const ReceiptVersion = 1

// Receipt is one receipt. Amounts are decimal strings ("12.30") in Currency
// (ISO 4217), or null: never floats, never a guess.
type Receipt struct {
	ID          string        `json:"id"` // of Gmail's message id, what it was read from, and its ordinal in that: see pkg/receiptstore
	Type        ReceiptType   `json:"type"`
	Status      ReceiptStatus `json:"status"`
	NeedsReview bool          `json:"needs_review"`
	Vendor      Vendor        `json:"vendor"`
	Number      *string       `json:"number"`
	OrderID     *string       `json:"order_id"`
	IssuedOn    *string       `json:"issued_on"` // YYYY-MM-DD
	Total       *string       `json:"total"`
	Tax         *string       `json:"tax"`
	Currency    *string       `json:"currency"`
	Group       *string       `json:"group"` // one purchase told by several mails
	ReceivedAt  time.Time     `json:"received_at"`
	Attachments []Attachment  `json:"attachments"`
	Edited      []string      `json:"edited"` // fields a person set: a later sync leaves them
}

// ReceiptDetail is one receipt with everything that is known of it.
type ReceiptDetail struct {
	Receipt
	Subtotal         *string          `json:"subtotal"`
	Fields           map[string]Field `json:"fields"`
	LineItems        []LineItem       `json:"line_items"`
	ReviewReasons    []string         `json:"review_reasons"` // stable codes: why needs_review is set
	GmailMessageID   string           `json:"gmail_message_id"`
	AllocationNumber *string          `json:"allocation_number"`
	Note             string           `json:"note"`
	DeletedInGmail   bool             `json:"deleted_in_gmail"`
	NoLongerFound    bool             `json:"no_longer_found"` // its message was read again, and this receipt was not in it
}
