package connection_test

import (
	"errors"
	"testing"

	"github.com/redis/rueidis"

	"github.com/prosaas/receipts/pkg/connection"
	"github.com/prosaas/receipts/pkg/redisclient"
	"github.com/prosaas/receipts/pkg/redistest"
	"github.com/prosaas/receipts/proto"
)

// newDivided is a world whose index is in one Redis, and whose connections are in
// another, which is returned.
func newDivided(t *testing.T) (*world, *redistest.Server) {
	t.Helper()
	w := newWorld(t)
	server := redistest.Start(t, "--maxmemory-policy", "noeviction")
	store, err := redisclient.Open(server.URL(), redisclient.Options{Store: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(store.Close)
	<-store.Ready()
	w.store = store
	w.keeper = w.with(w.oauth, keySet(keyA), connection.Options{})
	return w, server
}

// holds are the keys of a Redis.
func (w *world) holds(client *redisclient.Client) []string {
	w.t.Helper()
	message, err := client.Do(w.t.Context(), func(b rueidis.Builder) rueidis.Completed { return b.Keys().Pattern("*").Build() })
	if err != nil {
		w.t.Fatal(err)
	}
	keys, err := message.AsStrSlice()
	if err != nil {
		w.t.Fatal(err)
	}
	return keys
}

// The index is the queue's, all else the store's, whatever becomes of a connection.
func TestIndexAndConnectionsAreApart(t *testing.T) {
	t.Parallel()
	w, _ := newDivided(t)
	check := func(when string, listed bool) {
		t.Helper()
		if w.listed() != listed {
			t.Errorf("%s: listed is %v", when, !listed)
		}
		for _, key := range w.holds(w.redis) {
			if key != w.keys.Businesses() {
				t.Errorf("%s: the queue holds %s", when, key)
			}
		}
		for _, key := range w.holds(w.store) {
			if key == w.keys.Businesses() {
				t.Errorf("%s: the store holds the index", when)
			}
		}
	}
	w.mustConnect()
	check("connected", true)
	if opened, err := w.keeper.TryOpening(t.Context(), 5); err != nil || opened != (proto.OpenedConnections{Tried: 1}) {
		t.Errorf("TryOpening = %+v, %v", opened, err)
	}
	if _, err := w.tokens().Token(t.Context()); err != nil {
		t.Error(err)
	}
	if err := w.tokens().MarkReconnect(t.Context(), connection.ReasonRevoked); err != nil {
		t.Error(err)
	}
	check("to be connected again", false)
	w.mustConnect()
	if err := w.keeper.Disconnect(t.Context(), business); err != nil {
		t.Error(err)
	}
	check("disconnected", false)
	if connected, err := w.keeper.Repair(t.Context(), business); connected || err != nil {
		t.Errorf("Repair = %v, %v", connected, err)
	}
}

// A store that is away is named in the error, and one that is full is read.
func TestStoreAwayOrFull(t *testing.T) {
	t.Parallel()
	w, server := newDivided(t)
	w.mustConnect()
	server.LimitMemory(1)
	if state := w.state(); state != proto.ConnectionConnected {
		t.Errorf("in a full store the connection is %s", state)
	}
	if _, err := w.keeper.Start(t.Context(), connection.Request{Business: business}); !errors.Is(err, redisclient.ErrStoreFull) {
		t.Errorf("Start with a full store: %v", err)
	}
	server.Kill()
	if _, err := w.keeper.Status(t.Context(), business); !errors.Is(err, redisclient.ErrStoreUnavailable) {
		t.Errorf("Status without the store: %v", err)
	}
	if opened, err := w.keeper.TryOpening(t.Context(), 5); !errors.Is(err, redisclient.ErrStoreUnavailable) || opened.Tried != 0 {
		t.Errorf("TryOpening without the store = %+v, %v", opened, err)
	}
	if !w.listed() {
		t.Error("the index is gone with the store")
	}
}
