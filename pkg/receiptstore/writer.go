package receiptstore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/rueidis"

	"github.com/prosaas/receipts/pkg/redisclient"
	"github.com/prosaas/receipts/proto"
)

// Outcome is what became of one message.
type Outcome string

// The outcomes of a message.
const (
	OutcomeReceipt    Outcome = "receipt"
	OutcomeNotReceipt Outcome = "not_receipt"
	OutcomeGone       Outcome = "gone"   // Gmail no longer has it; tried again in three syncs at most
	OutcomeFailed     Outcome = "failed" // it cannot be read, by its own fault; tried again likewise
)

// letter is how an outcome is stored.
func (o Outcome) letter() string {
	switch o {
	case OutcomeReceipt:
		return "r"
	case OutcomeNotReceipt:
		return "n"
	case OutcomeGone:
		return "g"
	case OutcomeFailed:
		return "f"
	}
	return ""
}

// Reason is why a message could not be read: a stable code and a sentence for a
// person, with nothing of the message in it.
type Reason struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}

// Found is one receipt of a message: what it was read from ("body", or an
// attachment's sha256) and its ordinal in that make its id, so that reading the
// message again finds the same receipt.
type Found struct {
	Origin  string
	Ordinal int
	Receipt proto.ReceiptDetail // ID, Status, Edited, Note and GmailMessageID are the store's to set
}

// Message is one message that was read.
type Message struct {
	ID               string
	Outcome          Outcome
	ExtractorVersion int
	Receipts         []Found // of OutcomeReceipt; at most MaxReceipts
	Reason           Reason  // of OutcomeFailed
}

// Saved counts what became of a message's receipts.
type Saved struct{ New, Updated, Duplicates int }

// Begin raises the fence and tells where things stand. It comes before any
// other call. What an earlier job wanted and never got to, because it was
// canceled while it waited or died, is dropped.
func (w *Writer) Begin(ctx context.Context) (State, error) {
	reply, err := w.write(ctx, beginScript, w.store.keys.Wanted(w.fence.Business, ""))
	if err != nil {
		return State{}, fmt.Errorf("begin job %s on business %s: %w", w.fence.Job, w.fence.Business, err)
	}
	if len(reply) < 7 || len(reply) < 7+3*number(reply[6]) {
		return State{}, fmt.Errorf("begin job %s on business %s: script answered %d values", w.fence.Job, w.fence.Business, len(reply))
	}
	st := State{Now: instant(reply[0]), Cursor: reply[1], CursorAt: instant(reply[2]), LastOK: instant(reply[3]), Owed: number(reply[4]), Wanted: number(reply[5])}
	marks, fields := reply[7:7+3*number(reply[6])], reply[7+3*number(reply[6]):]
	st.Marked = make(map[string]int, len(marks)/3)
	for mark := range slices.Chunk(marks, 3) {
		_, times, _ := strings.Cut(mark[1], " ")
		if st.Marked[mark[0]] = number(times); mark[2] == "1" {
			st.Suspects = append(st.Suspects, mark[0])
		}
	}
	slices.SortFunc(st.Suspects, func(a, b string) int { return strings.Compare(b, a) })
	run := map[string]string{}
	for i := 0; i+1 < len(fields); i += 2 {
		run[fields[i]] = fields[i+1]
	}
	st.Counts = w.counts(run)
	st.Position, st.Done = []byte(run["position"]), run["done"] == "1"
	w.spent.Store(int64(st.Counts.Units))
	return st, nil
}

// SetCursorIfNone makes cursor the business's cursor, unless it has one.
func (w *Writer) SetCursorIfNone(ctx context.Context, cursor string) error {
	if _, err := w.write(ctx, baselineScript, cursor); err != nil {
		return fmt.Errorf("set first cursor of business %s: %w", w.fence.Business, err)
	}
	return nil
}

// Owe makes ids owed (but for those with an outcome that stands), notes at the
// receipts of deleted messages that Gmail no longer has them, and in the same
// script moves the cursor, where one is given. A change of more than [MaxIDs]
// ids is owed in several calls, of which only the last has the cursor. It
// answers how many ids are new.
func (w *Writer) Owe(ctx context.Context, ids, deleted []string, cursor string) (int, error) {
	if len(ids)+len(deleted) > MaxIDs {
		return 0, fmt.Errorf("owe %d ids of business %s: at most %d at a time", len(ids)+len(deleted), w.fence.Business, MaxIDs)
	}
	args := append([]string{cursor, strconv.Itoa(len(ids))}, ids...)
	reply, err := w.write(ctx, oweScript, append(args, deleted...)...)
	if err != nil {
		return 0, fmt.Errorf("owe %d ids of business %s: %w", len(ids), w.fence.Business, err)
	}
	return first(reply), nil
}

