package gmailsim

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/prosaas/receipts/tools/gmailsim/mailbox"
)

// maxUpload is the largest mail that Gmail takes in.
const maxUpload = 50 << 20

// routeControl is what scripts do to the simulator. account, an address,
// stands in the query of all that are about a mailbox; without it, it is the
// first one.
//
//	GET    /__sim/                       the mailboxes, with counts and history ids
//	GET    /__sim/ledger                 what was asked so far (Ledger)
//	POST   /__sim/ledger/reset
//	POST   /__sim/messages               body: the mail; ?labels=INBOX,UNREAD &internal_date=ms → {"id"}
//	DELETE /__sim/messages/{id}          for good
//	POST   /__sim/messages/{id}/labels   {"add": ["TRASH"], "remove": ["INBOX"]}
//	POST   /__sim/history/expire         every history id given so far is too old
//	POST   /__sim/pages/expire           every page token given so far is invalid
//	GET    /__sim/expected               what a generated mailbox ought to be read as: a line of JSON a receipt
//	GET    /__sim/faults                 the rules in force
//	POST   /__sim/faults                 body: rules as of --fault, one a line
//	DELETE /__sim/faults
//	POST   /__sim/tokens/revoke          as if the person had withdrawn consent; without account: everybody
//	POST   /__sim/tokens/expire          access tokens only; without account: everybody's
//	POST   /__sim/quota                  body: 2026, legacy or off
func (s *Sim) routeControl() {
	s.mux.HandleFunc("GET /__sim/{$}", s.showMailboxes)
	s.mux.HandleFunc("GET /__sim/ledger", func(w http.ResponseWriter, _ *http.Request) { reply(w, http.StatusOK, s.Ledger()) })
	s.control("POST /__sim/ledger/reset", func(*http.Request) error { s.ResetLedger(); return nil })
	s.mux.HandleFunc("POST /__sim/messages", s.addMessage)
	s.control("DELETE /__sim/messages/{id}", s.deleteMessage)
	s.control("POST /__sim/messages/{id}/labels", s.relabelMessage)
	s.control("POST /__sim/history/expire", s.expireHistory)
	s.control("POST /__sim/pages/expire", func(*http.Request) error { s.ExpirePageTokens(); return nil })
	s.mux.HandleFunc("GET /__sim/expected", s.showExpected)
	s.mux.HandleFunc("GET /__sim/faults", func(w http.ResponseWriter, _ *http.Request) { reply(w, http.StatusOK, s.Faults()) })
	s.control("POST /__sim/faults", s.addFaults)
	s.control("DELETE /__sim/faults", func(*http.Request) error { s.ClearFaults(); return nil })
	s.control("POST /__sim/tokens/revoke", func(r *http.Request) error { s.RevokeTokens(account(r)); return nil })
	s.control("POST /__sim/tokens/expire", func(r *http.Request) error { s.ExpireAccessTokens(account(r)); return nil })
	s.control("POST /__sim/quota", s.changeQuota)
}

// Ledger is what was asked so far.
func (s *Sim) Ledger() Ledger { return s.ledger.snapshot() }

// ResetLedger begins the ledger anew. The quota used goes on.
func (s *Sim) ResetLedger() { s.ledger.reset() }

// SetQuota changes the profile from the next call on.
func (s *Sim) SetQuota(q Quota) { s.ledger.setQuota(q) }

var errNoMailbox = errors.New("no such account")

func account(r *http.Request) string { return r.URL.Query().Get("account") }

func (s *Sim) boxOf(r *http.Request) (*mailbox.Mailbox, error) {
	if box := s.Mailbox(account(r)); box != nil {
		return box, nil
	}
	return nil, errNoMailbox
}

// control is a route that answers 204 or says what was wrong.
func (s *Sim) control(pattern string, act func(*http.Request) error) {
	s.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		if err := act(r); err != nil {
			refuse(w, err)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	})
}

func refuse(w http.ResponseWriter, err error) {
	status := http.StatusBadRequest
	if errors.Is(err, errNoMailbox) || errors.Is(err, mailbox.ErrNotFound) {
		status = http.StatusNotFound
	}
	reply(w, status, map[string]string{"error": err.Error()})
}

func reply(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // a caller that went away is its own affair
}

func (s *Sim) showMailboxes(w http.ResponseWriter, _ *http.Request) {
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
	reply(w, http.StatusOK, map[string]any{"mailboxes": list})
}

func (s *Sim) addMessage(w http.ResponseWriter, r *http.Request) {
	box, err := s.boxOf(r)
	if err != nil {
		refuse(w, err)
		return
	}
	raw, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxUpload))
	if err != nil {
		refuse(w, err)
		return
	}
	var opts mailbox.AddOptions
	if labels := r.URL.Query().Get("labels"); labels != "" {
		opts.Labels = strings.Split(labels, ",")
	}
	if text := r.URL.Query().Get("internal_date"); text != "" {
		ms, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			refuse(w, err)
			return
		}
		opts.Date = time.UnixMilli(ms)
	}
	reply(w, http.StatusOK, map[string]string{"id": box.Add(raw, opts)})
}

func (s *Sim) deleteMessage(r *http.Request) error {
	box, err := s.boxOf(r)
	if err != nil {
		return err
	}
	return box.Delete(r.PathValue("id"))
}

func (s *Sim) relabelMessage(r *http.Request) error {
	box, err := s.boxOf(r)
	if err != nil {
		return err
	}
	var change struct{ Add, Remove []string }
	if err := json.NewDecoder(io.LimitReader(r.Body, maxForm)).Decode(&change); err != nil {
		return err
	}
	return box.Relabel(r.PathValue("id"), change.Add, change.Remove)
}

func (s *Sim) expireHistory(r *http.Request) error {
	box, err := s.boxOf(r)
	if err != nil {
		return err
	}
	box.ExpireHistory()
	return nil
}

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

func (s *Sim) addFaults(r *http.Request) error {
	body, err := io.ReadAll(io.LimitReader(r.Body, maxForm))
	if err != nil {
		return err
	}
	for spec := range strings.FieldsSeq(string(body)) {
		if err := s.AddFault(spec); err != nil {
			return err
		}
	}
	return nil
}

func (s *Sim) changeQuota(r *http.Request) error {
	body, err := io.ReadAll(io.LimitReader(r.Body, maxForm))
	if err != nil {
		return err
	}
	q, err := ParseQuota(strings.TrimSpace(string(body)))
	if err != nil {
		return err
	}
	s.SetQuota(q)
	return nil
}
