package proto

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"time"
)

// EnvelopeVersion is the newest envelope that this code writes. A reader takes
// fields it does not know; a job of a version above its own it hands on.
const EnvelopeVersion = 1

// Kind is what a job does.
type Kind string

// The kinds of job.
const (
	KindGmailSync Kind = "gmail_sync" // needs a connected business, one in flight
	KindErase     Kind = "erase"      // one in flight, no connection needed
	KindNoop      Kind = "noop"       // for verification: no business at all
)

// Mode is how far a gmail_sync reaches.
type Mode string

// The modes of a gmail_sync.
const (
	ModeIncremental Mode = "incremental"
	ModeFull        Mode = "full"
	ModeRange       Mode = "range"
)

// Trigger is who asked for a job.
type Trigger string

// The triggers.
const (
	TriggerUser     Trigger = "user"
	TriggerConnect  Trigger = "connect"
	TriggerSchedule Trigger = "schedule"
	TriggerVerify   Trigger = "verify"
)

// State is where a job stands. doc.go has the table of transitions.
type State string

// The states of a job. The last three are ends: they never change.
const (
	StateQueued    State = "queued"
	StateStarted   State = "started"
	StateScheduled State = "scheduled"
	StateFinished  State = "finished"
	StateFailed    State = "failed"
	StateCanceled  State = "canceled"
)

// Ended tells whether s is an end.
func (s State) Ended() bool {
	return s == StateFinished || s == StateFailed || s == StateCanceled
}

// Params are a job's parameters. Dates are YYYY-MM-DD in the business's time
// zone, both inclusive. A zero value is "not given".
type Params struct {
	FromDate    string `json:"from_date,omitempty"`
	ToDate      string `json:"to_date,omitempty"`
	MonthsBack  int    `json:"months_back,omitempty"`
	MaxMessages int    `json:"max_messages,omitempty"`
	Force       bool   `json:"force,omitempty"`
	Seconds     int    `json:"seconds,omitempty"` // noop: how long it holds its slot
}

// Envelope is what crosses from the API to a worker. It holds no secret: the
// worker reads the business's Gmail connection itself.
type Envelope struct {
	Version    int               `json:"v"`
	JobID      string            `json:"job_id"` // UUIDv7, made by the API, so that an enqueue whose reply was lost can be repeated
	Kind       Kind              `json:"kind"`
	BusinessID string            `json:"business_id,omitempty"`
	Mode       Mode              `json:"mode,omitempty"`
	Params     Params            `json:"params"`
	Queue      string            `json:"queue"`
	Trigger    Trigger           `json:"trigger"`
	EnqueuedAt time.Time         `json:"enqueued_at"`
	RetryOf    string            `json:"retry_of,omitempty"`
	Headers    map[string]string `json:"headers"` // traceparent, request id
}

// Sameness is equal for two envelopes that ask for the same work.
func (e Envelope) Sameness() string {
	p, err := json.Marshal(e.Params)
	if err != nil { // a struct of strings, numbers and a bool
		panic(err)
	}
	return string(e.Kind) + " " + string(e.Mode) + " " + string(p)
}

// Encode writes the envelope as it goes over the wire.
func (e Envelope) Encode() ([]byte, error) {
	if e.Headers == nil {
		e.Headers = map[string]string{}
	}
	return json.Marshal(e)
}

// ErrNewerVersion says that an envelope was written by a newer release, which
// must be left to a newer worker.
var ErrNewerVersion = errors.New("envelope of a newer version")

// DecodeEnvelope reads an envelope. Of one with a newer version the id and
// version are still told, with [ErrNewerVersion].
func DecodeEnvelope(data []byte) (Envelope, error) {
	var head struct {
		Version int    `json:"v"`
		JobID   string `json:"job_id"`
	}
	if err := json.Unmarshal(data, &head); err != nil {
		return Envelope{}, fmt.Errorf("decode envelope: %w", err)
	}
	if head.Version > EnvelopeVersion {
		return Envelope{Version: head.Version, JobID: head.JobID}, fmt.Errorf("job %s: %w (%d, this worker reads %d)", head.JobID, ErrNewerVersion, head.Version, EnvelopeVersion)
	}
	if head.Version < 1 || head.JobID == "" {
		return Envelope{}, fmt.Errorf("decode envelope: no version or no job id in %d bytes", len(data))
	}
	var e Envelope
	if err := json.Unmarshal(data, &e); err != nil {
		return Envelope{}, fmt.Errorf("decode envelope of job %s: %w", head.JobID, err)
	}
	return e, nil
}

// JobError is why a job failed, or why it will be tried again: a stable code,
// a sentence for a person, and what that person can do.
type JobError struct {
	Code    string `json:"code"`
	Message string `json:"message"`
	Action  string `json:"action"`
}

// Job is a job's record as the API shows it. Times are Redis's.
type Job struct {
	JobID      string          `json:"job_id"`
	Kind       Kind            `json:"kind"`
	Status     State           `json:"status"`
	Mode       Mode            `json:"mode"`
	Trigger    Trigger         `json:"trigger"`
	Queue      string          `json:"queue"`
	Attempt    int             `json:"attempt"`
	Crashes    int             `json:"crashes"`
	Canceling  bool            `json:"canceling"` // asked to stop, still running
	EnqueuedAt time.Time       `json:"enqueued_at"`
	StartedAt  *time.Time      `json:"started_at"`
	FinishedAt *time.Time      `json:"finished_at"`
	RunAt      *time.Time      `json:"run_at"` // of a scheduled job: when it is due
	FromDate   *string         `json:"from_date"`
	ToDate     *string         `json:"to_date"`
	RetryOf    *string         `json:"retry_of"`
	Progress   *Progress       `json:"progress"`
	Result     json.RawMessage `json:"result"`
	Error      *JobError       `json:"error"`

	BusinessID string `json:"-"` // whose it is: the tenant check reads it, nobody is shown it
	Worker     string `json:"-"`
}

var idPattern = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

// ValidID tells whether s may be a business's or a job's id: anything else
// never reaches a key.
func ValidID(s string) bool { return idPattern.MatchString(s) }