// Want makes ids wanted by the job (but for those owed, and, unless again,
// those with an outcome that stands) and sets its position in the same script.
// It answers how many ids are new.
func (w *Writer) Want(ctx context.Context, ids []string, position []byte, again bool) (int, error) {
	if len(ids) > MaxIDs {
		return 0, fmt.Errorf("want %d ids of business %s: at most %d at a time", len(ids), w.fence.Business, MaxIDs)
	}
	force := "0"
	if again {
		force = "1"
	}
	reply, err := w.write(ctx, wantScript, append([]string{string(position), force}, ids...)...)
	if err != nil {
		return 0, fmt.Errorf("want %d ids of business %s: %w", len(ids), w.fence.Business, err)
	}
	return first(reply), nil
}

// SetPosition sets the job's position.
func (w *Writer) SetPosition(ctx context.Context, position []byte) error {
	_, err := w.Want(ctx, nil, position, false)
	return err
}

// Owed answers up to n of the ids owed that come below the id given ("" for
// all), newest first.
func (w *Writer) Owed(ctx context.Context, below string, n int) ([]string, error) {
	return w.ids(ctx, w.owed, below, n)
}

// Wanted answers up to n of the ids wanted by the job, as Owed does.
func (w *Writer) Wanted(ctx context.Context, below string, n int) ([]string, error) {
	return w.ids(ctx, w.wanted, below, n)
}

func (w *Writer) ids(ctx context.Context, key, below string, n int) ([]string, error) {
	limit := "+"
	if below != "" {
		limit = "(" + below
	}
	message, err := w.store.redis.Do(ctx, func(b rueidis.Builder) rueidis.Completed {
		return b.Zrange().Key(key).Min(limit).Max("-").Bylex().Rev().Limit(0, int64(n)).Build()
	})
	if err != nil {
		return nil, fmt.Errorf("read ids to read of business %s: %w", w.fence.Business, err)
	}
	return message.AsStrSlice()
}

// Mark notes that a message is about to be read. Its mark goes when it is saved,
// or with [Writer.Leave]; one that stays tells that the job crashed with the
// message in hand, and [State] counts these.
func (w *Writer) Mark(ctx context.Context, id string) error {
	if _, err := w.write(ctx, markScript, id); err != nil {
		return fmt.Errorf("mark message %s of business %s: %w", id, w.fence.Business, err)
	}
	return nil
}

// Leave takes back the marks of what this lease has in hand and will not save.
// It drops what the job still wants where the job will not go on.
func (w *Writer) Leave(ctx context.Context, drop bool) error {
	flag := "0"
	if drop {
		flag = "1"
	}
	if _, err := w.write(ctx, leaveScript, flag); err != nil {
		return fmt.Errorf("leave job %s on business %s: %w", w.fence.Job, w.fence.Business, err)
	}
	return nil
}

// Save writes what became of one message (receipts, their indexes, outcome,
// counts) and takes it out of its set, in one script. What a person edited or
// deleted stays. Of a message that is in no set, having been saved before, it
// writes nothing.
func (w *Writer) Save(ctx context.Context, m Message) (Saved, error) {
	args, err := saveArgs(m)
	if err != nil {
		return Saved{}, fmt.Errorf("save message %s of business %s: %w", m.ID, w.fence.Business, err)
	}
	reply, err := w.write(ctx, saveScript, args...)
	if err != nil {
		return Saved{}, fmt.Errorf("save message %s of business %s: %w", m.ID, w.fence.Business, err)
	}
	if len(reply) != 3 {
		return Saved{}, fmt.Errorf("save message %s of business %s: script answered %d values", m.ID, w.fence.Business, len(reply))
	}
	return Saved{New: number(reply[0]), Updated: number(reply[1]), Duplicates: number(reply[2])}, nil
}

