package receiptstore

import (
	"strings"

	"github.com/prosaas/receipts/pkg/redisclient"
	"github.com/prosaas/receipts/proto"
)

// Every script has the KEYS of [Store.Writer] and begins with
//
//	ARGV 1 lease, 2 epoch, 3 seconds that a job's keys live, 4 quota units of the whole job, 5 job
//
// and answers {'fenced'}, having written nothing, or {'ok', …}. All are safe to
// repeat. The first write is one that a full Redis refuses, so that there is
// nothing to roll back.
//
// An outcome is text: a letter, the extractor's version, then
//
//	r1 <receipt id> …   receipts
//	n1 [<receipt id> …] none (ids are of an earlier reading)
//	g1 <syncs> <job>    gone, the last time for that job
//	f1 <syncs> <job>    could not be read
//
// A mark is text too: the lease that read the message last, and how often it
// was marked by a lease that neither wrote an outcome nor took its mark back.
const prelude = `
local connection, sync, owed, wanted, run = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local outcomes, failures, receipts, by_date, tombstones, marks = KEYS[6], KEYS[7], KEYS[8], KEYS[9], KEYS[10], KEYS[11]
local lease, epoch, ttl, units, job = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
if tonumber(lease) < tonumber(redis.call('HGET', sync, 'fence') or '0')
  or tonumber(redis.call('HGET', connection, 'epoch') or '-1') ~= tonumber(epoch) then
  return {'fenced'}
end
redis.call('HSET', sync, 'fence', lease)
if tonumber(units) > tonumber(redis.call('HGET', run, 'units') or '-1') then redis.call('HSET', run, 'units', units) end
redis.call('EXPIRE', run, ttl)
redis.call('EXPIRE', wanted, ttl)
redis.call('EXPIRE', failures, ttl)

local function now_ms()
  local t = redis.call('TIME')
  return string.format('%.0f', t[1] * 1000 + math.floor(t[2] / 1000))
end

-- to_read tells whether a message has no outcome yet, or one that is tried again,
-- and which job tried it last.
local function to_read(id)
  local outcome = redis.call('HGET', outcomes, id)
  if not outcome then return true end
  local syncs, by = string.match(outcome, '^[gf]%d+ (%d+) ?(%S*)$')
  return syncs and tonumber(syncs) < 3, by
end

-- set_cursor moves the cursor and notes when.
local function set_cursor(cursor)
  redis.call('HSET', sync, 'cursor', cursor, 'cursor_at', now_ms())
end
`

// beginScript raises the fence, drops what the job before wanted, if that is
// another (of one business one job is in flight: it has ended, and nobody comes
// to read that), and tells where things stand.
//
// ARGV 6 key of what a job wants, but for the job.
// Returns ok, now, cursor, cursor_at, last_ok, owed, wanted, the number of
// marked messages, of each its id, its mark and '1' if it is still to read, then
// the run's fields and values.
var beginScript = fenced(`
local last = redis.call('HGET', sync, 'job')
if last and last ~= job then redis.call('DEL', ARGV[6] .. last) end
redis.call('HSET', sync, 'job', job)
local at = redis.call('HMGET', sync, 'cursor', 'cursor_at', 'last_ok')
local out = {'ok', now_ms(), at[1] or '', at[2] or '0', at[3] or '0',
  tostring(redis.call('ZCARD', owed)), tostring(redis.call('ZCARD', wanted))}
local marked = redis.call('HGETALL', marks)
out[#out + 1] = tostring(#marked / 2)
for i = 1, #marked, 2 do
  local waits = redis.call('ZSCORE', owed, marked[i]) or redis.call('ZSCORE', wanted, marked[i])
  out[#out + 1], out[#out + 2], out[#out + 3] = marked[i], marked[i + 1], waits and '1' or '0'
end
for _, v in ipairs(redis.call('HGETALL', run)) do out[#out + 1] = v end
return out
`)

// baselineScript sets the cursor where there is none.
//
// ARGV 6 cursor. Returns ok.
var baselineScript = fenced(`
if redis.call('HEXISTS', sync, 'cursor') == 0 then set_cursor(ARGV[6]) end
return {'ok'}
`)

// oweScript adds ids to owed, marks the receipts of deleted messages, moves the cursor.
//
// ARGV 6 cursor or ”, 7 number of ids, then these, then the deleted ones.
// Returns ok, the number of ids added.
var oweScript = fenced(`
local added, last = 0, 7 + ARGV[7]
for i = 8, last do
  local id = ARGV[i]
  if to_read(id) and redis.call('ZADD', owed, 0, id) == 1 and redis.call('ZREM', wanted, id) == 0 then added = added + 1 end
end
if added > 0 then redis.call('HINCRBY', run, 'listed', added) end
for i = last + 1, #ARGV do
  local outcome = redis.call('HGET', outcomes, ARGV[i])
  for id in string.gmatch(outcome or '', ' (%S+)') do
    if redis.call('HEXISTS', receipts, id) == 1 then redis.call('HSET', receipts, id .. ':d', '1') end
  end
end
if ARGV[6] ~= '' then set_cursor(ARGV[6]) end
return {'ok', tostring(added)}
`)

