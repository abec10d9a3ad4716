// Package app builds receipts-api from its settings, starts it, and stops it in
// order. It is the only place that builds things.
//
// Redis may be away when it starts: it listens at once, says so on /readyz and
// in the log, and recovers by itself. A signal to stop first turns it not ready
// and lets it serve for SHUTDOWN_DELAY. The stop then answers the requests in
// progress, those that wait for a worker at once, and ends the streams of events.
// All of it takes no longer than SHUTDOWN_TIMEOUT, so that whoever waits for the
// process (stop_grace_period) has one time to allow for. A crash loses those
// requests and nothing else.
package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/prosaas/receipts/pkg/auth"
	"github.com/prosaas/receipts/pkg/config"
	"github.com/prosaas/receipts/pkg/connection"
	"github.com/prosaas/receipts/pkg/lifecycle"
	"github.com/prosaas/receipts/pkg/logging"
	"github.com/prosaas/receipts/pkg/metrics"
	"github.com/prosaas/receipts/pkg/queue"
	"github.com/prosaas/receipts/pkg/receiptstore"
	"github.com/prosaas/receipts/pkg/redisclient"
	"github.com/prosaas/receipts/pkg/registry"
	"github.com/prosaas/receipts/proto"
	"github.com/prosaas/receipts/services/receipts-api/internal/httpapi"
	"github.com/prosaas/receipts/services/receipts-api/internal/page"
)

// Run runs the service until ctx ends, which is no error, or until it cannot
// serve any more.
func Run(ctx context.Context, cfg config.API, log *slog.Logger, version string) error {
	a, err := New(cfg, log, version)
	if err != nil {
		return err
	}
	if err := a.Start(ctx); err != nil {
		return errors.Join(err, a.Stop())
	}
	select {
	case <-ctx.Done():
		err := a.drain()
		log.InfoContext(ctx, "receipts-api stops")
		return errors.Join(err, a.Stop())
	case err := <-a.failed:
		return errors.Join(err, a.Stop())
	}
}

// quietTime is how long before its end a drain lets nobody connect. The kernel
// resets connections that are established but not accepted when the listener
// closes; by then there are none, unless the machine is this slow.
const quietTime = 500 * time.Millisecond

// drain serves for SHUTDOWN_DELAY while not ready, so that proxies stop sending
// requests before the listener closes. A second signal ends it early. It returns
// the error of a listener that failed meanwhile.
func (a *App) drain() error {
	if a.cfg.ShutdownDelay == 0 {
		return nil
	}
	hurry, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	a.api.Drain()
	a.log.InfoContext(hurry, "receipts-api drains: not ready, still serving", logging.KeyDuration, a.cfg.ShutdownDelay.String())
	quiet, over := time.After(a.cfg.ShutdownDelay-quietTime), time.After(a.cfg.ShutdownDelay)
	for {
		select {
		case <-quiet:
			if err := quieten(a.public); err != nil {
				a.log.WarnContext(hurry, "the last connections may be reset", logging.KeyError, err)
			}
		case <-over:
			return nil
		case <-hurry.Done():
			return nil
		case err := <-a.failed:
			return err
		}
	}
}

// App is the service.
type App struct {
	cfg     config.API
	log     *slog.Logger
	version string

	redis   *redisclient.Client
	store   *redisclient.Client // the same where there is one Redis
	api     *httpapi.API
	metrics metrics.Registry
	stack   *lifecycle.Stack

	public, admin net.Listener
	failed        chan error // of a listener that ended by itself
}

// New builds the service. It calls nobody, and fails only over a setting.
func New(cfg config.API, log *slog.Logger, version string) (*App, error) {
	keys, err := proto.NewKeys(cfg.QueuePrefix)
	if err != nil {
		return nil, err
	}
	sealer, err := connection.NewSealer(cfg.TokenKeys.Reveal())
	if err != nil {
		return nil, err
	}
	pages, err := page.New(page.Options{LoginURL: cfg.LoginURL})
	if err != nil {
		return nil, err
	}
	redis, err := redisclient.Open(cfg.RedisURL.Reveal(), redisclient.Options{Logger: log})
	if err != nil {
		return nil, err
	}
	a := &App{
		cfg: cfg, log: log, version: version, redis: redis, metrics: metrics.New(),
		stack: lifecycle.New(cfg.ShutdownTimeout - cfg.ShutdownDelay), failed: make(chan error, 2),
	}
	a.stack.OnStop("redis", func(context.Context) error {
		redis.Close()
		return nil
	})
	a.store = redis
	if cfg.StoreRedisURL != cfg.RedisURL {
		store, err := redisclient.Open(cfg.StoreRedisURL.Reveal(), redisclient.Options{Logger: log, Store: true})
		if err != nil {
			return nil, errors.Join(err, a.Stop())
		}
		a.store = store
		a.stack.OnStop("store", func(context.Context) error {
			store.Close()
			return nil
		})
	}
	a.api = httpapi.New(cfg, httpapi.Parts{
		Redis: redis, Store: a.store, Keys: keys, Queue: queue.New(redis, keys), Registry: registry.New(redis, keys),
		Receipts:   receiptstore.New(a.store, keys, receiptstore.Options{}),
		Connection: connection.New(a.store, redis, keys, oauth(cfg), sealer, connection.Options{Logger: log}),
		Verifier:   verifier(cfg.JWT), Page: pages, Metrics: a.metrics, Logger: log, Version: version,
	}, httpapi.Options{})
	return a, nil
}

