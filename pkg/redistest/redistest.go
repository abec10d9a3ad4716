// Package redistest gives tests a real redis-server: one a test binary, with a
// database of its own for each test; or a private one, for tests that kill,
// freeze or fill it, or step its clock.
//
// A server is gone when the last test that used it ends; nothing it held is kept.
package redistest

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

const databases = 1024

var shared struct {
	sync.Mutex
	server *Server
	users  int
	next   int
}

// DB answers the URL of an empty database that no other test uses.
func DB(tb testing.TB) string {
	tb.Helper()
	shared.Lock()
	defer shared.Unlock()
	if shared.users == 0 {
		dir, err := os.MkdirTemp("", "redistest-") //nolint:usetesting // outlives the test that starts the server
		if err != nil {
			tb.Fatal(err)
		}
		shared.server, shared.next = launch(tb, dir, "", nil, "--databases", strconv.Itoa(databases)), 0
	}
	if shared.next == databases {
		tb.Fatalf("redistest: more than %d tests at once", databases)
	}
	shared.users++
	url := fmt.Sprintf("redis://%s/%d", shared.server.Addr, shared.next)
	shared.next++
	tb.Cleanup(func() {
		shared.Lock()
		defer shared.Unlock()
		if shared.users--; shared.users == 0 {
			shared.server.Kill()
			_ = os.RemoveAll(shared.server.dir)
		}
	})
	return url
}

// Server is a redis-server of one test's own.
type Server struct {
	Addr    string
	dir     string
	environ []string // beside the test's own
	args    []string
	cmd     *exec.Cmd
	done    chan struct{}
	tb      testing.TB
	clock   time.Duration // how far StepClock has set it ahead
}

// Start starts a private server; args are added to its command line.
func Start(tb testing.TB, args ...string) *Server {
	tb.Helper()
	s := launch(tb, tb.TempDir(), "", nil, args...)
	tb.Cleanup(s.Kill)
	return s
}

// Reserve answers an address on which nothing listens, and a server to be
// started there with [Server.Restart].
func Reserve(tb testing.TB, args ...string) *Server {
	tb.Helper()
	s := &Server{Addr: freePort(tb), dir: tb.TempDir(), args: args, tb: tb}
	tb.Cleanup(s.Kill)
	return s
}

// URL is the server's first database.
func (s *Server) URL() string { return "redis://" + s.Addr + "/0" }

// Freeze stops the process as it stands: connections stay open, nothing answers.
func (s *Server) Freeze() { s.signal(syscall.SIGSTOP) }

// Thaw lets a frozen process go on.
func (s *Server) Thaw() { s.signal(syscall.SIGCONT) }

// Kill ends the process at once, and waits until it is gone.
func (s *Server) Kill() {
	if s.cmd == nil {
		return
	}
	_ = s.cmd.Process.Kill()
	<-s.done
}

// Restart starts the killed server again, on the same port and folder.
func (s *Server) Restart() {
	s.tb.Helper()
	restarted := launch(s.tb, s.dir, s.Addr, s.environ, s.args...)
	restarted.clock = s.clock
	*s = *restarted
}

func (s *Server) signal(sig syscall.Signal) {
	s.tb.Helper()
	if err := s.cmd.Process.Signal(sig); err != nil {
		s.tb.Fatal(err)
	}
}

func freePort(tb testing.TB) string {
	tb.Helper()
	l, err := new(net.ListenConfig).Listen(tb.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}

// launch starts a server, on addr or, where that is empty, on a port of its own
// choice: another test binary may take the one it found, so it tries a few.
func launch(tb testing.TB, dir, addr string, environ []string, args ...string) *Server {
	tb.Helper()
	said := ""
	for range 5 {
		at := addr
		if at == "" {
			at = freePort(tb)
		}
		var s *Server
		if s, said = try(tb, dir, at, environ, args...); s != nil {
			return s
		}
		if addr != "" {
			break
		}
	}
	tb.Fatalf("redis-server did not come up:\n%s", said)
	return nil
}

// try starts a server, and answers what it said where it did not come up.
func try(tb testing.TB, dir, addr string, environ []string, args ...string) (s *Server, said string) {
	tb.Helper()
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		tb.Fatal(err)
	}
	all := append([]string{"--bind", host, "--port", port, "--dir", dir, "--save", "", "--appendonly", "no"}, args...)
	cmd := exec.CommandContext(context.Background(), "redis-server", all...) // ended by Kill, maybe by another test
	cmd.SysProcAttr = attributes()
	cmd.Env = append(os.Environ(), environ...)
	logPath := filepath.Join(dir, "redis-"+port+".log")
	out, err := os.Create(logPath)
	if err != nil {
		tb.Fatal(err)
	}
	defer func() { _ = out.Close() }()
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		tb.Fatalf("start redis-server (`make test` installs it): %v", err)
	}
	s = &Server{Addr: addr, dir: dir, environ: environ, args: args, cmd: cmd, done: make(chan struct{}), tb: tb}
	go func() { _ = cmd.Wait(); close(s.done) }()
	for deadline := time.Now().Add(20 * time.Second); !answers(addr, cmd.Process.Pid); {
		select {
		case <-s.done:
		case <-time.After(5 * time.Millisecond):
			if time.Now().Before(deadline) {
				continue
			}
		}
		s.Kill()
		text, _ := os.ReadFile(logPath)
		return nil, string(text)
	}
	return s, ""
}

// answers tells whether the process of that id, and no other that took its
// port, is the Redis at addr.
func answers(addr string, pid int) bool {
	dialer := net.Dialer{Timeout: time.Second}
	conn, err := dialer.DialContext(context.Background(), "tcp", addr)
	if err != nil {
		return false
	}
	defer func() { _ = conn.Close() }()
	if conn.SetDeadline(time.Now().Add(time.Second)) != nil {
		return false
	}
	if _, err := conn.Write([]byte("INFO server\r\n")); err != nil {
		return false
	}
	for lines := bufio.NewScanner(conn); lines.Scan(); {
		if id, ok := strings.CutPrefix(lines.Text(), "process_id:"); ok {
			return id == strconv.Itoa(pid)
		}
	}
	return false
}
