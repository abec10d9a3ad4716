package receiptmail

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

// schemaOrg reads what a mail says to machines: schema.org's Order, Invoice and
// reservations, as JSON-LD or microdata.
// See https://developers.google.com/workspace/gmail/markup/reference/order.
type schemaOrg struct{}

const (
	sureSchema    = 0.95
	maxThings     = 200 // objects looked at in one mail
	maxThingDepth = 12
)

// thing is one schema.org object; values are string, thing, or []any of them.
type thing map[string]any

func (schemaOrg) read(m *message) []finding {
	var all []finding
	ordinal := 0
	seen := map[string]bool{}
	for _, doc := range m.docs {
		for _, t := range slices.Concat(jsonThings(doc.markup.JSONLD), microdataThings(doc.markup.Items)) {
			found := t.findings(doc.origin, ordinal)
			if key := keyOf(found); len(found) > 0 && !seen[key] && ordinal < maxThings {
				seen[key] = true
				all = append(all, found...)
				ordinal++
			}
		}
	}
	return all
}

// keyOf tells two versions of the same purchase from two purchases.
func keyOf(found []finding) string {
	var b strings.Builder
	for _, f := range found {
		b.WriteString(string(f.field) + "=" + f.value + ";")
	}
	return b.String()
}

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
// type is one that [thing.findings] reads.
func collectThings(v any, into *[]thing, depth int) {
	if depth > maxThingDepth || len(*into) >= maxThings {
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

// findings reads one purchase. An object without a price says nothing of money,
// and is left to the other strategies.
func (t thing) findings(origin string, ordinal int) []finding {
	price, code := t.price()
	if price == "" {
		return nil
	}
	var all []finding
	found := func(f field, value string) {
		if value = script.Normalise(value); value != "" {
			all = append(all, finding{origin: origin, ordinal: ordinal, field: f, value: value, source: waySchema + t.kind(), confidence: sureSchema, text: script.Clip(t.kind()+" "+string(f)+" "+value, maxFieldText), role: roleCharged})
		}
	}
	amount, err := decimal.NewFromString(strings.ReplaceAll(price, ",", ""))
	if err != nil {
		if value, ambiguous, _, ok := money.ParseNumber(price); ok && !ambiguous {
			amount, err = value, nil
		}
	}
	if err != nil {
		return nil
	}
	code = strings.ToUpper(code)
	found(fieldTotal, money.Format(amount, code))
	if len(code) == 3 {
		found(fieldCurrency, code)
	}
	found(fieldOrderID, t.first("orderNumber", "reservationNumber", "reservationId"))
	found(fieldNumber, t.first("confirmationNumber", "accountId", "identifier"))
	for _, key := range []string{"orderDate", "paymentDate", "bookingTime"} {
		if day := t.text(key); isDay(day) {
			found(fieldIssuedOn, day[:10])
			break
		}
	}
	for _, key := range []string{"merchant", "seller", "provider", "broker", "bookingAgent", "customerOf"} {
		if name := t.name(key); name != "" {
			found(fieldVendor, name)
			break
		}
	}
	return all
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
		if d.Type == html.TextNode && b.Len() < maxSentence {
			b.WriteString(d.Data)
		}
	}
	return script.Normalise(b.String())
}
