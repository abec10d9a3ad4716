package connection

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/prosaas/receipts/pkg/redisclient"
	"github.com/prosaas/receipts/proto"
)

// The fields of the connection's hash. Times are Redis's, in ms.
//
//	v              version of the record, 1
//	state          connected, reconnect, not_connected
//	epoch          grows with every connect and disconnect; other packages' fences compare it
//	address        of the mailbox, lower case; outlives a disconnect
//	reason         why it must be connected again
//	refresh        sealed refresh token
//	access         sealed access token
//	access_renew   from when another access token is asked for
//	access_until   when the access token ends

// record is a connection as one read of it saw it.
type record struct {
	state           proto.ConnectionState
	epoch           int64
	address         string
	reason          Reason
	refresh, access string        // sealed
	renewIn, endsIn time.Duration // of the access token, when it was read
	settings        Settings      // of the business, connected or not
}

// KEYS: connection, settings. Answers the connection's fields, how many ms the
// access token has, and the settings' fields.
var loadScript = redisclient.NewRepeatableScript(`
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local c = redis.call('HMGET', KEYS[1], 'state', 'epoch', 'address', 'reason', 'refresh', 'access', 'access_renew', 'access_until')
local answer = {}
for i = 1, 6 do answer[i] = c[i] or '' end
for i = 7, 8 do answer[i] = string.format('%.0f', (c[i] or 0) - now) end
local s = redis.call('HMGET', KEYS[2], 'time_zone', 'auto_sync', 'language')
for i = 1, 3 do answer[8 + i] = s[i] or '' end
return answer
`)

func (k *Keeper) load(ctx context.Context, business string) (record, error) {
	reply, err := k.store.Run(ctx, loadScript, []string{k.keys.Connection(business), k.keys.Settings(business)})
	if err != nil {
		return record{}, fmt.Errorf("read the connection of business %s: %w", business, err)
	}
	f, err := reply.AsStrSlice()
	if err != nil || len(f) != 11 {
		return record{}, fmt.Errorf("read the connection of business %s: unexpected reply: %w", business, err)
	}
	settings := settingsOf(f[8:])
	if f[0] == "" {
		return record{state: proto.ConnectionNone, settings: settings}, nil
	}
	r := record{state: proto.ConnectionState(f[0]), address: f[2], reason: Reason(f[3]), refresh: f[4], access: f[5], settings: settings}
	var numbers [3]int64
	for i, text := range []string{f[1], f[6], f[7]} {
		if numbers[i], err = strconv.ParseInt(text, 10, 64); err != nil {
			return record{}, fmt.Errorf("read the connection of business %s: %w", business, err)
		}
	}
	r.epoch = numbers[0]
	r.renewIn, r.endsIn = time.Duration(numbers[1])*time.Millisecond, time.Duration(numbers[2])*time.Millisecond
	return r, nil
}

// The next epoch: it grows even where a record was erased and its last epoch
// with it. %.0f, since Lua's own way of writing a number of 16 digits rounds it.
const nextEpoch = `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local last = tonumber(redis.call('HGET', KEYS[1], 'epoch') or 0)
local epoch = string.format('%.0f', math.max(last + 1, time[1] * 1000000 + time[2]))
`

// Asks for the next access token two minutes ahead of the end, or half its
// life where that is shorter.
const setAccess = `
local function set_access(sealed, life)
  redis.call('HSET', KEYS[1], 'access', sealed,
    'access_renew', string.format('%.0f', now + life - math.min(120000, life / 2)),
    'access_until', string.format('%.0f', now + life))
end
`

// KEYS: connection, sync, owed, outcomes, marks, then what the job in flight wanted.
// ARGV: address, sealed refresh token, sealed access token, its life in ms,
// whether another mailbox was confirmed. Answers connected or other_mailbox.
//
// Another mailbox than before begins anew: message ids and cursor mean nothing
// there. Of where the old one stood only the fence stays.
var connectScript = redisclient.NewScript(nextEpoch + setAccess + `
local before = redis.call('HGET', KEYS[1], 'address')
if before and before ~= ARGV[1] then
  if ARGV[5] ~= '1' then return 'other_mailbox' end
  for _, field in ipairs(redis.call('HKEYS', KEYS[2])) do
    if field ~= 'fence' then redis.call('HDEL', KEYS[2], field) end
  end
  for i = 3, #KEYS do redis.call('UNLINK', KEYS[i]) end
end
redis.call('HDEL', KEYS[1], 'reason')
redis.call('HSET', KEYS[1], 'v', '1', 'state', 'connected', 'epoch', epoch, 'address', ARGV[1], 'refresh', ARGV[2])
set_access(ARGV[3], tonumber(ARGV[4]))
return 'connected'
`)

// KEYS: connection. Answers the sealed refresh token that was erased, or nothing.
// Not repeatable: a second run no longer knows the token. The first write is
// one that a full Redis still takes.
var disconnectScript = redisclient.NewScript(nextEpoch + `
local refresh = redis.call('HGET', KEYS[1], 'refresh')
if redis.call('HDEL', KEYS[1], 'refresh', 'access', 'access_renew', 'access_until', 'reason') > 0 then
  redis.call('HSET', KEYS[1], 'state', 'not_connected', 'epoch', epoch)
end
return refresh or ''
`)

// KEYS: connection, token lock. ARGV: epoch, lock's owner, sealed refresh
// token, sealed access token, its life in ms. Answers renewed, lost (the lock),
// or changed (the connection). Gives the lock back.
var renewedScript = redisclient.NewScript(nextEpoch + setAccess + `
if redis.call('GET', KEYS[2]) ~= ARGV[2] then return 'lost' end
if string.format('%.0f', last) ~= ARGV[1] then return 'changed' end
redis.call('HSET', KEYS[1], 'refresh', ARGV[3])
set_access(ARGV[4], tonumber(ARGV[5]))
redis.call('DEL', KEYS[2])
return 'renewed'
`)

// KEYS: connection, token lock. ARGV: epoch, reason, lock's owner, or nothing where
// no refresh told it. Answers reconnect, lost or changed. Safe to repeat. The
// refresh token stays, for the disconnect that revokes it.
var reconnectScript = redisclient.NewRepeatableScript(`
if ARGV[3] ~= '' and redis.call('GET', KEYS[2]) ~= ARGV[3] then return 'lost' end
if redis.call('HGET', KEYS[1], 'epoch') ~= ARGV[1] then return 'changed' end
redis.call('HDEL', KEYS[1], 'access', 'access_renew', 'access_until')
redis.call('HSET', KEYS[1], 'state', 'reconnect', 'reason', ARGV[2])
return 'reconnect'
`)

// KEYS: token lock. ARGV: owner.
var unlockScript = redisclient.NewRepeatableScript(`
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0
`)

// KEYS: index of businesses. ARGV: business, "keep" or "now". Safe to repeat.
var listScript = redisclient.NewRepeatableScript(`
local time = redis.call('TIME')
local now = string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000))
if ARGV[2] == 'keep' then return redis.call('ZADD', KEYS[1], 'NX', now, ARGV[1]) end
return redis.call('ZADD', KEYS[1], now, ARGV[1])
`)
