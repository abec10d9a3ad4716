package einvoice

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/shopspring/decimal"
)

const cii2 = `<?xml version="1.0" encoding="UTF-8"?>
<rsm:CrossIndustryInvoice xmlns:rsm="urn:un:unece:uncefact:data:standard:CrossIndustryInvoice:100" xmlns:ram="r" xmlns:udt="u">
<rsm:ExchangedDocument><ram:ID>R-7</ram:ID><ram:TypeCode>380</ram:TypeCode><ram:IssueDateTime><udt:DateTimeString format="102">20260305</udt:DateTimeString></ram:IssueDateTime></rsm:ExchangedDocument>
<rsm:SupplyChainTradeTransaction>
<ram:IncludedSupplyChainTradeLineItem><ram:SpecifiedTradeProduct><ram:Name>Oak shelf</ram:Name></ram:SpecifiedTradeProduct><ram:SpecifiedLineTradeDelivery><ram:BilledQuantity unitCode="C62">2</ram:BilledQuantity></ram:SpecifiedLineTradeDelivery><ram:SpecifiedLineTradeSettlement><ram:SpecifiedTradeSettlementLineMonetarySummation><ram:LineTotalAmount>100.00</ram:LineTotalAmount></ram:SpecifiedTradeSettlementLineMonetarySummation></ram:SpecifiedLineTradeSettlement></ram:IncludedSupplyChainTradeLineItem>
<ram:ApplicableHeaderTradeAgreement><ram:SellerTradeParty><ram:Name>Ahorn &amp; Sohn GmbH</ram:Name><ram:SpecifiedTaxRegistration><ram:ID schemeID="FC">201/113</ram:ID></ram:SpecifiedTaxRegistration><ram:SpecifiedTaxRegistration><ram:ID schemeID="VA">DE123456789</ram:ID></ram:SpecifiedTaxRegistration></ram:SellerTradeParty><ram:BuyerTradeParty><ram:Name>Buyer AG</ram:Name></ram:BuyerTradeParty><ram:BuyerOrderReferencedDocument><ram:IssuerAssignedID>PO-1</ram:IssuerAssignedID></ram:BuyerOrderReferencedDocument></ram:ApplicableHeaderTradeAgreement>
<ram:ApplicableHeaderTradeSettlement><ram:InvoiceCurrencyCode>GBP</ram:InvoiceCurrencyCode>
<ram:SpecifiedTradeSettlementHeaderMonetarySummation><ram:TaxBasisTotalAmount>100.00</ram:TaxBasisTotalAmount><ram:TaxTotalAmount currencyID="EUR">22.00</ram:TaxTotalAmount><ram:TaxTotalAmount currencyID="GBP">19.00</ram:TaxTotalAmount><ram:GrandTotalAmount>119.00</ram:GrandTotalAmount><ram:DuePayableAmount>19.00</ram:DuePayableAmount></ram:SpecifiedTradeSettlementHeaderMonetarySummation>
</ram:ApplicableHeaderTradeSettlement></rsm:SupplyChainTradeTransaction></rsm:CrossIndustryInvoice>`

const cii1 = `<rsm:CrossIndustryDocument xmlns:rsm="urn:ferd:CrossIndustryDocument:invoice:1p0" xmlns:ram="r" xmlns:udt="u">
<rsm:HeaderExchangedDocument><ram:ID>471102</ram:ID><ram:TypeCode>381</ram:TypeCode><ram:IssueDateTime><udt:DateTimeString>20130305</udt:DateTimeString></ram:IssueDateTime></rsm:HeaderExchangedDocument>
<rsm:SpecifiedSupplyChainTradeTransaction><ram:ApplicableSupplyChainTradeAgreement><ram:SellerTradeParty><ram:Name>Lieferant</ram:Name></ram:SellerTradeParty></ram:ApplicableSupplyChainTradeAgreement>
<ram:ApplicableSupplyChainTradeSettlement><ram:ApplicableTradeTax><ram:CalculatedAmount currencyID="EUR">7.00</ram:CalculatedAmount></ram:ApplicableTradeTax><ram:ApplicableTradeTax><ram:CalculatedAmount currencyID="EUR">1.90</ram:CalculatedAmount></ram:ApplicableTradeTax>
<ram:SpecifiedTradeSettlementMonetarySummation><ram:GrandTotalAmount currencyID="EUR">118.90</ram:GrandTotalAmount></ram:SpecifiedTradeSettlementMonetarySummation></ram:ApplicableSupplyChainTradeSettlement>
</rsm:SpecifiedSupplyChainTradeTransaction></rsm:CrossIndustryDocument>`

const ubl = `<Invoice xmlns="urn:oasis:names:specification:ubl:schema:xsd:Invoice-2" xmlns:cbc="b" xmlns:cac="a"><cbc:ID>U-1</cbc:ID><cbc:IssueDate>2026-03-05</cbc:IssueDate><cbc:DocumentCurrencyCode>EUR</cbc:DocumentCurrencyCode>
<cac:AccountingSupplierParty><cac:Party><cac:PartyTaxScheme><cbc:CompanyID>NL1</cbc:CompanyID></cac:PartyTaxScheme><cac:PartyLegalEntity><cbc:RegistrationName>Noord BV</cbc:RegistrationName></cac:PartyLegalEntity></cac:Party></cac:AccountingSupplierParty>
<cac:TaxTotal><cbc:TaxAmount currencyID="USD">23.00</cbc:TaxAmount></cac:TaxTotal><cac:TaxTotal><cbc:TaxAmount currencyID="EUR">21.00</cbc:TaxAmount></cac:TaxTotal>
<cac:LegalMonetaryTotal><cbc:TaxExclusiveAmount currencyID="EUR">100</cbc:TaxExclusiveAmount><cbc:TaxInclusiveAmount currencyID="EUR">121</cbc:TaxInclusiveAmount><cbc:PayableAmount currencyID="EUR">0</cbc:PayableAmount></cac:LegalMonetaryTotal></Invoice>`

