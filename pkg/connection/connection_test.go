package connection_test

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/rueidis"
	"go.uber.org/goleak"

	"github.com/prosaas/receipts/pkg/connection"
	"github.com/prosaas/receipts/pkg/redisclient"
	"github.com/prosaas/receipts/pkg/redistest"
	"github.com/prosaas/receipts/proto"
)

const (
	business = "b-17"
	keyA     = `{"kty":"oct","kid":"a","alg":"A256GCMKW","k":"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"}`
	keyB     = `{"kty":"oct","kid":"b","alg":"A256GCMKW","k":"_wECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"}`
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// world is one Redis, one Google and a keeper between them.
type world struct {
	t      *testing.T
	redis  *redisclient.Client // the queue's
	store  *redisclient.Client // the same, but where a test divides them
	keys   proto.Keys
	google *google
	oauth  connection.OAuth
	log    bytes.Buffer
	keeper *connection.Keeper
}

func newWorld(t *testing.T) *world {
	t.Helper()
	client, err := redisclient.Open(redistest.DB(t), redisclient.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	<-client.Ready()
	w := &world{t: t, redis: client, store: client, keys: proto.MustKeys(proto.DefaultPrefix), google: newGoogle(t)}
	w.oauth = connection.OAuth{
		ClientID: "client", ClientSecret: planted + "client", RedirectURL: "http://127.0.0.1/api/gmail/oauth/callback",
		AuthURL: w.google.URL + "/auth", TokenURL: w.google.URL + "/token", RevokeURL: w.google.URL + "/revoke", GmailEndpoint: w.google.URL + "/",
	}
	w.keeper = w.with(w.oauth, keySet(keyA), connection.Options{})
	return w
}

func keySet(keys ...string) string { return `{"keys":[` + strings.Join(keys, ",") + `]}` }

// with is another keeper over the same Redis and Google, as another process has it.
func (w *world) with(oauth connection.OAuth, tokenKeys string, opts connection.Options) *connection.Keeper {
	w.t.Helper()
	sealer, err := connection.NewSealer(tokenKeys)
	if err != nil {
		w.t.Fatal(err)
	}
	opts.Logger = slog.New(slog.NewTextHandler(&w.log, nil))
	return connection.New(w.store, w.redis, w.keys, oauth, sealer, opts)
}

// connect goes the whole way, with the mailbox that Google has now.
func (w *world) connect(r connection.Request) error {
	w.t.Helper()
	authURL, err := w.keeper.Start(w.t.Context(), r)
	if err != nil {
		w.t.Fatal(err)
	}
	state, code := w.google.consent(w.t, authURL)
	done, err := w.keeper.Complete(w.t.Context(), state, code, r.Binding)
	if done.Business != r.Business {
		w.t.Errorf("completed for business %q, want %q", done.Business, r.Business)
	}
	return err
}

func (w *world) mustConnect() {
	w.t.Helper()
	if err := w.connect(connection.Request{Business: business, Binding: connection.NewBinding()}); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) tokens() *connection.Tokens {
	w.t.Helper()
	tokens, err := w.keeper.Tokens(w.t.Context(), business)
	if err != nil {
		w.t.Fatal(err)
	}
	return tokens
}

func (w *world) do(args ...string) rueidis.RedisMessage {
	w.t.Helper()
	message, err := w.redis.Do(w.t.Context(), func(b rueidis.Builder) rueidis.Completed {
		return b.Arbitrary(args...).Build()
	})
	if err != nil && !redisclient.IsNil(err) {
		w.t.Fatalf("%s: %v", args[0], err)
	}
	return message
}

func (w *world) state() proto.ConnectionState {
	w.t.Helper()
	answer, err := w.keeper.Status(w.t.Context(), business)
	if err != nil {
		w.t.Fatal(err)
	}
	return answer.Status
}

func (w *world) listed() bool {
	w.t.Helper()
	return w.text("ZSCORE", w.keys.Businesses(), business) != ""
}

// dump is everything that Redis holds, keys included.
func (w *world) dump() string {
	w.t.Helper()
	var all strings.Builder
	for _, key := range w.strings("KEYS", "*") {
		all.WriteString(key + "\n")
		switch w.text("TYPE", key) {
		case "hash":
			all.WriteString(strings.Join(w.strings("HGETALL", key), "\n"))
		case "string":
			all.WriteString(w.text("GET", key))
		case "zset":
			all.WriteString(strings.Join(w.strings("ZRANGE", key, "0", "-1"), "\n"))
		}
	}
	return all.String()
}

// text is the reply of a command as text, "" for none.
func (w *world) text(args ...string) string {
	w.t.Helper()
	message := w.do(args...)
	if message.IsNil() {
		return ""
	}
	text, err := message.ToString()
	if err != nil {
		w.t.Fatal(err)
	}
	return text
}

func (w *world) strings(args ...string) []string {
	w.t.Helper()
	message := w.do(args...)
	values, err := message.AsStrSlice()
	if err != nil {
		w.t.Fatal(err)
	}
	return values
}

func TestStatus(t *testing.T) {
	t.Parallel()
	address, action := "owner@example.test", "Reconnect Gmail"
	reason := "The permission to read Gmail was not granted"
	tests := []struct {
		name   string
		do     func(w *world)
		want   proto.ConnectionAnswer
		listed bool
	}{
		{"never connected", func(*world) {}, proto.ConnectionAnswer{Status: proto.ConnectionNone}, false},
		{"connected", (*world).mustConnect, proto.ConnectionAnswer{Status: proto.ConnectionConnected, Connected: true, Email: &address}, true},
		{"disconnected", func(w *world) {
			w.mustConnect()
			w.disconnect()
		}, proto.ConnectionAnswer{Status: proto.ConnectionNone}, false},
		{"marked by a job", func(w *world) {
			w.mustConnect()
			w.mark(w.tokens(), connection.ReasonScope)
		}, proto.ConnectionAnswer{Status: proto.ConnectionReconnect, Email: &address, Reason: &reason, Action: &action}, false},
		{"marked by a job of the connection before", func(w *world) {
			w.mustConnect()
			old := w.tokens()
			w.mustConnect()
			w.mark(old, connection.ReasonScope)
		}, proto.ConnectionAnswer{Status: proto.ConnectionConnected, Connected: true, Email: &address}, true},
		{"connected again", func(w *world) {
			w.mustConnect()
			w.mark(w.tokens(), connection.ReasonScope)
			w.mustConnect()
		}, proto.ConnectionAnswer{Status: proto.ConnectionConnected, Connected: true, Email: &address}, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			tt.do(w)
			got, err := w.keeper.Status(t.Context(), business)
			if err != nil {
				t.Fatal(err)
			}
			tt.want.Success = true
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("Status (-want +got):\n%s", diff)
			}
			if w.listed() != tt.listed {
				t.Errorf("in the index of connected businesses: %v, want %v", w.listed(), tt.listed)
			}
		})
	}
}

