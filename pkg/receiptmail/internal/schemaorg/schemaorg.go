// Package schemaorg reads what a mail says to machines: schema.org's Order,
// Invoice and reservations, as JSON-LD or microdata. What is malformed is left
// out. It is pure, and bounded in objects and depth.
// See https://developers.google.com/workspace/gmail/markup/reference/order.
package schemaorg

import (
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/shopspring/decimal"
	"golang.org/x/net/html"

	"github.com/prosaas/receipts/pkg/receiptmail/internal/money"
	"github.com/prosaas/receipts/pkg/receiptmail/internal/page"
	"github.com/prosaas/receipts/pkg/receiptmail/internal/script"
)

// MaxPurchases are looked at in one document.
const MaxPurchases = 200

const (
	maxDepth = 12
	maxText  = 300 // bytes of one value
	maxPrice = 30
)

// Purchase is one object that has a price. Empty is not told.
type Purchase struct {
	Kind     string // "Order", "Invoice", or a kind of reservation
	Total    string // a decimal, as [money.Format] writes it
	Currency string // three letters
	OrderID  string
	Number   string
	IssuedOn string // YYYY-MM-DD
	Vendor   string
}

// Read reads a document's purchases, JSON-LD first.
func Read(markup page.Markup) []Purchase {
	var all []Purchase
	for _, t := range slices.Concat(jsonThings(markup.JSONLD), microdataThings(markup.Items)) {
		if p, ok := t.purchase(); ok {
			all = append(all, p)
		}
	}
	return all
}

// thing is one schema.org object; values are string, thing, or []any of them.
type thing map[string]any

func jsonThings(sources []string) []thing {
	var things []thing
	for _, s := range sources {
		d := json.NewDecoder(strings.NewReader(strings.TrimSpace(s)))
		d.UseNumber()
		var v any
		if d.Decode(&v) == nil {
			collectThings(v, &things, 0)
		}
	}
	return things
}

// collectThings finds the purchases in a value: the outermost objects whose
// type is one that [thing.purchase] reads.
func collectThings(v any, into *[]thing, depth int) {
	if depth > maxDepth || len(*into) >= MaxPurchases {
		return
	}
	switch v := v.(type) {
	case []any:
		for _, e := range v {
			collectThings(e, into, depth+1)
		}
	case map[string]any:
		t := thing(v)
		if kind := t.kind(); kind == "Order" || kind == "Invoice" || strings.HasSuffix(kind, "Reservation") {
			*into = append(*into, t)
			return
		}
		for _, key := range []string{"@graph", "mainEntity", "object"} {
			collectThings(v[key], into, depth+1)
		}
	}
}

func (t thing) kind() string {
	s := t.text("@type")
	return s[strings.LastIndexByte(s, '/')+1:]
}

// purchase reads one. An object without a price says nothing of money.
func (t thing) purchase() (Purchase, bool) {
	price, code := t.price()
	amount, ok := amountOf(price)
	if !ok {
		return Purchase{}, false
	}
	code = strings.ToUpper(code)
	p := Purchase{
		Kind:    t.kind(),
		Total:   money.Format(amount, code),
		OrderID: script.Normalise(t.first("orderNumber", "reservationNumber", "reservationId")),
		Number:  script.Normalise(t.first("confirmationNumber", "accountId", "identifier")),
	}
	if len(code) == 3 {
		p.Currency = script.Normalise(code)
	}
	for _, key := range []string{"orderDate", "paymentDate", "bookingTime"} {
		if day := t.text(key); isDay(day) {
			p.IssuedOn = day[:len(time.DateOnly)]
			break
		}
	}
	for _, key := range []string{"merchant", "seller", "provider", "broker", "bookingAgent", "customerOf"} {
		if name := t.name(key); name != "" {
			p.Vendor = script.Normalise(name)
			break
		}
	}
	return p, true
}

// amountOf reads a price as schema.org asks for it, with marks between the
// thousands, or as people write it.
func amountOf(price string) (decimal.Decimal, bool) {
	if len(price) > maxPrice || strings.ContainsAny(price, "eE") {
		return decimal.Decimal{}, false // 1e9999 is a decimal too
	}
	if amount, err := decimal.NewFromString(strings.ReplaceAll(price, ",", "")); err == nil {
		return amount, true
	}
	amount, ambiguous, _, ok := money.ParseNumber(price)
	return amount, ok && !ambiguous
}

// isDay tells whether a value begins with a day as ISO 8601 writes it.
func isDay(value string) bool {
	_, err := time.Parse(time.DateOnly, value[:min(len(value), len(time.DateOnly))])
	return err == nil
}

// price finds the total with its currency: told by the object itself, or by the
// specification it holds.
func (t thing) price() (price, code string) {
	for _, key := range []string{"totalPaymentDue", "totalPrice", "price", "priceSpecification", "partOfInvoice"} {
		switch v := t[key].(type) {
		case map[string]any:
			inner := thing(v)
			if price = inner.first("price", "value"); price == "" {
				price, code = inner.price()
			} else {
				code = inner.first("priceCurrency", "currency")
			}
		default:
			price = t.text(key)
		}
		if price != "" {
			if code == "" {
				code = t.first("priceCurrency", "currency", "totalPriceCurrency")
			}
			return price, code
		}
	}
	return "", ""
}

func (t thing) first(keys ...string) string {
	for _, k := range keys {
		if s := t.text(k); s != "" {
			return s
		}
	}
	return ""
}

func (t thing) text(key string) string {
	switch v := t[key].(type) {
	case string:
		return strings.TrimSpace(v)
	case json.Number:
		return v.String()
	case []any:
		if len(v) > 0 {
			return thing{key: v[0]}.text(key)
		}
	}
	return ""
}

func (t thing) name(key string) string {
	switch v := t[key].(type) {
	case map[string]any:
		return thing(v).text("name")
	case []any:
		if len(v) > 0 {
			return thing{key: v[0]}.name(key)
		}
	}
	return t.text(key)
}

func microdataThings(items []*html.Node) []thing {
	var things []thing
	for _, n := range items {
		collectThings(map[string]any(readItem(n, 0)), &things, 0)
	}
	return things
}

// readItem turns an element with itemscope into the object that it describes.
func readItem(n *html.Node, depth int) thing {
	t := thing{"@type": page.Attr(n, "itemtype")}
	readProperties(n, t, depth)
	return t
}

func readProperties(n *html.Node, t thing, depth int) {
	if depth > page.MaxNodeDepth {
		return
	}
	for c := n.FirstChild; c != nil; c = c.NextSibling {
		if c.Type != html.ElementNode {
			continue
		}
		scoped := page.HasAttr(c, "itemscope")
		prop := page.Attr(c, "itemprop")
		switch _, told := t[prop]; {
		case prop != "" && !told && scoped:
			t[prop] = map[string]any(readItem(c, depth+1))
		case prop != "" && !told:
			t[prop] = propertyValue(c)
		}
		if !scoped {
			readProperties(c, t, depth+1)
		}
	}
}

func propertyValue(n *html.Node) string {
	for _, key := range []string{"content", "datetime", "href", "src"} {
		if v, ok := page.Lookup(n, key); ok {
			return v
		}
	}
	var b strings.Builder
	for d := range n.Descendants() {
		if d.Type == html.TextNode && b.Len() < maxText {
			b.WriteString(d.Data)
		}
	}
	return script.Normalise(b.String())
}
