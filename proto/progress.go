package proto

import (
	"log/slog"
	"time"
)

// Phase is what a running sync is doing.
type Phase string

// The phases of a sync, in the order in which they come.
const (
	PhaseHistory Phase = "history" // asking Gmail what changed since the cursor
	PhaseListing Phase = "listing" // searching windows for candidates
	PhaseReading Phase = "reading" // reading the chosen messages
	PhaseDone    Phase = "done"
)

// Progress counts what is so: Saved equals rows written, Errors equals rows in
// the list of failures. What is unknown is null, never a guess.
type Progress struct {
	Phase         Phase      `json:"phase"`
	WindowsDone   int        `json:"windows_done"`
	WindowsTotal  int        `json:"windows_total"`
	Listed        int        `json:"listed"`  // ids chosen so far
	Pending       int        `json:"pending"` // of those, still to read
	Scanned       int        `json:"scanned"` // messages read
	Saved         int        `json:"saved"`
	Updated       int        `json:"updated"`
	Duplicates    int        `json:"duplicates"`
	NotReceipts   int        `json:"not_receipts"`
	Gone          int        `json:"gone"`
	Errors        int        `json:"errors"`
	Percent       *float64   `json:"percent"`
	Units         int        `json:"units"` // Gmail quota units spent
	WaitingUntil  *time.Time `json:"waiting_until"`
	WaitingReason *string    `json:"waiting_reason"`
	ETA           *time.Time `json:"eta"`
}

// SyncResult is the result of a gmail_sync that finished.
type SyncResult struct {
	Scanned        int  `json:"scanned"`
	Saved          int  `json:"saved"`
	Updated        int  `json:"updated"`
	Duplicates     int  `json:"duplicates"`
	NotReceipts    int  `json:"not_receipts"`
	Gone           int  `json:"gone"`
	Errors         int  `json:"errors"`
	Units          int  `json:"units"`
	StoppedEarly   bool `json:"stopped_early"`   // max_messages was reached
	HistoryExpired bool `json:"history_expired"` // Gmail no longer knew the cursor: the gap was listed instead
}

// NoopResult is the result of a noop that finished. Connections is nil if the store
// did not reply: then none was tried, and nothing is known.
type NoopResult struct {
	Connections *OpenedConnections `json:"connections,omitempty"`
}

// OpenedConnections counts stored Gmail connections that a worker tried to open.
// Unreadable ones were sealed with a key that TOKEN_KEYS no longer has.
type OpenedConnections struct {
	Tried      int `json:"tried"`
	Unreadable int `json:"unreadable"`
}

// LogValue is what the log shows of a noop that finished.
func (r NoopResult) LogValue() slog.Value {
	if r.Connections == nil {
		return slog.GroupValue()
	}
	return slog.GroupValue(slog.Int("connections_tried", r.Connections.Tried), slog.Int("connections_unreadable", r.Connections.Unreadable))
}

// LogValue is what the log tells of a sync that finished.
func (r SyncResult) LogValue() slog.Value {
	return slog.GroupValue(slog.Int("scanned", r.Scanned), slog.Int("saved", r.Saved), slog.Int("errors", r.Errors),
		slog.Int("units", r.Units), slog.Bool("stopped_early", r.StoppedEarly), slog.Bool("history_expired", r.HistoryExpired))
}
