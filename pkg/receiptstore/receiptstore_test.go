package receiptstore_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/rueidis"

	"github.com/prosaas/receipts/pkg/receiptstore"
	"github.com/prosaas/receipts/pkg/redisclient"
	"github.com/prosaas/receipts/pkg/redistest"
	"github.com/prosaas/receipts/proto"
)

const (
	business = "b1"
	epoch    = 7_000_000_000_000_001 // as large as TIME in µs makes them
)

// bench is a store over an empty Redis in which business is connected.
type bench struct {
	*receiptstore.Store
	t      *testing.T
	client *redisclient.Client
	keys   proto.Keys
}

func open(t *testing.T) *bench {
	t.Helper()
	client, err := redisclient.Open(redistest.DB(t), redisclient.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	<-client.Ready()
	keys := proto.MustKeys(proto.DefaultPrefix)
	b := &bench{Store: receiptstore.New(client, keys, receiptstore.Options{}), t: t, client: client, keys: keys}
	b.do("HSET", keys.Connection(business), "epoch", fmt.Sprint(int64(epoch)))
	return b
}

func (b *bench) do(args ...string) rueidis.RedisMessage {
	b.t.Helper()
	message, err := b.client.Do(b.t.Context(), func(c rueidis.Builder) rueidis.Completed {
		return c.Arbitrary(args[0]).Keys(args[1]).Args(args[2:]...).Build()
	})
	if err != nil && !redisclient.IsNil(err) {
		b.t.Fatal(err)
	}
	return message
}

// dump is all that Redis holds, but for the times.
func (b *bench) dump() map[string]any {
	b.t.Helper()
	message, err := b.client.Do(b.t.Context(), func(c rueidis.Builder) rueidis.Completed { return c.Keys().Pattern("*").Build() })
	if err != nil {
		b.t.Fatal(err)
	}
	keys, err := message.AsStrSlice()
	if err != nil {
		b.t.Fatal(err)
	}
	out := map[string]any{}
	for _, key := range keys {
		kind := b.do("TYPE", key)
		switch name, _ := kind.ToString(); name {
		case "hash":
			message := b.do("HGETALL", key)
			hash, _ := message.AsStrMap()
			delete(hash, "cursor_at")
			delete(hash, "last_ok")
			out[key] = hash
		case "zset":
			message := b.do("ZRANGE", key, "0", "-1", "WITHSCORES")
			out[key], _ = message.AsStrSlice()
		case "set":
			message := b.do("SMEMBERS", key)
			members, _ := message.AsStrSlice()
			out[key] = len(members)
		default:
			b.t.Fatalf("key %s of type %s", key, name)
		}
	}
	return out
}

func (b *bench) writer(job string, lease int64) *receiptstore.Writer {
	return b.Writer(receiptstore.Fence{Business: business, Job: job, Lease: lease, Epoch: epoch})
}

func (b *bench) begin(job string, lease int64) (*receiptstore.Writer, receiptstore.State) {
	b.t.Helper()
	w := b.writer(job, lease)
	st, err := w.Begin(b.t.Context())
	if err != nil {
		b.t.Fatal(err)
	}
	return w, st
}

func (b *bench) owe(w *receiptstore.Writer, ids []string, cursor string) int {
	b.t.Helper()
	n, err := w.Owe(b.t.Context(), ids, nil, cursor)
	if err != nil {
		b.t.Fatal(err)
	}
	return n
}

func (b *bench) save(w *receiptstore.Writer, m receiptstore.Message) receiptstore.Saved {
	b.t.Helper()
	saved, err := w.Save(b.t.Context(), m)
	if err != nil {
		b.t.Fatal(err)
	}
	return saved
}

func (b *bench) counts(w *receiptstore.Writer) receiptstore.Counts {
	b.t.Helper()
	c, _, _, err := w.Progress(b.t.Context())
	if err != nil {
		b.t.Fatal(err)
	}
	return c
}

func at(day int) time.Time { return time.Date(2026, 3, day, 9, 30, 0, 0, time.UTC) }

func receipt(total string, received time.Time) proto.ReceiptDetail {
	return proto.ReceiptDetail{Receipt: proto.Receipt{
		Type: proto.TypeReceipt, Vendor: proto.Vendor{Name: "Cafe Nahalat", Domain: "nahalat.example"},
		Total: new(total), Currency: new("ILS"), ReceivedAt: received,
	}}
}

func read(id string, receipts ...proto.ReceiptDetail) receiptstore.Message {
	m := receiptstore.Message{ID: id, Outcome: receiptstore.OutcomeNotReceipt, ExtractorVersion: 1}
	for i, r := range receipts {
		m.Outcome = receiptstore.OutcomeReceipt
		m.Receipts = append(m.Receipts, receiptstore.Found{Origin: "body", Ordinal: i, Receipt: r})
	}
	return m
}

func id(n int) string { return fmt.Sprintf("19a%013x", n) }

// Every write goes through the same fence: each row tries each of them.
func TestFence(t *testing.T) {
	t.Parallel()
	writes := map[string]func(context.Context, *receiptstore.Writer) error{
		"begin":    func(ctx context.Context, w *receiptstore.Writer) error { _, err := w.Begin(ctx); return err },
		"baseline": func(ctx context.Context, w *receiptstore.Writer) error { return w.SetCursorIfNone(ctx, "5") },
		"owe": func(ctx context.Context, w *receiptstore.Writer) error {
			_, err := w.Owe(ctx, []string{id(2)}, []string{id(1)}, "6")
			return err
		},
		"want": func(ctx context.Context, w *receiptstore.Writer) error {
			_, err := w.Want(ctx, []string{id(3)}, []byte(`{}`), true)
			return err
		},
		"position": func(ctx context.Context, w *receiptstore.Writer) error { return w.SetPosition(ctx, []byte(`{}`)) },
		"save": func(ctx context.Context, w *receiptstore.Writer) error {
			_, err := w.Save(ctx, read(id(1), receipt("1.00", at(1))))
			return err
		},
		"finish": func(ctx context.Context, w *receiptstore.Writer) error { return w.Finish(ctx, []byte(`{}`)) },
	}
	rows := []struct {
		name       string
		connection string // the connection's epoch, "" for none
		fence      receiptstore.Fence
		refused    bool
	}{
		{"same lease", "", receiptstore.Fence{Lease: 100, Epoch: epoch}, false},
		{"newer lease", "", receiptstore.Fence{Lease: 101, Epoch: epoch}, false},
		{"older lease", "", receiptstore.Fence{Lease: 99, Epoch: epoch}, true},
		{"older epoch", "", receiptstore.Fence{Lease: 101, Epoch: epoch - 1}, true},
		{"newer epoch", "", receiptstore.Fence{Lease: 101, Epoch: epoch + 1}, true},
		{"no connection", "none", receiptstore.Fence{Lease: 101, Epoch: epoch}, true},
		{"no connection, no epoch", "none", receiptstore.Fence{Lease: 101}, true},
	}
	for _, row := range rows {
		for name, write := range writes {
			t.Run(row.name+"/"+name, func(t *testing.T) {
				t.Parallel()
				b := open(t)
				holder, _ := b.begin("j1", 100)
				b.owe(holder, []string{id(1)}, "4")
				if row.connection == "none" {
					b.do("DEL", b.keys.Connection(business))
				}
				before := b.dump()
				fence := row.fence
				fence.Business, fence.Job = business, "j2"
				err := write(t.Context(), b.Writer(fence))
				if errors.Is(err, receiptstore.ErrFenced) != row.refused || (err != nil) != row.refused {
					t.Fatalf("write = %v, want refused %v", err, row.refused)
				}
				if changed := cmp.Diff(before, b.dump()); row.refused && changed != "" {
					t.Errorf("a refused write changed Redis:\n%s", changed)
				}
				if row.refused {
					return
				}
				_, err = b.writer("j1", row.fence.Lease-1).Begin(t.Context())
				if !errors.Is(err, receiptstore.ErrFenced) {
					t.Errorf("an older lease after that = %v, want %v", err, receiptstore.ErrFenced)
				}
			})
		}
	}
}

func TestLargeLeasesKeepEveryDigit(t *testing.T) {
	t.Parallel()
	b := open(t)
	const lease = 1<<53 - 1
	b.begin("j1", lease)
	if _, err := b.writer("j1", lease-1).Begin(t.Context()); !errors.Is(err, receiptstore.ErrFenced) {
		t.Errorf("one below the newest lease = %v, want %v", err, receiptstore.ErrFenced)
	}
	b.begin("j1", lease)
}

// The ids of a change are owed when the cursor stands behind them, and in no
// other state; whatever is repeated changes nothing.
func TestOweMovesCursorWithIDs(t *testing.T) {
	t.Parallel()
	b := open(t)
	w, st := b.begin("j1", 1)
	if st.Cursor != "" || !st.CursorAt.IsZero() || !st.LastOK.IsZero() || st.Now.IsZero() {
		t.Errorf("state of a new business = %+v", st)
	}
	if err := w.SetCursorIfNone(t.Context(), "9999999999999901"); err != nil {
		t.Fatal(err)
	}
	if err := w.SetCursorIfNone(t.Context(), "1"); err != nil {
		t.Fatal(err)
	}
	if added := b.owe(w, []string{id(1), id(2)}, ""); added != 2 {
		t.Errorf("owed %d, want 2", added)
	}
	if _, st = b.begin("j1", 1); st.Cursor != "9999999999999901" || st.Owed != 2 {
		t.Errorf("before the last chunk: cursor %s, owed %d, want the baseline and 2", st.Cursor, st.Owed)
	}
	for range 2 {
		b.owe(w, []string{id(2), id(3)}, "9999999999999999")
	}
	_, st = b.begin("j1", 1)
	if st.Cursor != "9999999999999999" || st.Owed != 3 || st.Counts.Listed != 3 {
		t.Errorf("cursor %s, owed %d, listed %d, want 9999999999999999, 3, 3", st.Cursor, st.Owed, st.Counts.Listed)
	}
	if st.CursorAt.IsZero() {
		t.Error("nothing tells when the cursor was moved")
	}
	ids, err := w.Owed(t.Context(), "", 2)
	if diff := cmp.Diff([]string{id(3), id(2)}, ids); err != nil || diff != "" {
		t.Errorf("newest first: %v\n%s", err, diff)
	}
	ids, err = w.Owed(t.Context(), id(2), 2)
	if diff := cmp.Diff([]string{id(1)}, ids); err != nil || diff != "" {
		t.Errorf("the rest: %v\n%s", err, diff)
	}
}

// What is known is chosen again only where it may come out otherwise.
func TestKnownMessages(t *testing.T) {
	t.Parallel()
	rows := []struct {
		name            string
		outcome         receiptstore.Outcome
		syncs           int // that came to this outcome
		owed, wanted, f bool
	}{
		{name: "unread", owed: true, wanted: true, f: true},
		{name: "receipt", outcome: receiptstore.OutcomeReceipt, syncs: 1, f: true},
		{name: "not a receipt", outcome: receiptstore.OutcomeNotReceipt, syncs: 1, f: true},
		{name: "gone once", outcome: receiptstore.OutcomeGone, syncs: 1, owed: true, wanted: true, f: true},
		{name: "gone twice", outcome: receiptstore.OutcomeGone, syncs: 2, owed: true, wanted: true, f: true},
		{name: "gone three times", outcome: receiptstore.OutcomeGone, syncs: 3, f: true},
		{name: "failed twice", outcome: receiptstore.OutcomeFailed, syncs: 2, owed: true, wanted: true, f: true},
		{name: "failed three times", outcome: receiptstore.OutcomeFailed, syncs: 3, f: true},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			b := open(t)
			for i := range row.syncs {
				w, _ := b.begin(fmt.Sprint("j", i), int64(i+1))
				b.owe(w, []string{id(1)}, "")
				m := read(id(1))
				m.Outcome, m.Reason = row.outcome, receiptstore.Reason{Code: "unreadable", Message: "x"}
				b.save(w, m)
			}
			w, _ := b.begin("now", 50)
			for _, try := range []struct {
				name  string
				again bool
				want  bool
			}{{"wanted", false, row.wanted}, {"forced", true, row.f && !row.wanted}} {
				n, err := w.Want(t.Context(), []string{id(1)}, []byte(`{"p":1}`), try.again)
				if err != nil || (n == 1) != try.want {
					t.Errorf("%s: %d chosen (%v), want %v", try.name, n, err, try.want)
				}
			}
			b.owe(w, []string{id(1)}, "")
			_, st := b.begin("now", 50)
			if (st.Owed == 1) != row.owed || st.Counts.Listed != 1 || st.Wanted+st.Owed != 1 || string(st.Position) != `{"p":1}` {
				t.Errorf("state %+v, want owed %v, listed 1", st, row.owed)
			}
		})
	}
}

