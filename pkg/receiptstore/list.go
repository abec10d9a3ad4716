package receiptstore

import (
	"context"
	"encoding/base64"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/redis/rueidis"
	"github.com/shopspring/decimal"

	"github.com/prosaas/receipts/proto"
)

// MaxScan is how many records one page looks at; then it goes on by its cursor.
const MaxScan = 2000

// Filter chooses receipts. The zero value is the newest 50 of all.
type Filter struct {
	Status       proto.ReceiptStatus
	Vendor       string           // part of the vendor's name, domain or tax id, in any case
	Q            string           // part of vendor, number, order id, note or a file's name, in any case
	From, Before time.Time        // when the mail came: from inclusive, before exclusive; zero is open
	MinAmount    *decimal.Decimal // of the total; a receipt without one does not match
	MaxAmount    *decimal.Decimal
	Currency     string
	Type         proto.ReceiptType
	NeedsReview  *bool

	Ascending bool   // oldest first
	Cursor    string // of the page before
	Limit     int    // 1 to 200; 50 where it is 0
}

// List answers one page of a business's receipts, newest first, and the cursor
// of the next ("" after the last). A page may be shorter than its limit, or
// empty, and still have a next one. It fails with [ErrBadCursor].
func (s *Store) List(ctx context.Context, business string, f Filter) ([]proto.Receipt, string, error) {
	limit := f.Limit
	if limit <= 0 {
		limit = 50
	}
	limit = min(limit, 200)
	index := scan{store: s, business: business, filter: f}
	if f.Cursor != "" {
		var err error
		if index.at, err = decodeCursor(f.Cursor); err != nil {
			return nil, "", fmt.Errorf("list receipts of business %s: %w", business, err)
		}
	}
	items := []proto.Receipt{}
	for scanned := 0; scanned < MaxScan; {
		batch, more, err := index.next(ctx, min(max(limit+2, 100), MaxScan-scanned))
		if err != nil {
			return nil, "", fmt.Errorf("list receipts of business %s: %w", business, err)
		}
		scanned += len(batch)
		found, err := s.load(ctx, business, batch)
		if err != nil {
			return nil, "", err
		}
		for i, place := range batch {
			index.at = place
			if found[i] == nil || !f.matches(found[i]) {
				continue
			}
			if items = append(items, found[i].Receipt); len(items) == limit && (more || i+1 < len(batch)) {
				return items, place.cursor(), nil
			}
		}
		if !more {
			return items, "", nil
		}
	}
	return items, index.at.cursor(), nil
}

// Get answers one receipt, or [ErrNotFound].
func (s *Store) Get(ctx context.Context, business, id string) (proto.ReceiptDetail, error) {
	message, err := s.redis.Do(ctx, func(b rueidis.Builder) rueidis.Completed {
		return b.Sismember().Key(s.keys.Tombstones(business)).Member(id).Build()
	})
	if err != nil {
		return proto.ReceiptDetail{}, fmt.Errorf("get receipt %s of business %s: %w", id, business, err)
	}
	found, err := s.load(ctx, business, []place{{id: id}})
	if err != nil {
		return proto.ReceiptDetail{}, err
	}
	if deleted, err := message.AsBool(); err != nil {
		return proto.ReceiptDetail{}, fmt.Errorf("get receipt %s of business %s: %w", id, business, err)
	} else if deleted || found[0] == nil {
		return proto.ReceiptDetail{}, fmt.Errorf("get receipt %s of business %s: %w", id, business, ErrNotFound)
	}
	return *found[0], nil
}

// LastSync answers when a sync of the business last finished; the zero time is never.
func (s *Store) LastSync(ctx context.Context, business string) (time.Time, error) {
	replies, err := s.redis.DoMulti(ctx, func(b rueidis.Builder) []rueidis.Completed {
		return []rueidis.Completed{b.Hget().Key(s.keys.Sync(business)).Field("last_ok").Build()}
	})
	if err != nil {
		return time.Time{}, fmt.Errorf("read last sync of business %s: %w", business, err)
	}
	ms, _ := replies[0].ToString() // nil where there is none
	return instant(ms), nil
}

// place is one entry of an index: Redis orders by score (ms), then id.
type place struct {
	score int64
	id    string
}

func (p place) cursor() string {
	return base64.RawURLEncoding.EncodeToString([]byte(strconv.FormatInt(p.score, 10) + ":" + p.id))
}

func decodeCursor(cursor string) (place, error) {
	raw, err := base64.RawURLEncoding.DecodeString(cursor)
	if err != nil {
		return place{}, ErrBadCursor
	}
	score, id, ok := strings.Cut(string(raw), ":")
	ms, err := strconv.ParseInt(score, 10, 64)
	if !ok || err != nil || !proto.ValidID(id) {
		return place{}, ErrBadCursor
	}
	return place{score: ms, id: id}, nil
}

// scan goes over an index from the place after at, in the filter's order.
// Entries that come or go meanwhile do not move it.
type scan struct {
	store    *Store
	business string
	filter   Filter
	at       place // the last entry seen; no id at the beginning
}

