package gmailsync

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"google.golang.org/api/gmail/v1"

	"github.com/prosaas/receipts/pkg/receiptstore"
	"github.com/prosaas/receipts/proto"
)

// maxPages bounds one listing: a mailbox of five million messages.
const maxPages = 10_000

// maxRestarts is how often a listing begins anew because its page token ended.
const maxRestarts = 3

// catchUp brings the cursor to where Gmail stands, with all between made owed.
// A business without a cursor gets one, taken before the first list: what
// comes during the sync is then found behind it. It answers whether messages
// may have been announced too recently for Gmail to show them.
func (t *turn) catchUp(ctx context.Context, state receiptstore.State) (justAnnounced bool, err error) {
	t.report.phase(proto.PhaseHistory)
	if state.Cursor == "" {
		id, err := t.gmail.historyID(ctx)
		if err != nil {
			return false, err
		}
		t.report.wrote()
		return false, t.writer.SetCursorIfNone(ctx, id)
	}
	added := 0
	for restarts := 0; ; restarts++ {
		n, err := t.readHistory(ctx, state.Cursor)
		added += n
		switch {
		case errors.Is(err, errExpired):
			n, err = t.resync(ctx, state)
			return added+n > 0, err
		case errors.Is(err, errStalePage) && restarts < maxRestarts:
			continue
		case err != nil:
			return false, err
		}
		return added > 0 || (state.Owed > 0 && state.Now.Sub(state.CursorAt) < time.Minute), nil
	}
}

// readHistory owes all that happened since the cursor, and moves it with the
// last page. The order of the pages does not matter: a message's ids are owed
// once.
func (t *turn) readHistory(ctx context.Context, cursor string) (added int, err error) {
	start, err := strconv.ParseUint(cursor, 10, 64)
	if err != nil {
		return 0, errExpired // not a history id: as good as none
	}
	for pages, token := 0, ""; pages < maxPages; pages++ {
		page, err := t.gmail.history(ctx, start, token)
		if err != nil {
			return added, err
		}
		ids, deleted := changes(page.History)
		moved := ""
		if page.NextPageToken == "" {
			moved = strconv.FormatUint(max(page.HistoryId, start), 10)
		}
		n, err := t.owe(ctx, ids, deleted, moved)
		if added += n; err != nil {
			return added, err
		}
		if page.NextPageToken == "" {
			return added, nil
		}
		if page.NextPageToken == token {
			return added, errStalePage
		}
		token = page.NextPageToken
		if err := t.report.checkpoint(ctx, true); err != nil {
			return added, err
		}
	}
	return added, fmt.Errorf("history of business %s: more than %d pages", t.business, maxPages)
}

// changes tells which messages of a page of history are to be read, and which
// are gone for good. A message that leaves spam or trash counts as added; any
// other change of labels tells nothing new.
func changes(records []*gmail.History) (ids, deleted []string) {
	seen := map[string]bool{}
	for _, record := range records {
		for _, a := range record.MessagesAdded {
			if a.Message != nil && !hidden(a.Message.LabelIds) {
				seen[a.Message.Id] = true
			}
		}
		for _, l := range record.LabelsRemoved {
			if l.Message != nil && hidden(l.LabelIds) && !hidden(l.Message.LabelIds) {
				seen[l.Message.Id] = true
			}
		}
		for _, d := range record.MessagesDeleted {
			if d.Message != nil {
				delete(seen, d.Message.Id)
				deleted = append(deleted, d.Message.Id)
			}
		}
	}
	for id := range seen {
		ids = append(ids, id)
	}
	return ids, deleted
}

// hidden tells whether labels hold one of what is no mail of the business's.
func hidden(labels []string) bool {
	return slices.ContainsFunc(labels, func(l string) bool { return l == "DRAFT" || l == "CHAT" || l == "SPAM" || l == "TRASH" })
}

// owe makes ids owed, in pieces; the cursor moves with the last.
func (t *turn) owe(ctx context.Context, ids, deleted []string, cursor string) (added int, err error) {
	// Only what is new moves a job: a pass that finds the same again must not
	// forgive the attempts and crashes that it counts.
	defer func() {
		if added > 0 {
			t.report.wrote()
		}
	}()
	for len(ids)+len(deleted) > receiptstore.MaxIDs {
		n := min(len(ids), receiptstore.MaxIDs)
		d := min(len(deleted), receiptstore.MaxIDs-n)
		owed, err := t.writer.Owe(ctx, ids[:n], deleted[:d], "")
		if added += owed; err != nil {
			return added, err
		}
		ids, deleted = ids[n:], deleted[d:]
	}
	owed, err := t.writer.Owe(ctx, ids, deleted, cursor)
	return added + owed, err
}

// resyncMargin is how far before the last time that history was read whole a
// resync begins: searches lag, and dates are Gmail's.
const resyncMargin = 3 * 24 * time.Hour

// resync closes the gap that an expired history leaves: all mail of the gap is
// owed, then the cursor goes to a baseline taken before the list. The whole
// mailbox is not read again.
func (t *turn) resync(ctx context.Context, state receiptstore.State) (added int, err error) {
	baseline, err := t.gmail.historyID(ctx)
	if err != nil {
		return 0, err
	}
	t.place.Expired = true
	if err := t.writer.SetPosition(ctx, t.place.encode()); err != nil {
		return 0, err
	}
	good := state.CursorAt
	if good.IsZero() {
		good = state.Now.AddDate(0, 0, -firstDays)
	}
	gap := query("", window{after: good.Add(-resyncMargin).Unix()})
	for pages, restarts, token := 0, 0, ""; pages < maxPages; pages++ {
		page, err := t.gmail.list(ctx, gap, token)
		if errors.Is(err, errStalePage) && restarts < maxRestarts {
			restarts++
			token = ""
			continue
		}
		if err != nil {
			return added, err
		}
		cursor := ""
		if page.NextPageToken == "" {
			cursor = baseline
		}
		n, err := t.owe(ctx, idsOf(page), nil, cursor)
		if added += n; err != nil {
			return added, err
		}
		if page.NextPageToken == "" {
			return added, nil
		}
		token = page.NextPageToken
		if err := t.report.checkpoint(ctx, true); err != nil {
			return added, err
		}
	}
	return added, fmt.Errorf("gap of business %s: more than %d pages", t.business, maxPages)
}

func idsOf(page *gmail.ListMessagesResponse) []string {
	ids := make([]string, 0, len(page.Messages))
	for _, m := range page.Messages {
		ids = append(ids, m.Id)
	}
	return ids
}
