// Package redisclient is the one way to Redis: standalone, Sentinel or
// Cluster, told apart by the URL.
//
// Open returns at once, whether Redis answers or not, and connects in the
// background; until then, and whenever Redis is away, every call fails with
// [ErrUnavailable] within its deadline. No call waits without end: one whose
// context has no deadline gets [Options.Timeout]. Nothing is remembered of a
// call whose reply was lost: scripts that are safe to repeat say so, and are
// repeated while the deadline lasts; others are left to their callers.
package redisclient

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/redis/rueidis"
)

// ErrUnavailable says that Redis did not answer, or answered that it cannot
// serve now (loading, failing over, wrong password): nothing is known of the
// call, and a later one may succeed.
var ErrUnavailable = errors.New("redis is not available")

// ErrFull says that Redis refused to write because its memory is full. Nothing was written.
var ErrFull = errors.New("redis is full")

// The same of a client that was opened as the store's: they match [ErrUnavailable]
// and [ErrFull] too.
var (
	ErrStoreUnavailable = fmt.Errorf("store: %w", ErrUnavailable)
	ErrStoreFull        = fmt.Errorf("store: %w", ErrFull)
)

// Options are the optional settings of a client.
type Options struct {
	Logger  *slog.Logger  // discards by default
	Timeout time.Duration // of a call whose context has no deadline; 5 s by default
	// Store says that this is the store's Redis, which is not the queue's: errors
	// and log lines then name it, and no call takes longer than Timeout.
	Store bool
	// Dial replaces how connections are made, for tests that cut them.
	Dial func(ctx context.Context, addr string) (net.Conn, error)
}

// Client is a connection to Redis that may still be coming.
type Client struct {
	live    atomic.Pointer[rueidis.Client]
	refused atomic.Pointer[error] // of the last attempt to connect
	ready   chan struct{}
	cancel  context.CancelFunc
	done    chan struct{}
	timeout time.Duration
	db      int
	outage  outage

	store             bool
	unavailable, full error // what it reports; ErrUnavailable and ErrFull, or the store's
}

