package receiptmail

import (
	"slices"
	"testing"
	"time"

	"github.com/prosaas/receipts/pkg/receiptmail/internal/label"
	"github.com/prosaas/receipts/pkg/receiptmail/internal/page"
	"github.com/prosaas/receipts/proto"
)

func TestDecide(t *testing.T) {
	t.Parallel()
	const pdf = "application/pdf"
	tests := []struct {
		name, subject, text string
		file, fileType      string
		want                bool
	}{
		{name: "charged, and nothing else", subject: "Thanks", text: "We charged your card\nTotal charged: 12.00 EUR\nThank you for your order", want: true},
		{name: "an invoice without amount, attached", subject: "Invoice for May", file: "invoice.pdf", fileType: pdf, want: true},
		{name: "a PDF alone", file: "scan.pdf", fileType: pdf, want: true},
		{name: "a payslip, however like a receipt", subject: "Payslip: payment confirmation", text: "Total paid: 9000.00 EUR\nPayment method: bank", file: "payslip.pdf", fileType: pdf, want: false},
		{name: "a total without a receipt's words", subject: "Holiday plans", text: "Total: 900.00 EUR", want: false},
		{name: "a receipt's subject alone", subject: "About your order", text: "We will get back to you.", want: false},
		{name: "a PDF that says nothing", subject: "Minutes of the meeting", text: "See attached.", file: "minutes.pdf", fileType: pdf, want: false},
		{name: "delivery that names the receipt", subject: "Delivered: your receipt", text: "Order total: £5.00\nReceipt number: 1234", want: true},
		{name: "delivery", subject: "Delivered: your order", text: "Order total: £5.00\nOrder number: 1234", want: false},
		{name: "declined", subject: "Payment declined for order 1234", text: "Amount due: £5.00", want: false},
		{name: "not a receipt, it says", subject: "Your order", text: "This is not a receipt.\nTotal: £5.00", want: false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			m := &message{subject: tt.subject, docs: []*document{{kind: "text", origin: originBody, lines: page.Text(tt.text)}}}
			if tt.file != "" {
				m.files = []file{{Attachment: proto.Attachment{N: 1, Name: tt.file, MediaType: tt.fileType}}}
			}
			if d := decide(m, senderRule{}, labelled{}.read(m)); d.Receipt != tt.want {
				t.Errorf("decided %+v, want %t", d, tt.want)
			}
		})
	}
}

func TestTypeOf(t *testing.T) {
	t.Parallel()
	for subject, want := range map[string]proto.ReceiptType{
		"חשבונית מס קבלה 30217":       proto.TypeInvoiceReceipt,
		"חשבונית מס / קבלה 60231":     proto.TypeInvoiceReceipt,
		"חשבונית מס 12":               proto.TypeInvoice,
		"קבלה על תרומה":               proto.TypeReceipt,
		"Your invoice INV-1":          proto.TypeInvoice,
		"Your order #1 is confirmed":  proto.TypeOrder,
		"Payment confirmation":        proto.TypePayment,
		"Your account statement":      proto.TypeStatement,
		"Thanks for shopping with us": proto.TypeReceipt,
	} {
		if got := typeOf(&message{subject: subject}, false); got != want {
			t.Errorf("%q is %s, want %s", subject, got, want)
		}
	}
	if got := typeOf(&message{subject: "Your invoice"}, true); got != proto.TypeCreditNote {
		t.Errorf("refunded, it is %s", got)
	}
}

// TestOriginOfADocumentThatOnlyThePDFTells: what a later version reads out of the
// PDF must be the same receipt.
func TestOriginOfADocumentThatOnlyThePDFTells(t *testing.T) {
	t.Parallel()
	result, err := reader.Read(t.Context(), readCorpus(t, "mail/en-pdf-only.eml"), time.Time{})
	if err != nil || len(result.Receipts) != 1 {
		t.Fatalf("%d receipts, error %v", len(result.Receipts), err)
	}
	r := result.Receipts[0]
	if len(r.Origin) != 64 || r.Total != nil || len(r.Attachments) != 1 || r.Attachments[0].MediaType != mediaPDF {
		t.Errorf("origin %q, total %s, attachments %+v", r.Origin, told(r.Total), r.Attachments)
	}
}

func TestChooseTotal(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, text, want string
		conflict         bool
	}{
		{"total, not subtotal", "Subtotal: €9.00\nTotal: €10.00", "10", false},
		{"charged, after credits", "Total: €10.00\nCredit: -€4.00\nAmount charged: €6.00", "6", false},
		{"due, when nothing was paid", "Total: €10.00\nAmount paid: €0.00\nAmount due: €10.00", "10", false},
		{"paid, though nothing is due", "Total: €10.00\nAmount due: €0.00", "10", false},
		{"paid in two ways", "Order total: €10.00\nPaid by Visa: €7.00\nPaid by Mastercard: €3.00", "10", false},
		{"told twice beats told once", "Total: €10.00\nTotal: €10.00\nTotal: €99.00", "10", false},
		{"two that disagree", "Total: €10.00\nTotal: €99.00", "99", true},
		{"refunded", "Order total: €10.00\nRefund amount: €4.00", "4", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			doc := &document{lines: page.Text(tt.text)}
			got, conflict, ok := chooseTotal(readLabelled(doc, currenciesOf(&message{}, doc)))
			if !ok || got.amount.Value.String() != tt.want || conflict != tt.conflict {
				t.Errorf("chose %s (%t), conflict %t; want %s, %t", got.amount.Value, ok, conflict, tt.want, tt.conflict)
			}
		})
	}
}

func TestCurrencies(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, text, want string
		sure             float64
	}{
		{"its own sign", "Total: €10.00", "EUR", sureSign},
		{"a dollar alone", "Total: $10.00", "USD", sureLoneSign},
		{"a dollar of a country", "Total: $10.00\nAustin, TX 78701", "USD", sureCountry},
		{"a dollar that is named", "Total: $10.00\nAll prices in CAD", "CAD", sureCountry},
		{"a dollar of another country", "Total: $10.00\nABN 51 824 753 556", "AUD", sureCountry},
		{"a dollar of two countries", "Total: $10.00\nAustralia, Canada", "", 0},
		{"a crown of nobody", "Total: 10.00 kr", "", 0},
		{"a yen of Japan", "Total: ¥1,000\nTokyo, Japan", "JPY", sureCountry},
		{"told by the label", "Total (GBP): 10.00", "GBP", sureStated},
		{"told once for all", "Amounts in CHF\nTotal: 10.00", "CHF", sureStated},
		{"as all the others", "Mug €8.00\nTotal: 10.00", "EUR", sureOnly},
		{"others differ", "Mug €8.00\nTray £2.00\nTotal: 10.00", "", 0},
		{"not told", "Total: 10.00", "", 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			doc := &document{lines: page.Text(tt.text)}
			readings := readLabelled(doc, currenciesOf(&message{}, doc))
			i := slices.IndexFunc(readings, func(r reading) bool { return r.role == label.Total })
			if i < 0 {
				t.Fatalf("no total in %+v", readings)
			}
			if r := readings[i]; r.amount.Currency != tt.want || r.currencySure != tt.sure {
				t.Errorf("in %q at %.2f, want %q at %.2f", r.amount.Currency, r.currencySure, tt.want, tt.sure)
			}
		})
	}
}
