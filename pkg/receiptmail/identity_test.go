package receiptmail

import "testing"

func TestIdentityAt(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		lines []line
		kind  identity
		want  string
	}{
		{"one cell", []line{{[]string{"Invoice number: INV-0012"}}}, identityInvoice, "INV-0012"},
		{"number sign", []line{{[]string{"Invoice #4455"}}}, identityInvoice, "4455"},
		{"Hebrew", []line{{[]string{"קבלה מספר 778"}}}, identityInvoice, "778"},
		{"Hebrew tax invoice", []line{{[]string{"חשבונית מס/קבלה מספר 30217"}}}, identityInvoice, "30217"},
		{"next cell", []line{{[]string{"Order ID:", "GPA.3312-1188"}}}, identityOrder, "GPA.3312-1188"},
		{"next line", []line{{[]string{"Confirmation code:"}}, {[]string{"IUZWKS"}}}, identityBooking, "IUZWKS"},
		{"letters alone are a booking's", []line{{[]string{"Order number: IUZWKS"}}}, identityOrder, ""},
		{"a date is none", []line{{[]string{"Invoice no: 12/03/2026"}}}, identityInvoice, ""},
		{"an amount is none", []line{{[]string{"Order # 12.50"}}}, identityOrder, ""},
		{"no label", []line{{[]string{"INV-0012"}}}, identityInvoice, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got, _ := identityAt(tt.lines, 0, tt.kind); got != tt.want {
				t.Errorf("read %q, want %q", got, tt.want)
			}
		})
	}
}

func TestValidTaxID(t *testing.T) {
	t.Parallel()
	for id, want := range map[string]bool{
		"514356781": true, "040000002": true,
		"514356785": false, "040000008": false, "000000000": false, "51435678": false, "5143567811": false,
	} {
		if got := validTaxID(id); got != want {
			t.Errorf("%s valid %t, want %t", id, got, want)
		}
	}
}
