// Package lifecycle stops a program in order: what was started last stops
// first, and all of it within one limit. It guards no data: what a crash skips
// here is what every other package must survive anyway.
package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
)

// Stack collects the steps that undo a program's start. A start that fails
// half way stops by the same stack.
type Stack struct {
	timeout time.Duration

	mu      sync.Mutex
	steps   []step
	stopped bool

	once sync.Once
	err  error // of the one Stop
}

type step struct {
	name string
	stop func(context.Context) error
}

// New is an empty stack whose steps together may take timeout.
func New(timeout time.Duration) *Stack { return &Stack{timeout: timeout} }

// OnStop adds a step. Its context ends with the limit of all steps. A step
// added once Stop has begun would never run, so that OnStop panics.
func (s *Stack) OnStop(name string, stop func(context.Context) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		panic("lifecycle: step " + name + " added after Stop")
	}
	s.steps = append(s.steps, step{name, stop})
}

// Stop runs every step, last added first, and joins their errors, each with
// its step's name. A step that outlasts the limit is left behind; those below
// it still run, with a context that has ended, but are not waited for either.
// Further calls wait for the first and return its error.
func (s *Stack) Stop() error {
	s.once.Do(func() { s.err = s.stop() })
	return s.err
}

func (s *Stack) stop() error {
	s.mu.Lock()
	s.stopped = true
	s.mu.Unlock()

	ctx, cancel := context.WithTimeout(context.Background(), s.timeout)
	defer cancel()
	var errs []error
	for _, step := range slices.Backward(s.steps) {
		if err := step.run(ctx); err != nil {
			errs = append(errs, fmt.Errorf("stop %s: %w", step.name, err))
		}
	}
	return errors.Join(errs...)
}

// run waits for the step, but no longer than ctx.
func (s step) run(ctx context.Context) error {
	done := make(chan error, 1)
	go func() { done <- s.stop(ctx) }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return fmt.Errorf("still running at the limit: %w", ctx.Err())
	}
}
