// Package einvoice reads structured invoices: UN/CEFACT Cross Industry Invoices
// (Factur-X, ZUGFeRD 1 and 2, XRechnung) and UBL 2 invoices and credit notes.
// They state every amount, so what is read is what was written, or nothing: a
// value that is missing or malformed is left empty. It is pure, and bounded in
// depth and size.
package einvoice

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"time"

	"github.com/shopspring/decimal"
	"golang.org/x/net/html/charset"
	"golang.org/x/text/encoding/unicode"
	"golang.org/x/text/transform"
)

// Invoice is one structured invoice. Amounts of a credit note are as written
// there. Empty and nil are unknown.
type Invoice struct {
	Format   string // "cii" or "ubl"
	Credit   bool   // a credit note
	Number   string
	IssuedOn time.Time
	Currency string // ISO 4217
	Total    *decimal.Decimal
	Tax      *decimal.Decimal
	Net      *decimal.Decimal
	Seller   string
	SellerID string // the seller's VAT id, or else its tax number
	OrderID  string // of the buyer's order
	Lines    []Line
}

// Line is one line of an invoice.
type Line struct {
	Description string
	Quantity    *decimal.Decimal
	Amount      *decimal.Decimal // net
}

// ErrNotInvoice says that the bytes are no structured invoice, or not one that
// can be read.
var ErrNotInvoice = errors.New("not a structured invoice")

const (
	maxNodes = 100_000
	maxDepth = 40
	maxLines = 200
	maxText  = 300 // bytes of one value
)

// Read reads one file.
func Read(content []byte) (Invoice, error) {
	root, err := parse(content)
	if err != nil {
		return Invoice{}, err
	}
	switch root.name {
	case "CrossIndustryInvoice", "CrossIndustryDocument":
		return readCII(root), nil
	case "Invoice", "CreditNote":
		if root.child("LegalMonetaryTotal") != nil {
			return readUBL(root), nil
		}
	}
	return Invoice{}, ErrNotInvoice
}

// node is one element, without its namespace: the formats tell theirs apart by
// names alone.
type node struct {
	name     string
	text     string
	attrs    []xml.Attr
	children []*node
}

func parse(content []byte) (*node, error) {
	d := xml.NewDecoder(transform.NewReader(bytes.NewReader(content), unicode.BOMOverride(transform.Nop))) // UTF-16 with a mark
	d.CharsetReader = func(label string, input io.Reader) (io.Reader, error) {
		if strings.HasPrefix(strings.ToLower(label), "utf-16") {
			return input, nil // that was turned into UTF-8 above
		}
		return charset.NewReaderLabel(label, input)
	}
	d.Entity = map[string]string{} // none but XML's own five
	root := &node{}
	open := []*node{root}
	for count := 0; ; {
		token, err := d.Token()
		if err != nil {
			if len(root.children) == 1 && len(open) == 1 {
				return root.children[0], nil
			}
			return nil, errors.Join(ErrNotInvoice, err)
		}
		top := open[len(open)-1]
		switch t := token.(type) {
		case xml.StartElement:
			if count++; count > maxNodes || len(open) > maxDepth {
				return nil, ErrNotInvoice
			}
			n := &node{name: t.Name.Local, attrs: t.Attr}
			top.children = append(top.children, n)
			open = append(open, n)
		case xml.EndElement:
			open = open[:len(open)-1]
		case xml.CharData:
			if len(top.text) < maxText && len(top.children) == 0 {
				top.text += string(t[:min(len(t), maxText)])
			}
		}
	}
}

// child is the first child of that name, nil where there is none.
func (n *node) child(name string) *node {
	if n == nil {
		return nil
	}
	for _, c := range n.children {
		if c.name == name {
			return c
		}
	}
	return nil
}

// all lists the children of that name.
func (n *node) all(name string) []*node {
	if n == nil {
		return nil
	}
	var found []*node
	for _, c := range n.children {
		if c.name == name {
			found = append(found, c)
		}
	}
	return found
}

// at follows a path of names; nil where it leads nowhere.
func (n *node) at(path ...string) *node {
	for _, name := range path {
		n = n.child(name)
	}
	return n
}

func (n *node) value(path ...string) string {
	if n = n.at(path...); n == nil {
		return ""
	}
	return strings.Join(strings.Fields(strings.ToValidUTF8(n.text, "")), " ")
}

func (n *node) attr(name string) string {
	if n == nil {
		return ""
	}
	for _, a := range n.attrs {
		if a.Name.Local == name {
			return strings.TrimSpace(a.Value)
		}
	}
	return ""
}

func (n *node) amount(path ...string) *decimal.Decimal { return amountOf(n.value(path...)) }

// amountOf reads a decimal as XML Schema writes it; no format allows an exponent.
func amountOf(text string) *decimal.Decimal {
	if text == "" || len(text) > 30 || strings.ContainsAny(text, "eE") {
		return nil
	}
	d, err := decimal.NewFromString(text)
	if err != nil {
		return nil
	}
	return &d
}

// inCurrency is the amount among alternatives that is in the given currency:
// one that names none, or the right one.
func inCurrency(amounts []*node, currency string) *decimal.Decimal {
	for _, n := range amounts {
		if c := n.attr("currencyID"); c == "" || currency == "" || c == currency {
			return amountOf(n.value())
		}
	}
	return nil
}

// addTo adds amounts of which either may be unknown; none known is unknown.
func addTo(total, amount *decimal.Decimal) *decimal.Decimal {
	if total == nil {
		return amount
	}
	if amount == nil {
		return total
	}
	added := total.Add(*amount)
	return &added
}

// date reads the first of the layouts that fits.
func date(text string, layouts ...string) time.Time {
	for _, layout := range layouts {
		if len(text) < len(layout) {
			continue
		}
		if day, err := time.Parse(layout, text[:len(layout)]); err == nil {
			return day
		}
	}
	return time.Time{}
}