func TestSaveRepeatedChangesNothing(t *testing.T) {
	t.Parallel()
	failed := read(id(1))
	failed.Outcome, failed.Reason = receiptstore.OutcomeFailed, receiptstore.Reason{Code: "unreadable", Message: "the mail cannot be read"}
	gone := read(id(1))
	gone.Outcome = receiptstore.OutcomeGone
	rows := []struct {
		name   string
		m      receiptstore.Message
		counts receiptstore.Counts
	}{
		{"two receipts", read(id(1), receipt("1.00", at(1)), receipt("2.00", at(2))), receiptstore.Counts{Listed: 1, Scanned: 1, Saved: 2, Units: 20}},
		{"none", read(id(1)), receiptstore.Counts{Listed: 1, Scanned: 1, NotReceipts: 1, Units: 20}},
		{"gone", gone, receiptstore.Counts{Listed: 1, Gone: 1, Units: 20}},
		{"failed", failed, receiptstore.Counts{Listed: 1, Scanned: 1, Errors: 1, Units: 20}},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			b := open(t)
			w, _ := b.begin("j1", 1)
			b.owe(w, []string{id(1)}, "5")
			w.Spend(20)
			b.save(w, row.m)
			after := b.dump()
			b.save(w, row.m)
			if diff := cmp.Diff(after, b.dump()); diff != "" {
				t.Errorf("the second time changed Redis:\n%s", diff)
			}
			if diff := cmp.Diff(row.counts, b.counts(w)); diff != "" {
				t.Errorf("counts:\n%s", diff)
			}
			message := b.do("HLEN", b.keys.Failures(business, "j1"))
			if rows, _ := message.AsInt64(); int(rows) != row.counts.Errors {
				t.Errorf("%d rows of failures, want %d", rows, row.counts.Errors)
			}
		})
	}
}

