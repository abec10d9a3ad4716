package queue_test

import (
	"strconv"
	"sync"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/alicebob/miniredis/v2/server"
)

// simRedis is a Redis in a bubble whose clock can be set and whose memory can
// be full.
type simRedis struct {
	*miniredis.Miniredis

	mu    sync.Mutex
	ahead time.Duration // its clock's, of the bubble's
	full  bool
	wrote bool // the script that runs has written, so nothing of it is refused any more
}

// newSimRedis makes one that follows the bubble's clock.
func newSimRedis() *simRedis {
	r := &simRedis{Miniredis: miniredis.NewMiniRedis()}
	r.ClockTTL(true)
	conn, err := r.Dial() // it has no server, and so no hook, before the first
	if err != nil {
		panic(err)
	}
	r.Server().SetPreHook(r.hook)
	_ = conn.Close()
	return r
}

// now is what its clock says.
func (r *simRedis) now() time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return time.Now().Add(r.ahead)
}

// setClock moves its clock. What expires at a moment of it moves the other way.
func (r *simRedis) setClock(by time.Duration) {
	r.mu.Lock()
	r.ahead += by
	r.mu.Unlock()
	if by > 0 {
		r.FastForward(by)
		return
	}
	db := r.DB(0)
	for _, key := range db.Keys() {
		if left := db.TTL(key); left > 0 {
			db.SetTTL(key, left-by)
		}
	}
}

func (r *simRedis) setFull(full bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.full = full
}

// hook runs before each command, also those of scripts, and answers in its
// place where it returns true. Like redis-server with noeviction it refuses,
// over maxmemory, the commands that may need more of it; a script that has
// already written runs to its end.
func (r *simRedis) hook(c *server.Peer, command string, _ ...string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch command {
	case "TIME": // the first command of every script of the plane
		r.wrote = false
		now := time.Now().Add(r.ahead)
		c.WriteLen(2)
		c.WriteBulk(strconv.FormatInt(now.Unix(), 10))
		c.WriteBulk(strconv.Itoa(now.Nanosecond() / 1000))
		return true
	case "LREM", "LTRIM", "ZREM", "ZREMRANGEBYRANK", "ZREMRANGEBYSCORE", "SREM", "DEL", "HDEL", "PEXPIRE":
		r.wrote = true
	case "HSET", "HSETNX", "HINCRBY", "SET", "INCR", "LPUSH", "RPUSH", "LMOVE", "SADD", "ZADD":
		if r.full && !r.wrote {
			c.WriteError("OOM command not allowed when used memory > 'maxmemory'.")
			return true
		}
		r.wrote = true
	}
	return false
}