func TestRead(t *testing.T) {
	t.Parallel()
	amount := func(s string) *decimal.Decimal { d := decimal.RequireFromString(s); return &d }
	for name, row := range map[string]struct {
		content string
		want    Invoice
	}{
		"CII, in another currency than the tax office's": {cii2, Invoice{
			Format: "cii", Number: "R-7", IssuedOn: time.Date(2026, 3, 5, 0, 0, 0, 0, time.UTC), Currency: "GBP", Total: amount("119"), Tax: amount("19"), Net: amount("100"),
			Seller: "Ahorn & Sohn GmbH", SellerID: "DE123456789", OrderID: "PO-1", Lines: []Line{{"Oak shelf", amount("2"), amount("100")}},
		}},
		"ZUGFeRD 1, a credit note, tax by rate, a mark before it": {"\xef\xbb\xbf" + cii1, Invoice{
			Format: "cii", Credit: true, Number: "471102", IssuedOn: time.Date(2013, 3, 5, 0, 0, 0, 0, time.UTC), Currency: "EUR", Total: amount("118.90"), Tax: amount("8.90"), Seller: "Lieferant",
		}},
		"UBL, paid before": {ubl, Invoice{
			Format: "ubl", Number: "U-1", IssuedOn: time.Date(2026, 3, 5, 0, 0, 0, 0, time.UTC), Currency: "EUR", Total: amount("121"), Tax: amount("21"), Net: amount("100"), Seller: "Noord BV", SellerID: "NL1",
		}},
		"UBL, a credit note in an older charset": {`<?xml version="1.0" encoding="ISO-8859-1"?>` + strings.NewReplacer("<Invoice", "<CreditNote", "</Invoice", "</CreditNote", "Noord BV", "Caf\xe9 Noord").Replace(ubl), Invoice{
			Format: "ubl", Credit: true, Number: "U-1", IssuedOn: time.Date(2026, 3, 5, 0, 0, 0, 0, time.UTC), Currency: "EUR", Total: amount("121"), Tax: amount("21"), Net: amount("100"), Seller: "Café Noord", SellerID: "NL1",
		}},
		"UBL, of which only what is paid and to be paid is told": {strings.NewReplacer(`<cbc:TaxInclusiveAmount currencyID="EUR">121</cbc:TaxInclusiveAmount>`, `<cbc:PrepaidAmount currencyID="EUR">121</cbc:PrepaidAmount>`).Replace(ubl), Invoice{
			Format: "ubl", Number: "U-1", IssuedOn: time.Date(2026, 3, 5, 0, 0, 0, 0, time.UTC), Currency: "EUR", Total: amount("121"), Tax: amount("21"), Net: amount("100"), Seller: "Noord BV", SellerID: "NL1",
		}},
		"UTF-16": {string(utf16le(`<?xml version="1.0" encoding="UTF-16"?>` + ubl)), Invoice{
			Format: "ubl", Number: "U-1", IssuedOn: time.Date(2026, 3, 5, 0, 0, 0, 0, time.UTC), Currency: "EUR", Total: amount("121"), Tax: amount("21"), Net: amount("100"), Seller: "Noord BV", SellerID: "NL1",
		}},
		"amounts and dates that are none": {strings.NewReplacer(">121<", ">1e9<", ">100<", ">about 100<", "2026-03-05", "5 March", ">21.00<", "><").Replace(ubl), Invoice{
			Format: "ubl", Number: "U-1", Currency: "EUR", Seller: "Noord BV", SellerID: "NL1",
		}},
	} {
		got, err := Read([]byte(row.content))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if diff := cmp.Diff(row.want, got, cmp.Comparer(func(a, b decimal.Decimal) bool { return a.Equal(b) })); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

// utf16le writes ASCII as UTF-16 with its mark.
func utf16le(s string) []byte {
	b := []byte{0xff, 0xfe}
	for _, c := range []byte(s) {
		b = append(b, c, 0)
	}
	return b
}

func TestReadRefuses(t *testing.T) {
	t.Parallel()
	for name, content := range map[string]string{
		"nothing":                  "",
		"other XML":                "<feed><entry/></feed>",
		"cut off":                  cii2[:len(cii2)/2],
		"an entity":                `<!DOCTYPE a [<!ENTITY b "c">]><Invoice><LegalMonetaryTotal/><ID>&b;</ID></Invoice>`,
		"nested too deep":          strings.Repeat("<a>", 100) + strings.Repeat("</a>", 100),
		"too much of it":           "<a>" + strings.Repeat("<b/>", maxNodes) + "</a>",
		"an encoding that is none": `<?xml version="1.0" encoding="nonsense"?><Invoice/>`,
	} {
		if got, err := Read([]byte(content)); !errors.Is(err, ErrNotInvoice) {
			t.Errorf("%s: %+v, %v, want %v", name, got, err, ErrNotInvoice)
		}
	}
}

// FuzzRead: whatever the bytes, what is read is bounded text.
func FuzzRead(f *testing.F) {
	for _, s := range []string{cii1, cii2, ubl} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		inv, err := Read(content)
		if err != nil {
			return
		}
		for _, s := range []string{inv.Number, inv.Seller, inv.SellerID, inv.OrderID, inv.Currency} {
			if len(s) > 2*maxText {
				t.Errorf("a value of %d bytes", len(s))
			}
		}
		if len(inv.Lines) > maxLines {
			t.Errorf("%d lines", len(inv.Lines))
		}
	})
}