// A better reading goes into the receipt that is there, under what a person said.
func TestPersonsWordStays(t *testing.T) {
	t.Parallel()
	b := open(t)
	w, _ := b.begin("j1", 1)
	b.owe(w, []string{id(1), id(2), id(3)}, "5")
	unsure := receipt("10.00", at(1))
	unsure.NeedsReview = true
	for n := 1; n <= 3; n++ {
		b.save(w, read(id(n), unsure))
	}
	first, second, third := receiptstore.ID(id(1), "body", 0), receiptstore.ID(id(2), "body", 0), receiptstore.ID(id(3), "body", 0)
	b.do("HSET", b.keys.Receipts(business), first+":e", `{"total":"99.00","status":"rejected","note":"mine"}`)
	b.do("ZREM", b.keys.ReceiptsByStatus(business, "pending_review"), first)
	b.do("ZADD", b.keys.ReceiptsByStatus(business, "rejected"), "1", first)
	b.do("SADD", b.keys.Tombstones(business), second)
	b.do("ZREM", b.keys.ReceiptsByDate(business), second)
	b.do("ZREM", b.keys.ReceiptsByStatus(business, "pending_review"), second)

	again, _ := b.begin("j2", 2)
	if _, err := again.Want(t.Context(), []string{id(1), id(2), id(3)}, []byte(`{}`), true); err != nil {
		t.Fatal(err)
	}
	better := receipt("12.00", at(1))
	for n, want := range map[int]receiptstore.Saved{1: {Updated: 1}, 2: {Duplicates: 1}, 3: {Updated: 1}} {
		if saved := b.save(again, read(id(n), better)); saved != want {
			t.Errorf("message %d saved %+v, want %+v", n, saved, want)
		}
	}
	got, err := b.Get(t.Context(), business, first)
	if err != nil {
		t.Fatal(err)
	}
	if *got.Total != "99.00" || got.Status != proto.StatusRejected || got.Note != "mine" || got.NeedsReview {
		t.Errorf("edited receipt reads %s %s %q review %v, want 99.00 rejected mine false", *got.Total, got.Status, got.Note, got.NeedsReview)
	}
	if diff := cmp.Diff([]string{"note", "status", "total"}, got.Edited); diff != "" {
		t.Error(diff)
	}
	if _, err := b.Get(t.Context(), business, second); !errors.Is(err, receiptstore.ErrNotFound) {
		t.Errorf("deleted receipt = %v, want %v", err, receiptstore.ErrNotFound)
	}
	for status, want := range map[proto.ReceiptStatus][]string{
		"": {first, third}, proto.StatusRejected: {first}, proto.StatusApproved: {third}, proto.StatusPendingReview: {},
	} {
		items, _, err := b.List(t.Context(), business, receiptstore.Filter{Status: status})
		if err != nil {
			t.Fatal(err)
		}
		got := map[string]bool{}
		for _, item := range items {
			got[item.ID] = true
		}
		for _, id := range want {
			if !got[id] || len(items) != len(want) {
				t.Errorf("status %q lists %v, want %v", status, got, want)
			}
		}
	}
}

