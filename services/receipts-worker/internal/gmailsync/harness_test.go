package gmailsync

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/rueidis"

	"github.com/prosaas/receipts/pkg/connection"
	"github.com/prosaas/receipts/pkg/receiptmail"
	"github.com/prosaas/receipts/pkg/receiptstore"
	"github.com/prosaas/receipts/pkg/redisclient"
	"github.com/prosaas/receipts/pkg/redistest"
	"github.com/prosaas/receipts/proto"
	"github.com/prosaas/receipts/tools/gmailsim"
	"github.com/prosaas/receipts/tools/gmailsim/mailbox"
	"github.com/prosaas/receipts/tools/gmailsim/mailgen"
)

const (
	business = "b1"
	epoch    = 1_700_000_000_000_001
)

// recent is generated mail that came within the last so many days.
type recent struct {
	*mailgen.Generator
	end  time.Time
	days int
}

func (r recent) Date(i int) time.Time {
	step := time.Duration(r.days) * 24 * time.Hour / time.Duration(r.Len())
	return r.end.Add(-time.Duration(r.Len()-i) * step).Truncate(time.Second)
}

// movedClock is a clock that sleeping moves.
type movedClock struct {
	mu    sync.Mutex
	at    time.Time
	slept []time.Duration
}

func (c *movedClock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *movedClock) sleep(ctx context.Context, d time.Duration) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if d > 0 {
		c.at = c.at.Add(d)
		c.slept = append(c.slept, d)
	}
	return nil
}

// grants is a connection whose tokens come straight from the simulator.
type grants struct {
	sim *gmailsim.Sim

	mu        sync.Mutex
	access    string
	refreshed int
	expired   bool  // the test ended the first one
	fail      error // of every refresh
	marked    []connection.Reason
}

func (g *grants) Token(context.Context) (string, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.access == "" {
		g.access, _ = g.sim.Grant("", gmailsim.ScopeReadonly)
	}
	return g.access, nil
}

func (g *grants) Refresh(_ context.Context, rejected string) (string, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.fail != nil {
		return "", g.fail
	}
	if rejected == g.access {
		g.access, _ = g.sim.Grant("", gmailsim.ScopeReadonly)
		g.refreshed++
	}
	return g.access, nil
}

func (g *grants) MarkReconnect(_ context.Context, reason connection.Reason) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.marked = append(g.marked, reason)
	return nil
}

// job is a job in a handler's hands.
type job struct {
	envelope proto.Envelope
	lease    int64
	others   bool
	onTold   func(proto.Progress)

	mu    sync.Mutex
	told  []proto.Progress
	moved int // checkpoints that said so
}

func (j *job) Envelope() proto.Envelope { return j.envelope }
func (j *job) Lease() int64             { return j.lease }

func (j *job) Checkpoint(_ context.Context, p proto.Progress, moved bool) (bool, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if moved {
		j.moved++
	}
	j.told = append(j.told, p)
	if j.onTold != nil {
		j.onTold(p)
	}
	return j.others, nil
}

// world is one business with its mailbox, a Redis of its own and a clock that
// only sleeping moves.
type world struct {
	*Syncer
	t      *testing.T
	box    *mailbox.Mailbox
	sim    *gmailsim.Sim
	tokens *grants
	client *redisclient.Client
	keys   proto.Keys
	moved  *movedClock
	lease  int64

	redisAddr, redisDB string

	hooks   sync.Mutex // a call given up may still be on its way when they change
	calls   atomic.Int64
	onCall  func(n int64, method, id string) // of Gmail
	writes  atomic.Int64
	onWrite func(n int64) // to Redis
}

type options struct {
	source mailbox.Source // 24 mails of the last 50 days by default
	box    mailbox.Options
	sim    gmailsim.Options
	quota  Quota // off by default
	read   bool  // what a mail says, as the worker does; else light stands in for it
	gzip   bool  // answers are compressed, which takes the race detector most of a test's time
}

