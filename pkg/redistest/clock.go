package redistest

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// clockFile, in a server's folder, says how far its wall clock stands ahead.
const clockFile = "clock"

// StartWithClock starts a private server whose wall clock [Server.StepClock]
// moves, by libfaketime. Its monotonic clock goes on undisturbed, as that of a
// host whose clock is set does.
func StartWithClock(tb testing.TB, args ...string) *Server {
	tb.Helper()
	dir := tb.TempDir()
	setClock(tb, dir, 0)
	environ := append(preload(tb), "DONT_FAKE_MONOTONIC=1", "FAKETIME_NO_CACHE=1", "FAKETIME_TIMESTAMP_FILE="+filepath.Join(dir, clockFile))
	s := launch(tb, dir, "", environ, args...)
	tb.Cleanup(s.Kill)
	return s
}

// StepClock sets the wall clock of a server ahead, or back where by is negative.
// Whatever the server does next it does by the new time.
func (s *Server) StepClock(by time.Duration) {
	s.tb.Helper()
	s.clock += by
	setClock(s.tb, s.dir, s.clock)
}

// setClock puts the new file in place of the old one: the server, which reads it
// each time it looks at its clock, must never find half of it.
func setClock(tb testing.TB, dir string, ahead time.Duration) {
	tb.Helper()
	next := filepath.Join(dir, clockFile+".next")
	if err := os.WriteFile(next, fmt.Appendf(nil, "%+f", ahead.Seconds()), 0o600); err != nil {
		tb.Fatal(err)
	}
	if err := os.Rename(next, filepath.Join(dir, clockFile)); err != nil {
		tb.Fatal(err)
	}
}

// library finds libfaketime where its package has put it.
func library(tb testing.TB, patterns ...string) string {
	tb.Helper()
	for _, pattern := range patterns {
		if found, _ := filepath.Glob(pattern); len(found) > 0 { // the patterns are well formed
			return found[0]
		}
	}
	tb.Fatal("libfaketime is not installed (`make test` installs it)")
	return ""
}
