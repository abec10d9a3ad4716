package receiptmail

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestSchemaOrg(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, html string
		want       map[field]string
	}{
		{
			"an order", `<script type="application/ld+json">{"@context":"http://schema.org","@type":"Order","merchant":{"@type":"Organization","name":"Tidal"},"orderNumber":"T-1","priceCurrency":"USD","price":"1,149.00","orderDate":"2026-03-08T10:00:00Z"}</script>`,
			map[field]string{fieldTotal: "1149.00", fieldCurrency: "USD", fieldOrderID: "T-1", fieldIssuedOn: "2026-03-08", fieldVendor: "Tidal"},
		},
		{
			"an invoice in a graph, numbers as numbers", `<script type="application/ld+json">{"@graph":[{"@type":"Organization"},{"@type":"http://schema.org/Invoice","confirmationNumber":77,"totalPaymentDue":{"@type":"PriceSpecification","price":12.5,"priceCurrency":"EUR"},"provider":"Fiber Co"}]}</script>`,
			map[field]string{fieldTotal: "12.50", fieldCurrency: "EUR", fieldNumber: "77", fieldVendor: "Fiber Co"},
		},
		{
			"a reservation as microdata", `<div itemscope itemtype="https://schema.org/LodgingReservation"><meta itemprop="reservationNumber" content="R9"><b itemprop="totalPrice">310.20</b><meta itemprop="priceCurrency" content="GBP"></div>`,
			map[field]string{fieldTotal: "310.20", fieldCurrency: "GBP", fieldOrderID: "R9"},
		},
		{
			"the same order told twice", strings.Repeat(`<script type="application/ld+json">{"@type":"Order","price":"5","priceCurrency":"EUR"}</script>`, 2),
			map[field]string{fieldTotal: "5.00", fieldCurrency: "EUR"},
		},
		{"no price", `<script type="application/ld+json">{"@type":"Order","orderNumber":"T-1"}</script>`, map[field]string{}},
		{"a price beyond all bounds", `<script type="application/ld+json">{"@type":"Order","price":1e9000,"priceCurrency":"EUR"}</script>`, map[field]string{}},
		{"a price that is none", `<script type="application/ld+json">{"@type":"Order","price":"free"}</script>`, map[field]string{}},
		{"another type", `<script type="application/ld+json">{"@type":"Product","price":"5","priceCurrency":"EUR"}</script>`, map[field]string{}},
		{"broken", `<script type="application/ld+json">{"@type":"Order","price":</script>`, map[field]string{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			m := parse(t, "Subject: x\nContent-Type: text/html\n\n<html><body>hello"+tt.html+"</body></html>")
			got := map[field]string{}
			for _, f := range (schemaOrg{}).read(m) {
				if _, twice := got[f.field]; twice {
					t.Errorf("%s told twice", f.field)
				}
				got[f.field] = f.value
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestStrategiesThatDisagree: markup is believed, and the disagreement is shown.
func TestStrategiesThatDisagree(t *testing.T) {
	t.Parallel()
	raw := "From: Tidal <orders@tidal.example.org>\r\nSubject: Your order is confirmed\r\nContent-Type: text/html\r\n\r\n" +
		`<script type="application/ld+json">{"@type":"Order","price":"50.00","priceCurrency":"EUR"}</script><p>Order total: €45.00</p>`
	result, err := reader.Read(t.Context(), []byte(raw), time.Time{})
	if err != nil || len(result.Receipts) != 1 {
		t.Fatalf("%d receipts, error %v", len(result.Receipts), err)
	}
	r := result.Receipts[0]
	if told(r.Total) != "50.00" || cmp.Diff(r.ReviewReasons, []string{ReviewConflictingTotals}) != "" {
		t.Errorf("total %s, review %v", told(r.Total), r.ReviewReasons)
	}
}
