package proto

import (
	"fmt"
	"regexp"
	"strings"
)

// DefaultPrefix is the prefix of every key of the queue plane. Its {tag} puts
// them all into one slot, so that each script is legal on Redis Cluster.
const DefaultPrefix = "{receipts}"

// The queues. Nothing but these may be named in a setting or an envelope: a
// mistyped queue is a queue that nobody listens to.
const (
	QueueHigh    = "high"
	QueueDefault = "default"
	QueueLow     = "low"
)

// Queues lists every queue, most urgent first.
func Queues() []string { return []string{QueueHigh, QueueDefault, QueueLow} }

// ValidQueue tells whether name is one of [Queues].
func ValidQueue(name string) bool {
	return name == QueueHigh || name == QueueDefault || name == QueueLow
}

// Keys names every Redis key that the services share. It is the only place in
// the project where the text of a key is written.
type Keys struct {
	prefix string // with its {tag}: the queue plane
	plain  string // the same without braces: what a business's keys begin with
}

var prefixPattern = regexp.MustCompile(`^[A-Za-z0-9_.:-]*\{[A-Za-z0-9_.-]+\}[A-Za-z0-9_.:-]*$`)

// NewKeys makes the keys of one system. A prefix without a {tag} is refused:
// its keys would lie in many slots of a Cluster, where no script could run.
func NewKeys(prefix string) (Keys, error) {
	if !prefixPattern.MatchString(prefix) {
		return Keys{}, fmt.Errorf("queue prefix %q: want letters, digits and one {tag}, as in %q", prefix, DefaultPrefix)
	}
	return Keys{prefix: prefix, plain: strings.NewReplacer("{", "", "}", "").Replace(prefix)}, nil
}

// MustKeys is [NewKeys] for a prefix known to be good.
func MustKeys(prefix string) Keys {
	k, err := NewKeys(prefix)
	if err != nil {
		panic(err)
	}
	return k
}

// Prefix is what the keys were made from.
func (k Keys) Prefix() string { return k.prefix }

// The queue plane: one hash tag for all of it.

// Queue is the list of ids that wait; pushed left, claimed right.
func (k Keys) Queue(queue string) string { return k.prefix + ":queue:" + queue }

// Wake is the list of at most one wake token: a hint for idle workers.
func (k Keys) Wake(queue string) string { return k.prefix + ":wake:" + queue }

// Claimed is the list of ids that a worker holds.
func (k Keys) Claimed(worker string) string { return k.prefix + ":claimed:" + worker }

// QueueWorkers is the registry of one queue: worker ids, scored by the moment
// their heartbeat runs out.
func (k Keys) QueueWorkers(queue string) string { return k.prefix + ":workers:" + queue }

// Workers indexes every worker, draining ones too, scored alike.
func (k Keys) Workers() string { return k.prefix + ":workers" }

// Worker is the hash of one worker's details.
func (k Keys) Worker(worker string) string { return k.prefix + ":worker:" + worker }

// Left stands for a while after a worker of the queue left or ran out.
func (k Keys) Left(queue string) string { return k.prefix + ":left:" + queue }

// Beat is the hash that tells when anybody last beat and until when nobody is reaped.
func (k Keys) Beat() string { return k.prefix + ":beat" }

// Businesses is the sorted set of connected businesses, scored by when their
// next automatic sync is due.
func (k Keys) Businesses() string { return k.prefix + ":businesses" }

// Rate counts the jobs that a business made in the present window.
func (k Keys) Rate(business string) string { return k.prefix + ":rate:" + business }

// Idempotency remembers the job that an Idempotency-Key made; hash is of route and key.
func (k Keys) Idempotency(business, hash string) string {
	return k.prefix + ":idem:" + business + ":" + hash
}

// Departed is the sorted set of workers that departed or were reaped, scored by when.
func (k Keys) Departed() string { return k.prefix + ":departed" }

// Job is the hash of one job.
func (k Keys) Job(id string) string { return k.prefix + ":job:" + id }

// Delayed is the sorted set of ids that wait for their time (ms).
func (k Keys) Delayed() string { return k.prefix + ":delayed" }

// Dead is the sorted set of failed jobs, scored by when they failed (ms).
func (k Keys) Dead() string { return k.prefix + ":dead" }

// Inflight is the marker: the one job of a business that has not ended.
func (k Keys) Inflight(business string) string { return k.prefix + ":inflight:" + business }

