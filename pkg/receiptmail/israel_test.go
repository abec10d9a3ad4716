package receiptmail

import (
	"testing"
	"time"

	"github.com/shopspring/decimal"

	"github.com/prosaas/receipts/pkg/receiptmail/internal/page"
	"github.com/prosaas/receipts/proto"
)

func TestIsVAT(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		net, tax, on string
		want         bool
	}{
		{"10400", "1872", "2026-03-02", true},
		{"7080", "5192", "2026-03-02", false}, // adds up to the same, and is no tax
		{"1000", "170", "2024-12-31", true},
		{"1000", "170", "2025-01-01", false},
		{"1000", "180", "2025-01-01", true},
		{"1000", "180", "2024-12-31", false},
		{"101.61", "18.29", "2026-03-02", true}, // rounded
		{"1000", "170", "", true},
		{"1000", "180", "", true},
		{"1000", "190", "", false},
	} {
		var on time.Time
		if row.on != "" {
			on = mustDay(t, row.on)
		}
		if got := isVAT(decimal.RequireFromString(row.net), decimal.RequireFromString(row.tax), on); got != row.want {
			t.Errorf("%s on %s, on the day %q: %t, want %t", row.tax, row.net, row.on, got, row.want)
		}
	}
}

func mustDay(t *testing.T, s string) time.Time {
	t.Helper()
	day, err := time.Parse(time.DateOnly, s)
	if err != nil {
		t.Fatal(err)
	}
	return day
}

func TestReadAllocation(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"מספר הקצאה: 123456789":              "123456789",
		"מס' הקצאה 20261004113541865":        "20261004113541865",
		"מספר הקצאה\n445120998":              "445120998",
		"Allocation number: 445120998":       "445120998",
		"מספר הקצאה: בטיפול":                 "",
		"הקצאת משאבים 123456789":             "",
		"מספר הקצאה לחשבונית מעל 5,000 ש\"ח": "",
	} {
		if got, _, _ := readAllocation(page.Text(text)); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

func TestLacksAllocation(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		total, tax, currency, on string
		kind                     proto.ReceiptType
		number                   bool
		want                     bool
	}{
		{"5901.18", "900.18", "ILS", "2026-06-01", proto.TypeInvoice, false, true},
		{"5900.00", "900.00", "ILS", "2026-06-01", proto.TypeInvoice, false, false}, // 5,000 is not above 5,000
		{"5901.18", "900.18", "ILS", "2026-05-31", proto.TypeInvoice, false, false},
		{"11801.18", "1800.18", "ILS", "2026-05-31", proto.TypeInvoiceReceipt, false, true},
		{"11801.18", "1800.18", "ILS", "2025-12-31", proto.TypeInvoice, false, false},
		{"23601.18", "3600.18", "ILS", "2025-12-31", proto.TypeInvoice, false, true},
		{"29251.17", "4250.17", "ILS", "2024-05-05", proto.TypeInvoice, false, true},
		{"29251.17", "4250.17", "ILS", "2024-05-04", proto.TypeInvoice, false, false},
		{"5901.18", "900.18", "ILS", "2026-06-01", proto.TypeInvoice, true, false},
		{"5901.18", "900.18", "USD", "2026-06-01", proto.TypeInvoice, false, false},
		{"5901.18", "900.18", "ILS", "2026-06-01", proto.TypeReceipt, false, false},
		{"5901.18", "0.00", "ILS", "2026-06-01", proto.TypeInvoice, false, false},
		{"-5901.18", "-900.18", "ILS", "2026-06-01", proto.TypeInvoice, false, false},
	} {
		r := proto.ReceiptDetail{Receipt: proto.Receipt{Type: row.kind, Total: &row.total, Tax: &row.tax, Currency: &row.currency, IssuedOn: &row.on}}
		if row.number {
			r.AllocationNumber = new("123456789")
		}
		if got := lacksAllocation(r, time.Time{}); got != row.want {
			t.Errorf("%+v: %t", row, got)
		}
	}
}
