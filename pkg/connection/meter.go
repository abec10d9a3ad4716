package connection

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	"github.com/prosaas/receipts/pkg/redisclient"
	"github.com/prosaas/receipts/proto"
)

// Limit is how fast units may be spent: so many a minute, and so many at once
// after a rest. No PerMinute is no limit.
type Limit struct{ PerMinute, Burst int }

// Meter is what all workers together spend of one of Gmail's quotas: a token
// bucket, and until when Gmail said to be left alone. It is told the time by who
// calls, whose clocks need agree within the share of the limit that is left
// unused; one that is far ahead spoils a minute, not an hour.
//
// Units that were taken and not spent before a crash are lost, a block at most.
type Meter struct {
	redis *redisclient.Client
	key   string
	name  string
	limit Limit
}

// Meters are the meters of one system.
type Meters struct {
	redis *redisclient.Client
	keys  proto.Keys
}

// NewMeters makes the meters of one system.
func NewMeters(client *redisclient.Client, keys proto.Keys) Meters { return Meters{client, keys} }

// Mailbox is the meter of one mailbox, by its address.
func (m Meters) Mailbox(address string, limit Limit) *Meter {
	sum := sha256.Sum256([]byte(strings.ToLower(address)))
	return m.named(hex.EncodeToString(sum[:12]), limit)
}

// Project is the meter of the whole project at Google.
func (m Meters) Project(limit Limit) *Meter { return m.named("project", limit) }

func (m Meters) named(name string, limit Limit) *Meter {
	return &Meter{redis: m.redis, key: m.keys.Quota(name), name: name, limit: limit}
}

// Grant is the answer to who wants to spend: nothing to wait for is a yes.
type Grant struct {
	Wait    time.Duration
	Paused  bool // Gmail named the wait, not the bucket
	Refused bool // Gmail refused the last call that somebody made
}

// The fields of a meter's hash. Times are in µs of who wrote them.
//
//	full      when the bucket would be full of debts paid: the theoretical arrival time of GCRA
//	paused    until when nobody calls
//	paused_at when that was last decided
//	refusals  since Gmail last answered
const meterLife = "600000" // ms; a bucket is long full again by then

// takeScript takes units from a bucket, or gives some back (a negative cost).
// Repeated after a lost reply it takes twice: less is spent then, never more.
//
//	KEYS  meter
//	ARGV  now, cost of the units and size of the burst, all in µs; life in ms
//	returns  {ok | wait | paused, µs to wait, refusals}
var takeScript = redisclient.NewRepeatableScript(`
local now, cost, burst = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local m = redis.call('HMGET', KEYS[1], 'full', 'paused', 'refusals')
local full, paused, refusals = tonumber(m[1] or '0'), tonumber(m[2] or '0'), m[3] or '0'
local function int(n) return string.format('%.0f', n) end
if paused > now then return {'paused', int(paused - now), refusals} end
-- Further ahead than any burst and any two clocks that agree: a clock was wrong.
if full > now + burst + 60000000 then full = now + burst end
full = math.max(full, now) + cost
if full > now + burst then return {'wait', int(full - burst - now), refusals} end
redis.call('HSET', KEYS[1], 'full', int(full))
redis.call('PEXPIRE', KEYS[1], ARGV[4])
return {'ok', '0', refusals}
`)

// pauseScript pauses a meter because Gmail refused a call: for as long as Gmail
// named or else for a while that doubles with each refusal, 1 s to 64 s, of which
// half is drawn. A refusal without a time of a call that began before the pause
// tells nothing new.
//
//	KEYS  meter
//	ARGV  now, when the call began, the wait named or 0 (all µs), the draw (0 to 1), life in ms
//	returns  µs to wait
var pauseScript = redisclient.NewScript(`
local now, began, wait = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local m = redis.call('HMGET', KEYS[1], 'paused', 'paused_at', 'refusals')
local paused, paused_at, refusals = tonumber(m[1] or '0'), tonumber(m[2] or '0'), tonumber(m[3] or '0')
local function int(n) return string.format('%.0f', n) end
if wait > 0 or began >= paused_at then
  if wait == 0 then
    wait = 1000000 * 2 ^ math.min(refusals, 6) * (1 + tonumber(ARGV[4])) / 2
    refusals = refusals + 1
  end
  paused = math.max(paused, now + wait)
  redis.call('HSET', KEYS[1], 'paused', int(paused), 'paused_at', int(now), 'refusals', int(math.max(refusals, 1)))
  redis.call('PEXPIRE', KEYS[1], int(math.max((paused - now) / 1000 + 60000, tonumber(ARGV[5]))))
end
return int(math.max(paused - now, 0))
`)

// answeredScript forgets the refusals.
//
//	KEYS  meter
var answeredScript = redisclient.NewRepeatableScript(`return redis.call('HDEL', KEYS[1], 'refusals')`)

// Take takes units, which may then be spent; negative ones are given back. More
// than the burst at once is never granted.
func (m *Meter) Take(ctx context.Context, now time.Time, units int) (Grant, error) {
	cost, burst := 0.0, 0.0
	if m.limit.PerMinute > 0 {
		unit := float64(time.Minute.Microseconds()) / float64(m.limit.PerMinute)
		cost, burst = unit*float64(units), unit*float64(m.limit.Burst)
	}
	reply, err := m.redis.Run(ctx, takeScript, []string{m.key}, micros(now),
		strconv.FormatFloat(cost, 'f', 0, 64), strconv.FormatFloat(burst, 'f', 0, 64), meterLife)
	if err != nil {
		return Grant{}, fmt.Errorf("take %d units of gmail's quota of %s: %w", units, m.name, err)
	}
	fields, err := reply.AsStrSlice()
	if err != nil || len(fields) != 3 {
		return Grant{}, fmt.Errorf("take %d units of gmail's quota of %s: script answered %d values: %w", units, m.name, len(fields), err)
	}
	wait, err := strconv.ParseInt(fields[1], 10, 64)
	if err != nil {
		return Grant{}, fmt.Errorf("take %d units of gmail's quota of %s: %w", units, m.name, err)
	}
	return Grant{Wait: time.Duration(wait) * time.Microsecond, Paused: fields[0] == "paused", Refused: fields[2] != "0"}, nil
}

// Pause has everybody wait, because Gmail refused a call that began then: for as
// long as it named, 0 where it named nothing. It answers how long that is.
func (m *Meter) Pause(ctx context.Context, now, began time.Time, named time.Duration) (time.Duration, error) {
	draw := strconv.FormatFloat(rand.Float64(), 'f', 6, 64) //nolint:gosec // spreads load, keeps no secret
	reply, err := m.redis.Run(ctx, pauseScript, []string{m.key}, micros(now), micros(began), strconv.FormatInt(named.Microseconds(), 10), draw, meterLife)
	if err != nil {
		return 0, fmt.Errorf("pause calls to gmail for %s: %w", m.name, err)
	}
	wait, err := reply.AsInt64()
	if err != nil {
		return 0, fmt.Errorf("pause calls to gmail for %s: %w", m.name, err)
	}
	return time.Duration(wait) * time.Microsecond, nil
}

// Answered tells that Gmail takes calls again.
func (m *Meter) Answered(ctx context.Context) error {
	if _, err := m.redis.Run(ctx, answeredScript, []string{m.key}); err != nil {
		return fmt.Errorf("note that gmail answers %s: %w", m.name, err)
	}
	return nil
}

func micros(t time.Time) string { return strconv.FormatInt(t.UnixMicro(), 10) }
