package proto

import (
	"errors"
	"time"
)

// Protocol is the version of the queue protocol; a worker tells it with its heartbeat.
const Protocol = 1

// ErrReaped tells a worker that the registry does not know it any more: its
// jobs were given to others. It must cancel what it runs and register anew.
var ErrReaped = errors.New("worker is not registered: it was reaped")

// WorkerState is where a worker stands.
type WorkerState string

// The states of a worker.
const (
	WorkerLive     WorkerState = "live"
	WorkerDraining WorkerState = "draining" // takes nothing more, hands back what it holds
	WorkerDeparted WorkerState = "departed" // left in order
	WorkerReaped   WorkerState = "reaped"   // its heartbeat ran out
)

// Worker is one worker as the registry knows it. Times are Redis's.
type Worker struct {
	Name            string      `json:"name"`
	Queues          []string    `json:"queues"`
	State           WorkerState `json:"state"`
	Version         string      `json:"version"`
	Protocol        int         `json:"protocol"`
	Concurrency     int         `json:"concurrency"`
	Busy            int         `json:"busy"`
	StartedAt       time.Time   `json:"started_at"`
	LastHeartbeatAt time.Time   `json:"last_heartbeat_at"`
	LastClaimAt     *time.Time  `json:"last_claim_at"`
	Host            string      `json:"host"`
	PID             int         `json:"pid"`
	RedisRunID      string      `json:"redis_run_id"` // which Redis it believes it talks to
	RedisDB         int         `json:"redis_db"`
	Prefix          string      `json:"prefix"`
}

// Held is a job that a worker holds, as a heartbeat answers it.
type Held struct {
	JobID    string
	Lease    int64
	Canceled bool // asked to stop
}

// Pulse is what a heartbeat answers.
type Pulse struct {
	Held   []Held
	RanOut []string // workers whose heartbeat ran out, to be reaped
}