// wantScript adds ids to wanted and sets the position.
//
// ARGV 6 position, 7 '1' to choose messages that have been read too, then the
// ids. Returns ok, the number of ids added.
var wantScript = fenced(`
local added = 0
for i = 8, #ARGV do
  local id = ARGV[i]
  local unread, by = to_read(id)
  -- What one search found and the job could not read, the next one finds too.
  if not redis.call('ZSCORE', owed, id) and by ~= job and (ARGV[7] == '1' or unread) then
    added = added + redis.call('ZADD', wanted, 0, id)
  end
end
redis.call('HSET', run, 'position', ARGV[6])
redis.call('EXPIRE', run, ttl)
redis.call('EXPIRE', wanted, ttl)
if added > 0 then redis.call('HINCRBY', run, 'listed', added) end
return {'ok', tostring(added)}
`)

// markScript notes that a message is in the lease's hands.
//
// ARGV 6 message id. Returns ok.
var markScript = fenced(`
local by, times = string.match(redis.call('HGET', marks, ARGV[6]) or '', '^(%d+) (%d+)$')
if by ~= lease then redis.call('HSET', marks, ARGV[6], lease .. ' ' .. (tonumber(times or '0') + 1)) end
redis.call('EXPIRE', marks, ttl)
return {'ok'}
`)

// leaveScript takes the lease's marks back and, where the job will not go on,
// drops what it wanted.
//
// ARGV 6 '1' to drop. Returns ok.
var leaveScript = fenced(`
local marked = redis.call('HGETALL', marks)
for i = 1, #marked, 2 do
  local by, times = string.match(marked[i + 1], '^(%d+) (%d+)$')
  if by == lease and times == '1' then
    redis.call('HDEL', marks, marked[i])
  elseif by == lease then
    redis.call('HSET', marks, marked[i], '0 ' .. (times - 1))
  end
end
if ARGV[6] == '1' then redis.call('DEL', wanted) end
return {'ok'}
`)

// saveScript writes what became of one message and takes it out of its set. A message
// in neither set has been saved before: nothing is written.
//
// ARGV 6 message id, 7 letter of the outcome, 8 extractor version, 9 reason
// (failed only), then id, record, received (ms), status of each receipt.
// Returns ok, receipts that are new, changed, unchanged.
var saveScript = fenced("local statuses = {" + statusTable() + "}\n" + `
local id, letter, version, reason = ARGV[6], ARGV[7], ARGV[8], ARGV[9]
redis.call('HDEL', marks, id)
if redis.call('ZREM', owed, id) + redis.call('ZREM', wanted, id) == 0 then return {'ok', '0', '0', '0'} end

local before = redis.call('HGET', outcomes, id) or ''
local count = {}
if letter == 'g' or letter == 'f' then
  count[letter == 'g' and 'gone' or 'errors'] = 1
  if not string.match(before, '^[rn]') then
    local syncs = tonumber(string.match(before, '^[gf]%d+ (%d+)') or '0') + 1
    redis.call('HSET', outcomes, id, letter .. version .. ' ' .. syncs .. ' ' .. job)
  end
else
  local known, outcome = {}, letter .. version
  local function name(rid)
    if not known[rid] then known[rid], outcome = true, outcome .. ' ' .. rid end
  end
  if letter == 'n' then count.not_receipts = 1 end
  for i = 10, #ARGV, 4 do
    redis.call('HDEL', receipts, ARGV[i] .. ':n')
    name(ARGV[i])
  end
  if string.match(before, '^[rn]') then
    for rid in string.gmatch(before, ' (%S+)') do
      if not known[rid] and redis.call('HEXISTS', receipts, rid) == 1 then
        redis.call('HSET', receipts, rid .. ':n', '1')
      end
      name(rid)
    end
  end
  redis.call('HSET', outcomes, id, outcome)
end
if letter ~= 'g' then count.scanned = 1 end
if letter == 'f' and redis.call('HLEN', failures) < 10000 then
  -- One that fails again, asked for anew while the job runs, is no further row.
  if redis.call('HSET', failures, id, reason) == 0 then count.errors = nil end
  redis.call('EXPIRE', failures, ttl)
end

count.saved, count.updated, count.duplicates = 0, 0, 0
for i = 10, #ARGV, 4 do
  local rid, record, received, status = ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3]
  local old = redis.call('HGET', receipts, rid)
  local deleted = redis.call('SISMEMBER', tombstones, rid) == 1
  local kind = 'saved'
  if old then kind = (old == record or deleted) and 'duplicates' or 'updated' end
  count[kind] = count[kind] + 1
  if old ~= record then redis.call('HSET', receipts, rid, record) end
  if not deleted then
    local edits = redis.call('HGET', receipts, rid .. ':e')
    if edits then status = cjson.decode(edits).status or status end
    redis.call('ZADD', by_date, received, rid)
    for n, name in ipairs(statuses) do
      if name == status then redis.call('ZADD', KEYS[11 + n], received, rid) else redis.call('ZREM', KEYS[11 + n], rid) end
    end
  end
end
for name, n in pairs(count) do
  if n > 0 then redis.call('HINCRBY', run, name, n) end
end
return {'ok', tostring(count.saved), tostring(count.updated), tostring(count.duplicates)}
`)

// finishScript notes a good sync and drops what the job did not get to.
//
// ARGV 6 position. Returns ok.
var finishScript = fenced(`
redis.call('HSET', sync, 'last_ok', now_ms())
redis.call('HSET', run, 'done', '1', 'position', ARGV[6])
redis.call('DEL', wanted)
return {'ok'}
`)

func fenced(body string) *redisclient.Script {
	return redisclient.NewRepeatableScript(prelude + body)
}

// statusTable names the statuses in the order of their index keys.
func statusTable() string {
	var names []string
	for _, status := range proto.ReceiptStatuses() {
		names = append(names, "'"+string(status)+"'")
	}
	return strings.Join(names, ", ")
}
