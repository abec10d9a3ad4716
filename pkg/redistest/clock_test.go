package redistest

import (
	"strconv"
	"strings"
	"testing"
	"time"
)

func TestStepClock(t *testing.T) {
	t.Parallel()
	s := StartWithClock(t)
	for _, step := range []struct{ by, ahead time.Duration }{{0, 0}, {time.Minute, time.Minute}, {-2 * time.Minute, -time.Minute}, {time.Minute, 0}} {
		s.StepClock(step.by)
		before := time.Now().Add(step.ahead)
		told := s.now(t)
		if after := time.Now().Add(step.ahead); told.Before(before.Truncate(time.Microsecond)) || told.After(after) {
			t.Errorf("stepped by %s to %s ahead: the server says %s, want it from %s to %s", step.by, step.ahead, told, before, after)
		}
	}
}

// now is the server's wall clock.
func (s *Server) now(t *testing.T) time.Time {
	t.Helper()
	parts := strings.Fields(ask(t, s.Addr, "TIME")) // *2 $10 seconds $6 microseconds
	if len(parts) != 5 {
		t.Fatalf("TIME answers %q", parts)
	}
	seconds, err := strconv.ParseInt(parts[2], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	micros, err := strconv.ParseInt(parts[4], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return time.Unix(seconds, micros*1000)
}
