package mailbox

import (
	"fmt"
	"slices"
	"sort"
	"time"
)

// ListOptions bound a List.
type ListOptions struct {
	Labels           []string // all of them
	IncludeSpamTrash bool
	Position         int // 0, or Next of the page before
	Limit            int // messages a page
}

// Page is one page of a list.
type Page struct {
	IDs      []string
	Next     int // 0 on the last page
	Estimate int // of all matches: as rough as Gmail's, and 0 only where there are none
}

// List is the messages that match, newest first but for neighbours that changed
// places (users.messages.list promises no order). Mails that came while it was
// paged through are not on the pages that follow.
func (m *Mailbox) List(q Query, opts ListOptions) (Page, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()

	size, end := m.source.Len(), m.end()
	low, high := m.window(q)
	start := end
	if opts.Position > 0 {
		start = min(opts.Position, end)
	}
	var page Page
	scanned := 0
	for p := start - 1; p >= low; p-- {
		if p < size && p >= high {
			p = high
			continue
		}
		scanned++
		i := swapped(p, size, end)
		if p < size {
			i = swapped(p, low, high)
		}
		ok, err := m.matches(i, q, opts)
		if err != nil {
			return Page{}, fmt.Errorf("list messages: %w", err)
		}
		if !ok {
			continue
		}
		if len(page.IDs) == opts.Limit {
			page.Next = p + 1
			page.Estimate = rough(len(page.IDs)*(scanned+p-low)/scanned, p)
			return page, nil
		}
		page.IDs = append(page.IDs, m.id(i))
	}
	page.Estimate = rough(len(page.IDs), low)
	return page, nil
}

// rough is n, up to a quarter more or less, and never n itself unless that is 0.
func rough(n, salt int) int {
	if n == 0 {
		return 0
	}
	off := 1 + int(mix(uint64(n+salt))%uint64(n/4+1))
	if off < n && off%2 == 0 {
		return n - off
	}
	return n + off
}

// window is the range of the source's indexes that the query's dates leave.
func (m *Mailbox) window(q Query) (low, high int) {
	size := m.source.Len()
	from := func(seconds int64) int {
		return sort.Search(size, func(i int) bool { return m.source.Date(i).Unix() >= seconds })
	}
	low, high = 0, size
	if q.after > 0 {
		low = from(q.after)
	}
	if q.before > 0 {
		high = max(low, from(q.before))
	}
	return low, high
}

// swapped exchanges one pair of neighbours of four within [low, high).
func swapped(p, low, high int) int {
	twin := p ^ 1
	if twin < low || twin >= high || mix(uint64(p>>1))%4 != 0 {
		return p
	}
	return twin
}

func (m *Mailbox) matches(i int, q Query, opts ListOptions) (bool, error) {
	if m.changes[i].deleted || m.lags(i, m.opts.SearchLag) {
		return false, nil
	}
	labels := m.labels(i)
	for _, l := range opts.Labels {
		if !slices.Contains(labels, l) {
			return false, nil
		}
	}
	hidden := slices.Contains(labels, "SPAM") || slices.Contains(labels, "TRASH")
	if hidden && !opts.IncludeSpamTrash && !q.anywhere {
		return false, nil
	}
	if q.all() {
		return true, nil
	}
	d, err := m.doc(i)
	if err != nil {
		return false, err
	}
	return q.root.match(candidate{doc: d, labels: labels, date: m.date(i).Truncate(time.Second)}), nil
}
