package einvoice

// readUBL reads a UBL 2 Invoice or CreditNote.
// See https://docs.oasis-open.org/ubl/os-UBL-2.1/UBL-2.1.html.
func readUBL(root *node) Invoice {
	party := root.at("AccountingSupplierParty", "Party")
	totals := root.child("LegalMonetaryTotal")
	inv := Invoice{
		Format:   "ubl",
		Credit:   root.name == "CreditNote" || isCredit(root.value("InvoiceTypeCode")),
		Number:   root.value("ID"),
		IssuedOn: date(root.value("IssueDate"), "2006-01-02"),
		Currency: root.value("DocumentCurrencyCode"),
		Seller:   party.value("PartyName", "Name"),
		OrderID:  root.value("OrderReference", "ID"),
	}
	if inv.Seller == "" {
		inv.Seller = party.value("PartyLegalEntity", "RegistrationName")
	}
	for _, scheme := range party.all("PartyTaxScheme") {
		if inv.SellerID == "" || scheme.value("TaxScheme", "ID") == "VAT" {
			inv.SellerID = scheme.value("CompanyID")
		}
	}
	if inv.Currency == "" {
		inv.Currency = totals.child("PayableAmount").attr("currencyID")
	}
	inv.Total = inCurrency(totals.all("TaxInclusiveAmount"), inv.Currency)
	if totals.child("TaxInclusiveAmount") == nil { // then what is to be paid, and what was
		inv.Total = inCurrency(totals.all("PayableAmount"), inv.Currency)
		if prepaid := inCurrency(totals.all("PrepaidAmount"), inv.Currency); inv.Total != nil {
			inv.Total = addTo(inv.Total, prepaid)
		}
	}
	inv.Net = inCurrency(totals.all("TaxExclusiveAmount"), inv.Currency)
	for _, tax := range root.all("TaxTotal") { // a second one may tell it in the currency of the tax office
		if inv.Tax = inCurrency(tax.all("TaxAmount"), inv.Currency); inv.Tax != nil {
			break
		}
	}
	for _, name := range []string{"InvoiceLine", "CreditNoteLine"} {
		for _, line := range root.all(name) {
			if len(inv.Lines) >= maxLines {
				break
			}
			of := Line{Description: line.value("Item", "Name"), Quantity: line.amount("InvoicedQuantity"), Amount: line.amount("LineExtensionAmount")}
			if of.Description == "" {
				of.Description = line.value("Item", "Description")
			}
			if of.Quantity == nil {
				of.Quantity = line.amount("CreditedQuantity")
			}
			if of.Description != "" {
				inv.Lines = append(inv.Lines, of)
			}
		}
	}
	return inv
}
