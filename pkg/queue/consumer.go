package queue

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/prosaas/receipts/pkg/redisclient"
	"github.com/prosaas/receipts/proto"
)

// Registry is what a consumer needs of the workers' registry.
type Registry interface {
	Register(ctx context.Context, w proto.Worker, ttl time.Duration) error
	Beat(ctx context.Context, w proto.Worker, ttl time.Duration) (proto.Pulse, error)
	Drain(ctx context.Context, name string) error
	Depart(ctx context.Context, name string) error
	Reap(ctx context.Context, name string, ttl time.Duration) (jobs int, reaped bool, err error)
}

// Work is what a worker does with one kind of job.
type Work struct {
	Title string // for the log: "Gmail receipts sync"
	// Handle does one turn of a job. What it returns decides how the turn comes
	// out, see [FailError] and its neighbours; the result is kept as JSON, at
	// most 16 KiB. When ctx ends it should return soon, with or without a
	// checkpoint: whatever it writes later is refused by the job's lease.
	Handle func(ctx context.Context, job *Job) (result slog.LogValuer, err error)
}

// ConsumerOptions are the settings of a consumer. Zero values are the defaults
// of the settings table.
type ConsumerOptions struct {
	Host, Version string
	Queues        []string      // in strict order; high, default, low
	Slots         int           // jobs at once; 10
	Interval, TTL time.Duration // of heartbeats; 2 s and 10 s
	JobTimeout    time.Duration // of one turn, from its claim; 2 h
	MaxAttempts   int           // 5
	Logger        *slog.Logger
	Registerer    prometheus.Registerer
}

func (o ConsumerOptions) withDefaults() ConsumerOptions {
	if o.Host == "" {
		o.Host = "unnamed"
	}
	if len(o.Queues) == 0 {
		o.Queues = proto.Queues()
	}
	if o.Slots == 0 {
		o.Slots = 10
	}
	if o.Interval == 0 {
		o.Interval = 2 * time.Second
	}
	if o.TTL == 0 {
		o.TTL = 10 * time.Second
	}
	if o.JobTimeout == 0 {
		o.JobTimeout = 2 * time.Hour
	}
	if o.MaxAttempts == 0 {
		o.MaxAttempts = 5
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Registerer == nil {
		o.Registerer = prometheus.NewRegistry()
	}
	return o
}

// Consumer claims jobs, has them handled, and settles how they came out.
type Consumer struct {
	queue    *Queue
	registry Registry
	newName  func(host string) string
	works    map[proto.Kind]Work
	opts     ConsumerOptions
	log      *slog.Logger
	metrics  *consumerMetrics

	mu    sync.Mutex
	held  map[*turn]bool // what holds a slot, of this registration or an earlier one
	freed chan struct{}  // one token when a slot was given back
}

// NewConsumer makes a consumer that does works. newName names each
// registration: no two may ever have the same.
func NewConsumer(q *Queue, registry Registry, newName func(host string) string, works map[proto.Kind]Work, opts ConsumerOptions) *Consumer {
	opts = opts.withDefaults()
	return &Consumer{
		queue: q, registry: registry, newName: newName, works: works, opts: opts, log: opts.Logger,
		metrics: newConsumerMetrics(opts.Registerer, opts), held: map[*turn]bool{}, freed: make(chan struct{}, 1),
	}
}

// Run consumes until ctx, the fetch context, ends. Then it claims nothing more,
// leaves the registry, ends the work context of its jobs with [ErrShutdown],
// hands them back within two seconds, checkpoint or not, and departs. Where
// Redis is away it waits for it; where it was reaped it cancels its jobs with
// [ErrLost] and registers anew.
func (c *Consumer) Run(ctx context.Context) error {
	over, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	for {
		s, err := c.register(ctx, over)
		if err != nil {
			return nil // ctx ended before there was anything to leave
		}
		err = s.run(ctx)
		if !errors.Is(err, proto.ErrReaped) {
			return err
		}
		c.log.WarnContext(ctx, "worker was reaped, registering anew: it or Redis was away for longer than HEARTBEAT_TTL", "worker", s.worker.Name)
	}
}

// register tries until the registry takes a worker. The only error is ctx's;
// over ends with the consumer.
func (c *Consumer) register(ctx, over context.Context) (*session, error) {
	select {
	case <-c.queue.client.Ready(): // until then the client tells of its trouble
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	name := c.newName(c.opts.Host)
	for wait := backoff(); ; {
		worker, err := c.describe(ctx, name)
		sent := time.Now()
		if err == nil {
			err = c.introduce(ctx, worker)
		}
		if err == nil {
			c.metrics.beat(c.opts.Queues)
			c.log.InfoContext(ctx, "🔔 WORKER_START", "name", name, "queues", worker.Queues, "concurrency", worker.Concurrency,
				"redis_run_id", worker.RedisRunID, "redis_db", worker.RedisDB, "prefix", worker.Prefix, "version", worker.Version)
			return newSession(over, c, worker, sent), nil
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		c.metrics.failures.Inc()
		c.log.Log(ctx, redisclient.LevelOf(err), "could not register, trying again", "worker", name, "err", err)
		if !errors.Is(err, redisclient.ErrUnavailable) && !errors.Is(err, redisclient.ErrFull) {
			name = c.newName(c.opts.Host) // this one was reaped before its registration was acknowledged
		}
		if err := wait(ctx); err != nil {
			return nil, err
		}
	}
}

// introduce registers a worker. A shutdown does not cut it off: one who is in
// the registry must leave it in order.
func (c *Consumer) introduce(ctx context.Context, worker proto.Worker) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), callTimeout)
	defer cancel()
	return c.registry.Register(ctx, worker, c.opts.TTL)
}

// running is how many slots are held.
func (c *Consumer) running() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.held)
}

// hold gives a turn a slot, or takes it back.
func (c *Consumer) hold(t *turn, holds bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if holds {
		c.held[t] = true
	} else {
		delete(c.held, t)
	}
	c.metrics.busy.Set(float64(len(c.held)))
}

// deaf counts the slots held by work whose context ended before since.
func (c *Consumer) deaf(since time.Time) (n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for t := range c.held {
		if ended := t.told.Load(); ended != nil && ended.Before(since) {
			n++
		}
	}
	return n
}

func (c *Consumer) describe(ctx context.Context, name string) (proto.Worker, error) {
	server, err := c.queue.client.Describe(ctx)
	if err != nil {
		return proto.Worker{}, fmt.Errorf("register worker %s: %w", name, err)
	}
	return proto.Worker{
		Name: name, Queues: c.opts.Queues, Version: c.opts.Version, Protocol: proto.Protocol, Concurrency: c.opts.Slots,
		Host: c.opts.Host, PID: os.Getpid(), RedisRunID: server.RunID, RedisDB: c.queue.client.DB(), Prefix: c.queue.keys.Prefix(),
	}, nil
}

// backoff answers a function that waits 100 ms, then twice as long each time,
// up to 2 s.
func backoff() func(ctx context.Context) error {
	next := 100 * time.Millisecond
	return func(ctx context.Context) error {
		timer := time.NewTimer(next)
		defer timer.Stop()
		next = min(2*next, 2*time.Second)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-timer.C:
			return nil
		}
	}
}
