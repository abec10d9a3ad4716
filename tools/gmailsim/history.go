package gmailsim

import (
	"slices"
	"strconv"
	"strings"

	"github.com/prosaas/receipts/tools/gmailsim/mailbox"
)

func (s *Sim) listHistory(c call) (any, error) {
	ask := c.URL.Query()
	limit, err := maxResults(ask.Get("maxResults"))
	if err != nil {
		return nil, err
	}
	start, parseErr := strconv.ParseUint(ask.Get("startHistoryId"), 10, 64)
	if parseErr != nil {
		return nil, invalidArgument("Invalid value for startHistoryId")
	}
	query := mailbox.HistoryQuery{Start: start, Label: ask.Get("labelId")}
	for _, t := range ask["historyTypes"] {
		change := mailbox.Change(t)
		if !slices.Contains(mailbox.Changes(), change) {
			return nil, invalidArgument("Invalid value for historyTypes")
		}
		query.Types = append(query.Types, change)
	}
	key := strings.Join(append([]string{methodHistory, c.box.Address(), ask.Get("startHistoryId"), query.Label}, ask["historyTypes"]...), "\x00")
	skip, err := s.pages.open(key, ask.Get("pageToken"))
	if err != nil {
		return nil, err
	}
	records, next, head, err := c.box.History(query, skip, limit)
	if err != nil {
		return nil, err
	}
	if s.opts.EmptyHistoryPages && ask.Get("pageToken") == "" && len(records) > 0 {
		return wireHistoryList{HistoryID: head, NextPageToken: s.pages.seal(key, 0)}, nil
	}
	out := wireHistoryList{History: historyOf(records), HistoryID: head}
	if next > 0 {
		out.NextPageToken = s.pages.seal(key, next)
	}
	return out, nil
}

// historyOf tells of changes as Gmail does, which promises no more than that
// ids do not fall: one record may tell of several changes to several messages
// (gmail-api.json, History), and a change may be told twice. There are never
// more records than changes.
func historyOf(changes []mailbox.Record) []wireHistory {
	var out []wireHistory
	for i, change := range changes {
		if len(out) == 0 || change.ID%3 != 0 {
			out = append(out, wireHistory{})
		}
		out[len(out)-1].tell(change)
		if change.ID%3 == 1 && len(out) <= i {
			out = append(out, wireHistory{})
			out[len(out)-1].tell(change)
		}
	}
	return out
}

func (h *wireHistory) tell(change mailbox.Record) {
	bare := wireRef{ID: change.MessageID, ThreadID: change.MessageID}
	labelled := bare
	labelled.LabelIDs = change.Labels
	h.ID = change.ID
	h.Messages = append(h.Messages, bare)
	switch change.Change {
	case mailbox.MessageAdded:
		h.MessagesAdded = append(h.MessagesAdded, wireChange{Message: labelled})
	case mailbox.MessageDeleted:
		h.MessagesDeleted = append(h.MessagesDeleted, wireChange{Message: labelled})
	case mailbox.LabelAdded:
		h.LabelsAdded = append(h.LabelsAdded, wireLabelChange{Message: labelled, LabelIDs: change.Changed})
	case mailbox.LabelRemoved:
		h.LabelsRemoved = append(h.LabelsRemoved, wireLabelChange{Message: labelled, LabelIDs: change.Changed})
	}
}