func saveArgs(m Message) ([]string, error) {
	if len(m.Receipts) > MaxReceipts {
		return nil, fmt.Errorf("%d receipts, at most %d", len(m.Receipts), MaxReceipts)
	}
	args := []string{m.ID, m.Outcome.letter(), strconv.Itoa(m.ExtractorVersion), ""}
	switch m.Outcome {
	case OutcomeReceipt, OutcomeNotReceipt, OutcomeGone:
	case OutcomeFailed:
		reason, err := json.Marshal(m.Reason)
		if err != nil {
			return nil, err
		}
		args[3] = string(reason)
	default:
		return nil, fmt.Errorf("unknown outcome %q", m.Outcome)
	}
	for _, found := range m.Receipts {
		r := found.Receipt
		r.GmailMessageID = m.ID
		record, err := encode(r)
		if err != nil {
			return nil, err
		}
		status := proto.StatusApproved
		if r.NeedsReview {
			status = proto.StatusPendingReview
		}
		args = append(args, ID(m.ID, found.Origin, found.Ordinal), string(record), strconv.FormatInt(r.ReceivedAt.UnixMilli(), 10), string(status))
	}
	return args, nil
}

// Finish notes a good sync, sets the job's last position and drops what is
// still wanted. What is owed stays.
func (w *Writer) Finish(ctx context.Context, position []byte) error {
	if _, err := w.write(ctx, finishScript, string(position)); err != nil {
		return fmt.Errorf("finish job %s on business %s: %w", w.fence.Job, w.fence.Business, err)
	}
	return nil
}

// Progress answers the job's counts and how many ids are still owed and wanted.
func (w *Writer) Progress(ctx context.Context) (c Counts, owed, wanted int, err error) {
	replies, err := w.store.redis.DoMulti(ctx, func(b rueidis.Builder) []rueidis.Completed {
		return []rueidis.Completed{b.Hgetall().Key(w.run).Build(), b.Zcard().Key(w.owed).Build(), b.Zcard().Key(w.wanted).Build()}
	})
	if err != nil {
		return Counts{}, 0, 0, fmt.Errorf("read progress of job %s: %w", w.fence.Job, err)
	}
	run, err := replies[0].AsStrMap()
	if err != nil {
		return Counts{}, 0, 0, fmt.Errorf("read progress of job %s: %w", w.fence.Job, err)
	}
	nOwed, errOwed := replies[1].AsInt64()
	nWanted, errWanted := replies[2].AsInt64()
	if err := errors.Join(errOwed, errWanted); err != nil {
		return Counts{}, 0, 0, fmt.Errorf("read progress of job %s: %w", w.fence.Job, err)
	}
	c = w.counts(run)
	c.Units = max(c.Units, int(w.spent.Load()))
	return c, int(nOwed), int(nWanted), nil
}

func (w *Writer) counts(run map[string]string) Counts {
	return Counts{
		Listed: number(run["listed"]), Scanned: number(run["scanned"]),
		Saved: number(run["saved"]), Updated: number(run["updated"]), Duplicates: number(run["duplicates"]),
		NotReceipts: number(run["not_receipts"]), Gone: number(run["gone"]), Errors: number(run["errors"]),
		Units: number(run["units"]),
	}
}

// write runs one of the scripts and answers what it returned after "ok".
func (w *Writer) write(ctx context.Context, script *redisclient.Script, args ...string) ([]string, error) {
	all := append([]string{
		strconv.FormatInt(w.fence.Lease, 10), strconv.FormatInt(w.fence.Epoch, 10), w.store.retention,
		strconv.FormatInt(w.spent.Load(), 10), w.fence.Job,
	}, args...)
	message, err := w.store.redis.Run(ctx, script, w.keys, all...)
	if err != nil {
		return nil, err
	}
	reply, err := message.AsStrSlice()
	if err != nil {
		return nil, err
	}
	if len(reply) == 0 || reply[0] != "ok" {
		return nil, ErrFenced
	}
	return reply[1:], nil
}

// number reads what a script wrote; what is missing is 0.
func number(s string) int {
	n, _ := strconv.Atoi(s)
	return n
}

func first(reply []string) int {
	if len(reply) == 0 {
		return 0
	}
	return number(reply[0])
}

// instant reads Redis's milliseconds; 0 and nothing are the zero time.
func instant(ms string) time.Time {
	n, _ := strconv.ParseInt(ms, 10, 64)
	if n == 0 {
		return time.Time{}
	}
	return time.UnixMilli(n).UTC()
}
