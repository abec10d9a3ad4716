// Package app puts the worker together and takes it apart: the only place that
// builds things. It keeps nothing of its own; stopping hands the worker's jobs
// back, and a crash leaves that to whoever reaps it.
package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"os"
	"runtime/debug"
	"time"

	"github.com/prosaas/receipts/pkg/config"
	"github.com/prosaas/receipts/pkg/lifecycle"
	"github.com/prosaas/receipts/pkg/metrics"
	"github.com/prosaas/receipts/pkg/queue"
	"github.com/prosaas/receipts/pkg/redisclient"
	"github.com/prosaas/receipts/pkg/registry"
	"github.com/prosaas/receipts/proto"
)

// softLimit is the memory in bytes past which the runtime rather collects than
// grows, unless GOMEMLIMIT names another: with it one sync stays within 64 MB
// above rest, and the largest mail within 256 MB.
const softLimit = 88 << 20

// App is one worker process.
type App struct {
	log     *slog.Logger
	metrics metrics.Registry
}

// Run works until ctx ends, then hands everything back. Redis may be down when
// it starts, and go away: it waits for it.
func Run(ctx context.Context, settings config.Worker, version string, log *slog.Logger) (err error) {
	if debug.SetMemoryLimit(-1) == math.MaxInt64 {
		debug.SetMemoryLimit(softLimit)
	}
	stack := lifecycle.New(settings.ShutdownTimeout)
	defer func() { err = errors.Join(err, stack.Stop()) }()
	a := &App{log: log, metrics: metrics.New()}
	keys, err := proto.NewKeys(settings.QueuePrefix)
	if err != nil {
		return err
	}
	client, err := redisclient.Open(settings.RedisURL.Reveal(), redisclient.Options{Logger: log})
	if err != nil {
		return err
	}
	stack.OnStop("redis", func(context.Context) error { client.Close(); return nil })
	store := client
	if settings.StoreRedisURL != settings.RedisURL {
		if store, err = redisclient.Open(settings.StoreRedisURL.Reveal(), redisclient.Options{Logger: log, Store: true}); err != nil {
			return err
		}
		stack.OnStop("store", func(context.Context) error { store.Close(); return nil })
	}
	if err := a.listen(ctx, settings.AdminAddr, stack); err != nil {
		return err
	}
	works, err := a.works(settings, client, store, keys, stack)
	if err != nil {
		return err
	}
	host, err := os.Hostname()
	if err != nil {
		return fmt.Errorf("name this worker: %w", err)
	}
	consumer := queue.NewConsumer(queue.New(client, keys), registry.New(client, keys), registry.NewName, works, queue.ConsumerOptions{
		Host: host, Version: version, Queues: settings.Queues, Slots: settings.Concurrency,
		Interval: settings.HeartbeatInterval, TTL: settings.HeartbeatTTL, JobTimeout: settings.JobTimeout, MaxAttempts: settings.JobMaxAttempts,
		Logger: log, Registerer: a.metrics,
	})
	go a.warn(ctx, client, "redis")
	if store != client {
		go a.warn(ctx, store, "store")
	}
	if err := consumer.Run(ctx); err != nil {
		return err
	}
	log.Info("worker stopped") //nolint:sloglint // ctx has ended
	return nil
}

// warn logs that a Redis could lose what it holds.
func (a *App) warn(ctx context.Context, client *redisclient.Client, name string) {
	select {
	case <-client.Ready():
	case <-ctx.Done():
		return
	}
	server, err := client.Describe(ctx)
	if err != nil {
		return // the client logs that it is away
	}
	if server.Eviction != "noeviction" && server.Eviction != "unknown" {
		a.log.WarnContext(ctx, "redis may evict what it holds: set maxmemory-policy noeviction", "redis", name, "eviction", server.Eviction)
	}
	if server.Persistence == "none" {
		a.log.WarnContext(ctx, "redis keeps nothing over a restart: set appendonly yes", "redis", name, "persistence", server.Persistence)
	}
}

// Healthcheck is one PING and nothing else: whether the worker is registered is
// the registry's to tell, and must never restart a good worker.
func Healthcheck(ctx context.Context, settings config.Redis) error {
	client, err := redisclient.Open(settings.RedisURL.Reveal(), redisclient.Options{})
	if err != nil {
		return err
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	select {
	case <-client.Ready():
	case <-ctx.Done():
		return fmt.Errorf("ping redis: %w", redisclient.ErrUnavailable)
	}
	return client.Ping(ctx)
}