func verifier(cfg config.JWT) *auth.Verifier {
	opts := auth.Options{Issuer: cfg.JWTIssuer, Audience: cfg.JWTAudience}
	if cfg.JWKSURL != "" {
		return auth.NewKeySetVerifier(cfg.JWKSURL, opts)
	}
	return auth.NewSecretVerifier([]byte(cfg.JWTSecret.Reveal()), opts)
}

func oauth(cfg config.API) connection.OAuth {
	return connection.OAuth{
		ClientID: cfg.GoogleClientID, ClientSecret: cfg.GoogleClientSecret.Reveal(), RedirectURL: cfg.GoogleRedirectURL,
		AuthURL: cfg.OAuthAuthURL, TokenURL: cfg.OAuthTokenURL, RevokeURL: cfg.OAuthRevokeURL, GmailEndpoint: cfg.GmailEndpoint,
	}
}

// Start listens, on both addresses or on none. It does not wait for Redis.
func (a *App) Start(ctx context.Context) error {
	a.greet(a.redis, "redis found")
	if a.store != a.redis {
		a.greet(a.store, "store found")
	}

	admin := http.NewServeMux()
	admin.Handle("GET /metrics", a.metrics.Handler(a.log))
	var err error
	if a.admin, err = a.serve(ctx, "metrics", a.cfg.AdminAddr, admin); err != nil {
		return err
	}
	if a.public, err = a.serve(ctx, "api", a.cfg.APIAddr, a.api); err != nil {
		return err
	}
	// Above the listener, so that it runs before: a request that waits for a
	// worker, or for the end of a job, would hold up the end of the others.
	a.stack.OnStop("waiting requests", func(context.Context) error {
		a.api.Stop()
		return nil
	})
	a.log.InfoContext(ctx, "receipts-api listens", "addr", a.Addr(), "admin_addr", a.AdminAddr(), logging.KeyQueue, a.cfg.SyncQueue, logging.KeyVersion, a.version)
	return nil
}

// serve listens on addr and serves there until the stack stops it.
func (a *App) serve(ctx context.Context, name, addr string, handler http.Handler) (net.Listener, error) {
	listener, err := listenTCP(ctx, addr)
	if err != nil {
		return nil, fmt.Errorf("listen for %s: %w", name, err)
	}
	server := &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 5 * time.Second,
		// Not shorter than a request may wait: the end of ReadTimeout ends its
		// context, even though it was read long ago.
		ReadTimeout:    30*time.Second + a.cfg.GuardWait,
		WriteTimeout:   30*time.Second + a.cfg.GuardWait,
		IdleTimeout:    2 * time.Minute,
		MaxHeaderBytes: 32 << 10,
		ErrorLog:       slog.NewLogLogger(a.log.Handler(), slog.LevelDebug), // scanners and cut connections, mostly
	}
	served := make(chan struct{})
	go func() {
		defer close(served)
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			a.failed <- fmt.Errorf("serve %s: %w", name, err)
		}
	}()
	a.stack.OnStop(name, func(ctx context.Context) error {
		err := server.Shutdown(ctx)
		if err != nil {
			err = errors.Join(err, server.Close())
		}
		<-served
		return err
	})
	return listener, nil
}

// listenTCP returns a listener that can be quietened: Linux attaches no filter to
// one of MPTCP, which is Go's default.
func listenTCP(ctx context.Context, addr string) (net.Listener, error) {
	var plain net.ListenConfig
	plain.SetMultipathTCP(false)
	return plain.Listen(ctx, "tcp", addr)
}

// greet logs, once a Redis is there, which one it is, so that an operator can
// compare it with what the worker logs, and warns of one that may lose what it holds.
func (a *App) greet(client *redisclient.Client, found string) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		select {
		case <-client.Ready():
		case <-ctx.Done():
			return
		}
		server, err := client.Describe(ctx)
		if err != nil {
			a.log.WarnContext(ctx, "redis not described", logging.KeyError, err)
			return
		}
		a.log.InfoContext(ctx, found, //nolint:sloglint // one of two constants
			"run_id", server.RunID, "db", client.DB(), "prefix", a.cfg.QueuePrefix,
			"redis_version", server.Version, "persistence", server.Persistence, "eviction", server.Eviction)
		if server.Eviction != "noeviction" && server.Eviction != "unknown" {
			a.log.WarnContext(ctx, "redis may evict what it holds: set maxmemory-policy to noeviction", "run_id", server.RunID, "eviction", server.Eviction)
		}
		if server.Persistence == "none" {
			a.log.WarnContext(ctx, "redis keeps nothing over a restart: set appendonly to yes", "run_id", server.RunID)
		}
	}()
	a.stack.OnStop("greeting of redis", func(context.Context) error {
		cancel()
		<-done
		return nil
	})
}

// Addr is where the API listens; AdminAddr where its metrics are. Both are
// known once Start has answered.
func (a *App) Addr() string { return a.public.Addr().String() }

// AdminAddr is where the metrics are.
func (a *App) AdminAddr() string { return a.admin.Addr().String() }

// Stop turns the service not-ready, answers what waits, finishes the requests in
// hand, and gives everything back, within SHUTDOWN_TIMEOUT. It may be called
// after a Start that failed.
func (a *App) Stop() error { return a.stack.Stop() }
