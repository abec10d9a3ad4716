package gmailsim

import (
	"encoding/base64"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/prosaas/receipts/tools/gmailsim/mailbox"
)

// gmail is the way of every call to Gmail: counted, let in or refused, spoilt by
// a fault or answered. What the ledger has to know it knows before the answer
// leaves, so that whoever has the answer can read it there.
func (s *Sim) gmail(method string, handle func(*http.Request, *mailbox.Mailbox) (any, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id := r.PathValue("id")
		s.arrive(method, id)
		box, refusal := s.authorise(r)
		if refusal != nil {
			refusal.answer(s.opts.Now()).write(w, r, nil)
			return
		}
		if refusal = s.ledger.admit(box.Address(), method, s.opts.Now()); refusal != nil {
			s.ledger.refused(box.Address(), refusal, s.opts.Now())
			refusal.answer(s.opts.Now()).write(w, r, nil)
			return
		}
		f := s.faults.pick(method, id)
		out, whole := s.respond(r, box, f, handle)
		if whole && method == methodGet {
			s.ledger.delivered(box.Address(), id)
		}
		s.ledger.release(box.Address())
		out.write(w, r, f)
	})
}

func (s *Sim) arrive(method, id string) {
	s.ledger.count(method)
	if s.opts.OnCall != nil {
		s.opts.OnCall(method, id)
	}
}

// respond makes the answer; whole tells that it is a success and will arrive.
func (s *Sim) respond(r *http.Request, box *mailbox.Mailbox, f *fault, handle func(*http.Request, *mailbox.Mailbox) (any, error)) (out answer, whole bool) {
	if !f.wait(r.Context()) {
		return answer{status: http.StatusServiceUnavailable}, false
	}
	var refusal *apiError
	if f != nil && f.kind == kindError {
		refusal = &apiError{code: f.code, reason: f.reason, retry: f.retry}
	} else {
		body, err := handle(r, box)
		if err == nil {
			f.spoil(body)
			return answer{status: http.StatusOK, body: body}, f.intact()
		}
		refusal = refusalOf(err)
	}
	now := s.opts.Now()
	s.ledger.refused(box.Address(), refusal, now)
	return refusal.answer(now), false
}

// refusalOf is what Gmail answers where a mailbox says no.
func refusalOf(err error) *apiError {
	var refusal *apiError
	switch {
	case errors.As(err, &refusal):
		return refusal
	case errors.Is(err, mailbox.ErrNotFound), errors.Is(err, mailbox.ErrHistoryExpired):
		return notFound()
	}
	return &apiError{code: http.StatusInternalServerError, reason: "backendError", message: err.Error()}
}

// Error makes an apiError the error of a handler.
func (e *apiError) Error() string { return e.reason }

// authorise finds the mailbox that the access token opens.
func (s *Sim) authorise(r *http.Request) (*mailbox.Mailbox, *apiError) {
	bearer, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	g := s.tokens.open(bearer)
	if g == nil {
		return nil, &apiError{code: http.StatusUnauthorized, reason: "authError"}
	}
	readers := []string{ScopeReadonly, "https://www.googleapis.com/auth/gmail.modify", "https://mail.google.com/"}
	if !slices.ContainsFunc(strings.Fields(g.scope), func(scope string) bool { return slices.Contains(readers, scope) }) {
		return nil, &apiError{code: http.StatusForbidden, reason: "insufficientPermissions"}
	}
	if user := r.PathValue("user"); user != "me" && !strings.EqualFold(user, g.address) {
		return nil, &apiError{code: http.StatusForbidden, reason: "forbidden", message: "Delegation denied for " + user}
	}
	return s.Mailbox(g.address), nil
}

func (s *Sim) profile(_ *http.Request, box *mailbox.Mailbox) (any, error) {
	messages, historyID := box.Profile()
	return wireProfile{EmailAddress: box.Address(), MessagesTotal: messages, ThreadsTotal: messages, HistoryID: historyID}, nil
}

