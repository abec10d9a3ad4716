package redisclient_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/prosaas/receipts/pkg/redisclient"
	"github.com/prosaas/receipts/pkg/redistest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func open(t *testing.T, url string) *redisclient.Client {
	t.Helper()
	c, err := redisclient.Open(url, redisclient.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func TestCallsBeforeRedisIsThere(t *testing.T) {
	t.Parallel()
	server := redistest.Reserve(t)
	c := open(t, server.URL())
	if err := c.Ping(t.Context()); !errors.Is(err, redisclient.ErrUnavailable) {
		t.Errorf("ping of nothing = %v, want ErrUnavailable", err)
	}
	server.Restart()
	<-c.Ready()
	if err := c.Ping(t.Context()); err != nil {
		t.Errorf("ping = %v", err)
	}
}

func TestFrozenRedisHoldsNobodyPastTheDeadline(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	c := open(t, server.URL())
	<-c.Ready()
	server.Freeze()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	err := c.Ping(ctx)
	if !errors.Is(err, redisclient.ErrUnavailable) || ctx.Err() == nil {
		t.Errorf("ping = %v, deadline %v; want ErrUnavailable at the deadline", err, ctx.Err())
	}
	server.Thaw()
	if err := c.Ping(t.Context()); err != nil {
		t.Errorf("ping of the thawed = %v", err)
	}
}

func TestErrorsAreTold(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, "--maxmemory", "1", "--maxmemory-policy", "noeviction")
	c := open(t, server.URL())
	<-c.Ready()
	set := redisclient.NewScript(`return redis.call('SET', KEYS[1], ARGV[1])`)
	if _, err := c.Run(t.Context(), set, []string{"k"}, "v"); !errors.Is(err, redisclient.ErrFull) {
		t.Errorf("write to a full redis = %v, want ErrFull", err)
	}
	get := redisclient.NewScript(`return redis.call('GET', KEYS[1])`)
	if _, err := c.Run(t.Context(), get, []string{"k"}); !redisclient.IsNil(err) {
		t.Errorf("read of nothing = %v, want nil", err)
	}
	wrong := redisclient.NewScript(`return redis.call('NOSUCH')`)
	if _, err := c.Run(t.Context(), wrong, []string{"k"}); err == nil || errors.Is(err, redisclient.ErrUnavailable) || errors.Is(err, redisclient.ErrFull) {
		t.Errorf("a fault of ours = %v, want an error of its own", err)
	}
}

func TestCancelledCallIsNotRedissFault(t *testing.T) {
	t.Parallel()
	c := open(t, redistest.DB(t))
	<-c.Ready()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := c.Ping(ctx); !errors.Is(err, context.Canceled) || errors.Is(err, redisclient.ErrUnavailable) {
		t.Errorf("ping = %v, want context.Canceled alone", err)
	}
}

func TestDescribe(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, "--appendonly", "yes", "--appendfsync", "always", "--maxmemory-policy", "noeviction")
	c := open(t, server.URL())
	<-c.Ready()
	got, err := c.Describe(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(got.RunID) != 40 || !strings.Contains(got.Version, ".") || got.Persistence != "aof always" || got.Eviction != "noeviction" {
		t.Errorf("described as %+v", got)
	}
}
