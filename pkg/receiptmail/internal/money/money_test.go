package money

import (
	"slices"
	"strings"
	"testing"

	"github.com/shopspring/decimal"
)

func TestRead(t *testing.T) {
	t.Parallel()
	tests := []struct {
		cell string
		want []string // value and currency
	}{
		{"Total $1,234.56", []string{"1234.56 $"}},
		{"Summe 1.234,56 €", []string{"1234.56 EUR"}},
		{"Total TTC 1 234,56 €", []string{"1234.56 EUR"}},
		{"CHF 1'234.50", []string{"1234.5 CHF"}},
		{"₹1,23,456.00", []string{"123456 INR"}},
		{`סה"כ 230.00 ש"ח`, []string{"230 ILS"}},
		{"₪ 49", []string{"49 ILS"}},
		{"49.90 NIS", []string{"49.9 ILS"}},
		{"US $67.89", []string{"67.89 USD"}},
		{"$12.71 USD", []string{"12.71 USD"}},
		{"CA$8.00", []string{"8 CAD"}},
		{"123,00 zł", []string{"123 PLN"}},
		{"¥3,480", []string{"3480 ¥"}},
		{"-$8.32", []string{"-8.32 $"}},
		{"$-8.32", []string{"-8.32 $"}},
		{"-EUR 0,65", []string{"-0.65 EUR"}},
		{"(€12.00)", []string{"-12 EUR"}},
		{"12.00-", []string{"-12 "}},
		{"0,65 EUR", []string{"0.65 EUR"}},
		{"Mug 2 150.00", []string{"2 ", "150 "}},
		{"5€6", []string{"5 EUR", "6 "}},
		{"2 x $4.50 = $9.00", []string{"4.5 $", "9 $"}},
		{`מע"מ 18% 153.00`, []string{"153 "}},
		{`מע"מ %18 153.00`, []string{"153 "}},

		{"18%", nil},
		{"17.5 percent", nil},
		{"Order 114-0833187-7581859", nil},
		{"#4410", nil},
		{"+972-50-123-4567", nil},
		{"2026-01-20", nil},
		{"20/01/2026", nil},
		{"12.03.2026", nil},
		{"May 30", nil},
		{"30 במאי", nil},
		{"18:30", nil},
		{"5.48 miles, 23 minutes", nil},
		{"53,934 points", nil},
		{"$120/year", []string{"120 $"}},
		{"v1.2.3", nil},
		{"INV-0012", nil},
		{"007", nil},
		{"1234567890123", nil},
	}
	for _, tt := range tests {
		t.Run(tt.cell, func(t *testing.T) {
			t.Parallel()
			var got []string
			for _, a := range Read(tt.cell) {
				got = append(got, a.Value.String()+" "+a.Currency)
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("read %q, want %q", got, tt.want)
			}
		})
	}
}

func TestReadTellsWhatIsAmbiguous(t *testing.T) {
	t.Parallel()
	for cell, want := range map[string]bool{"€1.234": true, "€1,234": false, "€1.234,00": false, "€12.34": false} {
		got := Read(cell)
		if len(got) != 1 || got[0].Ambiguous != want {
			t.Errorf("%q: %+v, want ambiguous %t", cell, got, want)
		}
	}
}

func TestFormat(t *testing.T) {
	t.Parallel()
	tests := []struct{ value, currency, want string }{
		{"12.3", "ILS", "12.30"},
		{"1250", "USD", "1250.00"},
		{"3480", "JPY", "3480"},
		{"1.2345", "USD", "1.2345"},
		{"-60", "", "-60.00"},
	}
	for _, tt := range tests {
		if got := Format(decimal.RequireFromString(tt.value), tt.currency); got != tt.want {
			t.Errorf("%s %s written %q, want %q", tt.value, tt.currency, got, tt.want)
		}
	}
}

// TestNumberReadsOnlyItsNeighbours: what stands farther off changes nothing.
func TestNumberReadsOnlyItsNeighbours(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"USD 12.50", "12.50 ₪", "-$12.50 off", "May 30 at", "30 minutes long", "1 234,50 zł each", "$ -12.50", "12.50% of"} {
		for _, far := range []string{"y ", "ש ", "1/1 "} {
			alone := Read(text)
			ahead := strings.Repeat(far, 60)
			among := Read(ahead + text + " " + strings.Repeat(far, 60))
			if len(among) != len(alone) {
				t.Errorf("%q: %d amounts, among %q %d", text, len(alone), far, len(among))
				continue
			}
			for i, a := range alone {
				b := among[i]
				if !a.Value.Equal(b.Value) || a.Currency != b.Currency || a.Start+len(ahead) != b.Start || a.End+len(ahead) != b.End {
					t.Errorf("%q: %+v, among %q %+v", text, a, far, b)
				}
			}
		}
	}
}
