package receiptstore_test

import (
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/rueidis"
	"github.com/shopspring/decimal"

	"github.com/prosaas/receipts/pkg/receiptstore"
	"github.com/prosaas/receipts/proto"
)

// fill saves receipts one a message and answers their ids in that order.
func (b *bench) fill(receipts ...proto.ReceiptDetail) []string {
	b.t.Helper()
	w, _ := b.begin("fill", 1)
	var ids []string
	for i, r := range receipts {
		b.owe(w, []string{id(i)}, "")
		b.save(w, read(id(i), r))
		ids = append(ids, receiptstore.ID(id(i), "body", 0))
	}
	return ids
}

func TestListFilters(t *testing.T) {
	t.Parallel()
	b := open(t)
	cafe := receipt("40.00", at(1))
	cafe.Number = new("INV-77")
	taxi := receipt("9.99", at(2))
	taxi.Vendor, taxi.Currency, taxi.Type = proto.Vendor{Name: "מוניות העיר", TaxID: "514000004"}, new("USD"), proto.TypeInvoice
	unknown := receipt("", at(3))
	unknown.Total, unknown.Currency, unknown.NeedsReview = nil, nil, true
	unknown.Attachments = []proto.Attachment{{N: 1, Name: "Scan-0042.PDF", MediaType: "application/pdf", Size: 12}}
	refund := receipt("-40.00", at(4))
	refund.Type, refund.OrderID = proto.TypeCreditNote, new("ord_9")
	ids := b.fill(cafe, taxi, unknown, refund)
	name := map[string]string{ids[0]: "cafe", ids[1]: "taxi", ids[2]: "unknown", ids[3]: "refund"}

	amount := func(s string) *decimal.Decimal { d := decimal.RequireFromString(s); return &d }
	yes, no := true, false
	rows := []struct {
		name   string
		filter receiptstore.Filter
		want   []string
	}{
		{"none", receiptstore.Filter{}, []string{"refund", "unknown", "taxi", "cafe"}},
		{"oldest first", receiptstore.Filter{Ascending: true}, []string{"cafe", "taxi", "unknown", "refund"}},
		{"approved", receiptstore.Filter{Status: proto.StatusApproved}, []string{"refund", "taxi", "cafe"}},
		{"pending", receiptstore.Filter{Status: proto.StatusPendingReview}, []string{"unknown"}},
		{"rejected", receiptstore.Filter{Status: proto.StatusRejected}, nil},
		{"vendor", receiptstore.Filter{Vendor: "NAHALAT"}, []string{"refund", "unknown", "cafe"}},
		{"vendor in Hebrew", receiptstore.Filter{Vendor: "מוניות"}, []string{"taxi"}},
		{"vendor's tax id", receiptstore.Filter{Vendor: "51400"}, []string{"taxi"}},
		{"q number", receiptstore.Filter{Q: "inv-7"}, []string{"cafe"}},
		{"q order", receiptstore.Filter{Q: "ORD_9"}, []string{"refund"}},
		{"q file", receiptstore.Filter{Q: "scan-0042.pdf"}, []string{"unknown"}},
		{"from", receiptstore.Filter{From: at(3)}, []string{"refund", "unknown"}},
		{"before", receiptstore.Filter{Before: at(3)}, []string{"taxi", "cafe"}},
		{"from before, oldest first", receiptstore.Filter{From: at(2), Before: at(4), Ascending: true}, []string{"taxi", "unknown"}},
		{"nothing in between", receiptstore.Filter{From: at(3), Before: at(3)}, nil},
		{"least", receiptstore.Filter{MinAmount: amount("9.990")}, []string{"taxi", "cafe"}},
		{"most", receiptstore.Filter{MaxAmount: amount("9.99")}, []string{"refund", "taxi"}},
		{"between", receiptstore.Filter{MinAmount: amount("0"), MaxAmount: amount("39.99")}, []string{"taxi"}},
		{"currency", receiptstore.Filter{Currency: "usd"}, []string{"taxi"}},
		{"type", receiptstore.Filter{Type: proto.TypeCreditNote}, []string{"refund"}},
		{"needs review", receiptstore.Filter{NeedsReview: &yes}, []string{"unknown"}},
		{"needs none", receiptstore.Filter{NeedsReview: &no, Currency: "ILS"}, []string{"refund", "cafe"}},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			for _, limit := range []int{0, 1} { // in one page, and one a page
				var got []string
				for row.filter.Limit, row.filter.Cursor = limit, ""; ; {
					items, next, err := b.List(t.Context(), business, row.filter)
					if err != nil {
						t.Fatal(err)
					}
					for _, item := range items {
						got = append(got, name[item.ID])
					}
					if next == "" {
						break
					}
					row.filter.Cursor = next
				}
				if diff := cmp.Diff(row.want, got); diff != "" {
					t.Errorf("limit %d:\n%s", limit, diff)
				}
			}
		})
	}
}

