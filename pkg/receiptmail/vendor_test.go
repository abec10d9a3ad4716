package receiptmail

import (
	"testing"

	"github.com/prosaas/receipts/pkg/receiptmail/internal/page"
)

func TestVendorOf(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, from, subject, text string
		vendor, domain            string
	}{
		{"the sender", "Maple Tools <orders@mail.maple.co.uk>", "Your receipt", "", "Maple Tools", "maple.co.uk"},
		{"its role cut off", "City Rides Receipts <no-reply@cityrides.com>", "Your ride", "", "City Rides", "cityrides.com"},
		{"no name", "noreply@maple.com", "x", "", "Maple", "maple.com"},
		{"a name that is none", "No-Reply <noreply@maple.com>", "x", "", "Maple", "maple.com"},
		{"a platform, seller in the subject", "Northwind <receipts@stripe.com>", "Your receipt from Northwind Hosting #2041-7718", "", "Northwind Hosting", ""},
		{"a platform, seller in Hebrew", "morning <notify@morning.co>", "חשבונית מס / קבלה 60231 - סטודיו רקפת", "", "סטודיו רקפת", ""},
		{"who sent it in Hebrew", "חשבונית ירוקה <noreply@greeninvoice.co.il>", "דנה כהן שלחה לך קבלה מספר 30168", "", "דנה כהן", ""},
		{"a platform, seller in the text", "service@paypal.com", "Receipt", "You sent a payment of $18.40 USD to Blue Lantern Games (help@example.com)", "Blue Lantern Games", ""},
		{"via a platform", "Oak Bakery via Square <receipts@messaging.squareup.com>", "Your order", "", "Oak Bakery", ""},
		{"a receipt for an order", "טעים עד הבית <orders@taim.example>", "קבלה עבור הזמנה 94107-334", "", "טעים עד הבית", ""},
		{"a receipt for a numbered order", "Oak Bakery <orders@oak.example>", "Your receipt from order no. A-1204", "", "Oak Bakery", ""},
		{"no such domain", "x@corpus.invalid", "x", "", "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			m := &message{from: parseSender(tt.from), subject: tt.subject}
			if tt.text != "" {
				m.docs = []*document{{kind: "text", lines: page.Text(tt.text)}}
			}
			got, field := vendorOf(m)
			if got.Name != tt.vendor || got.Domain != tt.domain || (field.Confidence > 0) != (tt.vendor != "") {
				t.Errorf("%+v of confidence %.2f, want %q of %q", got, field.Confidence, tt.vendor, tt.domain)
			}
		})
	}
}
