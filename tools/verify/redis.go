package verify

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/prosaas/receipts/pkg/logging"
	"github.com/prosaas/receipts/pkg/redisclient"
)

const pingAnswered = "PING is answered"

// pingWithin is longer than one attempt to connect takes (2 s), and short enough
// that a Redis that is away is reported soon.
const pingWithin = 5 * time.Second

func (d *Deployment) redisChecks() []Check {
	const settings = "edit deploy/redis/redis.conf, then: " + redeploy
	answering := []string{pingAnswered}
	return []Check{
		{Name: pingAnswered, Needs: []string{redisRuns, allHealthy}, Limit: pingWithin, Hint: "docker compose ps redis; docker compose logs --tail 50 redis; where Redis is well, correct deploy/secrets/redis_url_verify, then: " + redeploy, Run: d.redisAnswers},
		{Name: "nothing is evicted", Needs: answering, Hint: "it wants maxmemory-policy noeviction: " + settings, Run: d.inRedis(noEviction)},
		{Name: "append-only is on and its last write went well", Needs: answering, Hint: "it wants appendonly yes, and room on its disk (df); " + settings, Run: d.inRedis(appendOnly)},
		{Name: "memory is below 80 %", Needs: answering, Hint: "raise maxmemory in deploy/redis/redis.conf, and redis's memory limit in compose.prod.yaml to twice that, then: " + redeploy, Run: d.inRedis(memoryLeft)},
	}
}

func (d *Deployment) redisAnswers(ctx context.Context) (string, error) {
	if err := d.redisReady(ctx); err != nil {
		return "", err
	}
	return "", d.redis.Ping(ctx)
}

// redisReady waits for the first connection, or for the first that failed: the
// client goes on trying, and whoever looks again may find it.
func (d *Deployment) redisReady(ctx context.Context) error {
	select {
	case <-d.redis.Ready():
		return nil
	case <-d.trouble.met:
	case <-ctx.Done():
		return fmt.Errorf("redis does not answer: %w", context.Cause(ctx))
	}
	select {
	case <-d.redis.Ready():
		return nil
	default:
		return fmt.Errorf("redis does not answer: %w", d.trouble.last())
	}
}

// infoScript asks Redis for all that it tells of itself. It is a script since
// that is what redisclient takes from those who do not speak rueidis; its key
// says which node of a Cluster is asked.
var infoScript = redisclient.NewRepeatableScript(`return redis.call('INFO')`)

// info is what INFO tells, by name: on a Cluster, of the node that keeps the
// queue and the registry.
type info map[string]string

func (d *Deployment) info(ctx context.Context) (info, error) {
	if err := d.redisReady(ctx); err != nil {
		return nil, err
	}
	message, err := d.redis.Run(ctx, infoScript, []string{d.keys.Prefix()})
	if err != nil {
		return nil, fmt.Errorf("ask redis who it is: %w", err)
	}
	text, err := message.ToString()
	if err != nil {
		return nil, fmt.Errorf("ask redis who it is: %w", err)
	}
	facts := info{}
	for line := range strings.Lines(text) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), ":"); ok {
			facts[name] = value
		}
	}
	return facts, nil
}

// number is a fact that is a whole number, 0 where it is none.
func (i info) number(name string) int64 {
	n, _ := strconv.ParseInt(i[name], 10, 64)
	return n
}

func (i info) cluster() bool { return i["redis_mode"] == "cluster" }

// inRedis is a check of what INFO tells.
func (d *Deployment) inRedis(check func(info) (string, error)) func(context.Context) (string, error) {
	return func(ctx context.Context) (string, error) {
		facts, err := d.info(ctx)
		if err != nil {
			return "", err
		}
		detail, err := check(facts)
		if err == nil && facts.cluster() {
			err = uncheckedError("a Cluster, of which this asks one node: that is well")
		}
		return detail, err
	}
}

func noEviction(facts info) (string, error) {
	if policy := facts["maxmemory_policy"]; policy != "noeviction" {
		return "", fmt.Errorf("maxmemory-policy is %q: a full Redis throws queued jobs away", policy)
	}
	return "", nil
}

func appendOnly(facts info) (string, error) {
	if facts["aof_enabled"] != "1" {
		return "", errors.New("append-only is off: jobs that were accepted are lost with a restart")
	}
	if status := facts["aof_last_write_status"]; status != "ok" {
		return "", fmt.Errorf("the last write of the append-only file came out as %q", status)
	}
	return "", nil
}

// memoryLeft counts against maxmemory, or where there is none against the machine's.
func memoryLeft(facts info) (string, error) {
	used, most, of := facts.number("used_memory"), facts.number("maxmemory"), "maxmemory"
	if most == 0 {
		most, of = facts.number("total_system_memory"), "the machine's, as maxmemory is not set"
	}
	if used == 0 || most == 0 {
		return "", errors.New("redis does not tell how much memory it uses and has")
	}
	percent := 100 * used / most
	detail := fmt.Sprintf("%d %% of %d MiB (%s)", percent, most>>20, of)
	if percent >= 80 {
		return "", errors.New(detail)
	}
	return detail, nil
}

// trouble is a log that remembers the last error: why a client that connects in
// the background has not.
type trouble struct {
	slog.Handler

	met chan struct{} // closed with the first

	mu  sync.Mutex
	err error
}

func newTrouble() *trouble {
	return &trouble{Handler: slog.DiscardHandler, met: make(chan struct{})}
}

// Enabled implements [slog.Handler].
func (t *trouble) Enabled(context.Context, slog.Level) bool { return true }

// Handle implements [slog.Handler].
func (t *trouble) Handle(_ context.Context, record slog.Record) error {
	record.Attrs(func(attr slog.Attr) bool {
		if err, ok := attr.Value.Any().(error); ok && attr.Key == logging.KeyError {
			t.remember(err)
		}
		return true
	})
	return nil
}

func (t *trouble) remember(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.err == nil {
		close(t.met)
	}
	t.err = err
}

func (t *trouble) last() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.err
}
