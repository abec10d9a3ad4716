package redisclient_test

import (
	"log/slog"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/prosaas/receipts/pkg/redisclient"
	"github.com/prosaas/receipts/pkg/redistest"
)

// lines is a log that a test reads.
type lines struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lines) count(what string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.text.String(), what)
}

// An outage is two lines, however many calls fail meanwhile: one when Redis goes,
// one when it is back.
func TestAnOutageIsTwoLines(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	log := &lines{}
	c, err := redisclient.Open(server.URL(), redisclient.Options{Logger: slog.New(slog.NewTextHandler(log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	<-c.Ready()
	server.Kill()
	for range 50 {
		if c.Ping(t.Context()) == nil {
			t.Fatal("a Redis that was killed replies")
		}
	}
	server.Restart()
	for c.Ping(t.Context()) != nil {
		runtime.Gosched() // the client connects again by itself
	}
	for what, want := range map[string]int{"redis does not answer": 1, "redis is back": 1, "away_for": 2} {
		if got := log.count(what); got != want {
			t.Errorf("%q is in %d lines, want %d:\n%s", what, got, want, log.text.String())
		}
	}
}