// An earlier reading's receipts outlive a reading that finds none, and the mail itself.
func TestReceiptsOutliveTheirMail(t *testing.T) {
	t.Parallel()
	b := open(t)
	w, _ := b.begin("j1", 1)
	b.owe(w, []string{id(1)}, "5")
	b.save(w, read(id(1), receipt("10.00", at(1))))
	again, _ := b.begin("j2", 2)
	for _, m := range []receiptstore.Message{read(id(1)), {ID: id(1), Outcome: receiptstore.OutcomeGone}} {
		if _, err := again.Want(t.Context(), []string{id(1)}, []byte(`{}`), true); err != nil {
			t.Fatal(err)
		}
		b.save(again, m)
	}
	if _, err := again.Owe(t.Context(), nil, []string{id(1), id(2)}, "6"); err != nil {
		t.Fatal(err)
	}
	got, err := b.Get(t.Context(), business, receiptstore.ID(id(1), "body", 0))
	if err != nil || *got.Total != "10.00" || !got.DeletedInGmail {
		t.Errorf("Get = %+v, %v, want the receipt, deleted in Gmail", got, err)
	}
}

// A receipt that a later reading of its mail does not find stays and says so,
// until one finds it again, be it after another mailbox in between.
func TestNoLongerFound(t *testing.T) {
	t.Parallel()
	b := open(t)
	w, _ := b.begin("j1", 1)
	one, two := receipt("10.00", at(1)), receipt("20.00", at(1))
	b.owe(w, []string{id(1)}, "5")
	b.save(w, read(id(1), one, two))
	for n, row := range []struct {
		reading  receiptstore.Message
		lost     [2]bool
		forgoing bool // outcomes are forgotten first
	}{
		{reading: read(id(1), one), lost: [2]bool{false, true}},
		{reading: read(id(1)), lost: [2]bool{true, true}},
		{reading: receiptstore.Message{ID: id(1), Outcome: receiptstore.OutcomeFailed}, lost: [2]bool{true, true}},
		{reading: read(id(1), one), lost: [2]bool{false, true}},
		{reading: read(id(1), one, two), lost: [2]bool{false, false}},
		{reading: read(id(1), one), lost: [2]bool{false, true}},
		{reading: read(id(1), one, two), lost: [2]bool{false, false}, forgoing: true},
	} {
		if row.forgoing {
			b.do("DEL", b.keys.Outcomes(business))
		}
		again, _ := b.begin(fmt.Sprint("again", n), 2)
		if _, err := again.Want(t.Context(), []string{id(1)}, nil, true); err != nil {
			t.Fatal(err)
		}
		b.save(again, row.reading)
		for ordinal, lost := range row.lost {
			got, err := b.Get(t.Context(), business, receiptstore.ID(id(1), "body", ordinal))
			if err != nil || got.NoLongerFound != lost {
				t.Errorf("reading %d: receipt %d lost %v, %v, want %v", n, ordinal, got.NoLongerFound, err, lost)
			}
		}
		if items, _, err := b.List(t.Context(), business, receiptstore.Filter{}); err != nil || len(items) != 2 {
			t.Errorf("reading %d: %d receipts listed, %v, want both", n, len(items), err)
		}
	}
}