func newWorld(t *testing.T, o options) *world {
	t.Helper()
	w := &world{t: t, keys: proto.MustKeys(proto.DefaultPrefix), moved: &movedClock{at: time.Now()}}
	if o.source == nil {
		o.source = mails(24, 50)
	}
	if o.quota == "" {
		o.quota = QuotaOff
	}
	if o.sim.Quota == "" {
		o.sim.Quota = gmailsim.QuotaOff
	}
	o.box.Now, o.sim.Now = w.moved.now, w.moved.now
	o.sim.AccessTokenTTL = 1000 * time.Hour
	o.sim.OnCall = func(method, id string) {
		n := w.calls.Add(1)
		w.hooks.Lock()
		told := w.onCall
		w.hooks.Unlock()
		if told != nil {
			told(n, method, id)
		}
	}
	w.box = mailbox.New("owner@business.example", o.source, o.box)
	w.sim = gmailsim.New([]*mailbox.Mailbox{w.box}, o.sim)
	server := httptest.NewServer(w.sim)
	t.Cleanup(server.Close)
	w.tokens = &grants{sim: w.sim}

	address := redistest.DB(t)
	w.redisAddr, w.redisDB, _ = strings.Cut(strings.TrimPrefix(address, "redis://"), "/")
	client, err := redisclient.Open(address, redisclient.Options{Dial: w.dial})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	<-client.Ready()
	w.client = client
	w.connect(epoch)
	store := receiptstore.New(client, w.keys, receiptstore.Options{})
	zone := mustZone(t)
	w.Syncer, err = New(store, connection.NewMeters(client, w.keys), func(context.Context, string) (Mailbox, error) {
		return Mailbox{Tokens: w.tokens, Address: w.box.Address(), Epoch: epoch, Zone: zone}, nil
	}, reader, Options{Endpoint: server.URL, Quota: o.quota})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Close)
	w.transport.DisableCompression = !o.gzip
	w.clock = clock{now: w.moved.now, sleep: w.moved.sleep}
	if !o.read {
		w.extract = light
	}
	return w
}

func mustZone(t *testing.T) *time.Location {
	t.Helper()
	zone, err := time.LoadLocation("Asia/Jerusalem")
	if err != nil {
		t.Fatal(err)
	}
	return zone
}

func mails(n, days int) mailbox.Source {
	end := time.Now().Truncate(time.Minute)
	return recent{mailgen.New(7, n, end), end, days}
}

// dial tells each write to Redis before it is made.
func (w *world) dial(ctx context.Context, addr string) (net.Conn, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
	return &watchedConn{Conn: conn, world: w}, err
}

type watchedConn struct {
	net.Conn
	world *world
}

func (c *watchedConn) Write(p []byte) (int, error) {
	n := c.world.writes.Add(1)
	c.world.hooks.Lock()
	told := c.world.onWrite
	c.world.hooks.Unlock()
	if told != nil {
		told(n)
	}
	return c.Conn.Write(p)
}

// hook changes who is told of calls and writes.
func (w *world) hook(onCall func(n int64, method, id string), onWrite func(n int64)) {
	w.hooks.Lock()
	defer w.hooks.Unlock()
	w.onCall, w.onWrite = onCall, onWrite
}

// nth runs do at the n-th call of a method, and counts these.
func (w *world) nth(method string, n int64, do func()) *atomic.Int64 {
	var calls atomic.Int64
	w.onCall = func(_ int64, called, _ string) {
		if called == method && calls.Add(1) == n {
			do()
		}
	}
	return &calls
}

func (w *world) connect(epoch int64) {
	w.redis("HSET", w.keys.Connection(business), "epoch", fmt.Sprint(epoch))
}

func (w *world) redis(args ...string) rueidis.RedisMessage {
	w.t.Helper()
	message, err := w.client.Do(w.t.Context(), func(b rueidis.Builder) rueidis.Completed {
		return b.Arbitrary(args[0]).Keys(args[1]).Args(args[2:]...).Build()
	})
	if err != nil && !redisclient.IsNil(err) {
		w.t.Fatal(err)
	}
	return message
}

func (w *world) hash(key string) map[string]string {
	w.t.Helper()
	message := w.redis("HGETALL", key)
	hash, err := message.AsStrMap()
	if err != nil {
		w.t.Fatal(err)
	}
	return hash
}

