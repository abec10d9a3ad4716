package gmailsync

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"time"

	"google.golang.org/api/googleapi"

	"github.com/prosaas/receipts/pkg/connection"
	"github.com/prosaas/receipts/pkg/queue"
	"github.com/prosaas/receipts/proto"
)

// What Gmail answers that is no trouble, but news.
var (
	errExpired   = errors.New("gmail no longer knows the cursor")
	errStalePage = errors.New("gmail no longer knows the page")
	errGone      = errors.New("gmail has no such message")
)

// fault is a call that failed: what Gmail said, or why it said nothing.
type fault struct {
	method  method
	paged   bool // the call went on with a page token
	status  int  // 0 where there was no answer that can be read
	reasons []string
	json    bool          // the answer is Gmail's own, not a page of something in between
	named   time.Duration // how long to wait, by Gmail's word; 0 where it named nothing
	cause   error         // of no answer
}

// Error tells a fault without Gmail's own words: these may hold an address.
func (f fault) Error() string {
	if f.status == 0 {
		return fmt.Sprintf("gmail %s: %v", f.method, f.cause)
	}
	return fmt.Sprintf("gmail %s: %d %v", f.method, f.status, f.reasons)
}

func (f fault) Unwrap() error { return f.cause }

// label is the fault's value in a metric.
func (f fault) label() string {
	if f.status == 0 {
		return "none"
	}
	return strconv.Itoa(f.status)
}

// describe reads what a call returned.
func describe(m method, paged bool, err error, now time.Time) fault {
	f := fault{method: m, paged: paged, cause: err}
	if located, ok := errors.AsType[*url.Error](err); ok {
		f.cause = located.Err // without the address, which holds ids
	}
	var answer *googleapi.Error
	if !errors.As(err, &answer) {
		return f
	}
	f.status, f.cause = answer.Code, nil
	for _, item := range answer.Errors {
		f.reasons = append(f.reasons, item.Reason)
	}
	var body struct {
		Error struct {
			Status  string `json:"status"`
			Details []struct {
				Reason string `json:"reason"`
			} `json:"details"`
		} `json:"error"`
	}
	if f.json = json.Unmarshal([]byte(answer.Body), &body) == nil; f.json {
		for _, detail := range body.Error.Details {
			f.reasons = append(f.reasons, detail.Reason)
		}
		f.reasons = append(f.reasons, body.Error.Status)
	}
	f.reasons = slices.DeleteFunc(f.reasons, func(r string) bool { return !reasonWord.MatchString(r) })
	f.named = retryAfter(answer, now)
	return f
}

var (
	reasonWord   = regexp.MustCompile(`^[A-Za-z_]{1,64}$`)
	retryMessage = regexp.MustCompile(`(?i)retry after (\d{4}-\d\d-\d\dT[0-9:.]+(?:Z|[+-]\d\d:\d\d))`)
)

// lostFraction is what a time may have lost by being written down.
const lostFraction = time.Second

// retryAfter reads when Gmail said to come again: seconds or a date in the
// header, or a time in the message's text. 0 is nowhere.
func retryAfter(answer *googleapi.Error, now time.Time) time.Duration {
	header := answer.Header.Get("Retry-After")
	if seconds, err := strconv.Atoi(header); err == nil {
		return max(time.Duration(seconds)*time.Second, 0)
	}
	if at, err := http.ParseTime(header); err == nil {
		return max(at.Add(lostFraction).Sub(now), 0)
	}
	if found := retryMessage.FindStringSubmatch(answer.Message); found != nil {
		if at, err := time.Parse(time.RFC3339, found[1]); err == nil {
			return max(at.Add(lostFraction).Sub(now), 0)
		}
	}
	return 0
}

func (f fault) has(reasons ...string) bool {
	return slices.ContainsFunc(f.reasons, func(r string) bool { return slices.Contains(reasons, r) })
}

// act is what is done about a fault.
type act int

const (
	actAnswer    act = iota // it is an answer: err
	actRetry                // the call is made again, tries times in all; then public
	actPause                // the whole mailbox waits
	actDaily                // the job waits for midnight in California
	actReconnect            // a person must connect again
	actFail                 // trying again is no use: public
)

// reaction is one row: when a fault is met by which act. The first that matches counts.
type reaction struct {
	name   string
	when   func(f fault) bool
	act    act
	tries  int
	err    error
	reason connection.Reason
	public proto.JobError
}

// unavailable is the code of what passes by itself.
const unavailable = "gmail_unavailable"

// tries of a call whose fault passes by itself, before the job is tried again.
const transientTries = 5

