package httpapi

import (
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/prosaas/receipts/pkg/auth"
	"github.com/prosaas/receipts/pkg/connection"
	"github.com/prosaas/receipts/pkg/receiptstore"
	"github.com/prosaas/receipts/proto"
)

// store writes receipts as a sync does, each of a mail of its own.
func (s *service) store(receipts ...proto.ReceiptDetail) {
	s.Helper()
	s.redisDo("HSET", s.keys.Connection(business), "state", "connected", "epoch", "1", "address", "a@example.com")
	w := s.receipts.Writer(receiptstore.Fence{Business: business, Job: "job", Lease: 1, Epoch: 1})
	if _, err := w.Begin(s.Context()); err != nil {
		s.Fatal(err)
	}
	for i, r := range receipts {
		id := fmt.Sprintf("%016x", i+1)
		if _, err := w.Owe(s.Context(), []string{id}, nil, ""); err != nil {
			s.Fatal(err)
		}
		saved, err := w.Save(s.Context(), receiptstore.Message{
			ID: id, Outcome: receiptstore.OutcomeReceipt, Receipts: []receiptstore.Found{{Origin: "body", Receipt: r}},
		})
		if err != nil || saved.New != 1 {
			s.Fatalf("saved %+v, %v", saved, err)
		}
	}
}

func receiptOf(vendor, total, currency, received string, kind proto.ReceiptType, review bool) proto.ReceiptDetail {
	at, err := time.Parse(time.RFC3339, received)
	if err != nil {
		panic(err)
	}
	return proto.ReceiptDetail{
		Receipt: proto.Receipt{
			Type: kind, NeedsReview: review, Vendor: proto.Vendor{Name: vendor, Domain: strings.ToLower(vendor) + ".example"},
			Total: &total, Currency: &currency, ReceivedAt: at,
			Attachments: []proto.Attachment{{N: 1, Name: vendor + ".pdf", MediaType: "application/pdf", Size: 3}},
		},
		Fields: map[string]proto.Field{"total": {Source: "labelled/html", Confidence: 0.9, Text: "Total " + total}},
	}
}

func TestListReceipts(t *testing.T) {
	t.Parallel()
	s := serve(t).ready()
	s.store(
		receiptOf("Acme", "12.30", "ILS", "2026-01-31T21:59:59Z", proto.TypeInvoice, false), // the 31st in Jerusalem
		receiptOf("Bolt", "5.00", "EUR", "2026-01-31T22:00:00Z", proto.TypeReceipt, true),   // the 1st in Jerusalem
		receiptOf("Cafe", "100.00", "ILS", "2026-03-01T10:00:00Z", proto.TypeReceipt, false),
	)
	for _, row := range []struct{ query, want string }{
		{"", "Cafe Bolt Acme"},
		{"sort=date", "Acme Bolt Cafe"},
		{"sort=-date&limit=2", "Cafe Bolt"},
		{"status=pending_review", "Bolt"},
		{"status=approved", "Cafe Acme"},
		{"needs_review=true", "Bolt"},
		{"needs_review=false", "Cafe Acme"},
		{"type=receipt", "Cafe Bolt"},
		{"vendor=ACM", "Acme"},
		{"q=bolt.pdf", "Bolt"},
		{"currency=ils", "Cafe Acme"},
		{"min_amount=12.3", "Cafe Acme"},
		{"min_amount=5.01&max_amount=99.99", "Acme"},
		{"to_date=2026-01-31", "Acme"},
		{"from_date=2026-02-01&to_date=2026-02-01", "Bolt"},
		{"from_date=2026-02-02", "Cafe"},
		{"status=&q=&currency=", "Cafe Bolt Acme"}, // as a form sends them
		{"q=nothing", ""},
	} {
		t.Run(row.query, func(t *testing.T) {
			var list proto.List[proto.Receipt]
			a := s.do("GET", "/api/receipts?"+row.query, "")
			a.json(t, &list)
			names := []string{}
			for _, r := range list.Items {
				names = append(names, r.Vendor.Name)
			}
			if got := strings.Join(names, " "); a.status != 200 || got != row.want {
				t.Errorf("%d %s, want %s", a.status, got, row.want)
			}
		})
	}

	t.Run("in the business's own days", func(t *testing.T) {
		s.choose(business, connection.Settings{TimeZone: "UTC"})
		var list proto.List[proto.Receipt]
		s.do("GET", "/api/receipts?from_date=2026-01-31&to_date=2026-01-31", "").json(t, &list)
		if len(list.Items) != 2 || list.Items[0].Vendor.Name != "Bolt" || list.Items[1].Vendor.Name != "Acme" {
			t.Errorf("on the 31st of UTC came %+v", list.Items)
		}
	})

	t.Run("page by page", func(t *testing.T) {
		var names []string
		for cursor := ""; ; {
			var list proto.List[proto.Receipt]
			s.do("GET", "/api/receipts?limit=1&cursor="+url.QueryEscape(cursor), "").json(t, &list)
			for _, r := range list.Items {
				names = append(names, r.Vendor.Name)
			}
			if list.NextCursor == nil {
				break
			}
			cursor = *list.NextCursor
		}
		diff(t, "pages", names, []string{"Cafe", "Bolt", "Acme"})
	})
}

