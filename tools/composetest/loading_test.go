//go:build compose

package composetest

import (
	"fmt"
	"strings"
	"testing"
)

// A Redis that loads its data for longer than its healthcheck allows is waited
// for, not given up. The load is slow by the key instead of by millions of keys,
// and the healthcheck's patience short instead of two minutes.
func TestDeployingWaitsWhileRedisLoads(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	s.mustProdUp()
	job := s.hold(0)
	s.redis("eval", "for i = 1, 20000 do redis.call('set', KEYS[1] .. i, 'x') end", "1", "receipts:{b:load}:")
	s.edit("compose.yaml", "start_period: 2m", "start_period: 1s")
	s.edit("compose.prod.yaml", "--appendfsync, always", `--appendfsync, always, --key-load-delay, "1000"`)
	redis := s.of("redis")[0]
	out, err := s.prodUp()
	if err != nil || !strings.Contains(out, "waiting, then trying again") {
		t.Errorf("prod-up: %v\n%s", err, out)
	}
	if now := s.of("redis"); len(now) != 1 || now[0] == redis {
		t.Errorf("Redis runs in %s, as before in %s", fmt.Sprint(now), redis)
	}
	if got := s.redis("get", "receipts:{b:load}:20000"); got != "x" {
		t.Errorf("the last key is %q", got)
	}
	if s.job(job).JobID != job {
		t.Error("a job from before is not known any more")
	}
}
