// Package httpapi is the HTTP API of receipts-api. routes.go is its table of
// contents; a sync is asked for in sync.go, guarded in guard.go, and what came
// of it is read through jobs.go, followed through events.go, and listed in
// receipts.go; what it could not read is in failures.go.
//
// A request that was answered 202 is a job in Redis, written before the answer;
// whatever was answered otherwise made none. The process itself keeps nothing
// but counts and the requests that it holds: after a crash a client asks again,
// and an Idempotency-Key, or the one job in flight of a business, makes that the
// same job. Every error has the one shape of proto.Problem, and none shows a
// cause; causes are logged, once.
package httpapi

import (
	"context"
	"crypto/sha256"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/time/rate"

	"github.com/prosaas/receipts/pkg/auth"
	"github.com/prosaas/receipts/pkg/config"
	"github.com/prosaas/receipts/pkg/connection"
	"github.com/prosaas/receipts/pkg/queue"
	"github.com/prosaas/receipts/pkg/receiptstore"
	"github.com/prosaas/receipts/pkg/redisclient"
	"github.com/prosaas/receipts/pkg/registry"
	"github.com/prosaas/receipts/proto"
	"github.com/prosaas/receipts/services/receipts-api/internal/page"
)

// Parts are what the API is made of. All are required.
type Parts struct {
	Redis      *redisclient.Client
	Store      *redisclient.Client // of businesses; the same as Redis where there is one
	Keys       proto.Keys
	Queue      *queue.Queue
	Registry   *registry.Registry
	Receipts   *receiptstore.Store
	Connection *connection.Keeper
	Verifier   *auth.Verifier
	Page       *page.Page
	Metrics    prometheus.Registerer
	Logger     *slog.Logger
	Version    string
}

// Options are the optional settings of the API.
type Options struct {
	Now func() time.Time // the system's clock by default; tells what day it is
}

// redisPatience is how long a request waits for Redis: it is told within a
// second that Redis is not there.
const redisPatience = 800 * time.Millisecond

// API answers requests. It may be used by many goroutines at once.
type API struct {
	Parts

	settings    config.API
	now         func() time.Time
	handler     http.Handler
	returning   map[string]*watch // of workers, by queue
	feed        *feed
	stopping    atomic.Bool
	counts      counts
	keyHashes   [][sha256.Size]byte // of the diagnostic keys
	diagnosable *rate.Limiter
	checkable   *rate.Limiter
	crossOrigin http.CrossOriginProtection
}

// New makes the API. It asks nobody anything: Redis may be down.
func New(settings config.API, parts Parts, opts Options) *API {
	if opts.Now == nil {
		opts.Now = time.Now
	}
	a := &API{
		Parts:       parts,
		settings:    settings,
		now:         opts.Now,
		returning:   map[string]*watch{},
		counts:      newCounts(parts.Metrics),
		diagnosable: rate.NewLimiter(5, 20),
		checkable:   rate.NewLimiter(1, 5),
	}
	for _, key := range settings.DiagnosticKeys {
		a.keyHashes = append(a.keyHashes, sha256.Sum256([]byte(key.Reveal())))
	}
	for _, name := range proto.Queues() {
		a.returning[name] = newWatch(func(ctx context.Context) bool { return a.workerListens(ctx, name) })
	}
	a.feed = newFeed(parts.Queue.Jobs, parts.Logger)
	parts.Metrics.MustRegister(newCensus(parts.Queue, parts.Registry, parts.Logger))
	a.handler = a.router()
	return a
}

// ServeHTTP answers one request.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) { a.handler.ServeHTTP(w, r) }

// Drain turns the API not ready; it goes on serving, and asks clients to close
// their connections.
func (a *API) Drain() { a.stopping.Store(true) }

// Stop turns the API not-ready, answers the requests that wait for a worker, and
// ends the streams of events. Other requests go on: whoever serves them ends those.
func (a *API) Stop() {
	a.Drain()
	a.feed.stop()
	for _, w := range a.returning {
		w.stop()
	}
}

// patient bounds what a request asks of Redis.
func patient(c echo.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(c.Request().Context(), redisPatience)
}