func (w *world) disconnect() {
	w.t.Helper()
	if err := w.keeper.Disconnect(w.t.Context(), business); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) mark(tokens *connection.Tokens, reason connection.Reason) {
	w.t.Helper()
	if err := tokens.MarkReconnect(w.t.Context(), reason); err != nil {
		w.t.Fatal(err)
	}
}

func TestDisconnectRevokesAndErases(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.mustConnect()
	refresh := w.google.refresh
	w.do("HSET", w.keys.Receipts(business), "r1", "kept")
	w.disconnect()
	w.disconnect() // a second time there is nothing to do
	if diff := cmp.Diff([]string{refresh}, w.google.revoked); diff != "" {
		t.Errorf("revoked at Google (-want +got):\n%s", diff)
	}
	fields := w.strings("HKEYS", w.keys.Connection(business))
	for _, field := range fields {
		if strings.Contains("refresh access", field) {
			t.Errorf("%s is still there", field)
		}
	}
	if w.text("HGET", w.keys.Receipts(business), "r1") != "kept" {
		t.Error("the receipts went with the connection")
	}
}

func TestDisconnectWithoutGoogle(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.mustConnect()
	w.google.Close()
	w.disconnect()
	if w.state() != proto.ConnectionNone || w.listed() {
		t.Errorf("state %s, listed %v after a disconnect that Google did not hear of", w.state(), w.listed())
	}
	if !strings.Contains(w.log.String(), "not revoked") || strings.Contains(w.log.String(), planted) {
		t.Errorf("logged %s", w.log.String())
	}
}

