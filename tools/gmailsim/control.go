package gmailsim

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/prosaas/receipts/tools/gmailsim/mailbox"
)

// routeControl is what scripts do to the simulator, as the package's comment
// tells them.
func (s *Sim) routeControl() {
	s.mux.HandleFunc("GET /__sim/help", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, Help()) })
	s.control("GET /__sim/{$}", s.showMailboxes)
	s.control("GET /__sim/ledger", func(*http.Request) (any, error) { return s.Ledger(), nil })
	s.control("POST /__sim/ledger/reset", done(s.ResetLedger))
	s.onMailbox("POST /__sim/messages", addMessage)
	s.onMailbox("DELETE /__sim/messages/{id}", deleteMessage)
	s.onMailbox("POST /__sim/messages/{id}/labels", relabelMessage)
	s.onMailbox("POST /__sim/history/expire", expireHistory)
	s.control("POST /__sim/pages/expire", done(s.ExpirePageTokens))
	s.mux.HandleFunc("GET /__sim/expected", s.showExpected)
	s.control("GET /__sim/faults", func(*http.Request) (any, error) { return s.Faults(), nil })
	s.control("POST /__sim/faults", s.addFaults)
	s.control("DELETE /__sim/faults", done(s.ClearFaults))
	s.control("POST /__sim/tokens/revoke", s.onTokens(s.RevokeTokens))
	s.control("POST /__sim/tokens/expire", s.onTokens(s.ExpireAccessTokens))
	s.control("POST /__sim/quota", s.changeQuota)
	s.control("/__sim/", func(r *http.Request) (any, error) {
		return nil, fmt.Errorf("%s %s: %w; GET /__sim/help tells what there is", r.Method, r.URL.Path, errNoRoute)
	})
}

// Ledger is what was asked so far.
func (s *Sim) Ledger() Ledger { return s.ledger.snapshot() }

// ResetLedger begins the ledger anew. The quota used goes on.
func (s *Sim) ResetLedger() { s.ledger.reset() }

// SetQuota changes the profile from the next call on.
func (s *Sim) SetQuota(q Quota) { s.ledger.setQuota(q) }

var (
	errNoMailbox = errors.New("no such account; GET /__sim/ lists them")
	errNoRoute   = errors.New("no such route")
)

// act does what a script asks for and gives what it answers: nil is nothing.
type act func(*http.Request) (any, error)

func done(do func()) act {
	return func(*http.Request) (any, error) { do(); return nil, nil }
}

// control is a route that answers with JSON, with nothing, or with what was
// wrong.
func (s *Sim) control(pattern string, do act) {
	s.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		body, err := do(r)
		switch {
		case err != nil:
			refuse(w, err)
		case body == nil:
			w.WriteHeader(http.StatusNoContent)
		default:
			reply(w, http.StatusOK, body)
		}
	})
}

func refuse(w http.ResponseWriter, err error) {
	status := http.StatusBadRequest
	if errors.Is(err, errNoMailbox) || errors.Is(err, errNoRoute) || errors.Is(err, mailbox.ErrNotFound) {
		status = http.StatusNotFound
	}
	reply(w, status, map[string]string{"error": err.Error()})
}

func reply(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // a caller that went away is its own affair
}

// onMailbox is a control of the mailbox that account names.
func (s *Sim) onMailbox(pattern string, do func(*mailbox.Mailbox, *http.Request) (any, error)) {
	s.control(pattern, func(r *http.Request) (any, error) {
		box, err := s.boxOf(r)
		if err != nil {
			return nil, err
		}
		return do(box, r)
	})
}

func (s *Sim) boxOf(r *http.Request) (*mailbox.Mailbox, error) {
	box := s.Mailbox(r.URL.Query().Get("account"))
	if box == nil {
		return nil, errNoMailbox
	}
	return box, nil
}

// onTokens is a control of one account's tokens, or, where none is named, of
// everybody's.
func (s *Sim) onTokens(do func(address string)) act {
	return func(r *http.Request) (any, error) {
		if _, err := s.boxOf(r); err != nil {
			return nil, err
		}
		do(r.URL.Query().Get("account"))
		return nil, nil
	}
}

func (s *Sim) showMailboxes(*http.Request) (any, error) {
	type shown struct {
		Address   string `json:"address"`
		Messages  int    `json:"messages"`
		HistoryID uint64 `json:"history_id,string"`
	}
	list := make([]shown, 0, len(s.mailboxes))
	for _, m := range s.mailboxes {
		messages, head := m.Profile()
		list = append(list, shown{m.Address(), messages, head})
	}
	return map[string]any{"mailboxes": list}, nil
}

func addMessage(box *mailbox.Mailbox, r *http.Request) (any, error) {
	raw, err := body(r, mailbox.MaxMail)
	if err != nil {
		return nil, err
	}
	var opts mailbox.AddOptions
	if labels := r.URL.Query().Get("labels"); labels != "" {
		opts.Labels = strings.Split(labels, ",")
	}
	if text := r.URL.Query().Get("internal_date"); text != "" {
		ms, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("internal_date %q: want milliseconds since 1970, as 1795420800000", text)
		}
		opts.Date = time.UnixMilli(ms)
	}
	return map[string]string{"id": box.Add(raw, opts)}, nil
}

func deleteMessage(box *mailbox.Mailbox, r *http.Request) (any, error) {
	return nil, box.Delete(r.PathValue("id"))
}

func relabelMessage(box *mailbox.Mailbox, r *http.Request) (any, error) {
	var change struct{ Add, Remove []string }
	text, err := body(r, maxForm)
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(text, &change); err != nil || len(change.Add)+len(change.Remove) == 0 {
		return nil, errors.New(`relabel a message: want {"add": ["TRASH"], "remove": ["INBOX"]}, or one of them`)
	}
	return nil, box.Relabel(r.PathValue("id"), change.Add, change.Remove)
}

func expireHistory(box *mailbox.Mailbox, _ *http.Request) (any, error) {
	box.ExpireHistory()
	return nil, nil
}

// showExpected answers in lines, of which a large mailbox has many.
func (s *Sim) showExpected(w http.ResponseWriter, r *http.Request) {
	box, err := s.boxOf(r)
	if err != nil {
		refuse(w, err)
		return
	}
	w.Header().Set("Content-Type", "application/x-ndjson")
	lines := json.NewEncoder(w)
	for id, truth := range box.Expected() {
		line := struct {
			ID string `json:"id"`
			mailbox.Truth
		}{id, truth}
		if lines.Encode(line) != nil {
			return
		}
	}
}

func (s *Sim) addFaults(r *http.Request) (any, error) {
	text, err := body(r, maxForm)
	if err != nil {
		return nil, err
	}
	rules := strings.Fields(string(text))
	if len(rules) == 0 {
		return nil, errors.New("no rule: want one a line, as method=messages.get,nth=3,code=500")
	}
	return nil, s.AddFault(rules...)
}

func (s *Sim) changeQuota(r *http.Request) (any, error) {
	text, err := body(r, maxForm)
	if err != nil {
		return nil, err
	}
	q, err := ParseQuota(strings.TrimSpace(string(text)))
	if err == nil {
		s.SetQuota(q)
	}
	return nil, err
}

// body reads what was sent, up to most bytes.
func body(r *http.Request, most int64) ([]byte, error) {
	text, err := io.ReadAll(http.MaxBytesReader(nil, r.Body, most))
	if err != nil {
		return nil, fmt.Errorf("read what was sent, %d bytes at most: %w", most, err)
	}
	return text, nil
}
