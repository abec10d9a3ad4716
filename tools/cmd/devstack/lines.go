package main

import (
	"bytes"
	"fmt"
	"io"
	"sync"
)

// lines writes what several programs log to one terminal, whole lines only.
type lines struct {
	mu  sync.Mutex
	out io.Writer
}

func newLines(out io.Writer) *lines { return &lines{out: out} }

// say writes text as it is.
func (l *lines) say(text string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, _ = io.WriteString(l.out, text) // a terminal that is gone is no reason to end
}

// of is the writer of one program: each of its lines comes behind its name.
func (l *lines) of(name string) io.Writer { return &named{lines: l, name: name} }

// maxLine bounds what is kept of a line that has not ended.
const maxLine = 64 << 10

type named struct {
	*lines
	name string
	rest []byte // the beginning of a line
}

func (n *named) Write(text []byte) (int, error) {
	n.rest = append(n.rest, text...)
	for {
		end := bytes.IndexByte(n.rest, '\n')
		if end < 0 && len(n.rest) < maxLine {
			return len(text), nil
		}
		if end < 0 {
			end = len(n.rest) - 1
		}
		n.say(fmt.Sprintf("%-15s | %s\n", n.name, bytes.TrimRight(n.rest[:end+1], "\r\n")))
		n.rest = n.rest[end+1:]
	}
}
