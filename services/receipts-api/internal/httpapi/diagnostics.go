package httpapi

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/prosaas/receipts/pkg/auth"
	"github.com/prosaas/receipts/pkg/queue"
	"github.com/prosaas/receipts/pkg/redisclient"
	"github.com/prosaas/receipts/pkg/registry"
	"github.com/prosaas/receipts/proto"
)

const (
	// checkPatience is how long a check of the invariants may take, which reads
	// the whole queue plane.
	checkPatience = 10 * time.Second
	maxBroken     = 100
)

// tryWrite pushes to a list that is not there, which changes nothing, and which
// Redis refuses wherever it refuses writes.
var tryWrite = redisclient.NewRepeatableScript(`return redis.call('LPUSHX', KEYS[1], '1')`)

var errDiagnosedTooOften = problem{
	status: http.StatusTooManyRequests, code: "rate_limited", retryAfter: time.Second,
	text: "Too many requests for diagnostics", action: "Ask less often",
}

// diagnostics tells an operator how Redis, workers and queues stand: the same
// truth that the guard and the metrics read. The invariants are checked only
// where a system admin asks for that.
func (a *API) diagnostics(c echo.Context) error {
	if err := a.admitOperator(c); err != nil {
		return err
	}
	check, err := a.checkAsked(c)
	if err != nil {
		return err
	}
	if !a.diagnosable.Allow() || check && !a.checkable.Allow() {
		return errDiagnosedTooOften
	}
	ctx, cancel := patient(c)
	defer cancel()
	d, err := a.diagnose(ctx)
	if errors.Is(err, redisclient.ErrUnavailable) {
		return errors.Join(c.JSON(http.StatusServiceUnavailable, d), err)
	}
	if err == nil && check {
		d.Invariants, err = a.invariants(c.Request().Context())
	}
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, d)
}

// checkAsked tells whether an operator asks for the invariants. A diagnostic key
// is not enough for that: the check reads everything, and Redis does nothing
// else meanwhile.
func (a *API) checkAsked(c echo.Context) (bool, error) {
	switch c.QueryParam("check") {
	case "":
		return false, nil
	case "invariants":
		p, err := a.authenticate(c)
		if err != nil || !p.Can(auth.RoleSystemAdmin) {
			return false, errForbidden.because(err)
		}
		return true, nil
	default:
		return false, badField("check", "must be 'invariants'")
	}
}

// invariants tells which of them are broken now.
func (a *API) invariants(ctx context.Context) (*proto.Invariants, error) {
	ctx, cancel := context.WithTimeout(ctx, checkPatience)
	defer cancel()
	broken, err := a.Queue.Check(ctx)
	if err != nil {
		return nil, err
	}
	return &proto.Invariants{Checked: true, Broken: append([]string{}, broken[:min(len(broken), maxBroken)]...)}, nil
}

// admitOperator lets in whoever has a diagnostic key, which is enough, or is a
// system admin. It does not tell the others what they lack.
func (a *API) admitOperator(c echo.Context) error {
	if a.hasDiagnosticKey(c.Request()) {
		return nil
	}
	p, err := a.authenticate(c)
	if err != nil {
		if errors.Is(err, auth.ErrKeysUnavailable) {
			return err
		}
		return errForbidden.because(err)
	}
	if !p.Can(auth.RoleSystemAdmin) {
		return errForbidden
	}
	return nil
}

// hasDiagnosticKey compares hashes, each key always, so that the time it takes
// tells nothing. Where no key is configured, none fits.
func (a *API) hasDiagnosticKey(r *http.Request) bool {
	given := sha256.Sum256([]byte(r.Header.Get("X-Diagnostic-Key")))
	fits := 0
	for _, key := range a.keyHashes {
		fits |= subtle.ConstantTimeCompare(given[:], key[:])
	}
	return fits == 1
}

