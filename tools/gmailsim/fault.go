package gmailsim

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/prosaas/receipts/tools/gmailsim/mailgen"
)

// fault is a rule: which calls go wrong, and how. Its grammar stands in the
// package's comment.
type fault struct {
	spec string

	method, id string // empty: every one
	nth, times int    // 0: not counted
	p          float64
	rng        *rand.Rand

	kind   string // empty: answered rightly, after the delay
	code   int
	reason string
	retry  retryHint
	delay  time.Duration
	size   int // megabytes of kindHuge, files of kindParts

	calls, fired int
}

// The ways to go wrong.
const (
	kindError   = "error" // of Gmail's, by code and reason; what a code alone means
	kindHTML    = "html"
	kindCut     = "cut"
	kindReset   = "reset"
	kindGzip    = "gzip"
	kindType    = "type"
	kindGarbage = "garbage"
	kindHuge    = "huge"
	kindParts   = "parts"
)

// The forms of a retryHint.
const (
	retrySeconds = "seconds"
	retryDate    = "date"
	retryMessage = "message"
)

// parseFault reads a rule. What is wrong with one says what to write instead.
func parseFault(spec string) (*fault, error) {
	f := &fault{spec: spec, p: 1}
	seed := 0
	for part := range strings.SplitSeq(spec, ",") {
		key, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		if err := f.set(key, value, &seed); err != nil {
			return nil, fmt.Errorf("fault %q: %s: %w", spec, key, err)
		}
	}
	if problem := f.contradiction(); problem != "" {
		return nil, fmt.Errorf("fault %q: %s", spec, problem)
	}
	f.rng = rand.New(rand.NewPCG(uint64(seed), 1)) // #nosec G115 G404 -- never negative; faults are drawn alike every time
	if f.nth > 0 && f.times == 0 {
		f.times = 1
	}
	switch {
	case f.kind == "" && f.code > 0:
		f.kind = kindError
	case f.kind == kindHTML && f.code == 0:
		f.code = http.StatusBadGateway
	case f.kind == kindHuge && f.size == 0:
		f.size = 25 // a file that makes a mail of 35
	case f.kind == kindParts && f.size == 0:
		f.size = 10_000
	}
	if f.reason == "" {
		f.reason = defaultReason(f.code)
	}
	return f, nil
}

func (f *fault) set(key, value string, seed *int) (err error) {
	switch key {
	case "method":
		f.method, err = oneOf(value, methodProfile, methodList, methodGet, methodAttachments, methodHistory, methodToken, methodRevoke)
	case "id":
		f.id = value
	case "nth":
		f.nth, err = number(value, 1)
	case "times":
		f.times, err = number(value, 1)
	case "p":
		if f.p, err = strconv.ParseFloat(value, 64); err != nil || !(f.p >= 0 && f.p <= 1) {
			err = fmt.Errorf("%q is no probability, as in p=0.1", value)
		}
	case "seed":
		*seed, err = number(value, 0)
	case "kind":
		f.kind, err = oneOf(value, kindHTML, kindCut, kindReset, kindGzip, kindType, kindGarbage, kindHuge, kindParts)
	case "code":
		f.code, err = number(value, http.StatusOK)
	case "reason":
		f.reason = value
	case "retry_after":
		var seconds int
		seconds, err = number(value, 1)
		f.retry.after = time.Duration(seconds) * time.Second
	case "retry_form":
		f.retry.form, err = oneOf(value, retrySeconds, retryDate, retryMessage)
	case "size":
		f.size, err = number(value, 1)
	case "delay":
		if f.delay, err = time.ParseDuration(value); err != nil || f.delay <= 0 {
			err = fmt.Errorf("%q is no duration, as in delay=200ms", value)
		}
	default:
		err = errors.New("no such key; there are method, id, nth, times, p, seed, code, reason, retry_after, retry_form, delay, kind and size")
	}
	return err
}

