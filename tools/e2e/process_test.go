package e2e

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// patience is how long anything that must happen may take on a busy machine.
const patience = 60 * time.Second

// process is a program that runs, with all it has written.
type process struct {
	t     *testing.T
	name  string
	cmd   *exec.Cmd
	ended chan struct{} // closed when it has ended and all of it was read

	mu    sync.Mutex
	lines []string
	news  chan struct{} // closed, and replaced, with each line
}

// launch starts a program of ours with this environment and no other, but for
// where the PDF engine keeps what it compiled: under the race detector that takes
// most of a minute. What is left of it when the test ends is killed, and its log
// shown if the test failed.
func launch(t *testing.T, name string, environ []string, args ...string) *process {
	t.Helper()
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	p := &process{t: t, name: name, cmd: exec.Command(filepath.Join(programs, name), args...), ended: make(chan struct{}), news: make(chan struct{})}
	p.cmd.Env = append(slices.Clone(environ), "XDG_CACHE_HOME="+cache)
	reader, writer := io.Pipe()
	p.cmd.Stdout, p.cmd.Stderr = writer, writer
	if err := p.cmd.Start(); err != nil {
		t.Fatalf("start %s: %v", name, err)
	}
	go func() {
		_ = p.cmd.Wait() // how it ended is in ProcessState
		_ = writer.Close()
	}()
	go func() {
		defer close(p.ended)
		for in := bufio.NewReader(reader); ; {
			line, err := in.ReadString('\n')
			if line != "" {
				p.add(strings.TrimSuffix(line, "\n"))
			}
			if err != nil {
				return
			}
		}
	}()
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill() // it may have ended long ago
		<-p.ended
		log := p.log()
		if slices.ContainsFunc(log, func(line string) bool { return strings.Contains(line, "DATA RACE") }) {
			t.Errorf("%s has a data race", name)
		}
		if t.Failed() {
			t.Logf("%s (pid %d) wrote:\n%s", name, p.cmd.Process.Pid, strings.Join(log[max(0, len(log)-80):], "\n"))
		}
	})
	return p
}

func (p *process) add(line string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lines = append(p.lines, line)
	close(p.news)
	p.news = make(chan struct{})
}

// log is all it has written so far.
func (p *process) log() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.lines)
}

// awaitLine waits until it has written a line that wanted takes.
func (p *process) awaitLine(what string, wanted func(line string) bool) string {
	p.t.Helper()
	limit := time.After(patience)
	for seen := 0; ; {
		p.mu.Lock()
		lines, news := p.lines, p.news
		p.mu.Unlock()
		for ; seen < len(lines); seen++ {
			if wanted(lines[seen]) {
				return lines[seen]
			}
		}
		select {
		case <-news:
		case <-p.ended:
			if seen == len(p.log()) {
				p.t.Fatalf("%s ended before it wrote %s", p.name, what)
			}
		case <-limit:
			p.t.Fatalf("%s did not write %s", p.name, what)
		}
	}
}

// awaitEvent waits for a log line with that message and these attributes, which
// are pairs of names and values as JSON has them, and answers all of the line's.
func (p *process) awaitEvent(message string, attrs ...any) map[string]any {
	p.t.Helper()
	line := p.awaitLine(fmt.Sprintf("%q %v", message, attrs), func(line string) bool { return event(line, message, attrs) != nil })
	return event(line, message, attrs)
}

// events counts the log lines so far that awaitEvent would have waited for.
func (p *process) events(message string, attrs ...any) (n int) {
	for _, line := range p.log() {
		if event(line, message, attrs) != nil {
			n++
		}
	}
	return n
}

// event is a log line, if it has that message and these attributes, else nil.
func event(line, message string, attrs []any) map[string]any {
	var event map[string]any
	if json.Unmarshal([]byte(line), &event) != nil {
		return nil
	}
	if text, _ := event["msg"].(string); !strings.HasPrefix(text, message) {
		return nil
	}
	for i := 0; i < len(attrs); i += 2 {
		if event[attrs[i].(string)] != attrs[i+1] {
			return nil
		}
	}
	return event
}

// freeze has the process stand still, and thaw go on.
func (p *process) freeze() { p.signal(syscall.SIGSTOP) }

func (p *process) thaw() { p.signal(syscall.SIGCONT) }

func (p *process) signal(signal syscall.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(signal); err != nil {
		p.t.Fatalf("send %v to %s: %v", signal, p.name, err)
	}
}

// end sends a signal and waits until the process is gone, within the limit. It
// answers the exit code, -1 if a signal ended it.
func (p *process) end(signal syscall.Signal, within time.Duration) int {
	p.t.Helper()
	p.signal(signal)
	return p.awaitEnd(within)
}

// kill is kill -9.
func (p *process) kill() { p.end(syscall.SIGKILL, patience) }

func (p *process) awaitEnd(within time.Duration) int {
	p.t.Helper()
	select {
	case <-p.ended:
	case <-time.After(within):
		p.t.Fatalf("%s still runs after %s", p.name, within)
	}
	return p.cmd.ProcessState.ExitCode()
}

// eventually asks again and again until the answer is yes.
func eventually(t *testing.T, what string, yes func() bool) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for limit := time.After(patience); !yes(); {
		select {
		case <-tick.C:
		case <-limit:
			t.Fatalf("it never came: %s", what)
		}
	}
}
