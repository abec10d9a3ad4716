package app

import (
	"context"
	"errors"
	"net"
	"os"
	"runtime"
	"testing"
	"time"
)

// Whoever is connected when a listener turns quiet is still accepted, and nobody
// connects any more.
func TestQuietListener(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		return // quieten does nothing there
	}
	listener, err := listenTCP(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	dial := func(patience time.Duration) (net.Conn, error) {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		return new(net.Dialer).DialContext(ctx, "tcp", listener.Addr().String())
	}
	waiting, err := dial(10 * time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = waiting.Close() }()

	if err := quieten(listener); err != nil {
		t.Fatal(err)
	}
	if late, err := dial(300 * time.Millisecond); !errors.Is(err, os.ErrDeadlineExceeded) && !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a late connection: %v, %v", late, err)
	}
	accepted, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = accepted.Close() }()
	if _, err := waiting.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if n, err := accepted.Read(make([]byte, 1)); n != 1 || err != nil {
		t.Errorf("read %d bytes, %v", n, err)
	}
}