// diagnose answers what it could learn; with [redisclient.ErrUnavailable] that
// Redis is not there, in the same shape.
func (a *API) diagnose(ctx context.Context) (proto.Diagnostics, error) {
	d := proto.Diagnostics{
		Redis: a.unknownRedis(a.Redis), Store: a.unknownRedis(a.Store),
		Workers: []proto.Worker{}, Queues: map[string]proto.QueueDiagnostics{},
		CriticalChecks: proto.CriticalChecks{Status: "ERROR: Redis does not answer: start it, or correct REDIS_URL"},
	}
	if a.settings.SyncQueue != proto.QueueDefault {
		d.CriticalChecks.SyncQueueHasWorker = new(bool)
	}
	// At the same time as the queue's, which must not wait for a store that is away.
	described := make(chan storeState, 1)
	go func() { described <- a.describeStore(ctx) }()
	server, err := a.Redis.Describe(ctx)
	if err != nil {
		return d, err
	}
	_, refused := a.Redis.Run(ctx, tryWrite, []string{a.Keys.Wake("none")})
	roll, depths, err := standing(ctx, a.Queue, a.Registry)
	if err != nil {
		return d, err
	}
	d.Redis = found(d.Redis, server)
	d.WorkersCount, d.Workers = roll.Count(), roll.Workers
	for name, depth := range depths.Queues {
		d.Queues[name] = queueDiagnostics(depth, depths.Now, roll.Listening(name))
	}
	store := <-described
	d.Store = store.RedisDiagnostics
	d.CriticalChecks = a.critical(roll, refused, store.refused)
	return d, nil
}

// storeState is the store's Redis as far as it replies, and why it takes no writes.
type storeState struct {
	proto.RedisDiagnostics
	refused error
}

func (a *API) describeStore(ctx context.Context) storeState {
	d := a.unknownRedis(a.Store)
	server, err := a.Store.Describe(ctx)
	if err != nil {
		return storeState{d, err}
	}
	_, refused := a.Store.Run(ctx, tryWrite, []string{a.Keys.Quota("none")})
	return storeState{found(d, server), refused}
}

// unknownRedis describes a Redis that did not reply.
func (a *API) unknownRedis(client *redisclient.Client) proto.RedisDiagnostics {
	return proto.RedisDiagnostics{Ping: "ERROR", Version: "unknown", Persistence: "unknown", Eviction: "unknown", RunID: "unknown", DB: client.DB(), Prefix: a.Keys.Prefix()}
}

func found(d proto.RedisDiagnostics, s redisclient.Server) proto.RedisDiagnostics {
	d.Available, d.Ping = true, "OK"
	d.Version, d.Persistence, d.Eviction, d.RunID = s.Version, s.Persistence, s.Eviction, s.RunID
	d.MemoryUsed, d.MemoryMax = s.MemoryUsed, s.MemoryMax
	return d
}

func queueDiagnostics(depth queue.Depth, now time.Time, listening bool) proto.QueueDiagnostics {
	q := proto.QueueDiagnostics{
		Length: depth.Waiting, HasWorkerListening: listening,
		Claimed: depth.Claimed, Delayed: depth.Delayed, Dead: depth.Dead, Paused: depth.Paused,
	}
	if depth.Oldest != nil {
		q.OldestJobAgeSeconds = max(int(now.Sub(*depth.Oldest).Seconds()), 0)
	}
	return q
}

// critical is the verdict: where Redis refuses to write, or no worker listens to
// the queue that syncs go to, no sync is accepted; where the store refuses, those
// that are accepted wait.
func (a *API) critical(roll registry.Roll, refused, refusedByStore error) proto.CriticalChecks {
	checks := proto.CriticalChecks{DefaultQueueHasWorker: roll.Listening(proto.QueueDefault), Status: "OK"}
	listening := roll.Listening(a.settings.SyncQueue)
	if a.settings.SyncQueue != proto.QueueDefault {
		checks.SyncQueueHasWorker = &listening
	}
	switch {
	case errors.Is(refused, redisclient.ErrFull):
		checks.Status = "ERROR: Redis has no memory left: give it more (maxmemory), or remove old data"
	case refused != nil:
		checks.Status = "ERROR: Redis takes no writes: its log says why"
	case !listening:
		checks.Status = "ERROR: no live worker listens to '" + a.settings.SyncQueue + "': start receipts-worker, or correct its WORKER_QUEUES"
	case errors.Is(refusedByStore, redisclient.ErrFull):
		checks.Status = "ERROR: the store has no memory left: give it more (maxmemory), or remove old data"
	case errors.Is(refusedByStore, redisclient.ErrUnavailable):
		checks.Status = "ERROR: the store does not answer: start it, or correct STORE_REDIS_URL"
	case refusedByStore != nil:
		checks.Status = "ERROR: the store takes no writes: its log says why"
	}
	return checks
}