// Recent is the list of a business's newest job ids.
func (k Keys) Recent(business string) string { return k.prefix + ":recent:" + business }

// Paused is the set of queues that hand out nothing.
func (k Keys) Paused() string { return k.prefix + ":paused" }

// Lease is the number of the last lease handed out.
func (k Keys) Lease() string { return k.prefix + ":lease" }

// Turn counts the claims that handed out a job.
func (k Keys) Turn() string { return k.prefix + ":turn" }

// Lua is this same table for the scripts, whose first key is the prefix: a
// test of pkg/queue holds it equal to the methods.
const Lua = `
local P = KEYS[1]
local key = {
  queue = function(q) return P .. ':queue:' .. q end,
  wake = function(q) return P .. ':wake:' .. q end,
  claimed = function(w) return P .. ':claimed:' .. w end,
  queue_workers = function(q) return P .. ':workers:' .. q end,
  workers = P .. ':workers',
  worker = function(w) return P .. ':worker:' .. w end,
  left = function(q) return P .. ':left:' .. q end,
  beat = P .. ':beat',
  businesses = P .. ':businesses',
  rate = function(b) return P .. ':rate:' .. b end,
  idempotency = function(b, h) return P .. ':idem:' .. b .. ':' .. h end,
  departed = P .. ':departed',
  job = function(id) return P .. ':job:' .. id end,
  delayed = P .. ':delayed',
  dead = P .. ':dead',
  inflight = function(b) return P .. ':inflight:' .. b end,
  recent = function(b) return P .. ':recent:' .. b end,
  paused = P .. ':paused',
  lease = P .. ':lease',
  turn = P .. ':turn',
}
`

// The keys of one business: a hash tag of its own, so that businesses spread
// over a Cluster and each write of one is a single script.

func (k Keys) business(id, rest string) string { return k.plain + ":{b:" + id + "}:" + rest }

// Connection is the hash of a business's Gmail connection: address, sealed
// tokens, state, reason, epoch.
func (k Keys) Connection(business string) string { return k.business(business, "connection") }

// TokenLock is held by whoever refreshes the business's access token.
func (k Keys) TokenLock(business string) string { return k.business(business, "token_lock") }

// Settings is the hash of what a business chose for itself: time zone, automatic
// syncs, language. It outlives the connection.
func (k Keys) Settings(business string) string { return k.business(business, "settings") }

// Sync is the hash of where a business's mailbox stands: fence, cursor, last good sync.
func (k Keys) Sync(business string) string { return k.business(business, "sync") }

// Owed is the set of message ids behind the cursor that are still to read.
func (k Keys) Owed(business string) string { return k.business(business, "owed") }

// Wanted is the set of message ids that one job chose and has still to read.
func (k Keys) Wanted(business, job string) string { return k.business(business, "wanted:"+job) }

// Run is the hash of one job's position, counts and budget.
func (k Keys) Run(business, job string) string { return k.business(business, "run:"+job) }

// Failures is the hash of one job's failed message ids, each with its reason.
func (k Keys) Failures(business, job string) string { return k.business(business, "failures:"+job) }

// Marks is the hash of the messages in some job's hands, or in whose a job crashed.
func (k Keys) Marks(business string) string { return k.business(business, "marks") }

// Outcomes is the hash of what became of every message read.
func (k Keys) Outcomes(business string) string { return k.business(business, "outcomes") }

// Receipts is the hash of a business's receipts, by receipt id.
func (k Keys) Receipts(business string) string { return k.business(business, "receipts") }

// ReceiptsByDate indexes receipts that are not deleted, scored by when their mail came (ms).
func (k Keys) ReceiptsByDate(business string) string { return k.business(business, "by_date") }

// ReceiptsByStatus indexes the receipts of one status, scored alike.
func (k Keys) ReceiptsByStatus(business, status string) string {
	return k.business(business, "by_status:"+status)
}

// Tombstones is the set of deleted receipts' ids.
func (k Keys) Tombstones(business string) string { return k.business(business, "tombstones") }

// Quota is the hash of what one mailbox, or Google's whole project, has spent of
// Gmail's quota, and until when Gmail is left alone. Mailboxes are named by a
// digest: businesses that share one share its quota.
func (k Keys) Quota(name string) string { return k.plain + ":{q:" + name + "}:quota" }

// OAuthState remembers one pending authorization, until its callback.
func (k Keys) OAuthState(state string) string { return k.plain + ":{o:" + state + "}:oauth" }