// next answers the next entries, up to n, and whether there may be more.
func (c *scan) next(ctx context.Context, n int) ([]place, bool, error) {
	key := c.store.keys.ReceiptsByDate(c.business)
	if c.filter.Status != "" {
		key = c.store.keys.ReceiptsByStatus(c.business, string(c.filter.Status))
	}
	lo, hi := int64(math.MinInt64), int64(math.MaxInt64)
	if !c.filter.From.IsZero() {
		lo = c.filter.From.UnixMilli()
	}
	if !c.filter.Before.IsZero() {
		hi = c.filter.Before.UnixMilli() - 1
	}
	switch {
	case c.at.id == "":
	case c.filter.Ascending:
		lo = max(lo, c.at.score)
	default:
		hi = min(hi, c.at.score)
	}
	least, most := strconv.FormatInt(lo, 10), strconv.FormatInt(hi, 10)
	// The entries of at's own score come again, and are passed over.
	for offset := int64(0); ; offset += int64(n) {
		message, err := c.store.redis.Do(ctx, func(b rueidis.Builder) rueidis.Completed {
			if c.filter.Ascending {
				return b.Zrange().Key(key).Min(least).Max(most).Byscore().Limit(offset, int64(n)).Withscores().Build()
			}
			return b.Zrange().Key(key).Min(most).Max(least).Byscore().Rev().Limit(offset, int64(n)).Withscores().Build()
		})
		if err != nil {
			return nil, false, err
		}
		scores, err := message.AsZScores()
		if err != nil {
			return nil, false, err
		}
		var fresh []place
		for _, z := range scores {
			if p := (place{int64(z.Score), z.Member}); c.after(p) {
				fresh = append(fresh, p)
			}
		}
		if len(fresh) > 0 || len(scores) < n {
			return fresh, len(scores) == n, nil
		}
	}
}

func (c *scan) after(p place) bool {
	switch {
	case c.at.id == "":
		return true
	case p.score != c.at.score:
		return (p.score > c.at.score) == c.filter.Ascending
	default:
		return p.id != c.at.id && (p.id > c.at.id) == c.filter.Ascending
	}
}

// perReceipt is how many fields the hash of receipts has for each.
const perReceipt = 4

// load reads the records of places; one that is gone is nil.
func (s *Store) load(ctx context.Context, business string, places []place) ([]*proto.ReceiptDetail, error) {
	if len(places) == 0 {
		return nil, nil
	}
	message, err := s.redis.Do(ctx, func(b rueidis.Builder) rueidis.Completed {
		fields := make([]string, 0, perReceipt*len(places))
		for _, p := range places {
			fields = append(fields, p.id, p.id+":e", p.id+":d", p.id+":n")
		}
		return b.Hmget().Key(s.keys.Receipts(business)).Field(fields...).Build()
	})
	if err != nil {
		return nil, fmt.Errorf("read %d receipts of business %s: %w", len(places), business, err)
	}
	values, err := message.AsStrSlice() // nil becomes ""
	if err != nil || len(values) != perReceipt*len(places) {
		return nil, fmt.Errorf("read %d receipts of business %s: %d values: %w", len(places), business, len(values), err)
	}
	out := make([]*proto.ReceiptDetail, len(places))
	for i, p := range places {
		value := values[perReceipt*i:]
		if value[0] == "" {
			continue
		}
		r, err := decode(p.id, []byte(value[0]), []byte(value[1]), value[2] != "", value[3] != "")
		if err != nil {
			return nil, err
		}
		out[i] = &r
	}
	return out, nil
}

func (f Filter) matches(r *proto.ReceiptDetail) bool {
	return (f.Vendor == "" || contains(f.Vendor, r.Vendor.Name, r.Vendor.Domain, r.Vendor.TaxID)) &&
		(f.Q == "" || contains(f.Q, searched(r)...)) &&
		(f.Currency == "" || (r.Currency != nil && strings.EqualFold(*r.Currency, f.Currency))) &&
		(f.Type == "" || r.Type == f.Type) &&
		(f.NeedsReview == nil || r.NeedsReview == *f.NeedsReview) &&
		f.inAmounts(r.Total)
}

func (f Filter) inAmounts(total *string) bool {
	if f.MinAmount == nil && f.MaxAmount == nil {
		return true
	}
	if total == nil {
		return false
	}
	amount, err := decimal.NewFromString(*total)
	return err == nil && (f.MinAmount == nil || !amount.LessThan(*f.MinAmount)) && (f.MaxAmount == nil || !amount.GreaterThan(*f.MaxAmount))
}

func contains(part string, texts ...string) bool {
	part = strings.ToLower(part)
	for _, text := range texts {
		if strings.Contains(strings.ToLower(text), part) {
			return true
		}
	}
	return false
}

// searched is what q looks into.
func searched(r *proto.ReceiptDetail) []string {
	texts := []string{r.Vendor.Name, r.Vendor.Domain, r.Vendor.TaxID, r.Note}
	for _, p := range []*string{r.Number, r.OrderID, r.AllocationNumber} {
		if p != nil {
			texts = append(texts, *p)
		}
	}
	for _, a := range r.Attachments {
		texts = append(texts, a.Name)
	}
	return texts
}
