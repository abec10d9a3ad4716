package main

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"slices"
	"syscall"
	"time"
)

// endWithin is how long a program may take to end before it is killed.
const endWithin = 10 * time.Second

// program is a child process.
type program struct {
	asked context.Context //nolint:containedctx // ends when the program is asked to
	ask   context.CancelFunc
	ended chan struct{} // closed when it has
	err   error         // how, once it has
}

// launch starts a program with this environment and nothing of ours, but for
// where its PDF engine keeps what it compiled, which takes seconds: what a shell
// happens to have set is not for it.
func launch(path string, environ []string, log io.Writer) (*program, error) {
	p := &program{ended: make(chan struct{})}
	p.asked, p.ask = context.WithCancel(context.Background())
	cmd := exec.CommandContext(p.asked, path) // #nosec G204 -- a program that lies beside this one
	cmd.Env, cmd.Stdout, cmd.Stderr = environ, log, log
	if cache, err := os.UserCacheDir(); err == nil {
		cmd.Env = append(slices.Clone(environ), "XDG_CACHE_HOME="+cache)
	}
	cmd.SysProcAttr = attributes()
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = endWithin
	if err := cmd.Start(); err != nil {
		p.ask()
		return nil, err
	}
	go func() {
		defer close(p.ended)
		if p.err = cmd.Wait(); p.err == nil {
			p.err = errors.New("exit status 0")
		}
	}()
	return p, nil
}

// stop asks the program to end, and returns when it has.
func (p *program) stop(context.Context) error {
	p.ask()
	<-p.ended
	return nil
}
