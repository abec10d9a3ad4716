package receiptmail

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/shopspring/decimal"

	"github.com/prosaas/receipts/pkg/receiptmail/internal/einvoice"
	"github.com/prosaas/receipts/pkg/receiptmail/internal/label"
	"github.com/prosaas/receipts/pkg/receiptmail/internal/money"
	"github.com/prosaas/receipts/pkg/receiptmail/internal/page"
	"github.com/prosaas/receipts/pkg/receiptmail/internal/pdf"
	"github.com/prosaas/receipts/pkg/receiptmail/internal/script"
	"github.com/prosaas/receipts/proto"
)

// Bounds on what came with one mail.
const (
	maxPDFs = 5
	maxXMLs = 5
)

// invoice is a structured invoice that came with the mail.
type invoice struct {
	einvoice.Invoice
	origin string // the file that is it, or holds it
	source string
}

// readFiles reads the documents attached: their text becomes documents of the
// mail beside its own. It fails where the reader does; a file that cannot be
// read stays an attachment.
func (r *Reader) readFiles(ctx context.Context, m *message) error {
	pdfs, xmls := 0, 0
	for i := range m.files {
		f := &m.files[i]
		switch {
		case isDocument(*f) && pdfs < maxPDFs:
			pdfs++
			doc, err := r.pdf.Read(ctx, f.content)
			if errors.Is(err, pdf.ErrUnreadable) {
				continue
			}
			if err != nil {
				return err
			}
			m.addPDF(f, doc)
		case isXML(*f) && xmls < maxXMLs:
			xmls++
			if inv, err := einvoice.Read(f.content); err == nil {
				f.read = true
				m.invoices = append(m.invoices, invoice{inv, f.sha256, wayStated + "xml"})
			}
		}
	}
	return nil
}

func isDocument(f file) bool { return f.MediaType == mediaPDF }

// isWinmail: such a file may hold a document, but it is not read.
func isWinmail(f file) bool { return f.MediaType == mediaTNEF }

func isXML(f file) bool {
	return strings.HasSuffix(f.MediaType, "/xml") || strings.HasSuffix(f.MediaType, "+xml") || strings.HasSuffix(strings.ToLower(f.Name), ".xml") ||
		bytes.HasPrefix(bytes.TrimLeft(f.content[:min(len(f.content), 64)], "\xef\xbb\xbf \r\n\t"), []byte("<?xml"))
}

// addPDF takes a PDF's text, and the structured invoice embedded in it.
func (m *message) addPDF(f *file, read pdf.Document) {
	doc := &document{kind: kindPDF, origin: f.sha256}
	for _, l := range read.Lines {
		var of page.Line
		for _, c := range l {
			if text := script.Normalise(c.Text); text != "" {
				of.Cells = append(of.Cells, text)
				of.Spans = append(of.Spans, page.Span{Left: c.Left, Right: c.Right})
			}
		}
		if len(of.Cells) > 0 {
			doc.lines = append(doc.lines, of)
		}
	}
	left, text := page.MaxLines, page.MaxBytes
	if doc.lines = page.Bound(doc.lines, &left, &text); len(doc.lines) > 0 {
		f.read = true
		m.docs = append(m.docs, doc)
	}
	for _, embedded := range read.Files {
		if inv, err := einvoice.Read(embedded.Content); err == nil {
			f.read = true
			m.invoices = append(m.invoices, invoice{inv, f.sha256, wayStated + "pdf"})
			return // a second one is the same in another profile
		}
	}
}

// lineItemsOf lists the lines of the structured invoice that the purchase is, if any.
func lineItemsOf(m *message, g group) []proto.LineItem {
	items := []proto.LineItem{}
	for _, inv := range m.invoices {
		if !slices.ContainsFunc(g.findings, func(f finding) bool { return f.origin == inv.origin }) {
			continue
		}
		for _, l := range inv.Lines {
			item := proto.LineItem{Description: script.Clip(script.Normalise(l.Description), maxFieldText)}
			if l.Quantity != nil {
				item.Quantity = new(l.Quantity.String())
			}
			if l.Amount != nil {
				item.Amount = new(money.Format(*l.Amount, inv.Currency))
			}
			items = append(items, item)
		}
		break
	}
	return items
}

// stated reads structured invoices: whoever wrote them stated every value.
type stated struct{}

const sureStatedInvoice = 0.99

func (stated) read(m *message) []finding {
	var all []finding
	for _, inv := range m.invoices {
		if inv.Total == nil {
			continue // no invoice says less
		}
		found := func(name field, value string) {
			if value = script.Clip(script.Normalise(value), maxFieldText); value != "" {
				all = append(all, finding{origin: inv.origin, field: name, value: value, source: inv.source, confidence: sureStatedInvoice, text: script.Clip(inv.Format+" "+string(name)+" "+value, maxFieldText), role: label.Charged})
			}
		}
		sign := func(name field, amount *decimal.Decimal) {
			if amount == nil {
				return
			}
			value := *amount
			if inv.Credit {
				value = value.Abs().Neg()
			}
			found(name, money.Format(value, inv.Currency))
		}
		sign(fieldTotal, inv.Total)
		sign(fieldTax, inv.Tax)
		sign(fieldSubtotal, inv.Net)
		if len(inv.Currency) == 3 {
			found(fieldCurrency, strings.ToUpper(inv.Currency))
		}
		if !inv.IssuedOn.IsZero() {
			found(fieldIssuedOn, inv.IssuedOn.Format(time.DateOnly))
		}
		found(fieldNumber, inv.Number)
		found(fieldOrderID, inv.OrderID)
		found(fieldVendor, inv.Seller)
		found(fieldTaxID, inv.SellerID)
	}
	return all
}
