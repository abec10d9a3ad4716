package gmailsim

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// fault is a rule: which calls go wrong, and how.
type fault struct {
	spec string

	method, id string // empty: every one
	nth, times int
	p          float64
	rng        *rand.Rand

	kind   string
	code   int
	reason string
	retry  retryHint
	delay  time.Duration

	calls, fired int
}

// The ways to go wrong.
const (
	kindSlow    = "slow"    // answered rightly, after the delay
	kindError   = "error"   // an error of Gmail's, by code and reason
	kindHTML    = "html"    // a page where JSON should be
	kindCut     = "cut"     // the connection ends in the middle of the body
	kindReset   = "reset"   // the connection ends before the answer
	kindGzip    = "gzip"    // compressed, and the end is missing
	kindType    = "type"    // JSON of the wrong types
	kindGarbage = "garbage" // messages.get: bytes that are no mail
)

// parseFault reads a rule: parts "key=value", with commas between them.
//
// Which calls: method (profile, messages.list, messages.get, attachments.get,
// history.list, token, revoke), id (a message's), nth (from the nth such call
// on, and that one alone unless times says more), times (so many at most), p
// (with that probability, drawn from seed).
//
// How: code and reason (rateLimitExceeded, userRateLimitExceeded, quotaExceeded,
// dailyLimitExceeded, domainPolicy, insufficientPermissions, failedPrecondition,
// …; invalid_grant and the like for token), retry_after (seconds) and
// retry_form (seconds, date, message), delay (a duration), kind (error, html,
// cut, reset, gzip, type, garbage, slow).
func parseFault(spec string) (*fault, error) {
	f := &fault{spec: spec, p: 1}
	var seed uint64
	for part := range strings.SplitSeq(spec, ",") {
		key, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		if err := f.set(key, value, &seed); err != nil {
			return nil, fmt.Errorf("fault %q: %s: %w", spec, key, err)
		}
	}
	f.rng = rand.New(rand.NewPCG(seed, 1)) // #nosec G404 -- faults are drawn alike every time
	if f.nth > 0 && f.times == 0 {
		f.times = 1
	}
	switch {
	case f.kind == "" && f.code > 0:
		f.kind = kindError
	case f.kind == "" && f.delay > 0:
		f.kind = kindSlow
	case f.kind == "":
		return nil, fmt.Errorf("fault %q: needs a code, a delay or a kind", spec)
	case f.kind == kindHTML && f.code == 0:
		f.code = http.StatusBadGateway
	}
	if f.kind == kindError && f.code == 0 {
		return nil, fmt.Errorf("fault %q: needs a code", spec)
	}
	if f.reason == "" {
		f.reason = defaultReason(f.code)
	}
	return f, nil
}

func (f *fault) set(key, value string, seed *uint64) (err error) {
	switch key {
	case "method":
		f.method = value
		return oneOf(value, methodProfile, methodList, methodGet, methodAttachments, methodHistory, methodToken, methodRevoke)
	case "id":
		f.id = value
	case "nth":
		f.nth, err = strconv.Atoi(value)
	case "times":
		f.times, err = strconv.Atoi(value)
	case "p":
		f.p, err = strconv.ParseFloat(value, 64)
	case "seed":
		*seed, err = strconv.ParseUint(value, 10, 64)
	case "kind":
		f.kind = value
		return oneOf(value, kindSlow, kindError, kindHTML, kindCut, kindReset, kindGzip, kindType, kindGarbage)
	case "code":
		if f.code, err = strconv.Atoi(value); err == nil && (f.code < 400 || f.code > 599) {
			err = fmt.Errorf("%d is no status of an error", f.code)
		}
	case "reason":
		f.reason = value
	case "retry_after":
		var seconds int
		seconds, err = strconv.Atoi(value)
		f.retry.after = time.Duration(seconds) * time.Second
	case "retry_form":
		f.retry.form = value
		return oneOf(value, "seconds", "date", "message")
	case "delay":
		f.delay, err = time.ParseDuration(value)
	default:
		return errors.New("no such key")
	}
	return err
}

func oneOf(value string, names ...string) error {
	if slices.Contains(names, value) {
		return nil
	}
	return fmt.Errorf("%q is none of %s", value, strings.Join(names, ", "))
}

// faults are the rules in force.
type faults struct {
	mu    sync.Mutex
	rules []*fault
}

// pick counts the call for every rule that it is meant by, and gives the first
// that goes off, or nil.
func (fs *faults) pick(method, id string) *fault {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	var found *fault
	for _, f := range fs.rules {
		if (f.method != "" && f.method != method) || (f.id != "" && f.id != id) {
			continue
		}
		f.calls++
		spent := f.times > 0 && f.fired >= f.times
		if found != nil || spent || f.calls < f.nth || f.rng.Float64() >= f.p {
			continue
		}
		f.fired++
		found = f
	}
	return found
}

// AddFault puts a rule in force. Its grammar stands at parseFault: "method=messages.get,nth=3,code=500".
func (s *Sim) AddFault(spec string) error {
	f, err := parseFault(spec)
	if err != nil {
		return err
	}
	s.faults.mu.Lock()
	defer s.faults.mu.Unlock()
	s.faults.rules = append(s.faults.rules, f)
	return nil
}

// ClearFaults takes all rules away.
func (s *Sim) ClearFaults() {
	s.faults.mu.Lock()
	defer s.faults.mu.Unlock()
	s.faults.rules = nil
}

// FaultState is a rule with how many calls it was meant for, and how often it
// went off.
type FaultState struct {
	Spec  string `json:"spec"`
	Calls int    `json:"calls"`
	Fired int    `json:"fired"`
}

// Faults are the rules in force.
func (s *Sim) Faults() []FaultState {
	s.faults.mu.Lock()
	defer s.faults.mu.Unlock()
	out := make([]FaultState, 0, len(s.faults.rules))
	for _, f := range s.faults.rules {
		out = append(out, FaultState{Spec: f.spec, Calls: f.calls, Fired: f.fired})
	}
	return out
}