func (s *Sim) listMessages(r *http.Request, box *mailbox.Mailbox) (any, error) {
	ask := r.URL.Query()
	limit, err := maxResults(ask.Get("maxResults"))
	if err != nil {
		return nil, err
	}
	spam := ask.Get("includeSpamTrash") == "true"
	key := strings.Join(append([]string{methodList, box.Address(), ask.Get("q"), strconv.FormatBool(spam)}, ask["labelIds"]...), "\x00")
	position, err := s.pages.open(key, ask.Get("pageToken"))
	if err != nil {
		return nil, err
	}
	page, err := box.List(mailbox.ParseQuery(ask.Get("q")), mailbox.ListOptions{
		Labels: ask["labelIds"], IncludeSpamTrash: spam, Position: position, Limit: limit,
	})
	if err != nil {
		return nil, err
	}
	out := wireList{ResultSizeEstimate: page.Estimate}
	for _, id := range page.IDs {
		out.Messages = append(out.Messages, wireRef{ID: id, ThreadID: id})
	}
	if page.Next > 0 {
		out.NextPageToken = s.pages.seal(key, page.Next)
	}
	return out, nil
}

func (s *Sim) getMessage(r *http.Request, box *mailbox.Mailbox) (any, error) {
	m, err := box.Get(r.PathValue("id"))
	if err != nil {
		return nil, err
	}
	out := &wireMessage{
		ID: m.ID, ThreadID: m.ThreadID, LabelIDs: m.Labels, Snippet: m.Snippet,
		SizeEstimate: len(m.Raw), HistoryID: m.HistoryID, InternalDate: m.Date.UnixMilli(),
	}
	ask := r.URL.Query()
	switch strings.ToLower(ask.Get("format")) {
	case "minimal":
	case "raw":
		out.Raw = base64.URLEncoding.EncodeToString(m.Raw)
	case "metadata":
		out.Payload = metadata(m.Raw, ask["metadataHeaders"])
	case "", "full":
		out.Payload = fullPayload(m.ID, m.Raw)
	default:
		return nil, invalidArgument("Invalid value for format")
	}
	return out, nil
}

func (s *Sim) getAttachment(r *http.Request, box *mailbox.Mailbox) (any, error) {
	m, err := box.Get(r.PathValue("id"))
	if err != nil {
		return nil, err
	}
	content, ok := attachment(m.ID, m.Raw, r.PathValue("attachment"))
	if !ok {
		return nil, invalidArgument("Invalid attachment token")
	}
	return wireBody{Size: len(content), Data: base64.URLEncoding.EncodeToString(content)}, nil
}

func (s *Sim) listHistory(r *http.Request, box *mailbox.Mailbox) (any, error) {
	ask := r.URL.Query()
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
		query.Types = append(query.Types, mailbox.Change(t))
	}
	key := strings.Join(append([]string{methodHistory, box.Address(), ask.Get("startHistoryId"), query.Label}, ask["historyTypes"]...), "\x00")
	skip, err := s.pages.open(key, ask.Get("pageToken"))
	if err != nil {
		return nil, err
	}
	records, next, head, err := box.History(query, skip, limit)
	if err != nil {
		return nil, err
	}
	if s.opts.EmptyHistoryPages && ask.Get("pageToken") == "" && len(records) > 0 {
		return wireHistoryList{HistoryID: head, NextPageToken: s.pages.seal(key, 0)}, nil
	}
	out := wireHistoryList{HistoryID: head}
	for _, record := range records {
		out.History = append(out.History, historyOf(record))
	}
	if next > 0 {
		out.NextPageToken = s.pages.seal(key, next)
	}
	return out, nil
}

func historyOf(record mailbox.Record) wireHistory {
	bare := wireRef{ID: record.MessageID, ThreadID: record.MessageID}
	labelled := bare
	labelled.LabelIDs = record.Labels
	out := wireHistory{ID: record.ID, Messages: []wireRef{bare}}
	switch record.Change {
	case mailbox.MessageAdded:
		out.MessagesAdded = []wireChange{{Message: labelled}}
	case mailbox.MessageDeleted:
		out.MessagesDeleted = []wireChange{{Message: labelled}}
	case mailbox.LabelAdded:
		out.LabelsAdded = []wireLabelChange{{Message: labelled, LabelIDs: record.Changed}}
	case mailbox.LabelRemoved:
		out.LabelsRemoved = []wireLabelChange{{Message: labelled, LabelIDs: record.Changed}}
	}
	return out
}

// maxResults is 100 unless asked for, and 500 at most (gmail-api.json).
func maxResults(text string) (int, error) {
	if text == "" {
		return 100, nil
	}
	n, err := strconv.ParseUint(text, 10, 32)
	if err != nil || n == 0 {
		return 0, invalidArgument("Invalid value for maxResults")
	}
	return int(min(n, 500)), nil
}