func oneOf(value string, names ...string) (string, error) {
	if slices.Contains(names, value) {
		return value, nil
	}
	return "", fmt.Errorf("%q is none of %s", value, strings.Join(names, ", "))
}

func number(value string, least int) (int, error) {
	n, err := strconv.Atoi(value)
	if err != nil || n < least {
		return 0, fmt.Errorf("%q is no whole number of at least %d", value, least)
	}
	return n, nil
}

// contradiction tells what in the rule, each part of which is right, would
// never come about.
func (f *fault) contradiction() string {
	isError := f.kind == "" && f.code > 0
	switch {
	case f.kind == "" && f.code == 0 && f.delay == 0:
		return "it says nothing of what goes wrong: add code=500, delay=2s or kind=html, or another of these"
	case f.code > 0 && f.kind != "" && f.kind != kindHTML:
		return "an answer has a code or is of a kind, but for kind=html: leave one out"
	case f.code > 599 || (isError && f.code < 400) || (f.kind == kindHTML && f.code > 200 && f.code < 400):
		return "code is an error's, 400 to 599; with kind=html 200 too"
	case !isError && (f.reason != "" || f.retry.after > 0):
		return "reason and retry_after are of an error: add its code, as in code=429"
	case f.retry.form != "" && f.retry.after == 0:
		return "retry_form is how retry_after is told: add that, as in retry_after=5"
	case f.size > 0 && f.kind != kindHuge && f.kind != kindParts:
		return "size is of kind=huge or kind=parts: add one of them"
	case f.size > 1_000_000 || (f.kind == kindHuge && f.size > 500):
		return "size is at most 500 megabytes, or 1000000 files"
	case f.ofMails() && f.method != "" && f.method != methodGet && f.method != methodAttachments:
		return fmt.Sprintf("kind=%s is of mails: make method messages.get or attachments.get, or leave it out", f.kind)
	}
	return ""
}

// ofMails tells whether the rule changes a mail, and so means calls for one
// alone.
func (f *fault) ofMails() bool {
	return f.kind == kindGarbage || f.kind == kindHuge || f.kind == kindParts
}

// meant tells whether the rule is about such a call.
func (f *fault) meant(method, id string) bool {
	return (f.method == "" || f.method == method) && (f.id == "" || f.id == id) && (id != "" || !f.ofMails())
}

// The methods from here on are also those of nil: no fault.

// wait holds a call up. It is false if the caller went away.
func (f *fault) wait(ctx context.Context) bool {
	if f == nil || f.delay == 0 {
		return true
	}
	timer := time.NewTimer(f.delay)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// is tells whether the fault is of that kind.
func (f *fault) is(kind string) bool { return f != nil && f.kind == kind }

// harmless tells whether the caller still gets what it asked for.
func (f *fault) harmless() bool {
	return f == nil || f.kind == "" || f.kind == kindHuge || f.kind == kindParts
}

// mail is what is made of a mail's bytes.
func (f *fault) mail(raw []byte) []byte {
	switch {
	case f.is(kindGarbage):
		return bytes.Repeat([]byte{0x00, 0xff, '\r', '=', '?', 0x80, ':', '\n', 0x1b, '-', '-'}, 200)
	case f.is(kindHuge):
		return mailgen.Huge(raw, f.size<<20)
	case f.is(kindParts):
		return mailgen.InManyParts(raw, f.size)
	}
	return raw
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
		if !f.meant(method, id) {
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

// AddFault puts rules in force, all of them or, where one is wrong, none. Their
// grammar stands in the package's comment: "method=messages.get,nth=3,code=500".
func (s *Sim) AddFault(specs ...string) error {
	rules := make([]*fault, 0, len(specs))
	for _, spec := range specs {
		f, err := parseFault(spec)
		if err != nil {
			return err
		}
		rules = append(rules, f)
	}
	s.faults.mu.Lock()
	defer s.faults.mu.Unlock()
	s.faults.rules = append(s.faults.rules, rules...)
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
