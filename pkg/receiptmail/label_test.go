package receiptmail

import "testing"

func TestLabelRole(t *testing.T) {
	t.Parallel()
	tests := []struct {
		label string
		want  role
	}{
		{"Subtotal:", roleSubtotal},
		{"Sub-total", roleSubtotal},
		{"Total excl. VAT", roleSubtotal},
		{"Total (excl. VAT)", roleSubtotal},
		{`סה"כ לפני מע"מ`, roleSubtotal},
		{`סה"כ (ללא מע"מ)`, roleSubtotal},
		{"Zwischensumme", roleSubtotal},
		{"VAT @ 20%", roleTax},
		{"Sales Tax", roleTax},
		{`מע"מ 18%`, roleTax},
		{"MwSt. 19%", roleTax},
		{"Total", roleTotal},
		{"TOTAL:", roleTotal},
		{"Total (EUR)", roleTotal},
		{`סה"כ`, roleTotal},
		{"סך הכל", roleTotal},
		{"Grand total", roleGrand},
		{"Order Total:", roleGrand},
		{"Total incl. VAT", roleGrand},
		{`סה"כ לתשלום`, roleGrand},
		{`סה"כ כולל מע"מ`, roleGrand},
		{"Gesamtbetrag", roleGrand},
		{"Total TTC", roleGrand},
		{"Amount due", roleDue},
		{"Balance due", roleDue},
		{"לתשלום", roleDue},
		{"Amount paid", roleCharged},
		{"Total charged to Visa -1629", roleCharged},
		{"Visa *1234", roleCharged},
		{"Billed to card", roleCharged},
		{"You sent a payment of", roleCharged},
		{"סכום ששולם", roleCharged},
		{"ביום 09/03/26 חויב כרטיסך בסך", roleCharged},
		{"Refund amount", roleRefunded},
		{"כרטיסך זוכה בסך", roleRefunded},
		{"You received a payment of", roleReceived},
		{"Item price:", roleItem},

		{"Balance before", roleOther},
		{"Previous balance", roleOther},
		{"יתרה קודמת", roleOther},
		{"דמי משלוח", roleOther},
		{"Shipping", roleOther},
		{"Total savings", roleOther},
		{"Total points", roleOther},
		{"Minimum payment due", roleOther},
		{"Per-person total", roleOther},
		{"Gift card", roleOther},
		{"Total War: Warhammer", roleNone},
		{"Paid Seat (SFO-DFW)", roleNone},
		{"Blue mug", roleNone},
		{"", roleNone},
	}
	for _, tt := range tests {
		t.Run(tt.label, func(t *testing.T) {
			t.Parallel()
			if got := labelRole(tt.label); got != tt.want {
				t.Errorf("role %d, want %d", got, tt.want)
			}
		})
	}
}
