package verify

import (
	"bytes"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// patience is how long anything that must happen may take on a busy machine.
const patience = 60 * time.Second

// process is one of the services, running, with what it logs.
type process struct {
	name  string
	cmd   *exec.Cmd
	ended chan struct{}

	mu   sync.Mutex
	log  bytes.Buffer
	news chan struct{} // closed, and replaced, with each write
}

// launch starts a service with this environment and no other. What is left of
// it when the test ends is killed, and its log shown if the test failed.
func launch(t *testing.T, name string, environ []string) *process {
	t.Helper()
	p := &process{name: name, cmd: exec.Command(filepath.Join(programs, name)), ended: make(chan struct{}), news: make(chan struct{})}
	p.cmd.Env, p.cmd.Stdout, p.cmd.Stderr = environ, p, p
	if err := p.cmd.Start(); err != nil {
		t.Fatalf("start %s: %v", name, err)
	}
	go func() {
		_ = p.cmd.Wait() // how it ended is nobody's question
		close(p.ended)
	}()
	t.Cleanup(func() {
		p.end(syscall.SIGKILL)
		if strings.Contains(p.logged(), "DATA RACE") {
			t.Errorf("%s has a data race", name)
		}
		if t.Failed() {
			t.Logf("%s wrote:\n%s", name, p.logged())
		}
	})
	return p
}

func (p *process) Write(text []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	close(p.news)
	p.news = make(chan struct{})
	return p.log.Write(text)
}

func (p *process) logged() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.log.String()
}

// await waits until it has logged a word.
func (p *process) await(t *testing.T, word string) {
	t.Helper()
	for limit := time.After(patience); ; {
		p.mu.Lock()
		said, news := strings.Contains(p.log.String(), word), p.news
		p.mu.Unlock()
		if said {
			return
		}
		select {
		case <-news:
		case <-limit:
			t.Fatalf("%s did not log %q", p.name, word)
		}
	}
}

// end sends a signal and waits until the process is gone.
func (p *process) end(signal syscall.Signal) {
	_ = p.cmd.Process.Signal(signal) // it may have ended long ago
	<-p.ended
}
