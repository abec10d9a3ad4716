package queue_test

import (
	"strings"
	"testing"

	"github.com/prosaas/receipts/pkg/queue"
	"github.com/prosaas/receipts/pkg/redistest"
)

// TestCheckFindsWhatIsBroken plants one fault after another into a plane with a
// job that waits, one that runs, one that is due later and one that is dead.
func TestCheckFindsWhatIsBroken(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, plant, says string }{
		{"a waiting job was lost", "DEL {test}:queue:default", "job waits is queued and in []"},
		{"a waiting job is there twice", "LPUSH {test}:queue:default waits", "job waits is queued and in [queue:default and queue:default]"},
		{"a waiting job is in another queue", "RENAME {test}:queue:default {test}:queue:low", "not in queue:default alone"},
		{"a running job was lost", "DEL {test}:claimed:w", "job runs is started and in []"},
		{"a running job is another's", "HSET {test}:job:runs worker v", "not in claimed:v alone"},
		{"a worker that no reaper finds", "ZREM {test}:workers w", "claimed:w is nobody's"},
		{"a worker listens and is not indexed", "ZADD {test}:workers:low 1 ghost", "worker ghost listens on low and is not indexed"},
		{"a worker holds more than it can", "HSET {test}:worker:w slots 0", "claimed:w holds 1 jobs, of 0 slots"},
		{"a scheduled job was lost", "DEL {test}:delayed", "job later is scheduled and in []"},
		{"an ended job is still in a list", "LPUSH {test}:queue:default done", "job done is finished and still in queue:default"},
		{"a list holds a job without a record", "LPUSH {test}:queue:default nobody", "holds job nobody, which has no record"},
		{"a state of no protocol", "HSET {test}:job:waits state resting", "in no state of the protocol"},
		{"an ended job never expires", "PERSIST {test}:job:done", "job:done never expires"},
		{"a living job would expire", "PEXPIRE {test}:job:waits 100000", "job waits is queued and would expire"},
		{"a marker of an ended job", "SET {test}:inflight:b done", "inflight:b marks job done"},
		{"a marker was lost", "DEL {test}:inflight:b", `the marker names ""`},
		{"a lease from the future", "SET {test}:lease 5", "the last one handed out is 5"},
		{"two tokens", "RPUSH {test}:wake:low 1 1", "wake:low has 2 tokens"},
		{"a paused queue has a token", "SADD {test}:paused default", "wake:default has a token, and the queue is paused"},
		{"crashes beyond the cap", "HSET {test}:job:waits crashes 3", "after 3 crashes"},
		{"fewer attempts than none", "HSET {test}:job:waits attempts -1", `counts "-1" attempts`},
		{"a key of no protocol", "SET {test}:surprise 1", "surprise is no key of the protocol"},
		{"a key that grows old", "SET {test}:left:default w", "left:default never expires"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := openPlane(t, redistest.DB(t))
			p.listen("w")
			p.connect("b")
			for _, id := range []string{"done", "dead", "later", "runs"} {
				p.enqueue(noop(id))
				job := p.claim("w", 1)[0]
				switch id {
				case "done":
					p.settle("w", job, queue.Settlement{Outcome: queue.Finish})
				case "dead":
					p.settle("w", job, queue.Settlement{Outcome: queue.Fail})
				case "later":
					p.settle("w", job, queue.Settlement{Outcome: queue.Defer, After: 1 << 40})
				}
			}
			p.enqueue(syncOf("waits", "b"))
			p.intact()
			p.do(strings.Fields(strings.ReplaceAll(tt.plant, "{test}", p.keys.Prefix()))...)
			broken, err := p.Check(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(strings.Join(broken, "\n"), tt.says) {
				t.Errorf("check says %q, want %q", broken, tt.says)
			}
		})
	}
}
