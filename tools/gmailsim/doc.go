// Package gmailsim is Gmail and Google's OAuth over HTTP, for tests and for
// trying things out: the REST that the real google.golang.org/api/gmail/v1
// client speaks through option.WithEndpoint, over mailboxes that may be changed
// while it runs, with Gmail's quota, its quirks and, by rule, its faults.
//
// In a test:
//
//	box := mailbox.New("owner@example.com", mailgen.New(1, 300, now), mailbox.Options{})
//	sim := gmailsim.New([]*mailbox.Mailbox{box}, gmailsim.Options{AutoConsent: true})
//	server := httptest.NewServer(sim)
//	access, refresh := sim.Grant(box.Address(), gmailsim.ScopeReadonly)
//
// then option.WithEndpoint(server.URL) for Gmail. What a script does under
// /__sim/ a test does to the mailbox (box.Add, box.Delete, …) and to the
// simulator (sim.AddFault, sim.RevokeTokens, …).
//
// It takes any redirect address, any client id unless told one, and gives
// whoever asks the account that they name. Everything is in memory and gone when
// the process ends; tokens do not outlive it either.
//
// # Addresses
//
//	/gmail/v1/users/me/…    Gmail: profile, messages, messages/ID,
//	                        messages/ID/attachments/ID, history
//	/o/oauth2/v2/auth       where a person consents; login_hint chooses the account
//	/token, /revoke         the rest of OAuth
//	/__sim/                 control, below
//
// # Quirks
//
// As with Gmail, always: lists are not quite in order, and their size estimates
// wrong; a list without messages has no key for them; an attachmentId is new
// each time; a page token is good for its own call alone; a record of history
// may tell of several changes, a change may be told twice, and a page begins
// with the record that the page before ended with; history ids have gaps and are
// above 2^53; calls over the quota, or too many at once, are refused.
//
// If asked for: a mail is announced before it is there (404) or found by a
// search; history begins with an empty page that has a next one; each refresh
// gives a new refresh token.
//
// # Faults
//
// A fault is a rule, parts "key=value" with commas between them. Of several, the
// first that goes off counts. These say which calls are meant, all of them if
// none does:
//
//	method=M        profile, messages.list, messages.get, attachments.get,
//	                history.list, token or revoke
//	id=ID           those about that message
//	nth=N           from the Nth such call on, and that one alone unless times
//	                says more
//	times=N         N times at most
//	p=P, seed=N     each with probability P, drawn alike for the same N
//
// and these, what goes wrong with them, after a delay=200ms if that is given, or
// nothing but the delay:
//
//	code=N          an error with that status, 400 to 599. reason=R tells why, as
//	                rateLimitExceeded, userRateLimitExceeded, quotaExceeded,
//	                dailyLimitExceeded, domainPolicy, insufficientPermissions,
//	                failedPrecondition, invalidArgument, or for token
//	                invalid_grant; without, what N most often comes with.
//	                retry_after=S says to come again in S seconds, and
//	                retry_form=seconds, date or message where: the header, as
//	                either, or the text
//	kind=html       a page of HTML with status 502, or with that of code=N, 200
//	                among them
//	kind=reset      the connection ends before the answer
//	kind=cut        the connection ends in the middle of the body
//	kind=gzip       the body is compressed, and the end is missing
//	kind=type       JSON of the wrong types
//	kind=garbage    a mail of bytes that are no mail
//	kind=huge       the mail with a file of size=25 megabytes attached, which
//	                make it one of 35
//	kind=parts      the mail with size=10000 tiny files attached
//
// For example:
//
//	method=messages.get,nth=3,code=500
//	p=0.1,seed=1,code=429,retry_after=5,retry_form=date
//	method=token,code=400,reason=invalid_grant
//	method=messages.list,delay=2s,times=1
//
// # Control
//
// account=ADDRESS in the query chooses a mailbox; without, it is the first, and
// for tokens everybody's. What has no answer of its own is answered 204, what is
// wrong {"error": "…"} with what to send instead.
//
//	GET    /__sim/help                  this text
//	GET    /__sim/                      the mailboxes, with counts and history ids
//	GET    /__sim/ledger                calls by method, units, greatest concurrency,
//	                                    messages read and read again, rate errors,
//	                                    calls before the time that one had named
//	POST   /__sim/ledger/reset
//	POST   /__sim/messages              the mail → {"id": "…"};
//	                                    ?labels=INBOX,UNREAD&internal_date=MILLISECONDS
//	DELETE /__sim/messages/ID           for good, as emptying the trash does
//	POST   /__sim/messages/ID/labels    {"add": ["TRASH"], "remove": ["INBOX"]}
//	GET    /__sim/expected              what a generated mailbox ought to be read
//	                                    as: a line of JSON a receipt
//	POST   /__sim/history/expire        every history id given so far is too old
//	POST   /__sim/pages/expire          every page token given so far is invalid
//	GET    /__sim/faults                the rules in force, with how often each was
//	                                    met and went off
//	POST   /__sim/faults                rules, one a line
//	DELETE /__sim/faults
//	POST   /__sim/tokens/expire         access tokens
//	POST   /__sim/tokens/revoke         all, as if the person had withdrawn consent
//	POST   /__sim/quota                 2026, legacy or off
package gmailsim

import (
	_ "embed"
	"strings"
)

//go:embed doc.go
var source string

// Help is what the package's comment says of addresses, quirks, faults and
// control, for those who run the simulator.
func Help() string {
	comment, _, _ := strings.Cut(source, "\npackage ")
	_, help, _ := strings.Cut(comment, "\n// # ")
	return strings.NewReplacer("\n// # ", "\n", "\n//\t", "\n  ", "\n// ", "\n", "\n//", "\n").Replace(help)
}
