package label

import "testing"

func TestOf(t *testing.T) {
	t.Parallel()
	tests := []struct {
		label string
		want  Role
	}{
		{"Subtotal:", Subtotal},
		{"Sub-total", Subtotal},
		{"Total excl. VAT", Subtotal},
		{"Total (excl. VAT)", Subtotal},
		{`סה"כ לפני מע"מ`, Subtotal},
		{`סה"כ (ללא מע"מ)`, Subtotal},
		{"Zwischensumme", Subtotal},
		{"VAT @ 20%", Tax},
		{"Sales Tax", Tax},
		{`מע"מ 18%`, Tax},
		{"MwSt. 19%", Tax},
		{"Total", Total},
		{"TOTAL:", Total},
		{"Total (EUR)", Total},
		{`סה"כ`, Total},
		{"סך הכל", Total},
		{"Grand total", Grand},
		{"Order Total:", Grand},
		{"Total incl. VAT", Grand},
		{`סה"כ לתשלום`, Grand},
		{`סה"כ כולל מע"מ`, Grand},
		{"Gesamtbetrag", Grand},
		{"Total TTC", Grand},
		{"Amount due", Due},
		{"Balance due", Due},
		{"לתשלום", Due},
		{"Amount paid", Charged},
		{"Total charged to Visa -1629", Charged},
		{"Visa *1234", Charged},
		{"Billed to card", Charged},
		{"You sent a payment of", Charged},
		{"סכום ששולם", Charged},
		{"ביום 09/03/26 חויב כרטיסך בסך", Charged},
		{"Refund amount", Refunded},
		{"כרטיסך זוכה בסך", Refunded},
		{"You received a payment of", Received},
		{"Item price:", Item},

		{"Balance before", Other},
		{"Previous balance", Other},
		{"יתרה קודמת", Other},
		{"דמי משלוח", Other},
		{"Shipping", Other},
		{"Total savings", Other},
		{"Total points", Other},
		{"Minimum payment due", Other},
		{"Per-person total", Other},
		{"Gift card", Other},
		{"Total War: Warhammer", None},
		{"Paid Seat (SFO-DFW)", None},
		{"Blue mug", None},
		{"", None},
	}
	for _, tt := range tests {
		t.Run(tt.label, func(t *testing.T) {
			t.Parallel()
			if got := Of(tt.label); got != tt.want {
				t.Errorf("role %d, want %d", got, tt.want)
			}
		})
	}
}
