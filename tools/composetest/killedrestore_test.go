//go:build compose

package composetest

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// killAt is a docker that does the one call that swaps the contents of Redis, up to
// the step before EXIT_AT if that is set, and then kills the script that called it.
const killAt = `#!/bin/sh
case "$*" in
*_redis,*"mark in"*) ;;
*) exec "$DOCKER" "$@" ;;
esac
if [ "$EXIT_AT" ]; then
	for last; do :; done
	"$DOCKER" run --rm --network none --user 999:1000 --mount "type=volume,source=${PROJECT}_redis,target=/volume,volume-nocopy" \
		--workdir / --entrypoint sh "$IMAGE" -ec "${last%%"$EXIT_AT"*}"
else
	"$DOCKER" "$@"
fi
kill -9 "$PPID"
`

// killRestore kills a restore in the middle of its swap: when the old contents are
// moved away, or when the copy is in their place too.
func (s *stack) killRestore(folder, exitAt string) {
	s.t.Helper()
	s.write("kill/docker.sh", killAt)
	s.must("mv", "kill/docker.sh", "kill/docker")
	docker := s.must("sh", "-c", "command -v docker")
	out, err := s.run(s.t.Context(), "env", "PATH="+s.dir+"/kill:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
		"DOCKER="+docker, "PROJECT="+s.project, "IMAGE="+redisImage(s.t), "EXIT_AT="+exitAt, s.dir+"/deploy/restore.sh", folder)
	if err == nil || strings.Contains(out, "restored") {
		s.t.Fatalf("the restore was not killed: %v\n%s", err, out)
	}
}

// A restore is killed in its swap, and then an operator takes the stack down or
// brings it up. No data is lost by doing what the scripts say next.
func TestKilledRestoreLosesNothing(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	s.simulator()
	folder := lastLine(s.must("deploy/backup.sh"))
	s.connect("after")
	want := s.receipts("after")
	compose := func(args ...string) {
		t.Helper()
		s.must("docker", append([]string{"compose", "--file", "deploy/.deployed/compose.yaml"}, args...)...)
	}
	goesBack := func(when string) {
		t.Helper()
		if out, err := s.run(t.Context(), "deploy/restore.sh"); err != nil || !strings.Contains(out, "the last restore was killed") {
			t.Fatalf("%s: %v\n%s", when, err, out)
		}
		if diff := cmp.Diff(want, s.receipts("after")); diff != "" {
			t.Errorf("%s: receipts (-want +got):\n%s", when, diff)
		}
	}

	for step, exitAt := range map[string]string{"old contents moved away": "mark in", "copy moved in": ""} {
		s.killRestore(folder, exitAt)
		compose("stop")
		compose("rm", "--force")
		if out, err := s.prodUp(); err == nil || !strings.Contains(out, "a restore is unfinished") {
			t.Fatalf("%s: prod-up: %v\n%s", step, err, out)
		}
		compose("up", "--no-start")
		goesBack(step)
	}

	s.killRestore(folder, "")
	compose("up", "--detach", "--wait")
	if out, err := s.run(t.Context(), "deploy/backup.sh"); err == nil || !strings.Contains(out, "a restore is unfinished") {
		t.Errorf("backup: %v\n%s", err, out)
	}
	s.connect("later")
	goesBack("services ran on the copy")
	if kept := s.must("docker", "exec", s.of("redis")[0], "sh", "-c", "ls -d /data/.undone-*/appendonlydir"); kept == "" {
		t.Error("what was written meanwhile is not kept")
	}
}