func TestFinishKeepsWhatIsOwed(t *testing.T) {
	t.Parallel()
	b := open(t)
	w, _ := b.begin("j1", 1)
	b.owe(w, []string{id(1)}, "5")
	if _, err := w.Want(t.Context(), []string{id(2)}, []byte(`{"w":1}`), false); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := w.Finish(t.Context(), []byte(`{"w":2}`)); err != nil {
			t.Fatal(err)
		}
	}
	_, st := b.begin("j1", 1)
	if !st.Done || st.Owed != 1 || st.Wanted != 0 || st.LastOK.IsZero() || string(st.Position) != `{"w":2}` || st.Counts.Listed != 2 {
		t.Errorf("state after finish = %+v", st)
	}
	if last, err := b.LastSync(t.Context(), business); err != nil || !last.Equal(st.LastOK) {
		t.Errorf("LastSync = %v, %v, want %v", last, err, st.LastOK)
	}
	if last, err := b.LastSync(t.Context(), "other"); err != nil || !last.IsZero() {
		t.Errorf("LastSync of a business never synced = %v, %v, want never", last, err)
	}
	if _, st := b.begin("j2", 2); st.Done || st.Counts != (receiptstore.Counts{}) || st.Owed != 1 {
		t.Errorf("the next job begins with %+v", st)
	}
}