// reactions is the table of Gmail's errors. Source: Google's "Resolve errors"
// for the Gmail API, and what its users met (429 without a header, 403 for the
// minute's quota, 400 for accounts without Gmail).
func reactions() []reaction {
	return []reaction{
		{
			name: "cursor too old",
			when: func(f fault) bool {
				return f.json && f.method == methodHistory && (f.status == 404 || f.status == 410 || (f.status == 400 && !f.paged && !f.has("failedPrecondition")))
			},
			act: actAnswer, err: errExpired,
		},
		{
			name: "page token too old",
			when: func(f fault) bool { return f.json && f.paged && f.status == 400 && !f.has("failedPrecondition") },
			act:  actAnswer, err: errStalePage,
		},
		{
			name: "no such message",
			when: func(f fault) bool {
				return f.json && f.method == methodGet && (f.status == 404 || f.status == 410)
			},
			act: actAnswer, err: errGone,
		},
		{
			name: "message too large",
			when: func(f fault) bool { return f.method == methodGet && errors.Is(f.cause, errTooLarge) },
			act:  actAnswer, err: errTooLarge,
		},
		{
			name: "token rejected",
			when: func(f fault) bool { return f.status == 401 },
			act:  actReconnect, reason: connection.ReasonUnauthorized, public: reconnect("Gmail no longer accepts the connection"),
		},
		{
			name: "scope missing",
			when: func(f fault) bool {
				return f.status == 403 && f.has("insufficientPermissions", "ACCESS_TOKEN_SCOPE_INSUFFICIENT")
			},
			act: actReconnect, reason: connection.ReasonScope, public: reconnect("The permission to read Gmail was not granted"),
		},
		{
			name: "daily limit",
			when: func(f fault) bool { return (f.status == 403 || f.status == 429) && f.has("dailyLimitExceeded") },
			act:  actDaily,
		},
		{
			name: "admin block",
			when: func(f fault) bool { return f.status == 403 && f.has("domainPolicy") },
			act:  actFail, public: proto.JobError{
				Code: "admin_blocked", Message: "The mailbox's Workspace administrator does not allow this app to read Gmail",
				Action: "Ask the Workspace administrator to allow the app, then sync again",
			},
		},
		{
			name: "rate limit",
			when: func(f fault) bool {
				return f.status == 429 || (f.status == 403 && f.has("rateLimitExceeded", "userRateLimitExceeded", "quotaExceeded", "RESOURCE_EXHAUSTED"))
			},
			act: actPause,
		},
		{
			name: "no Gmail",
			when: func(f fault) bool { return f.status == 400 && f.has("failedPrecondition", "FAILED_PRECONDITION") },
			act:  actRetry, tries: 3, public: proto.JobError{
				Code: "no_gmail", Message: "The connected Google account has no Gmail", Action: "Connect an account that has Gmail",
			},
		},
		{
			name: "refused",
			when: func(f fault) bool { return f.json && f.status >= 400 && f.status < 500 && f.status != 408 },
			act:  actRetry, tries: 1, public: proto.JobError{
				Code: "gmail_refused", Message: "Gmail refused the request", Action: "It is tried again; if it fails for good, look at the worker's logs",
			},
		},
		{
			name: "come back later",
			when: func(f fault) bool { return f.status >= 500 && f.named > 0 },
			act:  actPause,
		},
		{ // 5xx, a reset, a page instead of JSON, a body that ends too soon
			name: "passes by itself",
			when: func(fault) bool { return true },
			act:  actRetry, tries: transientTries, public: proto.JobError{
				Code: unavailable, Message: "Gmail does not answer as it should", Action: "It is tried again by itself",
			},
		},
	}
}

// reactionTo is the row that a fault is met by.
func reactionTo(f fault) reaction {
	rows := reactions()
	return rows[slices.IndexFunc(rows, func(r reaction) bool { return r.when(f) })]
}

func reconnect(message string) proto.JobError {
	return proto.JobError{Code: "reconnect", Message: message, Action: "Reconnect Gmail"}
}

// fromTokens tells how a turn comes out whose connection gives no token.
// Redis's errors stay what they are.
func fromTokens(err error) error {
	for _, row := range []struct {
		errs   []error
		public proto.JobError
	}{
		{[]error{connection.ErrReconnect}, reconnect("Google no longer accepts the connection")},
		{[]error{connection.ErrNotConnected}, proto.JobError{
			Code: "not_connected", Message: "Gmail is not connected", Action: "Connect Gmail",
		}},
		{[]error{connection.ErrNoKeys, connection.ErrUnreadable}, proto.JobError{
			Code: "token_keys", Message: "The stored Gmail connection cannot be opened", Action: "Have the operator check TOKEN_KEYS, or reconnect Gmail",
		}},
		{[]error{connection.ErrNoClient, connection.ErrClient}, proto.JobError{
			Code: "oauth_client", Message: "Google refuses this service's OAuth client", Action: "Have the operator check GOOGLE_CLIENT_ID and GOOGLE_CLIENT_SECRET",
		}},
	} {
		if slices.ContainsFunc(row.errs, func(e error) bool { return errors.Is(err, e) }) {
			return &queue.FailError{Public: row.public, Cause: err}
		}
	}
	if errors.Is(err, connection.ErrGoogle) {
		return &queue.RetryError{Public: proto.JobError{
			Code: "google_unavailable", Message: "Google does not renew the access to Gmail just now", Action: "It is tried again by itself",
		}, Cause: err}
	}
	return err
}