// The epoch never comes back, so that nothing written in the name of a
// connection that is gone is taken for the present one's.
func TestEpochGrows(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	epoch := func() string { return w.text("HGET", w.keys.Connection(business), "epoch") }
	var seen []string
	step := func(change func()) {
		change()
		if now := epoch(); len(seen) > 0 && (len(now) < len(seen[len(seen)-1]) || now <= seen[len(seen)-1]) {
			t.Errorf("epoch %s after %v", now, seen)
		}
		seen = append(seen, epoch())
	}
	step(w.mustConnect)
	step(w.mustConnect)
	step(w.disconnect)
	step(w.mustConnect)
	w.do("HSET", w.keys.Connection(business), "epoch", "9000000000000001") // a clock that was ahead
	seen = append(seen, epoch())
	step(w.disconnect)
	step(w.mustConnect)
	w.do("DEL", w.keys.Connection(business)) // erased
	seen = seen[:2]
	step(w.mustConnect)
}

func TestRepair(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name      string
		do        func(w *world)
		connected bool
		due       string // the entry's score, "" for any
	}{
		{"connected, entry lost", func(w *world) {
			w.mustConnect()
			w.do("ZREM", w.keys.Businesses(), business)
		}, true, ""},
		{"connected, entry there", func(w *world) {
			w.mustConnect()
			w.do("ZADD", w.keys.Businesses(), "17", business)
		}, true, "17"},
		{"not connected, entry there", func(w *world) { w.do("ZADD", w.keys.Businesses(), "17", business) }, false, ""},
		{"to be connected again, entry there", func(w *world) {
			w.mustConnect()
			w.mark(w.tokens(), connection.ReasonRevoked)
			w.do("ZADD", w.keys.Businesses(), "17", business)
		}, false, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			tt.do(w)
			connected, err := w.keeper.Repair(t.Context(), business)
			if err != nil || connected != tt.connected || w.listed() != tt.connected {
				t.Errorf("Repair = %v, %v, listed %v; want %v", connected, err, w.listed(), tt.connected)
			}
			if score := w.text("ZSCORE", w.keys.Businesses(), business); tt.due != "" && score != tt.due {
				t.Errorf("due %s, want %s", score, tt.due)
			}
		})
	}
}

func TestRedisAway(t *testing.T) {
	t.Parallel()
	server := redistest.Reserve(t) // nothing listens there
	client, err := redisclient.Open(server.URL(), redisclient.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	sealer, err := connection.NewSealer(keySet(keyA))
	if err != nil {
		t.Fatal(err)
	}
	keeper := connection.New(client, client, proto.MustKeys(proto.DefaultPrefix), connection.OAuth{ClientID: "c", ClientSecret: "s", RedirectURL: "http://127.0.0.1/"}, sealer, connection.Options{})
	state := strings.Repeat("s", 43)
	calls := map[string]func(context.Context) error{
		"status": func(ctx context.Context) error { _, err := keeper.Status(ctx, business); return err },
		"start": func(ctx context.Context) error {
			_, err := keeper.Start(ctx, connection.Request{Business: business})
			return err
		},
		"complete":   func(ctx context.Context) error { _, err := keeper.Complete(ctx, state, "code", "binding"); return err },
		"disconnect": func(ctx context.Context) error { return keeper.Disconnect(ctx, business) },
		"repair":     func(ctx context.Context) error { _, err := keeper.Repair(ctx, business); return err },
		"tokens":     func(ctx context.Context) error { _, err := keeper.Tokens(ctx, business); return err },
		"settings":   func(ctx context.Context) error { _, err := keeper.Settings(ctx, business); return err },
		"choose": func(ctx context.Context) error {
			return keeper.Choose(ctx, business, connection.Settings{Language: "he"})
		},
	}
	for name, call := range calls {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		if err := call(ctx); !isUnavailable(err) {
			t.Errorf("%s = %v, want %v", name, err, redisclient.ErrUnavailable)
		}
		cancel()
	}
}