func TestReceipt(t *testing.T) {
	t.Parallel()
	s := serve(t).ready()
	s.store(receiptOf("Acme", "12.30", "ILS", "2026-01-31T21:59:59Z", proto.TypeInvoice, false))
	id := receiptstore.ID("0000000000000001", "body", 0)
	s.redisDo("HSET", s.keys.Receipts(business), id+":e", `{"note":"mine"}`) // what a person edited lies beside the receipt

	var got proto.ReceiptAnswer
	s.do("GET", "/api/receipts/"+id, "").json(t, &got)
	if r := got.Receipt; r.ID != id || *r.Total != "12.30" || r.Fields["total"].Text != "Total 12.30" || r.GmailMessageID != "0000000000000001" {
		t.Errorf("receipt = %+v", r)
	}
	none := problemBody("No such receipt", "Look at the list of receipts", "receipt_not_found")
	stranger := as(t, auth.Principal{BusinessID: "other", Role: auth.RoleOwner})
	s.do("GET", "/api/receipts/"+id, "", stranger).want(t, 404, none)
	for _, path := range []string{"nope", id + "/more", "a%3Ae", strings.Repeat("a", 65), id + ":e"} {
		s.do("GET", "/api/receipts/"+path, "").want(t, 404, none)
	}
	s.do("GET", "/api/receipts", "", stranger).want(t, 200, `{"success":true,"items":[],"next_cursor":null}`)
}

var malformedQuery = problemBody("The query of the address is malformed",
	"Within a value, write '%' as %25 and ';' as %3B", "invalid_query")

func TestBadReceiptFilters(t *testing.T) {
	t.Parallel()
	s := serve(t).ready()
	for _, row := range []struct{ query, name, must string }{
		{"status=paid", "status", "must be 'pending_review', 'approved', 'rejected' or 'not_receipt'"},
		{"type=bill", "type", "must be a type of receipt, as 'invoice'"},
		{"q=" + strings.Repeat("x", 201), "q", "must be at most 200 characters"},
		{"from_date=1.2.2026", "from_date", "must be a day as YYYY-MM-DD"},
		{"from_date=2026-02-02&to_date=2026-02-01", "from_date", "must not be after to_date"},
		{"min_amount=1e999999999", "min_amount", "must be an amount, as '12.30'"},
		{"max_amount=12,30", "max_amount", "must be an amount, as '12.30'"},
		{"currency=₪", "currency", "must be three letters, as 'ILS'"},
		{"needs_review=maybe", "needs_review", "must be 'true' or 'false'"},
		{"sort=total", "sort", "must be '-date' or 'date'"},
		{"limit=201", "limit", "must be 1 to 200"},
		{"limit=0", "limit", "must be 1 to 200"},
		{"cursor=x", "cursor", "must be the next_cursor of the page before"},
		{"type=invoice&type=order", "type", "must be given once"},
	} {
		t.Run(row.query[:min(len(row.query), 20)], func(t *testing.T) {
			s.do("GET", "/api/receipts?"+row.query, "").want(t, 400,
				problemBody("Field '"+row.name+"' "+row.must, "Correct '"+row.name+"' and send the request again", "invalid_field"))
		})
	}
	for _, query := range []string{"%zz=1", "a;b=1", "limit=5;x=1", "q=100%"} {
		s.do("GET", "/api/receipts?"+query, "").want(t, 400, malformedQuery)
	}
	s.do("GET", "/api/receipts?min_amout=3", "").want(t, 400,
		problemBody("Unknown field 'min_amout'", "Leave 'min_amout' out, or correct its name", "unknown_field"))
}
