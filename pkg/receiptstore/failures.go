package receiptstore

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/redis/rueidis"

	"github.com/prosaas/receipts/pkg/redisclient"
)

// Failure is one message that a job could not read, and why.
type Failure struct {
	MessageID string
	Reason    Reason
}

// Failures answers up to n of the messages that the job could not read, newest
// first, below the id given ("" for all). A job keeps 10,000 at most.
func (s *Store) Failures(ctx context.Context, business, job, below string, n int) ([]Failure, error) {
	rows, err := s.failures(ctx, business, job)
	if err != nil {
		return nil, err
	}
	var out []Failure
	for _, id := range slices.Backward(slices.Sorted(maps.Keys(rows))) {
		if len(out) == n {
			break
		}
		if below != "" && id >= below {
			continue
		}
		failure := Failure{MessageID: id}
		if err := json.Unmarshal([]byte(rows[id]), &failure.Reason); err != nil {
			return nil, fmt.Errorf("failure of message %s of job %s: %w", id, job, err)
		}
		out = append(out, failure)
	}
	return out, nil
}

// retryScript makes failed messages owed as if they had never been read. One
// that was read since, or is to be read already, stays as it is.
//
//	KEYS  outcomes, owed, marks
//	ARGV  message ids
//	returns the number of ids added
var retryScript = redisclient.NewRepeatableScript(`
local added = 0
for _, id in ipairs(ARGV) do
  if string.match(redis.call('HGET', KEYS[1], id) or '', '^f') then
    added = added + redis.call('ZADD', KEYS[2], 0, id)
    redis.call('HDEL', KEYS[1], id)
    redis.call('HDEL', KEYS[3], id)
  end
end
return added
`)

// RetryFailures makes what the job could not read owed again, whichever job
// comes to read it, and answers how many messages that are. The list stays: it
// tells what the job came to. Repeated, it adds none.
func (s *Store) RetryFailures(ctx context.Context, business, job string) (int, error) {
	rows, err := s.failures(ctx, business, job)
	if err != nil {
		return 0, err
	}
	keys := []string{s.keys.Outcomes(business), s.keys.Owed(business), s.keys.Marks(business)}
	added := 0
	for ids := range slices.Chunk(slices.Sorted(maps.Keys(rows)), MaxIDs) {
		message, err := s.redis.Run(ctx, retryScript, keys, ids...)
		if err != nil {
			return added, fmt.Errorf("retry %d failures of job %s: %w", len(ids), job, err)
		}
		n, err := message.AsInt64()
		if err != nil {
			return added, fmt.Errorf("retry %d failures of job %s: %w", len(ids), job, err)
		}
		added += int(n)
	}
	return added, nil
}

func (s *Store) failures(ctx context.Context, business, job string) (map[string]string, error) {
	message, err := s.redis.Do(ctx, func(b rueidis.Builder) rueidis.Completed {
		return b.Hgetall().Key(s.keys.Failures(business, job)).Build()
	})
	if err != nil {
		return nil, fmt.Errorf("read failures of job %s: %w", job, err)
	}
	rows, err := message.AsStrMap()
	if err != nil {
		return nil, fmt.Errorf("read failures of job %s: %w", job, err)
	}
	return rows, nil
}
