package lifecycle_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/prosaas/receipts/pkg/lifecycle"
)

func TestStopsLastFirst(t *testing.T) {
	t.Parallel()
	var order []string
	stack := lifecycle.New(time.Minute)
	for _, name := range []string{"redis", "queue", "listener"} {
		stack.OnStop(name, func(context.Context) error {
			order = append(order, name)
			return nil
		})
	}
	if err := stack.Stop(); err != nil {
		t.Errorf("Stop = %v", err)
	}
	if diff := cmp.Diff([]string{"listener", "queue", "redis"}, order); diff != "" {
		t.Errorf("order (-want +got):\n%s", diff)
	}
}

func TestStopJoinsErrorsAndGoesOn(t *testing.T) {
	t.Parallel()
	errRedis, errListener := errors.New("connection reset"), errors.New("address gone")
	stack := lifecycle.New(time.Minute)
	stack.OnStop("redis", func(context.Context) error { return errRedis })
	stack.OnStop("listener", func(context.Context) error { return errListener })

	err := stack.Stop()
	if !errors.Is(err, errRedis) || !errors.Is(err, errListener) {
		t.Errorf("Stop = %v, want both errors", err)
	}
	for _, name := range []string{"stop redis: ", "stop listener: "} {
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("Stop = %v, want the step named: %q", err, name)
		}
	}
}

func TestStopRunsOnce(t *testing.T) {
	t.Parallel()
	failure := errors.New("no")
	runs := 0
	stack := lifecycle.New(time.Minute)
	stack.OnStop("queue", func(context.Context) error {
		runs++
		return failure
	})
	var wg sync.WaitGroup
	for range 10 {
		wg.Go(func() {
			if err := stack.Stop(); !errors.Is(err, failure) {
				t.Errorf("Stop = %v, want %v from every call", err, failure)
			}
		})
	}
	wg.Wait()
	if runs != 1 {
		t.Errorf("the step ran %d times", runs)
	}
}

func TestStopIsBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const limit = 25 * time.Second
		release := make(chan struct{})
		below := make(chan error, 1)
		stack := lifecycle.New(limit)
		stack.OnStop("redis", func(ctx context.Context) error {
			below <- ctx.Err()
			return nil
		})
		stack.OnStop("deaf", func(context.Context) error {
			<-release // deaf to its context
			return nil
		})
		stack.OnStop("slow", func(context.Context) error {
			time.Sleep(10 * time.Second) // a fake clock: the limit is for all steps, not each
			return nil
		})

		start := time.Now()
		err := stack.Stop()
		if took := time.Since(start); took != limit {
			t.Errorf("Stop took %v, want the limit %v", took, limit)
		}
		if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "stop deaf: ") || strings.Contains(err.Error(), "slow") {
			t.Errorf("Stop = %v, want a deadline for the deaf step and none for the slow one", err)
		}
		if err := <-below; !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("the step below ran with %v, want an ended context", err)
		}
		close(release)
	})
}

func TestOnStopAfterStopPanics(t *testing.T) {
	t.Parallel()
	stack := lifecycle.New(time.Minute)
	if err := stack.Stop(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if recover() == nil {
			t.Error("a step that never runs was taken")
		}
	}()
	stack.OnStop("late", func(context.Context) error { return nil })
}
