// Package receiptstore keeps what a sync makes of one business's mailbox: the
// cursor, the message ids still to read, the outcome of each message read, the
// receipts, and the fence.
//
// Every write of a job is one script that first compares the fence: it writes
// if the job's lease is not older than the newest that wrote, and its epoch is
// the connection's; otherwise it answers [ErrFenced] and writes nothing. So
// after a crash at any instruction a message is either still to read or has its
// outcome, its receipts and its counts, all of them; a write repeated after a
// lost reply changes nothing; and the cursor never stands behind an id that is
// neither owed nor read.
//
// Keys of one business (proto.Keys has their text):
//
//	Sync        hash: fence, cursor, cursor_at (ms), last_ok (ms), the last job
//	Owed        sorted set, all scores 0: ids behind the cursor, never dropped
//	Wanted      the same for what one job chose; expires with the job, or goes with the next one
//	Run         hash: one job's position, counts, done; expires with the job
//	Failures    hash: message id → why, of one job, 10,000 at most; expires with the job
//	Marks       hash: message id → lease in whose hands it is, and how often it was marked
//	Outcomes    hash: message id → outcome (see the scripts)
//	Receipts    hash: <id> the record, <id>:e a person's edits, <id>:d deleted in Gmail,
//	            <id>:n not found when its message was last read
//	ReceiptsByDate, ReceiptsByStatus   sorted sets: receipt ids by when their mail came (ms)
//	Tombstones  set: ids of deleted receipts; these are in no index
//
// Gmail's message ids grow with time and are of one length, so that the
// lexicographic order of a sorted set is newest first for nothing.
package receiptstore

import (
	"errors"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/prosaas/receipts/pkg/redisclient"
	"github.com/prosaas/receipts/proto"
)

// ErrFenced says that a newer lease wrote to the business, or that its mailbox
// was connected or disconnected meanwhile: nothing was written, nor will be.
var ErrFenced = errors.New("fenced: the business belongs to another lease or connection")

// ErrNotFound says that the business has no such receipt.
var ErrNotFound = errors.New("no such receipt")

// ErrBadCursor says that a list's cursor was not made by List.
var ErrBadCursor = errors.New("not a cursor of this list")

// MaxIDs is how many ids one call takes.
const MaxIDs = 1000

// MaxReceipts is how many receipts one message can have.
const MaxReceipts = 100

// Options are the optional settings of a store.
type Options struct {
	// Retention is how long what belongs to one job is kept after its last
	// write; 8 days by default, a day more than the job's own record.
	Retention time.Duration
}

// Store keeps every business's receipts.
type Store struct {
	redis     *redisclient.Client
	keys      proto.Keys
	retention string // seconds
}

// New makes a store over the keys of one system.
func New(redis *redisclient.Client, keys proto.Keys, opts Options) *Store {
	if opts.Retention <= 0 {
		opts.Retention = 8 * 24 * time.Hour
	}
	return &Store{redis: redis, keys: keys, retention: strconv.Itoa(int(max(opts.Retention/time.Second, 1)))}
}

// Fence is in whose name a job writes: its lease, and the epoch that the
// business's connection had when the job began.
type Fence struct {
	Business, Job string
	Lease, Epoch  int64 // below 2^53, which Lua's numbers hold
}

// Writer writes in the name of one lease of one job. It is safe for concurrent use.
type Writer struct {
	store    *Store
	fence    Fence
	keys     []string
	wanted   string
	owed     string
	run      string
	spent    atomic.Int64 // quota units of the whole job
	failures string
}

// Writer makes the writer of one lease. Nothing is written until [Writer.Begin].
func (s *Store) Writer(f Fence) *Writer {
	b, k := f.Business, s.keys
	w := &Writer{store: s, fence: f, owed: k.Owed(b), wanted: k.Wanted(b, f.Job), run: k.Run(b, f.Job), failures: k.Failures(b, f.Job)}
	w.keys = []string{
		k.Connection(b), k.Sync(b), w.owed, w.wanted, w.run, k.Outcomes(b), w.failures,
		k.Receipts(b), k.ReceiptsByDate(b), k.Tombstones(b), k.Marks(b),
	}
	for _, status := range proto.ReceiptStatuses() {
		w.keys = append(w.keys, k.ReceiptsByStatus(b, string(status)))
	}
	return w
}

// Spend counts quota units; the next write takes them along. What was spent
// after the last write before a crash is not counted.
func (w *Writer) Spend(units int) { w.spent.Add(int64(units)) }

// Counts are what one job did so far, over all its turns.
type Counts struct {
	Listed      int // ids chosen
	Scanned     int // messages read: all outcomes but gone
	Saved       int // receipts that are new
	Updated     int // receipts that were there and read differently
	Duplicates  int // receipts that were there, the same or deleted by a person
	NotReceipts int // messages
	Gone        int // messages
	Errors      int // messages; so many rows has the list of failures
	Units       int // of Gmail's quota
}

// State is where a business and one job stand. Times are Redis's; a zero time
// is "never", an empty cursor "none".
type State struct {
	Cursor   string
	CursorAt time.Time // when the cursor was last moved: all before it is owed or read
	LastOK   time.Time // when a sync last finished
	Now      time.Time
	Position []byte // as last given to Want, SetPosition or Finish
	Done     bool   // this job has finished
	Counts   Counts
	Owed     int
	Wanted   int
	Marked   map[string]int // message id → how many jobs crashed with it in hand
	Suspects []string       // of these the ones still owed, or wanted by this job, newest first
}
