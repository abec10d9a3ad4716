package receiptmail

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/prosaas/receipts/pkg/receiptmail/internal/label"
	"github.com/prosaas/receipts/pkg/receiptmail/internal/page"
	"github.com/prosaas/receipts/proto"
)

// telling is a purchase as one strategy tells it of one origin.
func telling(way, origin string, ordinal int, total, number string) []finding {
	var all []finding
	for name, value := range map[field]string{fieldTotal: total, fieldNumber: number} {
		if value != "" {
			all = append(all, finding{origin: origin, ordinal: ordinal, field: name, value: value, source: way + "x", confidence: 0.8, role: label.Total})
		}
	}
	return all
}

// TestGroupPurchases: what is one purchase, and what are several.
func TestGroupPurchases(t *testing.T) {
	t.Parallel()
	type told = [][]finding
	body, a, b := originBody, "a", "b"
	for name, row := range map[string]struct {
		told told
		text string // of document b
		want string // origin:ordinal total
	}{
		"the mail alone":                  {told{telling(wayLabelled, body, 0, "9.00", "N-1001")}, "", "body:0 9.00"},
		"the mail, in two ways":           {told{telling(wayLabelled, body, 0, "9.00", ""), telling(waySchema, body, 0, "9.00", "")}, "", "body:0 9.00"},
		"the mail and its invoice":        {told{telling(wayLabelled, body, 0, "9.00", ""), telling(wayLabelled, a, 0, "9.00", "N-1001")}, "", "body:0 9.00"},
		"an invoice alone":                {told{telling(wayLabelled, body, 0, "", "N-1001"), telling(wayLabelled, a, 0, "9.00", "")}, "", "a:0 9.00"},
		"an invoice, stated and printed":  {told{telling(wayStated, a, 0, "9.00", ""), telling(wayLabelled, a, 0, "8.00", "")}, "", "a:0 9.00"},
		"two invoices":                    {told{telling(wayLabelled, a, 0, "9.00", "N-1001"), telling(wayLabelled, b, 0, "8.00", "N-1002")}, "", "a:0 9.00, b:0 8.00"},
		"two invoices of one amount":      {told{telling(wayLabelled, a, 0, "9.00", "N-1001"), telling(wayLabelled, b, 0, "9.00", "N-1002")}, "", "a:0 9.00, b:0 9.00"},
		"an invoice and its receipt":      {told{telling(wayLabelled, a, 0, "9.00", "N-1001"), telling(wayLabelled, b, 0, "9.00", "R-77")}, "Receipt R-77 for invoice N-1001", "a:0 9.00"},
		"two invoices and their sum":      {told{telling(wayLabelled, body, 0, "17.00", ""), telling(wayLabelled, a, 0, "9.00", "N-1001"), telling(wayLabelled, b, 0, "8.00", "N-1002")}, "", "a:0 9.00, b:0 8.00"},
		"several in the mail, and theirs": {told{telling(wayLabelled, body, 0, "9.00", "N-1001"), telling(wayLabelled, body, 1, "8.00", "N-1002"), telling(wayLabelled, a, 0, "8.00", "N-1002")}, "", "body:0 9.00, body:1 8.00"},
		"several, and their sum attached": {told{telling(wayLabelled, body, 0, "9.00", ""), telling(wayLabelled, body, 1, "8.00", ""), telling(wayLabelled, a, 0, "17.00", "")}, "", "body:0 9.00, body:1 8.00"},
		"no total anywhere":               {told{telling(wayLabelled, body, 0, "", "N-1001")}, "", "a:0 -"},
	} {
		m := &message{
			files: []file{{Attachment: proto.Attachment{MediaType: mediaPDF}, sha256: a}, {Attachment: proto.Attachment{MediaType: mediaPDF}, sha256: b}},
			docs:  []*document{{kind: kindPDF, origin: b, lines: page.Text(row.text)}},
		}
		var found []finding
		for _, f := range row.told {
			found = append(found, f...)
		}
		var got []string
		for _, g := range groupPurchases(m, found) {
			total := "-"
			if f, ok := surest(g.findings, fieldTotal); ok {
				total = f.value
			}
			got = append(got, fmt.Sprintf("%s:%d %s", g.origin, g.ordinal, total))
		}
		if diff := cmp.Diff(row.want, strings.Join(got, ", ")); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

func TestAgree(t *testing.T) {
	t.Parallel()
	find := func(source, value string, sure float64) finding {
		return finding{origin: originBody, field: fieldTotal, source: source, value: value, confidence: sure}
	}
	for name, row := range map[string]struct {
		found         []finding
		value         string
		sure, against float64
	}{
		"one":                      {[]finding{find("a", "9.00", 0.8)}, "9.00", 0.8, 0},
		"two ways that agree":      {[]finding{find("a", "9.00", 0.8), find("b", "9", 0.5)}, "9.00", 0.9, 0},
		"one way that says twice":  {[]finding{find("a", "9.00", 0.8), find("a", "9.00", 0.7)}, "9.00", 0.8, 0},
		"two ways that disagree":   {[]finding{find("a", "9.00", 0.8), find("b", "8.00", 0.6)}, "9.00", 0.8, 0.6},
		"two alike: the first one": {[]finding{find("a", "9.00", 0.8), find("b", "8.00", 0.8)}, "9.00", 0.8, 0.8},
		"never wholly sure":        {[]finding{find("a", "9.00", 0.95), find("b", "9.00", 0.95)}, "9.00", 0.99, 0},
	} {
		got, ok := agree(row.found, fieldTotal)
		if !ok || got.best.value != row.value || got.best.confidence < row.sure-1e-9 || got.best.confidence > row.sure+1e-9 || got.against != row.against {
			t.Errorf("%s: %+v, %t", name, got, ok)
		}
	}
	if _, ok := agree(nil, fieldTotal); ok {
		t.Error("agreed on nothing")
	}
}

// TestPurchaseKey: mails that tell one purchase have one key, and no others.
func TestPurchaseKey(t *testing.T) {
	t.Parallel()
	day := time.Date(2026, 3, 10, 9, 0, 0, 0, time.UTC)
	base := func(change func(*proto.ReceiptDetail)) *string {
		r := proto.ReceiptDetail{Receipt: proto.Receipt{Vendor: proto.Vendor{Name: "Oak Bakery"}, Total: new("14.25"), Currency: new("GBP")}}
		change(&r)
		return purchaseKey(r, day)
	}
	order := base(func(r *proto.ReceiptDetail) { r.OrderID = new("OB-118") })
	plain := base(func(*proto.ReceiptDetail) {})
	for name, row := range map[string]struct {
		key  *string
		as   *string
		same bool
	}{
		"its invoice names the order":  {base(func(r *proto.ReceiptDetail) { r.OrderID, r.Number = new("OB-118"), new("INV-7") }), order, true},
		"its refund":                   {base(func(r *proto.ReceiptDetail) { r.OrderID, r.Total = new("OB-118"), new("-14.25") }), order, true},
		"the vendor written otherwise": {base(func(r *proto.ReceiptDetail) { r.OrderID, r.Vendor.Name = new("ob-118"), "Oak Bakery Ltd" }), order, true},
		"another order":                {base(func(r *proto.ReceiptDetail) { r.OrderID = new("OB-119") }), order, false},
		"another vendor":               {base(func(r *proto.ReceiptDetail) { r.OrderID, r.Vendor.Name = new("OB-118"), "Elm Bakery" }), order, false},
		"an amount and its day":        {base(func(r *proto.ReceiptDetail) { r.IssuedOn = new("2026-03-10") }), plain, true},
		"another day":                  {base(func(r *proto.ReceiptDetail) { r.IssuedOn = new("2026-03-09") }), plain, false},
		"another currency":             {base(func(r *proto.ReceiptDetail) { r.Currency = new("EUR") }), plain, false},
	} {
		if row.key == nil || row.as == nil || (*row.key == *row.as) != row.same {
			t.Errorf("%s: %v and %v", name, row.key, row.as)
		}
	}
	if key := base(func(r *proto.ReceiptDetail) { r.Vendor.Name = "" }); key != nil {
		t.Errorf("nobody's key is %q", *key)
	}
	if key := base(func(r *proto.ReceiptDetail) { r.Currency = nil }); key != nil {
		t.Errorf("nothing's key is %q", *key)
	}
}

// TestOnePurchaseInThreeMails: order, payment and invoice of one purchase are a group.
func TestOnePurchaseInThreeMails(t *testing.T) {
	t.Parallel()
	groups := map[string]bool{}
	for _, name := range []string{"order", "payment", "invoice"} {
		raw := readCorpus(t, "mail/he-group-"+name+".eml")
		result, err := reader.Read(t.Context(), raw, dateOf(t, raw))
		if err != nil || len(result.Receipts) != 1 || result.Receipts[0].Group == nil {
			t.Fatalf("%s: %+v, %v", name, result, err)
		}
		groups[*result.Receipts[0].Group] = true
	}
	if len(groups) != 1 {
		t.Errorf("groups %v, want one", groups)
	}
}
