package connection_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/prosaas/receipts/pkg/connection"
	"github.com/prosaas/receipts/pkg/redisclient"
	"github.com/prosaas/receipts/proto"
)

func isUnavailable(err error) bool { return errors.Is(err, redisclient.ErrUnavailable) }

func TestTokenKeysFaults(t *testing.T) {
	t.Parallel()
	const material = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"
	tests := []struct {
		name, keys string
		want       []string
	}{
		{"not JSON", material, []string{"not a JWK set"}},
		{"no key", keySet(), []string{"not a JWK set"}},
		{"one key alone", keyA, []string{"not a JWK set"}},
		{"no kid", keySet(keyA, strings.ReplaceAll(keyB, `"kid":"b",`, "")), []string{"key 2", "kid"}},
		{"no alg", keySet(strings.ReplaceAll(keyA, `"alg":"A256GCMKW",`, "")), []string{"key 1", `"a"`, "A256GCMKW"}},
		{"alg of signatures", keySet(strings.ReplaceAll(keyA, "A256GCMKW", "HS256")), []string{"key 1", "A256GCMKW"}},
		{"not symmetric", keySet(strings.ReplaceAll(keyA, "oct", "RSA")), []string{"key 1", "oct"}},
		{"128 bit", keySet(strings.ReplaceAll(keyA, material, "AAECAwQFBgcICQoLDA0ODw")), []string{"key 1", "128 bit", "256"}},
		{"not base64url", keySet(strings.ReplaceAll(keyA, material, material+"=")), []string{"key 1", "base64url"}},
		{"kid twice", keySet(keyA, strings.ReplaceAll(keyB, `"b"`, `"a"`)), []string{"key 2", "twice"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := connection.NewSealer(tt.keys)
			if err == nil {
				t.Fatal("no fault")
			}
			for _, want := range tt.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q does not say %q", err, want)
				}
			}
			if strings.Contains(err.Error(), material[:20]) {
				t.Errorf("%q shows the key", err)
			}
		})
	}
}

func TestWithoutKeysNothingIsConnected(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.keeper = w.with(w.oauth, "", connection.Options{})
	if _, err := w.keeper.Start(t.Context(), connection.Request{Business: business}); !errors.Is(err, connection.ErrNoKeys) {
		t.Errorf("Start = %v, want %v", err, connection.ErrNoKeys)
	}
	if _, err := w.keeper.Tokens(t.Context(), business); !errors.Is(err, connection.ErrNoKeys) {
		t.Errorf("Tokens = %v, want %v", err, connection.ErrNoKeys)
	}
	if dump := w.dump(); dump != "" {
		t.Errorf("Redis holds %s", dump)
	}
}

// What one set of keys sealed, another opens as long as it has the key; a
// renewed token is sealed with the newest key, so that the old one can go.
func TestKeysRotate(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.mustConnect()
	first, err := w.tokens().Token(t.Context())
	if err != nil {
		t.Fatal(err)
	}

	w.keeper = w.with(w.oauth, keySet(keyB, keyA), connection.Options{})
	if token, err := w.tokens().Token(t.Context()); err != nil || token != first {
		t.Errorf("with the new key first: token is the same %v, error %v", token == first, err)
	}
	second, err := w.tokens().Refresh(t.Context(), first)
	if err != nil {
		t.Fatal(err)
	}

	w.keeper = w.with(w.oauth, keySet(keyB), connection.Options{})
	if token, err := w.tokens().Token(t.Context()); err != nil || token != second {
		t.Errorf("with the new key alone: token is the same %v, error %v", token == second, err)
	}
	if _, err := w.tokens().Refresh(t.Context(), second); err != nil {
		t.Errorf("refresh with the new key alone: %v", err)
	}

	w.keeper = w.with(w.oauth, keySet(keyA), connection.Options{})
	if _, err := w.tokens().Token(t.Context()); !errors.Is(err, connection.ErrUnreadable) {
		t.Errorf("with the old key alone: %v, want %v", err, connection.ErrUnreadable)
	}
	if w.state() != "connected" {
		t.Errorf("a key that is missing made the connection %s", w.state())
	}
}

// Keys that were replaced are found without asking Google for anything.
func TestTryOpening(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	try := func(tokenKeys string, want proto.OpenedConnections) {
		t.Helper()
		got, err := w.with(w.oauth, tokenKeys, connection.Options{}).TryOpening(t.Context(), 5)
		if err != nil || got != want {
			t.Errorf("opened %+v, %v; want %+v", got, err, want)
		}
	}
	try(keySet(keyA), proto.OpenedConnections{})
	w.mustConnect()
	try(keySet(keyA), proto.OpenedConnections{Tried: 1})
	try(keySet(keyB, keyA), proto.OpenedConnections{Tried: 1})
	try(keySet(keyB), proto.OpenedConnections{Tried: 1, Unreadable: 1})
	try("", proto.OpenedConnections{Tried: 1, Unreadable: 1})
	w.disconnect()
	try(keySet(keyB), proto.OpenedConnections{})
}

// A sealed token opens for the business and the use it was sealed for, whole
// and as it was, and for nothing else.
func TestSealedTokenIsBound(t *testing.T) {
	t.Parallel()
	get := func(w *world, field string) string { return w.text("HGET", w.keys.Connection(business), field) }
	set := func(w *world, field, value string) { w.do("HSET", w.keys.Connection(business), field, value) }
	tests := []struct {
		name   string
		tamper func(w *world)
	}{
		{"of another business", func(w *world) {
			if err := w.connect(connection.Request{Business: "other"}); err != nil {
				w.t.Fatal(err)
			}
			set(w, "refresh", w.text("HGET", w.keys.Connection("other"), "refresh"))
		}},
		{"of another use", func(w *world) { set(w, "refresh", get(w, "access")) }},
		{"one character changed", func(w *world) {
			sealed := []byte(get(w, "refresh"))
			at := len(sealed) - 30
			sealed[at] = map[bool]byte{true: 'B', false: 'A'}[sealed[at] == 'A']
			set(w, "refresh", string(sealed))
		}},
		{"header exchanged", func(w *world) {
			_, rest, _ := strings.Cut(get(w, "refresh"), ".")
			head, _, _ := strings.Cut(get(w, "access"), ".")
			set(w, "refresh", head+"."+rest)
		}},
		{"in the clear", func(w *world) { set(w, "refresh", w.google.refresh) }},
		{"enormous", func(w *world) { set(w, "refresh", strings.Repeat("A", 1<<20)) }},
		{"gone", func(w *world) { set(w, "refresh", "") }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.mustConnect()
			tt.tamper(w)
			w.do("HDEL", w.keys.Connection(business), "access")
			_, err := w.tokens().Token(t.Context())
			if !errors.Is(err, connection.ErrUnreadable) || w.google.renewals != 0 {
				t.Errorf("Token = %v after %d calls of Google, want %v after none", err, w.google.renewals, connection.ErrUnreadable)
			}
			if err != nil && strings.Contains(err.Error(), planted) {
				t.Errorf("the error shows a secret: %v", err)
			}
		})
	}
}
