package gmailsim

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/prosaas/receipts/tools/gmailsim/mailbox"
	"github.com/prosaas/receipts/tools/gmailsim/mailgen"
)

// ScopeReadonly is the scope that reading mail takes.
const ScopeReadonly = "https://www.googleapis.com/auth/gmail.readonly"

// The calls that ledger and faults tell apart, beside those of OAuth: token and
// revoke.
const (
	methodProfile     = "profile"
	methodList        = "messages.list"
	methodGet         = "messages.get"
	methodAttachments = "attachments.get"
	methodHistory     = "history.list"
	methodToken       = "token"
	methodRevoke      = "revoke"
)

// Options are the habits of a simulator. The zero value asks for consent on a
// page, counts quota as new projects have it since May 2026, and lives by the
// system's clock.
type Options struct {
	Now                    func() time.Time
	Quota                  Quota         // "" is Quota2026
	Concurrency            int           // calls at once per mailbox; more are refused unless quota is off; 0 is 10
	AutoConsent            bool          // the authorize page redirects at once
	ClientID, ClientSecret string        // what /token asks for; empty takes any
	AccessTokenTTL         time.Duration // 0 is one hour
	RotateRefreshTokens    bool          // each refresh gives a new refresh token; using that ends the old
	EmptyHistoryPages      bool          // history begins with an empty page that has a next one

	// OnCall is told of every call before it is answered, with the message id
	// where there is one. It may block: the call waits for it.
	OnCall func(method, id string)
}

// Sim is a simulator, an http.Handler. It is safe for concurrent use.
type Sim struct {
	mailboxes []*mailbox.Mailbox
	opts      Options
	mux       *http.ServeMux
	ledger    *ledger
	faults    *faults
	tokens    *tokens
	pages     pageTokens
}

// New is a simulator over at least one mailbox. The first is the account that
// is taken where none is named.
func New(mailboxes []*mailbox.Mailbox, opts Options) *Sim {
	if opts.Now == nil {
		opts.Now = time.Now
	}
	if opts.Quota == "" {
		opts.Quota = Quota2026
	}
	if opts.Concurrency == 0 {
		opts.Concurrency = 10
	}
	if opts.AccessTokenTTL == 0 {
		opts.AccessTokenTTL = time.Hour
	}
	s := &Sim{
		mailboxes: mailboxes, opts: opts, mux: http.NewServeMux(),
		ledger: newLedger(opts.Quota, opts.Concurrency),
		faults: &faults{},
		tokens: newTokens(opts.Now, opts.AccessTokenTTL),
	}
	s.routeGmail()
	s.routeOAuth()
	s.routeControl()
	return s
}

func (s *Sim) routeGmail() {
	const user = "GET /gmail/v1/users/{user}"
	s.mux.Handle(user+"/profile", s.gmail(methodProfile, s.profile))
	s.mux.Handle(user+"/messages", s.gmail(methodList, s.listMessages))
	s.mux.Handle(user+"/messages/{id}", s.gmail(methodGet, s.getMessage))
	s.mux.Handle(user+"/messages/{id}/attachments/{attachment}", s.gmail(methodAttachments, s.getAttachment))
	s.mux.Handle(user+"/history", s.gmail(methodHistory, s.listHistory))
}

// ServeHTTP answers for gmail.googleapis.com, accounts.google.com and
// oauth2.googleapis.com in one.
func (s *Sim) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.mux.ServeHTTP(w, r) }

// Mailbox is the account of that address, the first one if address is empty, or
// nil.
func (s *Sim) Mailbox(address string) *mailbox.Mailbox {
	if address == "" {
		return s.mailboxes[0]
	}
	for _, m := range s.mailboxes {
		if strings.EqualFold(m.Address(), address) {
			return m
		}
	}
	return nil
}

// OpenMailbox makes the mailbox that spec describes: "seed:N" is N mails made by
// mailgen, anything else a folder of .eml, .html and .pdf files.
func OpenMailbox(address, spec string, opts mailbox.Options) (*mailbox.Mailbox, error) {
	if opts.Now == nil {
		opts.Now = time.Now
	}
	end := opts.Now().Truncate(time.Minute)
	number, seeded := strings.CutPrefix(spec, "seed:")
	if !seeded {
		folder, err := mailbox.OpenFolder(spec, end)
		if err != nil {
			return nil, fmt.Errorf("mailbox %q: want a folder with mails, or seed:400 for generated ones: %w", spec, err)
		}
		return mailbox.New(address, folder, opts), nil
	}
	n, err := strconv.Atoi(number)
	if err != nil || n < 1 || n > 10_000_000 {
		return nil, fmt.Errorf("mailbox %q: seed takes a number of mails from 1 to 10000000, as in seed:400", spec)
	}
	return mailbox.New(address, mailgen.New(1, n, end), opts), nil
}
