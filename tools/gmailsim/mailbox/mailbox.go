// Package mailbox is what one simulated Gmail account holds: messages, labels
// and the history of changes, found again by Gmail's query language.
//
// A mailbox lies over a Source (a folder of mails, or a generator) and keeps
// nothing of it in memory but what was changed: of 100,000 generated mails only
// those that were added, relabelled or deleted. All of that is in memory and is
// gone with the process.
package mailbox

import (
	"errors"
	"fmt"
	"hash/fnv"
	"iter"
	"slices"
	"sync"
	"time"
)

// ErrNotFound is the answer to an id that the mailbox does not have, or does
// not show yet.
var ErrNotFound = errors.New("no such message")

// Text is what a search sees of a mail: decoded, in any case.
type Text struct {
	From, To, Subject, Body string
	Files                   []string // names of the attachments
}

// Truth is what a reader of the mail should find out about it. Total is a
// decimal ("117.00"), Currency an ISO 4217 code; both are empty for a mail that
// is no receipt.
type Truth struct {
	IsReceipt bool   `json:"is_receipt"`
	Total     string `json:"total"`
	Currency  string `json:"currency"`
	Vendor    string `json:"vendor"`
}

// Source is the mail that a mailbox starts with, numbered from 0, oldest first.
// It never changes, and is called from many goroutines at once.
type Source interface {
	Len() int
	Date(i int) time.Time // when Gmail got it; never falls as i grows
	Labels(i int) []string
	Raw(i int) ([]byte, error) // RFC 5322
	Text(i int) (Text, error)
}

// Oracle is a Source that knows what its mails are.
type Oracle interface {
	Expected(i int) Truth
}

// Options are the habits of a mailbox. The zero value is a mailbox on the
// system's clock that shows a new mail everywhere at once.
type Options struct {
	Now       func() time.Time
	GetLag    time.Duration // an announced mail is "not found" for so long
	SearchLag time.Duration // a search finds an added mail only after so long
}

// AddOptions tell how a mail comes in. The zero value is an unread mail in the
// inbox, received now.
type AddOptions struct {
	Labels []string
	Date   time.Time
}

// Message is one mail with what Gmail knows about it.
type Message struct {
	ID, ThreadID string
	Labels       []string
	Date         time.Time
	HistoryID    uint64
	Snippet      string // the beginning of its text
	Raw          []byte
}

// Mailbox is one account. It is safe for concurrent use.
type Mailbox struct {
	address string
	source  Source
	opts    Options
	salt    uint64

	mu      sync.RWMutex
	added   []arrival
	changes map[int]change // by index; what differs from the source
	deleted int
	records []Record
	head    uint64 // the newest history id
	floor   uint64 // history before it is forgotten
	docs    docCache
}

// arrival is a mail that was added to the source's. Its index is the source's
// length and its place in the list.
type arrival struct {
	raw  []byte
	text Text
	date time.Time
	at   time.Time // when it was added, which the lags count from
}

// change is the present state of a message that is no longer as it came.
type change struct {
	labels    []string
	historyID uint64
	deleted   bool
}

// firstHead is where the history of a mailbox starts: above 2^53, which floats
// lose, and just under one more digit, which comparing text loses.
const firstHead = 9_999_999_999_999_900

// New is a mailbox of address over source.
func New(address string, source Source, opts Options) *Mailbox {
	if opts.Now == nil {
		opts.Now = time.Now
	}
	sum := fnv.New64a()
	_, _ = sum.Write([]byte(address))
	return &Mailbox{
		address: address, source: source, opts: opts, salt: sum.Sum64(),
		changes: make(map[int]change), head: firstHead, floor: firstHead,
	}
}

// Address is the account's mail address.
func (m *Mailbox) Address() string { return m.address }

// Profile is the number of messages and the newest history id.
func (m *Mailbox) Profile() (messages int, historyID uint64) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.end() - m.deleted, m.head
}

// Add puts a mail into the mailbox and gives its id.
func (m *Mailbox) Add(raw []byte, opts AddOptions) string {
	now := m.opts.Now()
	if opts.Date.IsZero() {
		opts.Date = now
	}
	if opts.Labels == nil {
		opts.Labels = []string{"INBOX", "UNREAD"}
	}
	raw = slices.Clone(raw)
	text := readText(raw)

	m.mu.Lock()
	defer m.mu.Unlock()
	i := m.end()
	m.added = append(m.added, arrival{raw: raw, text: text, date: opts.Date, at: now})
	m.record(i, MessageAdded, opts.Labels, opts.Labels)
	return m.id(i)
}

