package einvoice

import "strings"

// readCII reads a Cross Industry Invoice. ZUGFeRD 1 names some elements
// otherwise than its successors; both are looked for.
// See EN 16931-3-3 and the ZUGFeRD 1.0 specification.
func readCII(root *node) Invoice {
	either := func(n *node, names ...string) *node {
		for _, name := range names {
			if c := n.child(name); c != nil {
				return c
			}
		}
		return nil
	}
	head := either(root, "ExchangedDocument", "HeaderExchangedDocument")
	trade := either(root, "SupplyChainTradeTransaction", "SpecifiedSupplyChainTradeTransaction")
	agreement := either(trade, "ApplicableHeaderTradeAgreement", "ApplicableSupplyChainTradeAgreement")
	settlement := either(trade, "ApplicableHeaderTradeSettlement", "ApplicableSupplyChainTradeSettlement")
	sums := either(settlement, "SpecifiedTradeSettlementHeaderMonetarySummation", "SpecifiedTradeSettlementMonetarySummation")

	inv := Invoice{
		Format:   "cii",
		Credit:   isCredit(head.value("TypeCode")),
		Number:   head.value("ID"),
		IssuedOn: date(head.value("IssueDateTime", "DateTimeString"), "20060102", "2006-01-02"),
		Currency: settlement.value("InvoiceCurrencyCode"),
		Seller:   agreement.value("SellerTradeParty", "Name"),
		OrderID:  agreement.value("BuyerOrderReferencedDocument", "IssuerAssignedID"),
	}
	if inv.Seller == "" {
		inv.Seller = agreement.value("SellerTradeParty", "SpecifiedLegalOrganization", "TradingBusinessName")
	}
	if inv.OrderID == "" {
		inv.OrderID = agreement.value("BuyerOrderReferencedDocument", "ID")
	}
	for _, registration := range agreement.child("SellerTradeParty").all("SpecifiedTaxRegistration") {
		if id := registration.child("ID"); inv.SellerID == "" || id.attr("schemeID") == "VA" {
			inv.SellerID = id.value()
		}
	}
	if inv.Currency == "" {
		inv.Currency = sums.child("GrandTotalAmount").attr("currencyID")
	}
	inv.Total = inCurrency(sums.all("GrandTotalAmount"), inv.Currency)
	inv.Net = inCurrency(sums.all("TaxBasisTotalAmount"), inv.Currency)
	inv.Tax = inCurrency(sums.all("TaxTotalAmount"), inv.Currency)
	if inv.Tax == nil { // the profiles without one tell it by rate
		for _, tax := range settlement.all("ApplicableTradeTax") {
			inv.Tax = addTo(inv.Tax, inCurrency(tax.all("CalculatedAmount"), inv.Currency))
		}
	}
	for _, line := range either(root, "SupplyChainTradeTransaction", "SpecifiedSupplyChainTradeTransaction").all("IncludedSupplyChainTradeLineItem") {
		if len(inv.Lines) >= maxLines {
			break
		}
		delivery := either(line, "SpecifiedLineTradeDelivery", "SpecifiedSupplyChainTradeDelivery")
		settled := either(line, "SpecifiedLineTradeSettlement", "SpecifiedSupplyChainTradeSettlement")
		of := Line{
			Description: line.value("SpecifiedTradeProduct", "Name"),
			Quantity:    delivery.amount("BilledQuantity"),
			Amount:      either(settled, "SpecifiedTradeSettlementLineMonetarySummation", "SpecifiedTradeSettlementMonetarySummation").amount("LineTotalAmount"),
		}
		if of.Description != "" {
			inv.Lines = append(inv.Lines, of)
		}
	}
	return inv
}

// isCredit tells a credit note by its code of UNTDID 1001.
func isCredit(code string) bool {
	return strings.Contains(" 81 83 261 262 296 308 381 396 420 458 532 ", " "+code+" ")
}