// What belongs to one job ends by itself; what belongs to the business does not.
func TestExpiry(t *testing.T) {
	t.Parallel()
	b := open(t)
	w, _ := b.begin("j1", 1)
	b.owe(w, []string{id(1), id(2)}, "5")
	failed := receiptstore.Message{ID: id(1), Outcome: receiptstore.OutcomeFailed, Reason: receiptstore.Reason{Code: "unreadable"}}
	b.save(w, read(id(2), receipt("10.00", at(1))))
	b.owe(w, []string{id(4)}, "5")
	if _, err := w.Want(t.Context(), []string{id(3)}, []byte(`{}`), false); err != nil {
		t.Fatal(err)
	}
	job := map[string]bool{b.keys.Run(business, "j1"): true, b.keys.Wanted(business, "j1"): true, b.keys.Failures(business, "j1"): true}
	b.save(w, failed)
	seen := 0
	for key := range b.dump() {
		message := b.do("TTL", key)
		if ttl, _ := message.AsInt64(); (ttl > 0) != job[key] {
			t.Errorf("%s expires in %d s, want an expiry: %v", key, ttl, job[key])
		}
		if job[key] {
			seen++
		}
	}
	if seen != len(job) {
		t.Errorf("%d keys of the job, want %d", seen, len(job))
	}
}

func TestLimits(t *testing.T) {
	t.Parallel()
	b := open(t)
	w, _ := b.begin("j1", 1)
	ids := make([]string, receiptstore.MaxIDs+1)
	for i := range ids {
		ids[i] = id(i)
	}
	b.owe(w, ids[:receiptstore.MaxIDs], "5")
	before := b.dump()
	if _, err := w.Owe(t.Context(), ids, nil, "6"); err == nil {
		t.Error("too many ids were owed")
	}
	if _, err := w.Want(t.Context(), ids, nil, false); err == nil {
		t.Error("too many ids were wanted")
	}
	many := make([]proto.ReceiptDetail, receiptstore.MaxReceipts+1)
	if _, err := w.Save(t.Context(), read(id(1), many...)); err == nil {
		t.Error("too many receipts were saved")
	}
	if _, err := w.Save(t.Context(), receiptstore.Message{ID: id(1), Outcome: "odd"}); err == nil {
		t.Error("an unknown outcome was saved")
	}
	if diff := cmp.Diff(before, b.dump()); diff != "" {
		t.Errorf("what was refused changed Redis:\n%s", diff)
	}
	if saved := b.save(w, read(id(1), many[1:]...)); saved.New != receiptstore.MaxReceipts {
		t.Errorf("saved %d, want %d", saved.New, receiptstore.MaxReceipts)
	}
}