// Delete removes a message for good, as emptying the trash does.
func (m *Mailbox) Delete(id string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	i, ok := m.index(id)
	if !ok {
		return fmt.Errorf("delete message %s: %w", id, ErrNotFound)
	}
	labels := m.labels(i)
	m.record(i, MessageDeleted, labels, nil)
	gone := m.changes[i]
	gone.deleted = true
	m.changes[i] = gone
	m.deleted++
	return nil
}

// Relabel adds and removes labels, each kind as one change of the history.
// Adding TRASH is how a person deletes.
func (m *Mailbox) Relabel(id string, add, remove []string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	i, ok := m.index(id)
	if !ok {
		return fmt.Errorf("relabel message %s: %w", id, ErrNotFound)
	}
	has := slices.Clone(m.labels(i))
	missing := func(label string) bool { return !slices.Contains(has, label) }
	gained := slices.DeleteFunc(slices.Clone(add), func(l string) bool { return !missing(l) })
	if len(gained) > 0 {
		has = append(has, gained...)
		m.record(i, LabelAdded, slices.Clone(has), gained)
	}
	lost := slices.DeleteFunc(slices.Clone(remove), missing)
	if len(lost) > 0 {
		has = slices.DeleteFunc(has, func(l string) bool { return slices.Contains(lost, l) })
		m.record(i, LabelRemoved, has, lost)
	}
	return nil
}

// Get is the message of that id, or ErrNotFound.
func (m *Mailbox) Get(id string) (Message, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	i, ok := m.index(id)
	if !ok || m.lags(i, m.opts.GetLag) {
		return Message{}, fmt.Errorf("get message %s: %w", id, ErrNotFound)
	}
	raw, err := m.raw(i)
	if err != nil {
		return Message{}, fmt.Errorf("get message %s: %w", id, err)
	}
	text, err := m.text(i)
	if err != nil {
		return Message{}, fmt.Errorf("get message %s: %w", id, err)
	}
	return Message{
		ID: id, ThreadID: id, Labels: slices.Clone(m.labels(i)),
		Date: m.date(i), HistoryID: m.historyID(i), Snippet: snippet(text.Body), Raw: raw,
	}, nil
}

// Expected yields the id and the truth of every receipt that is in the mailbox,
// oldest first, as far as its source knows. Added mails are not among them.
func (m *Mailbox) Expected() iter.Seq2[string, Truth] {
	return func(yield func(string, Truth) bool) {
		oracle, ok := m.source.(Oracle)
		if !ok {
			return
		}
		for i := range m.source.Len() {
			truth := oracle.Expected(i)
			if !truth.IsReceipt {
				continue
			}
			m.mu.RLock()
			deleted := m.changes[i].deleted
			m.mu.RUnlock()
			if !deleted && !yield(m.id(i), truth) {
				return
			}
		}
	}
}

// end is one more than the last index; m.mu is held here and below.
func (m *Mailbox) end() int { return m.source.Len() + len(m.added) }

// arrived is the added mail of that index, or nil for one of the source.
func (m *Mailbox) arrived(i int) *arrival {
	if i < m.source.Len() {
		return nil
	}
	return &m.added[i-m.source.Len()]
}

func (m *Mailbox) raw(i int) ([]byte, error) {
	if a := m.arrived(i); a != nil {
		return a.raw, nil
	}
	return m.source.Raw(i)
}

func (m *Mailbox) text(i int) (Text, error) {
	if a := m.arrived(i); a != nil {
		return a.text, nil
	}
	return m.source.Text(i)
}

func (m *Mailbox) date(i int) time.Time {
	if a := m.arrived(i); a != nil {
		return a.date
	}
	return m.source.Date(i)
}

func (m *Mailbox) labels(i int) []string {
	if c, ok := m.changes[i]; ok {
		return c.labels
	}
	return m.source.Labels(i)
}

func (m *Mailbox) historyID(i int) uint64 {
	if c, ok := m.changes[i]; ok {
		return c.historyID
	}
	return firstHead - uint64(3*(m.source.Len()-i))
}

func (m *Mailbox) lags(i int, lag time.Duration) bool {
	a := m.arrived(i)
	return a != nil && m.opts.Now().Before(a.at.Add(lag))
}
