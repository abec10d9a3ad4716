// Package queue is the queue between receipts-api and receipts-worker: Redis
// lists, moved by scripts alone.
//
// A job that was accepted and has not ended is in exactly one of: one queue's
// list, one worker's claimed list, the delayed set; every move is one script,
// so a crash between two lines of Go loses nothing. No job is accepted unless a
// live worker listens on its queue at that instant: the guard stands in the
// script that pushes. Each claim has a lease, greater than any before; whoever
// writes in the name of an older one is told so and changes nothing. A claim
// whose reply was lost is answered again; an outcome repeated is success.
// Waiting blocks on wake tokens that carry nothing, so that losing one can
// delay a job, never lose it.
package queue

import (
	"context"
	"errors"
	"strconv"

	"github.com/redis/rueidis"

	"github.com/prosaas/receipts/pkg/internal/plane"
	"github.com/prosaas/receipts/pkg/redisclient"
	"github.com/prosaas/receipts/proto"
)

var (
	// ErrStale says that a write came in the name of a lease that is not the
	// job's any more. Nothing was written.
	ErrStale = errors.New("lease is not the job's any more")
	// ErrNotFound says that there is no such job, or none of that business.
	ErrNotFound = errors.New("no such job")
	// ErrEnded says that a job has ended, and ends never change.
	ErrEnded = errors.New("job has ended")
)

// Queue is the queue plane of one system.
type Queue struct {
	client *redisclient.Client
	keys   proto.Keys
}

// New makes the queue that lives under keys.
func New(client *redisclient.Client, keys proto.Keys) *Queue {
	return &Queue{client: client, keys: keys}
}

// answer is what a script returned: a word, and what comes with it.
type answer struct {
	word string
	rest []rueidis.RedisMessage
}

func (a answer) text(i int) string {
	if i >= len(a.rest) {
		return ""
	}
	s, err := a.rest[i].ToString()
	if err != nil { // a number, or nil
		n, err := a.rest[i].AsInt64()
		if err != nil {
			return ""
		}
		return strconv.FormatInt(n, 10)
	}
	return s
}

func (a answer) number(i int) int64 {
	if i >= len(a.rest) {
		return 0
	}
	n, _ := a.rest[i].AsInt64()
	return n
}

func (q *Queue) run(ctx context.Context, script *redisclient.Script, arg any) (answer, error) {
	message, err := q.client.Run(ctx, script, []string{q.keys.Prefix()}, plane.Arg(arg))
	if err != nil {
		return answer{}, err
	}
	parts, err := message.ToArray()
	if err != nil {
		return answer{}, err
	}
	if len(parts) == 0 {
		return answer{}, errors.New("script answered nothing")
	}
	word, err := parts[0].ToString()
	return answer{word: word, rest: parts[1:]}, err
}
