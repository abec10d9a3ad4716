package proto

import "time"

// Problem is the body of every error of the API. TechnicalDetails is the code
// and the request id, except in the guard's 503, whose text is fixed and which
// has no Code, RequestID and Field. The header X-Error-Code has the code of each.
type Problem struct {
	Success          bool   `json:"success"` // always false
	Error            string `json:"error"`
	Action           string `json:"action"`
	TechnicalDetails string `json:"technical_details"`
	Code             string `json:"code,omitempty"` // stable
	RequestID        string `json:"request_id,omitempty"`
	Field            string `json:"field,omitempty"`   // the field, parameter or header that is wrong
	JobID            string `json:"job_id,omitempty"`  // 409: the job that is in the way
	Retried          *int   `json:"retried,omitempty"` // as that of [SyncAccepted]: they stay owed though the sync was refused
}

// SyncRequest is the body of POST /api/receipts/sync. Every field is optional.
type SyncRequest struct {
	Mode        *string `json:"mode"`
	FromDate    *string `json:"from_date"`
	ToDate      *string `json:"to_date"`
	MonthsBack  *int    `json:"months_back"`
	MaxMessages *int    `json:"max_messages"`
	Force       *bool   `json:"force"`
}

// SyncAccepted is the answer 202 to a sync.
type SyncAccepted struct {
	Success      bool   `json:"success"`
	Message      string `json:"message"`
	JobID        string `json:"job_id"`
	Status       State  `json:"status"`
	Deduplicated bool   `json:"deduplicated,omitempty"`
	Retried      *int   `json:"retried,omitempty"` // of a retry: messages that it made owed again, for whichever sync comes next
}

// SyncFailure is one message that a sync could not read: why, as a stable code
// and a sentence for a person, and what that person can do.
type SyncFailure struct {
	GmailMessageID string `json:"gmail_message_id"`
	Code           string `json:"code"`
	Message        string `json:"message"`
	Action         string `json:"action"`
}

// VerifyRequest is the body of POST /api/receipts/queue/verify. Seconds, 0 to
// 30, is how long the job holds its slot.
type VerifyRequest struct {
	Seconds *int `json:"seconds"`
}

// JobAnswer wraps one job.
type JobAnswer struct {
	Success bool `json:"success"`
	Job     Job  `json:"job"`
}

// ReceiptAnswer wraps one receipt.
type ReceiptAnswer struct {
	Success bool          `json:"success"`
	Receipt ReceiptDetail `json:"receipt"`
}

// List is one page of anything.
type List[T any] struct {
	Success    bool    `json:"success"`
	Items      []T     `json:"items"`
	NextCursor *string `json:"next_cursor"`
}

// ConnectionState is where a business's Gmail connection stands.
type ConnectionState string

// The states of a connection.
const (
	ConnectionNone      ConnectionState = "not_connected"
	ConnectionConnected ConnectionState = "connected"
	ConnectionReconnect ConnectionState = "reconnect" // Gmail refuses the token: a person must connect again
)

// ConnectionAnswer is the answer of GET /api/gmail/oauth/status.
type ConnectionAnswer struct {
	Success    bool            `json:"success"`
	Connected  bool            `json:"connected"`
	Status     ConnectionState `json:"status"`
	Email      *string         `json:"email"`
	Reason     *string         `json:"reason"`
	Action     *string         `json:"action"`
	LastSyncAt *time.Time      `json:"last_sync_at"`
}

// OAuthStart is the answer of GET /api/gmail/oauth/start.
type OAuthStart struct {
	Success bool   `json:"success"`
	AuthURL string `json:"auth_url"`
}

// SessionAnswer tells a page who is signed in.
type SessionAnswer struct {
	Success    bool   `json:"success"`
	Subject    string `json:"subject"`
	BusinessID string `json:"business_id"`
	Role       string `json:"role"`
}

// Diagnostics is the answer of GET /api/receipts/queue/diagnostics.
type Diagnostics struct {
	Redis          RedisDiagnostics            `json:"redis"`         // the queue's
	Store          RedisDiagnostics            `json:"store"`         // of connections and receipts; the same where there is one Redis
	WorkersCount   int                         `json:"workers_count"` // live ones
	Workers        []Worker                    `json:"workers"`       // and those that left or died in the last ten minutes
	Queues         map[string]QueueDiagnostics `json:"queues"`
	CriticalChecks CriticalChecks              `json:"critical_checks"`
	Invariants     *Invariants                 `json:"invariants,omitempty"` // where they were asked for
}

// Invariants tells which invariants of the queue are broken, in words, at most a hundred.
type Invariants struct {
	Checked bool     `json:"checked"` // always true
	Broken  []string `json:"broken"`
}

// RedisDiagnostics tells how the API sees Redis.
type RedisDiagnostics struct {
	Available   bool   `json:"available"`
	Ping        string `json:"ping"`
	Version     string `json:"version"`
	Persistence string `json:"persistence"`
	Eviction    string `json:"eviction"`
	RunID       string `json:"run_id"`
	DB          int    `json:"db"`
	Prefix      string `json:"prefix"`
	MemoryUsed  int64  `json:"memory_used_bytes"`
	MemoryMax   int64  `json:"memory_max_bytes"` // 0: no limit
}

// QueueDiagnostics tells how one queue stands.
type QueueDiagnostics struct {
	Length              int  `json:"length"`
	HasWorkerListening  bool `json:"has_worker_listening"`
	OldestJobAgeSeconds int  `json:"oldest_job_age_seconds"`
	Claimed             int  `json:"claimed"`
	Delayed             int  `json:"delayed"`
	Dead                int  `json:"dead"`
	Paused              bool `json:"paused"`
}

// CriticalChecks is the verdict: Status is "OK", or "ERROR: " and a sentence.
type CriticalChecks struct {
	DefaultQueueHasWorker bool   `json:"default_queue_has_worker"`
	SyncQueueHasWorker    *bool  `json:"sync_queue_has_worker,omitempty"` // where the sync queue is not default
	Status                string `json:"status"`
}