// Pages tile the list: also where many receipts came at the same instant, and
// while others come and go.
func TestListPages(t *testing.T) {
	t.Parallel()
	b := open(t)
	const n = 330
	receipts := make([]proto.ReceiptDetail, n)
	for i := range receipts {
		receipts[i] = receipt("1.00", at(1+i/300)) // 300 at one instant
	}
	all := b.fill(receipts...)
	for _, limit := range []int{7, 100, 200, 330} {
		for _, ascending := range []bool{false, true} {
			var got []string
			f := receiptstore.Filter{Limit: limit, Ascending: ascending}
			for pages := 0; ; pages++ {
				items, next, err := b.List(t.Context(), business, f)
				if err != nil {
					t.Fatal(err)
				}
				for _, item := range items {
					got = append(got, item.ID)
				}
				if pages == 1 && limit == 7 && !ascending { // the cursor's own entry goes, and a newer one comes
					b.do("ZREM", b.keys.ReceiptsByDate(business), got[len(got)-1])
					b.do("ZADD", b.keys.ReceiptsByDate(business), fmt.Sprint(at(28).UnixMilli()), "newer")
				}
				if f.Cursor = next; next == "" {
					break
				}
			}
			slices.Sort(got)
			want := slices.Sorted(slices.Values(all))
			if limit != 7 || ascending {
				// what was taken out of the index above is no longer listed
				want = slices.DeleteFunc(want, func(id string) bool { return !slices.Contains(got, id) })
				if len(want) != n-1 {
					t.Errorf("limit %d: %d receipts, want %d", limit, len(want), n-1)
				}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("limit %d, ascending %v:\n%s", limit, ascending, diff)
			}
		}
	}
}

// A page that matches nothing ends after MaxScan records and goes on.
func TestListScansInPieces(t *testing.T) {
	t.Parallel()
	b := open(t)
	first := b.fill(receipt("77.00", at(1)))[0]
	record := b.do("HGET", b.keys.Receipts(business), first)
	bytes, _ := record.ToString()
	const n = receiptstore.MaxScan + 500
	for from := 0; from < n; from += 500 {
		hash, index := []string{"HSET", b.keys.Receipts(business)}, []string{"ZADD", b.keys.ReceiptsByDate(business)}
		for i := from; i < from+500; i++ {
			hash = append(hash, fmt.Sprint("x", i), bytes)
			index = append(index, fmt.Sprint(at(2).UnixMilli()+int64(i)), fmt.Sprint("x", i))
		}
		b.do(hash...)
		b.do(index...)
	}
	b.do("HSET", b.keys.Receipts(business), first+":e", `{"note":"the one"}`)
	f := receiptstore.Filter{Q: "the one"}
	items, next, err := b.List(t.Context(), business, f)
	if err != nil || len(items) != 0 || next == "" {
		t.Fatalf("first page: %d items, next %q, %v, want none and a cursor", len(items), next, err)
	}
	f.Cursor = next
	items, next, err = b.List(t.Context(), business, f)
	if err != nil || len(items) != 1 || items[0].ID != first || next != "" {
		t.Errorf("second page: %d items, next %q, %v, want the one", len(items), next, err)
	}
}

