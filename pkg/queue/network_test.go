package queue_test

import (
	"bytes"
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"

	"github.com/alicebob/miniredis/v2"
)

var errCut = errors.New("network: cut")

// network is what lies between one client and Redis: it can be cut, lose
// replies, or stand still and deliver late.
type network struct {
	redis *miniredis.Miniredis

	mu      sync.Mutex
	dead    bool   // for ever: the process was killed
	dropped int    // replies still to lose
	word    string // of a request whose reply is lost, words times
	words   int
	thawed  chan struct{} // closed while nothing stands still
	conns   map[*wire]bool
}

func newNetwork(m *miniredis.Miniredis) *network {
	n := &network{redis: m, thawed: make(chan struct{}), conns: map[*wire]bool{}}
	close(n.thawed)
	return n
}

func (n *network) dial(ctx context.Context, _ string) (net.Conn, error) {
	if err := n.pass(ctx.Done()); err != nil {
		return nil, err
	}
	conn, err := n.redis.Dial()
	if err != nil {
		return nil, err
	}
	w := &wire{Conn: conn, network: n, closed: make(chan struct{})}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.conns[w] = true
	return w, nil
}

// pass waits while the network stands still.
func (n *network) pass(given <-chan struct{}) error {
	n.mu.Lock()
	thawed, dead := n.thawed, n.dead
	n.mu.Unlock()
	if dead {
		return errCut
	}
	select {
	case <-thawed:
		n.mu.Lock()
		defer n.mu.Unlock()
		if n.dead {
			return errCut
		}
		return nil
	case <-given:
		return errCut
	}
}

// freeze has everything stand still, in both directions, until thaw.
func (n *network) freeze() {
	n.mu.Lock()
	defer n.mu.Unlock()
	select {
	case <-n.thawed:
		n.thawed = make(chan struct{})
	default:
	}
}

func (n *network) thaw() {
	n.mu.Lock()
	defer n.mu.Unlock()
	select {
	case <-n.thawed:
	default:
		close(n.thawed)
	}
}

// cut ends every connection; new ones may be made.
func (n *network) cut() {
	n.mu.Lock()
	conns := n.conns
	n.conns = map[*wire]bool{}
	n.mu.Unlock()
	for w := range conns {
		_ = w.Close()
	}
}

// kill is the end of the process behind it: nothing more gets through, ever.
func (n *network) kill() {
	n.mu.Lock()
	n.dead = true
	n.mu.Unlock()
	n.thaw()
	n.cut()
}

// lose has the next reply vanish, and its connection with it.
func (n *network) lose() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.dropped++
}

// loseOf has the replies to the next times requests that hold word vanish.
func (n *network) loseOf(word string, times int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.word, n.words = word, times
}

type wire struct {
	net.Conn
	network *network
	doomed  atomic.Bool // its next reply is lost
	closed  chan struct{}
	once    sync.Once
}

func (w *wire) Read(b []byte) (int, error) {
	got, err := w.Conn.Read(b)
	if err != nil {
		return got, err
	}
	if err := w.network.pass(w.closed); err != nil {
		return 0, err
	}
	w.network.mu.Lock()
	lost := w.doomed.Load() || w.network.dropped > 0
	if lost && w.network.dropped > 0 {
		w.network.dropped--
	}
	w.network.mu.Unlock()
	if lost {
		_ = w.Close()
		return 0, errCut
	}
	return got, nil
}

func (w *wire) Write(b []byte) (int, error) {
	if err := w.network.pass(w.closed); err != nil {
		return 0, err
	}
	w.network.mu.Lock()
	if w.network.words > 0 && bytes.Contains(b, []byte(w.network.word)) {
		w.network.words--
		w.doomed.Store(true)
	}
	w.network.mu.Unlock()
	return w.Conn.Write(b)
}

func (w *wire) Close() error {
	w.once.Do(func() { close(w.closed) })
	return w.Conn.Close()
}
