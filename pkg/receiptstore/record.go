package receiptstore

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/prosaas/receipts/proto"
)

// ID makes a receipt's id from Gmail's message id, what the receipt was read
// from ("body", or an attachment's sha256), and its ordinal in that. Reading
// the message again, with a better extractor too, gives the same id.
func ID(messageID, origin string, ordinal int) string {
	sum := sha256.Sum256([]byte(messageID + "\x00" + origin + "\x00" + strconv.Itoa(ordinal)))
	return base64.RawURLEncoding.EncodeToString(sum[:15])
}

// maxFieldText bounds the text kept with a field, in characters.
const maxFieldText = 80

// recordVersion is the version of record. One of testdata is frozen for each.
const recordVersion = proto.ReceiptVersion

// record is a receipt as it is stored: what was read, with short names and
// without what is empty. A person's edits lie beside it, so that a sync can
// write it over without reading.
type record struct {
	Version     int                   `json:"v"`
	Message     string                `json:"m"`
	Received    int64                 `json:"at"` // ms
	Type        proto.ReceiptType     `json:"t"`
	NeedsReview bool                  `json:"nr,omitempty"`
	Reasons     []string              `json:"rr,omitempty"`
	Name        string                `json:"vn,omitempty"`
	Domain      string                `json:"vd,omitempty"`
	TaxID       string                `json:"vt,omitempty"`
	Number      *string               `json:"no,omitempty"`
	OrderID     *string               `json:"or,omitempty"`
	IssuedOn    *string               `json:"on,omitempty"`
	Total       *string               `json:"to,omitempty"`
	Tax         *string               `json:"tx,omitempty"`
	Subtotal    *string               `json:"su,omitempty"`
	Currency    *string               `json:"cu,omitempty"`
	Group       *string               `json:"gr,omitempty"`
	Allocation  *string               `json:"al,omitempty"`
	Attachments []proto.Attachment    `json:"fi,omitempty"`
	Lines       []proto.LineItem      `json:"li,omitempty"`
	Fields      map[string]provenance `json:"f,omitempty"`
}

// provenance is proto.Field with short names.
type provenance struct {
	Source     string  `json:"s"`
	Confidence float64 `json:"c"`
	Text       string  `json:"x,omitempty"`
}

// edits are what a person set; null is "left as read". Vendor is whole.
type edits struct {
	Status   *proto.ReceiptStatus `json:"status,omitempty"`
	Vendor   *proto.Vendor        `json:"vendor,omitempty"`
	Number   *string              `json:"number,omitempty"`
	IssuedOn *string              `json:"issued_on,omitempty"`
	Total    *string              `json:"total,omitempty"`
	Tax      *string              `json:"tax,omitempty"`
	Currency *string              `json:"currency,omitempty"`
	Note     *string              `json:"note,omitempty"`
}

func encode(r proto.ReceiptDetail) ([]byte, error) {
	rec := record{
		Version: recordVersion, Message: r.GmailMessageID, Received: r.ReceivedAt.UnixMilli(), Type: r.Type,
		NeedsReview: r.NeedsReview, Reasons: r.ReviewReasons, Name: r.Vendor.Name, Domain: r.Vendor.Domain, TaxID: r.Vendor.TaxID,
		Number: r.Number, OrderID: r.OrderID, IssuedOn: r.IssuedOn, Total: r.Total, Tax: r.Tax, Subtotal: r.Subtotal,
		Currency: r.Currency, Group: r.Group, Allocation: r.AllocationNumber, Attachments: r.Attachments, Lines: r.LineItems,
	}
	for name, f := range r.Fields {
		if rec.Fields == nil {
			rec.Fields = make(map[string]provenance, len(r.Fields))
		}
		rec.Fields[name] = provenance{Source: f.Source, Confidence: f.Confidence, Text: cut(f.Text, maxFieldText)}
	}
	return json.Marshal(rec)
}

func cut(s string, n int) string {
	for i := range s {
		if n == 0 {
			return s[:i]
		}
		n--
	}
	return s
}

// decode brings a stored receipt of any version up to the present one, with the
// person's edits over it. overlay may be empty.
func decode(id string, stored, overlay []byte, deletedInGmail, noLongerFound bool) (proto.ReceiptDetail, error) {
	var rec record
	if err := json.Unmarshal(stored, &rec); err != nil {
		return proto.ReceiptDetail{}, fmt.Errorf("decode receipt %s: %w", id, err)
	}
	if rec.Version < 1 || rec.Version > recordVersion {
		return proto.ReceiptDetail{}, fmt.Errorf("decode receipt %s: version %d, this release reads up to %d", id, rec.Version, recordVersion)
	}
	r := proto.ReceiptDetail{
		Receipt: proto.Receipt{
			ID: id, Type: rec.Type, Status: proto.StatusApproved, NeedsReview: rec.NeedsReview,
			Vendor: proto.Vendor{Name: rec.Name, Domain: rec.Domain, TaxID: rec.TaxID},
			Number: rec.Number, OrderID: rec.OrderID, IssuedOn: rec.IssuedOn, Total: rec.Total, Tax: rec.Tax,
			Currency: rec.Currency, Group: rec.Group, ReceivedAt: time.UnixMilli(rec.Received).UTC(),
			Attachments: orEmpty(rec.Attachments), Edited: []string{},
		},
		Subtotal: rec.Subtotal, Fields: make(map[string]proto.Field, len(rec.Fields)), LineItems: orEmpty(rec.Lines),
		ReviewReasons: orEmpty(rec.Reasons), GmailMessageID: rec.Message, AllocationNumber: rec.Allocation,
		DeletedInGmail: deletedInGmail, NoLongerFound: noLongerFound,
	}
	if rec.NeedsReview {
		r.Status = proto.StatusPendingReview
	}
	for name, f := range rec.Fields {
		r.Fields[name] = proto.Field{Source: f.Source, Confidence: f.Confidence, Text: f.Text}
	}
	if len(overlay) == 0 {
		return r, nil
	}
	var e edits
	if err := json.Unmarshal(overlay, &e); err != nil {
		return proto.ReceiptDetail{}, errors.Join(fmt.Errorf("decode edits of receipt %s", id), err)
	}
	e.apply(&r)
	return r, nil
}

func (e edits) apply(r *proto.ReceiptDetail) {
	edited := func(name string) { r.Edited = append(r.Edited, name) }
	if e.Status != nil {
		r.Status = *e.Status
		edited("status")
	}
	if e.Vendor != nil {
		r.Vendor = *e.Vendor
		edited("vendor")
	}
	if e.Note != nil {
		r.Note = *e.Note
		edited("note")
	}
	for _, f := range []struct {
		name string
		from *string
		to   **string
	}{
		{"number", e.Number, &r.Number},
		{"issued_on", e.IssuedOn, &r.IssuedOn},
		{"total", e.Total, &r.Total},
		{"tax", e.Tax, &r.Tax},
		{"currency", e.Currency, &r.Currency},
	} {
		if f.from != nil {
			*f.to = f.from
			edited(f.name)
		}
	}
	slices.Sort(r.Edited)
}

// orEmpty makes JSON's [] of no slice.
func orEmpty[T any](s []T) []T {
	if s == nil {
		return []T{}
	}
	return s
}
