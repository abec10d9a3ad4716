package gmailsync

import (
	"context"
	"sync"
	"time"
)

// How many messages one job reads at a time. Gmail refuses more than a handful
// at once, whatever quota is left, and does not tell how many that is.
const (
	startConcurrency = 4
	mostConcurrency  = 10
)

// growAfter is how many messages in a row, read without a wait, show that one
// more at a time would help and do no harm.
const growAfter = 50

// gate lets as many messages be read at a time as Gmail bears: one more after a
// good run, half as many after a refusal.
type gate struct {
	places chan struct{} // one token a free place

	mu     sync.Mutex
	limit  int
	owing  int // places to take away once they are free
	run    int // messages read since the last change or wait
	shrunk time.Time
}

func newGate() *gate {
	g := &gate{places: make(chan struct{}, mostConcurrency)}
	for range startConcurrency {
		g.grow()
	}
	return g
}

// enter waits for a place.
func (g *gate) enter(ctx context.Context) error {
	select {
	case <-g.places:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (g *gate) leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.owing > 0 {
		g.owing--
		return
	}
	g.places <- struct{}{}
}

// answered counts a message that Gmail gave. One that had to wait for quota
// shows that more at a time are of no use.
func (g *gate) answered(waited bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if waited {
		g.run = 0
		return
	}
	if g.run++; g.run == growAfter && g.limit < mostConcurrency {
		g.grow()
	}
}

// refused halves the places. Of calls that were under way together only the
// first to be refused counts.
func (g *gate) refused(began, now time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if began.Before(g.shrunk) {
		return
	}
	g.shrunk, g.run = now, 0
	for to := max(g.limit/2, 1); g.limit > to; g.limit-- {
		select {
		case <-g.places:
		default:
			g.owing++
		}
	}
}

// grow adds a place. g.mu is held, or nobody knows of g yet.
func (g *gate) grow() {
	g.limit++
	g.run = 0
	if g.owing > 0 {
		g.owing--
		return
	}
	g.places <- struct{}{}
}
