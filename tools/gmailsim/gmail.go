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

// call is one that was let in, with the fault that it met, if any.
type call struct {
	*http.Request
	box   *mailbox.Mailbox
	fault *fault
}

// message is the one that the path names.
func (c call) message() (mailbox.Message, error) {
	m, err := c.box.Get(c.PathValue("id"))
	if err == nil {
		m.Raw = c.fault.mail(m.Raw)
	}
	return m, err
}

// gmail is the way of every call to Gmail: counted, let in or refused, spoilt by
// a fault or answered. What the ledger has to know it knows before the answer
// leaves, so that whoever has the answer can read it there.
func (s *Sim) gmail(method string, handle func(call) (any, error)) http.Handler {
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
		c := call{r, box, s.faults.pick(method, id)}
		out, whole := s.respond(c, handle)
		if whole && method == methodGet {
			s.ledger.delivered(box.Address(), id)
		}
		s.ledger.release(box.Address())
		out.write(w, r, c.fault)
	})
}

func (s *Sim) arrive(method, id string) {
	s.ledger.count(method)
	if s.opts.OnCall != nil {
		s.opts.OnCall(method, id)
	}
}

// respond makes the answer; whole tells that it is a success and will arrive.
func (s *Sim) respond(c call, handle func(call) (any, error)) (out answer, whole bool) {
	if !c.fault.wait(c.Context()) {
		return answer{status: http.StatusServiceUnavailable}, false
	}
	var refusal *apiError
	if c.fault.is(kindError) {
		refusal = &apiError{code: c.fault.code, reason: c.fault.reason, retry: c.fault.retry}
	} else {
		body, err := handle(c)
		if err == nil {
			return answer{status: http.StatusOK, body: body}, c.fault.harmless()
		}
		refusal = refusalOf(err)
	}
	now := s.opts.Now()
	s.ledger.refused(c.box.Address(), refusal, now)
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

func (s *Sim) profile(c call) (any, error) {
	messages, historyID := c.box.Profile()
	return wireProfile{EmailAddress: c.box.Address(), MessagesTotal: messages, ThreadsTotal: messages, HistoryID: historyID}, nil
}

func (s *Sim) listMessages(c call) (any, error) {
	ask := c.URL.Query()
	limit, err := maxResults(ask.Get("maxResults"))
	if err != nil {
		return nil, err
	}
	spam := ask.Get("includeSpamTrash") == "true"
	key := strings.Join(append([]string{methodList, c.box.Address(), ask.Get("q"), strconv.FormatBool(spam)}, ask["labelIds"]...), "\x00")
	position, err := s.pages.open(key, ask.Get("pageToken"))
	if err != nil {
		return nil, err
	}
	page, err := c.box.List(mailbox.ParseQuery(ask.Get("q")), mailbox.ListOptions{
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

func (s *Sim) getMessage(c call) (any, error) {
	m, err := c.message()
	if err != nil {
		return nil, err
	}
	out := &wireMessage{
		ID: m.ID, ThreadID: m.ThreadID, LabelIDs: m.Labels, Snippet: m.Snippet,
		SizeEstimate: len(m.Raw) + len(m.Raw)/64 + 7, HistoryID: m.HistoryID, InternalDate: m.Date.UnixMilli(),
	}
	ask := c.URL.Query()
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

func (s *Sim) getAttachment(c call) (any, error) {
	m, err := c.message()
	if err != nil {
		return nil, err
	}
	content, ok := attachment(m.ID, m.Raw, c.PathValue("attachment"))
	if !ok {
		return nil, invalidArgument("Invalid attachment token")
	}
	return wireBody{Size: len(content), Data: base64.URLEncoding.EncodeToString(content)}, nil
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
