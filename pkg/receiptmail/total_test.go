package receiptmail

import (
	"testing"

	"github.com/prosaas/receipts/pkg/receiptmail/internal/label"
	"github.com/prosaas/receipts/pkg/receiptmail/internal/page"
)

// TestPurchaseAddsUp: the total that a document's other amounts allow, with the
// tax and subtotal that make it up; or a conflict.
func TestPurchaseAddsUp(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		text                 string
		total, net, tax      string
		conflict, isRefunded bool
	}{
		"net and tax":                     {text: "Subtotal: €10.00\nVAT: €2.00\nTotal: €12.00", total: "12", net: "10", tax: "2"},
		"charged after a credit":          {text: "Total: €10.00\nCredit: -€4.00\nAmount charged: €6.00", total: "6"},
		"charged less, and nothing says":  {text: "Total: €10.00\nAmount charged: €6.00", total: "6", conflict: true},
		"paid in part, the rest is due":   {text: "Total: €10.00\nSEPA transfer: €6.00\nResidual: €4.00", total: "10"},
		"less than what it is made of":    {text: "Subtotal: €20.00\nTotal: €10.00", total: "10", conflict: true},
		"less by a discount":              {text: "Subtotal: €20.00\nYou save: €10.00\nTotal: €10.00", total: "10"},
		"discount and delivery":           {text: "Subtotal: €20.00\nDelivery: €3.00\nVoucher: €8.00\nTotal: €15.00", total: "15"},
		"a total before tax":              {text: "Total: €100.00\nVAT: €19.00\nAmount due: €119.00", total: "119", net: "100", tax: "19"},
		"taxes rate by rate":              {text: "Subtotal: €200.00\nVAT 7%: €7.00\nVAT 19%: €19.00\nTotal: €226.00", total: "226", net: "200", tax: "26"},
		"of two nets the one of the rate": {text: "סה\"כ לפני מע\"מ 10,400.00\nסה\"כ לפני מע\"מ 7,080.00\nמע\"מ 5,192.00\nמע\"מ 1,872.00\nסה\"כ לתשלום 12,272.00 ₪", total: "12272", net: "10400", tax: "1872"},
		"a credit note in minus":          {text: "Net total: €-10.00\nVAT: €-2.00\nTotal: €-12.00", total: "-12", net: "-10", tax: "-2", isRefunded: true},
		"cash given is more":              {text: "Total: €21.30\nCash: €50.00\nChange: €28.70", total: "21.3"},
		"nothing refunded yet":            {text: "Total: €9.06\nTotal refund: €0.00", total: "9.06"},
	} {
		doc := &document{kind: kindText, origin: originBody, lines: page.Text(row.text)}
		m := &message{docs: []*document{doc}}
		readings := m.readingsOf(doc)
		total, conflict, ok := chooseTotal(readings)
		if !ok {
			t.Errorf("%s: no total in %+v", name, readings)
			continue
		}
		p := purchasesOf(m, doc, readings, total, conflict)[0]
		value := func(r *reading) string {
			if r == nil {
				return ""
			}
			return r.amount.Value.String()
		}
		if value(&p.total) != row.total || row.net != "" && value(p.subtotal) != row.net || value(p.tax) != row.tax || p.conflict != row.conflict || (p.total.role == label.Refunded) != row.isRefunded {
			t.Errorf("%s: %s of net %q and tax %q, conflict %t, role %d", name, value(&p.total), value(p.subtotal), value(p.tax), p.conflict, p.total.role)
		}
	}
}