// Open makes a client for a URL: redis:// or rediss://, several hosts separated
// by commas for a Cluster, ?master_set= for Sentinels. The only error is a URL
// that cannot be read; it never shows the password.
func Open(rawURL string, opts Options) (*Client, error) {
	option, err := parse(rawURL)
	if err != nil {
		return nil, err
	}
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	if opts.Timeout == 0 {
		opts.Timeout = 5 * time.Second
	}
	if opts.Dial != nil {
		option.DialCtxFn = func(ctx context.Context, addr string, _ *net.Dialer, _ *tls.Config) (net.Conn, error) {
			return opts.Dial(ctx, addr)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	c := &Client{
		ready: make(chan struct{}), cancel: cancel, done: make(chan struct{}), timeout: opts.Timeout, db: option.SelectDB,
		outage:      outage{log: opts.Logger, addresses: option.InitAddress, server: "redis", setting: "REDIS_URL"},
		unavailable: ErrUnavailable, full: ErrFull,
	}
	if opts.Store {
		c.store = true
		c.outage.server, c.outage.setting = "store", "STORE_REDIS_URL"
		c.unavailable, c.full = ErrStoreUnavailable, ErrStoreFull
	}
	go c.connect(ctx, option)
	return c, nil
}

func parse(rawURL string) (rueidis.ClientOption, error) {
	first, others, err := splitHosts(rawURL)
	if err != nil {
		return rueidis.ClientOption{}, err
	}
	option, err := rueidis.ParseURL(first)
	if err != nil {
		if parseErr, ok := errors.AsType[*url.Error](err); ok {
			err = parseErr.Err // without the URL, which may hold a password
		}
		return rueidis.ClientOption{}, fmt.Errorf("redis url: %w", err)
	}
	option.InitAddress = append(option.InitAddress, others...)
	sentinel := option.Sentinel.MasterSet != ""
	if sentinel {
		// A missed +switch-master would bind the client to the old master.
		option.Sentinel.TopologyRefreshInterval = 5 * time.Second
		option.Sentinel.Username, option.Sentinel.Password = option.Username, option.Password
		option.Sentinel.TLSConfig = option.TLSConfig
	}
	option.ForceSingleClient = len(others) == 0 && !sentinel
	option.DisableCache = true
	option.AlwaysRESP2 = true
	option.ClientSetInfo = rueidis.DisableClientSetInfo // two commands of each connection that tell the server who wrote the library
	option.AlwaysPipelining = true                      // else a short deadline on one command ends the connection that all share
	option.Dialer.Timeout = 2 * time.Second
	// A connection that went silent is replaced within 9 s, before a heartbeat's
	// time to live; one that beats every 2 s is never pinged.
	option.Dialer.KeepAlive, option.ConnWriteTimeout = 5*time.Second, 4*time.Second
	option.ReadBufferEachConn = 32 << 10
	option.WriteBufferEachConn = 32 << 10
	option.RingScaleEachConn = 6
	option.BlockingPoolSize = 16
	option.BlockingPoolCleanup = time.Minute
	return option, nil
}

// splitHosts cuts the hosts after the first out of the URL: net/url knows no list.
func splitHosts(rawURL string) (first string, others []string, err error) {
	scheme, rest, ok := strings.Cut(rawURL, "://")
	if !ok {
		return "", nil, errors.New("redis url: want redis://host:port/db or rediss://host:port/db")
	}
	authority, tail := rest, ""
	if i := strings.IndexAny(rest, "/?"); i >= 0 {
		authority, tail = rest[:i], rest[i:]
	}
	user := ""
	if i := strings.LastIndex(authority, "@"); i >= 0 {
		user, authority = authority[:i+1], authority[i+1:]
	}
	hosts := strings.Split(authority, ",")
	for i, host := range hosts[1:] {
		if !strings.Contains(host, ":") {
			hosts[i+1] = host + ":6379"
		}
	}
	return scheme + "://" + user + hosts[0] + tail, hosts[1:], nil
}

func (c *Client) connect(ctx context.Context, option rueidis.ClientOption) {
	defer close(c.done)
	for wait := 100 * time.Millisecond; ; wait = min(2*wait, 2*time.Second) {
		client, err := rueidis.NewClient(option)
		if err == nil {
			c.live.Store(&client)
			close(c.ready)
			_ = c.outage.note(ctx, nil)
			return
		}
		err = fmt.Errorf("%w: %w", c.unavailable, err)
		c.refused.Store(&err)
		_ = c.outage.note(ctx, err)
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
	}
}

// notYet is why there is no connection yet: what Redis said to the last attempt.
func (c *Client) notYet() error {
	if err := c.refused.Load(); err != nil {
		return *err
	}
	return c.unavailable
}

// Ready is closed once the first connection stands. It says nothing of now.
func (c *Client) Ready() <-chan struct{} { return c.ready }

// DB is the number of the database that the URL chose.
func (c *Client) DB() int { return c.db }

// Close ends every connection and waits for the connecting goroutine.
func (c *Client) Close() {
	c.cancel()
	<-c.done
	if client := c.live.Load(); client != nil {
		(*client).Close()
	}
}

// Do runs one command.
func (c *Client) Do(ctx context.Context, build func(rueidis.Builder) rueidis.Completed) (rueidis.RedisMessage, error) {
	client := c.live.Load()
	if client == nil {
		return rueidis.RedisMessage{}, c.notYet()
	}
	ctx, cancel := c.bounded(ctx)
	defer cancel()
	message, err := (*client).Do(ctx, build((*client).B())).ToMessage()
	return message, c.outage.note(ctx, c.classify(err))
}

// DoMulti runs several commands in one round trip (one a node, on a Cluster).
// It answers the first error, if any failed; a nil reply is none.
func (c *Client) DoMulti(ctx context.Context, build func(rueidis.Builder) []rueidis.Completed) ([]rueidis.RedisMessage, error) {
	client := c.live.Load()
	if client == nil {
		return nil, c.notYet()
	}
	commands := build((*client).B())
	if len(commands) == 0 {
		return nil, nil
	}
	ctx, cancel := c.bounded(ctx)
	defer cancel()
	messages := make([]rueidis.RedisMessage, len(commands))
	for i, result := range (*client).DoMulti(ctx, commands...) {
		message, err := result.ToMessage()
		if err != nil && !rueidis.IsRedisNil(err) {
			return nil, c.outage.note(ctx, c.classify(err))
		}
		messages[i] = message
	}
	return messages, c.outage.note(ctx, nil)
}

// Script is a Lua script, sent by its hash and, where Redis does not know it, whole.
type Script struct{ lua *rueidis.Lua }

// NewScript makes a script that must not be repeated blindly.
func NewScript(source string) *Script { return &Script{rueidis.NewLuaScript(source)} }

// NewRepeatableScript makes a script that does the same when it runs twice, so
// that a lost reply is answered by asking again.
func NewRepeatableScript(source string) *Script {
	return &Script{rueidis.NewLuaScriptRetryable(source)}
}

// Run runs a script in one round trip.
func (c *Client) Run(ctx context.Context, script *Script, keys []string, args ...string) (rueidis.RedisMessage, error) {
	client := c.live.Load()
	if client == nil {
		return rueidis.RedisMessage{}, c.notYet()
	}
	ctx, cancel := c.bounded(ctx)
	defer cancel()
	message, err := script.lua.Exec(ctx, *client, keys, args).ToMessage()
	return message, c.outage.note(ctx, c.classify(err))
}

func (c *Client) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	// A job's context has hours, and its heartbeats, which end it where the queue's
	// Redis is away, go on while the store is.
	if _, ok := ctx.Deadline(); ok && !c.store {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, c.timeout)
}

// IsNil tells whether err is Redis's "no such thing".
func IsNil(err error) bool { return rueidis.IsRedisNil(err) }

// passing are the error codes (the first word of an error reply) of a Redis
// that cannot serve now but may later.
var passing = map[string]bool{
	"LOADING": true, "READONLY": true, "MASTERDOWN": true, "CLUSTERDOWN": true, "TRYAGAIN": true, "BUSY": true,
	"MISCONF": true, "NOREPLICAS": true, "NOAUTH": true, "WRONGPASS": true, "NOPERM": true, "UNBLOCKED": true,
}

func (c *Client) classify(err error) error {
	if err == nil || rueidis.IsRedisNil(err) || errors.Is(err, context.Canceled) {
		return err
	}
	redisErr, ok := rueidis.IsRedisErr(err)
	if !ok { // a connection that failed, or a deadline that passed
		return fmt.Errorf("%w: %w", c.unavailable, err)
	}
	code, _, _ := strings.Cut(redisErr.Error(), " ")
	switch {
	case code == "OOM":
		return fmt.Errorf("%w: %w", c.full, err)
	case passing[code]:
		return fmt.Errorf("%w: %w", c.unavailable, err)
	default:
		return err
	}
}

// Ping asks whether Redis answers.
func (c *Client) Ping(ctx context.Context) error {
	_, err := c.Do(ctx, func(b rueidis.Builder) rueidis.Completed { return b.Ping().Build() })
	if err != nil {
		return fmt.Errorf("ping redis: %w", err)
	}
	return nil
}

// Server is what a Redis tells of itself. What it does not tell is "unknown".
type Server struct {
	RunID, Version        string
	Persistence, Eviction string
	MemoryUsed, MemoryMax int64 // bytes; no maximum, or one that it does not tell, is 0
}

// Describe asks Redis who it is. A Redis that hides its settings (as managed
// ones do) is described as far as it goes.
func (c *Client) Describe(ctx context.Context) (Server, error) {
	info, err := c.Do(ctx, func(b rueidis.Builder) rueidis.Completed { return b.Info().Build() })
	if err != nil {
		return Server{}, fmt.Errorf("ask redis who it is: %w", err)
	}
	text, err := info.ToString()
	if err != nil {
		return Server{}, fmt.Errorf("ask redis who it is: %w", err)
	}
	facts := map[string]string{}
	for line := range strings.Lines(text) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), ":"); ok {
			facts[name] = value
		}
	}
	s := Server{RunID: known(facts["run_id"]), Version: known(facts["redis_version"]), Persistence: "unknown", Eviction: known(facts["maxmemory_policy"])}
	s.MemoryUsed, _ = strconv.ParseInt(facts["used_memory"], 10, 64)
	s.MemoryMax, _ = strconv.ParseInt(facts["maxmemory"], 10, 64)
	switch facts["aof_enabled"] {
	case "1":
		s.Persistence = strings.TrimSpace("aof " + c.setting(ctx, "appendfsync"))
	case "0":
		s.Persistence = "none"
		if c.setting(ctx, "save") != "" {
			s.Persistence = "rdb"
		}
	}
	return s, nil
}

func known(s string) string {
	if s == "" {
		return "unknown"
	}
	return s
}

// setting reads one setting of the server, "" where it is empty or hidden.
func (c *Client) setting(ctx context.Context, name string) string {
	message, err := c.Do(ctx, func(b rueidis.Builder) rueidis.Completed { return b.ConfigGet().Parameter(name).Build() })
	if err != nil {
		return ""
	}
	pairs, err := message.AsStrMap()
	if err != nil {
		return ""
	}
	return pairs[name]
}