// envelope asks for a sync of two months.
func envelope(id string, mode proto.Mode) proto.Envelope {
	e := proto.Envelope{Version: 1, JobID: id, Kind: proto.KindGmailSync, BusinessID: business, Mode: mode}
	if mode == proto.ModeFull {
		e.Params.MonthsBack = 2
	}
	return e
}

// turn does one turn of a job, under a lease of its own.
func (w *world) turn(ctx context.Context, e proto.Envelope) (*job, proto.SyncResult, error) {
	w.lease++
	j := &job{envelope: e, lease: w.lease}
	result, err := w.Sync(ctx, j)
	return j, result, err
}

// mustSync does a job that ends in one turn.
func (w *world) mustSync(e proto.Envelope) (*job, proto.SyncResult) {
	w.t.Helper()
	j, result, err := w.turn(w.t.Context(), e)
	if err != nil {
		w.t.Fatalf("sync %s: %v", e.JobID, err)
	}
	return j, result
}

// state is what a business came to: outcomes, receipts, indexes, and nothing
// left to read.
func (w *world) state() map[string]string {
	w.t.Helper()
	out := map[string]string{}
	for name, key := range map[string]string{"outcome": w.keys.Outcomes(business), "receipt": w.keys.Receipts(business)} {
		for id, value := range w.hash(key) {
			out[name+" "+id] = value
		}
	}
	for name, key := range map[string]string{"owed": w.keys.Owed(business), "date": w.keys.ReceiptsByDate(business)} {
		message := w.redis("ZRANGE", key, "0", "-1", "WITHSCORES")
		members, err := message.AsStrSlice()
		if err != nil {
			w.t.Fatal(err)
		}
		out[name] = strings.Join(members, " ")
	}
	return out
}

// outcomes counts messages by the letter of their outcome.
func (w *world) outcomes() map[string]int {
	counts := map[string]int{}
	for outcome := range maps.Values(w.hash(w.keys.Outcomes(business))) {
		counts[outcome[:1]]++
	}
	return counts
}

func receiptMail(subject, total string) []byte {
	return []byte("From: Cafe Nahalat <billing@nahalat.example>\r\nTo: owner@business.example\r\nSubject: " + subject +
		"\r\nDate: Mon, 02 Nov 2026 10:00:00 +0200\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n" +
		"Thank you for your order.\r\nReceipt number: 4411\r\nTotal paid: " + total + " ILS\r\n")
}

var errStopped = errors.New("stopped by the test")

// arrival is when the test's i-th new mail came: the same in every world.
func (w *world) arrival(i int) time.Time {
	return time.Now().Truncate(24 * time.Hour).Add(time.Duration(i) * time.Second)
}

// reader is every world's: one PDF sandbox a test binary.
var reader *receiptmail.Reader

func TestMain(m *testing.M) {
	cache, err := os.UserCacheDir()
	if err != nil {
		fmt.Fprintln(os.Stderr, "find the cache of compiled code:", err)
		os.Exit(1)
	}
	reader = receiptmail.NewReader(filepath.Join(cache, "receipts", "pdf"))
	code := m.Run()
	if err := reader.Close(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(code)
}

// light reads a mail without looking at what it says: none, one or two receipts,
// always the same.
func light(_ context.Context, raw []byte, _ time.Time) (receiptmail.Result, error) {
	var out receiptmail.Result
	sum := sha256.Sum256(raw)
	for i := range int(sum[0]) % 3 {
		found := receiptmail.Receipt{Origin: "body", Ordinal: i}
		found.Type, found.Total = proto.TypeReceipt, new(fmt.Sprintf("%d.00", sum[1]))
		out.Receipts = append(out.Receipts, found)
	}
	return out, nil
}

// panicOn makes a reader that panics on mails that hold the word.
func panicOn(word string, read func(context.Context, []byte, time.Time) (receiptmail.Result, error)) func(context.Context, []byte, time.Time) (receiptmail.Result, error) {
	return func(ctx context.Context, raw []byte, received time.Time) (receiptmail.Result, error) {
		if bytes.Contains(raw, []byte(word)) {
			panic("the test's")
		}
		return read(ctx, raw, received)
	}
}
