package mailbox

import (
	"errors"
	"fmt"
	"slices"
	"sort"
)

// ErrHistoryExpired is the answer to a start that is too old, or from no
// history of this mailbox: Gmail's users.history.list says 404 to both.
var ErrHistoryExpired = errors.New("history id is out of date")

// Change is what happened to a message, in the words of historyTypes.
type Change string

// The changes that users.history.list tells of.
const (
	MessageAdded   Change = "messageAdded"
	MessageDeleted Change = "messageDeleted"
	LabelAdded     Change = "labelAdded"
	LabelRemoved   Change = "labelRemoved"
)

// Changes are all that there are.
func Changes() []Change {
	return []Change{MessageAdded, MessageDeleted, LabelAdded, LabelRemoved}
}

// Record is one change.
type Record struct {
	ID        uint64
	Change    Change
	MessageID string
	Labels    []string // of the message after the change
	Changed   []string // the labels that came or went
}

// HistoryQuery selects records. Types and Label, if set, leave the others out.
type HistoryQuery struct {
	Start uint64 // records after this id
	Types []Change
	Label string
}

// History is the records after q.Start, of at most limit looked at: a page may
// be empty and yet have a next one, as Gmail's, and it begins with the record
// that the page before ended with. skip is 0, or next of the page before; next
// is 0 on the last page. head is the newest history id.
func (m *Mailbox) History(q HistoryQuery, skip, limit int) (page []Record, next int, head uint64, err error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if q.Start < m.floor || q.Start > m.head {
		return nil, 0, 0, fmt.Errorf("history from %d: %w", q.Start, ErrHistoryExpired)
	}
	first := sort.Search(len(m.records), func(k int) bool { return m.records[k].ID > q.Start })
	from := min(first+skip, len(m.records))
	to := min(from+limit, len(m.records))
	for _, r := range m.records[from:to] {
		wanted := len(q.Types) == 0 || slices.Contains(q.Types, r.Change)
		labelled := q.Label == "" || slices.Contains(r.Labels, q.Label) || slices.Contains(r.Changed, q.Label)
		if wanted && labelled {
			page = append(page, r)
		}
	}
	if to < len(m.records) {
		next = max(to-first-1, skip+1)
	}
	return page, next, m.head, nil
}

// ExpireHistory makes every history id before the newest too old.
func (m *Mailbox) ExpireHistory() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.records = nil
	// The newest itself is too old as well: no cursor taken before now is good.
	m.head++
	m.floor = m.head
}

// record writes one change down and gives the message its new labels. m.mu is
// held.
func (m *Mailbox) record(i int, c Change, labels, changed []string) {
	m.head += 1 + mix(m.head)%40 // Gmail: ids grow, with gaps
	m.changes[i] = change{labels: labels, historyID: m.head}
	m.records = append(m.records, Record{
		ID: m.head, Change: c, MessageID: m.id(i),
		Labels: slices.Clone(labels), Changed: slices.Clone(changed),
	})
}
