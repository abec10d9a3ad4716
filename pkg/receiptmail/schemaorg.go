package receiptmail

import (
	"github.com/prosaas/receipts/pkg/receiptmail/internal/label"
	"github.com/prosaas/receipts/pkg/receiptmail/internal/schemaorg"
	"github.com/prosaas/receipts/pkg/receiptmail/internal/script"
)

// schemaOrg reads what a mail says to machines.
type schemaOrg struct{}

const sureSchema = 0.95

func (schemaOrg) read(m *message) []finding {
	var all []finding
	seen := map[schemaorg.Purchase]bool{}
	for _, doc := range m.docs {
		for _, p := range schemaorg.Read(doc.markup) {
			kind := p.Kind
			if p.Kind = ""; seen[p] || len(seen) >= schemaorg.MaxPurchases { // told by an Order and an Invoice, it is one
				continue
			}
			for _, told := range []struct {
				field field
				value string
			}{{fieldTotal, p.Total}, {fieldCurrency, p.Currency}, {fieldOrderID, p.OrderID}, {fieldNumber, p.Number}, {fieldIssuedOn, p.IssuedOn}, {fieldVendor, p.Vendor}} {
				if told.value != "" {
					all = append(all, finding{origin: doc.origin, ordinal: len(seen), field: told.field, value: told.value, source: waySchema + kind, confidence: sureSchema, text: script.Clip(kind+" "+string(told.field)+" "+told.value, maxFieldText), role: label.Charged})
				}
			}
			seen[p] = true
		}
	}
	return all
}