func TestListBadCursor(t *testing.T) {
	t.Parallel()
	b := open(t)
	for _, cursor := range []string{"?", "x", base64.RawURLEncoding.EncodeToString([]byte("12")), base64.RawURLEncoding.EncodeToString([]byte("x:y")), base64.RawURLEncoding.EncodeToString([]byte("1:é")), base64.RawURLEncoding.EncodeToString([]byte("1:"))} {
		if _, _, err := b.List(t.Context(), business, receiptstore.Filter{Cursor: cursor}); !errors.Is(err, receiptstore.ErrBadCursor) {
			t.Errorf("cursor %q = %v, want %v", cursor, err, receiptstore.ErrBadCursor)
		}
	}
}

func TestGetAnothersReceipt(t *testing.T) {
	t.Parallel()
	b := open(t)
	ids := b.fill(receipt("40.00", at(1)))
	for _, row := range []struct{ business, id string }{{"b2", ids[0]}, {business, "nosuch"}} {
		if _, err := b.Get(t.Context(), row.business, row.id); !errors.Is(err, receiptstore.ErrNotFound) {
			t.Errorf("Get(%s, %s) = %v, want %v", row.business, row.id, err, receiptstore.ErrNotFound)
		}
	}
	if got, err := b.Get(t.Context(), business, ids[0]); err != nil || got.GmailMessageID != id(0) {
		t.Errorf("own receipt = %+v, %v", got, err)
	}
}

// full is a receipt with every field set, as rich as they come.
func full(received time.Time) proto.ReceiptDetail {
	field := func(source, read string) proto.Field {
		return proto.Field{Source: source, Confidence: 0.93, Text: read}
	}
	return proto.ReceiptDetail{
		Receipt: proto.Receipt{
			Type: proto.TypeInvoiceReceipt, NeedsReview: true,
			Vendor: proto.Vendor{Name: "אבן דרך ציוד משרדי בע\"מ", Domain: "evenderech.example", TaxID: "514000004"},
			Number: new("60004"), OrderID: new("A-99121"), IssuedOn: new("2026-02-28"),
			Total: new("1234.56"), Tax: new("188.32"), Currency: new("ILS"), Group: new("g1"), ReceivedAt: received,
			Attachments: []proto.Attachment{{N: 1, Name: "חשבונית 60004.pdf", MediaType: "application/pdf", Size: 48211}},
		},
		Subtotal: new("1046.24"), AllocationNumber: new("20261004113541865"),
		ReviewReasons: []string{"date_unsure"},
		LineItems:     []proto.LineItem{{Description: "נייר A4", Quantity: new("10"), Amount: new("300.00")}},
		Fields: map[string]proto.Field{
			"total": field("labelled/html", "סה\"כ לתשלום 1,234.56 ₪"), "tax": field("labelled/html", "מע\"מ 18% 188.32 ₪"),
			"currency": field("labelled/html", "₪"), "number": field("labelled/html", "חשבונית מס / קבלה 60004"),
			"issued_on": field("labelled/text", "תאריך: 28/02/2026"), "vendor": field("sender", "evenderech.example"),
		},
	}
}

// Target: under 1.5 kB of Redis a receipt, indexes and outcome included.
func TestReceiptIsSmall(t *testing.T) {
	t.Parallel()
	b := open(t)
	const n = 500
	receipts := make([]proto.ReceiptDetail, n)
	for i := range receipts {
		receipts[i] = full(at(1).Add(time.Duration(i) * time.Minute))
	}
	b.fill(receipts...)
	var total int64
	for key := range b.dump() {
		message, err := b.client.Do(t.Context(), memoryUsage(key))
		if err != nil {
			t.Fatal(err)
		}
		bytes, err := message.AsInt64()
		if err != nil {
			t.Fatal(err)
		}
		total += bytes
	}
	t.Logf("%d bytes of Redis a receipt", total/n)
	if total/n >= 1536 {
		t.Errorf("%d bytes of Redis a receipt, want under 1536", total/n)
	}
}

func memoryUsage(key string) func(rueidis.Builder) rueidis.Completed {
	return func(b rueidis.Builder) rueidis.Completed { return b.MemoryUsage().Key(key).Samples(0).Build() }
}
