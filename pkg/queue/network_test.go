package queue_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"

	"github.com/alicebob/miniredis/v2"
)

var errCut = errors.New("network: cut")

// network is what lies between one client and Redis: it can be cut, lose
// replies, or stand still and deliver late, also what its sender has long given
// up.
type network struct {
	redis *miniredis.Miniredis

	mu      sync.Mutex
	dead    bool   // for ever: the process was killed
	fuse    int    // requests until it is
	dropped int    // replies still to lose
	word    string // of a request whose reply is lost, words times
	words   int
	frozen  int           // how often
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
	if n.dead {
		_ = conn.Close()
		return nil, errCut
	}
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

// freeze has everything stand still, in both directions, until as many thaws.
func (n *network) freeze() {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.frozen == 0 {
		n.thawed = make(chan struct{})
	}
	n.frozen++
}

func (n *network) thaw() {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.frozen > 0 {
		n.melt(n.frozen - 1)
	}
}

// melt leaves so many freezes.
func (n *network) melt(frozen int) {
	if n.frozen > 0 && frozen == 0 {
		close(n.thawed)
	}
	n.frozen = frozen
}

// heal has everything move again.
func (n *network) heal() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.melt(0)
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
	n.melt(0)
	n.mu.Unlock()
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

// killAfter kills the process once it has sent so many more requests.
func (n *network) killAfter(requests int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.fuse = requests
}

// burn counts one request on the fuse.
func (n *network) burn() {
	n.mu.Lock()
	n.fuse--
	burnt := n.fuse == 0
	n.mu.Unlock()
	if burnt {
		n.kill()
	}
}

// wire is one connection. What is written while the network stands still lies
// in the sender's kernel, and goes out afterwards even if the connection was
// closed in the meantime.
type wire struct {
	net.Conn
	network *network
	doomed  atomic.Bool // its next reply is lost
	closed  chan struct{}
	once    sync.Once

	mu      sync.Mutex
	late    [][]byte
	sending bool // somebody waits to send what is late
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
	defer w.network.burn()
	w.network.mu.Lock()
	dead, thawed := w.network.dead, w.network.thawed
	if w.network.words > 0 && bytes.Contains(b, []byte(w.network.word)) {
		w.network.words--
		w.doomed.Store(true)
	}
	w.network.mu.Unlock()
	w.mu.Lock()
	select {
	case <-w.closed:
		dead = true
	default:
	}
	if dead {
		w.mu.Unlock()
		return 0, errCut
	}
	select {
	case <-thawed:
		if !w.sending {
			w.mu.Unlock()
			return w.Conn.Write(b)
		}
	default:
	}
	defer w.mu.Unlock()
	w.late = append(w.late, bytes.Clone(b))
	if !w.sending {
		w.sending = true
		go w.send(thawed)
	}
	return len(b), nil
}

// send delivers what is late, once the network moves again.
func (w *wire) send(thawed <-chan struct{}) {
	<-thawed
	var broken error
	for broken == nil {
		w.mu.Lock()
		if len(w.late) == 0 {
			w.sending = false
			w.mu.Unlock()
			break
		}
		b := w.late[0]
		w.late = w.late[1:]
		w.mu.Unlock()
		_, broken = w.Conn.Write(b)
	}
	select {
	case <-w.closed:
	default:
		if broken == nil {
			return
		}
	}
	_ = w.Conn.Close()
}

func (w *wire) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.once.Do(func() { close(w.closed) })
	if !w.sending {
		return w.Conn.Close()
	}
	go func() { _, _ = io.Copy(io.Discard, w.Conn) }() // nobody reads the replies any more
	return nil
}
