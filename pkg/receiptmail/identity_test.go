package receiptmail

import (
	"testing"

	"github.com/prosaas/receipts/pkg/receiptmail/internal/page"
)

func TestIdentityAt(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		lines []page.Line
		kind  identity
		want  string
	}{
		{"one cell", []page.Line{{Cells: []string{"Invoice number: INV-0012"}}}, identityInvoice, "INV-0012"},
		{"number sign", []page.Line{{Cells: []string{"Invoice #4455"}}}, identityInvoice, "4455"},
		{"Hebrew", []page.Line{{Cells: []string{"קבלה מספר 778"}}}, identityInvoice, "778"},
		{"Hebrew tax invoice", []page.Line{{Cells: []string{"חשבונית מס/קבלה מספר 30217"}}}, identityInvoice, "30217"},
		{"next cell", []page.Line{{Cells: []string{"Order ID:", "GPA.3312-1188"}}}, identityOrder, "GPA.3312-1188"},
		{"next line", []page.Line{{Cells: []string{"Confirmation code:"}}, {Cells: []string{"IUZWKS"}}}, identityBooking, "IUZWKS"},
		{"letters alone are a booking's", []page.Line{{Cells: []string{"Order number: IUZWKS"}}}, identityOrder, ""},
		{"a date is none", []page.Line{{Cells: []string{"Invoice no: 12/03/2026"}}}, identityInvoice, ""},
		{"an amount is none", []page.Line{{Cells: []string{"Order # 12.50"}}}, identityOrder, ""},
		{"no label", []page.Line{{Cells: []string{"INV-0012"}}}, identityInvoice, ""},
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
