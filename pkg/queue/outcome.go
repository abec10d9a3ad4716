package queue

import (
	"errors"
	"fmt"
	"time"

	"github.com/prosaas/receipts/proto"
)

// What a handler returns decides how its turn comes out: nil finishes the job,
// one of these fails, defers or yields it, the end of its context's cause
// ([ErrShutdown], [ErrLost], [ErrCanceled]) hands it back, trouble of Redis
// itself hands it back, and any other error is a retry.

// FailError says that trying again is no use: Public is what a person is told.
type FailError struct {
	Public proto.JobError
	Cause  error // for the log; may be nil
}

func (e *FailError) Error() string {
	if e.Cause == nil {
		return fmt.Sprintf("%s: %s", e.Public.Code, e.Public.Message)
	}
	return fmt.Sprintf("%s: %v", e.Public.Code, e.Cause)
}

func (e *FailError) Unwrap() error { return e.Cause }

// RetryError is a retry that tells a person why. An error that is none of
// these types is retried as well, and told in general words.
type RetryError struct {
	Public proto.JobError
	Cause  error
}

func (e *RetryError) Error() string { return fmt.Sprintf("%s: %v", e.Public.Code, e.Cause) }

func (e *RetryError) Unwrap() error { return e.Cause }

// DeferError says that somebody named the time to go on at: it is no attempt.
type DeferError struct {
	After  time.Duration
	Reason string // for the log: quota, daily_quota, version
}

func (e *DeferError) Error() string { return fmt.Sprintf("deferred for %s: %s", e.After, e.Reason) }

// ErrYield says that the job gives way to others that wait, and goes on later.
var ErrYield = errors.New("job gives way to others")

// The causes with which a running job's context ends.
var (
	ErrShutdown = errors.New("worker is stopping")
	ErrLost     = errors.New("worker lost its registration or its lease")
	ErrCanceled = errors.New("job was canceled")
	ErrTimeout  = errors.New("job ran longer than JOB_TIMEOUT")
)
