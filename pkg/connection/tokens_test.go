package connection_test

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/prosaas/receipts/pkg/connection"
	"github.com/prosaas/receipts/proto"
)

func (w *world) token(tokens *connection.Tokens) string {
	w.t.Helper()
	token, err := tokens.Token(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	return token
}

// ages makes the stored access token one that is to be renewed, and ends, in
// so many ms.
func (w *world) ages(renew, until int) {
	w.t.Helper()
	const script = `
local time = redis.call('TIME')
local now = time[1] * 1000
for i, field in ipairs({'access_renew', 'access_until'}) do
  redis.call('HSET', KEYS[1], field, string.format('%.0f', now + ARGV[i]))
end`
	w.do("EVAL", script, "1", w.keys.Connection(business), strconv.Itoa(renew), strconv.Itoa(until))
}

func TestTokenIsRenewedAheadOfItsEnd(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name         string
		renew, until int  // ms from now
		away         bool // Google fails
		renewals     int
		want         error
	}{
		{"fresh", 3_600_000, 3_600_000, false, 0, nil},
		{"near its end", -60_000, 60_000, false, 1, nil},
		{"ended", -180_000, -60_000, false, 1, nil},
		{"near its end, google away", -60_000, 60_000, true, 0, nil},
		{"ended, google away", -180_000, -60_000, true, 0, connection.ErrGoogle},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.mustConnect()
			tokens := w.tokens()
			w.ages(tt.renew, tt.until)
			if tt.away {
				w.google.answer = status(http.StatusServiceUnavailable)
			}
			_, err := tokens.Token(t.Context())
			if !errors.Is(err, tt.want) || w.google.renewals != tt.renewals {
				t.Fatalf("Token = %v after %d renewals, want %v after %d", err, w.google.renewals, tt.want, tt.renewals)
			}
			if w.state() != proto.ConnectionConnected {
				t.Errorf("the connection became %s", w.state())
			}
			if tt.want == nil && !tt.away {
				w.token(tokens)
				if w.google.renewals != tt.renewals {
					t.Error("the next token was renewed again")
				}
			}
			if w.text("GET", w.keys.TokenLock(business)) != "" {
				t.Error("the lock was kept")
			}
		})
	}
}

// Ten callers whose token Gmail refused make one request, and all get what it answered.
func TestRefreshOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.mustConnect()
	rejected := w.token(w.tokens())
	type outcome struct {
		token string
		err   error
	}
	outcomes := make(chan outcome, 10)
	for i := range cap(outcomes) {
		keeper := w.keeper
		if i%2 == 1 { // another process
			keeper = w.with(w.oauth, keySet(keyA), connection.Options{})
		}
		tokens, err := keeper.Tokens(t.Context(), business)
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			token, err := tokens.Refresh(t.Context(), rejected)
			outcomes <- outcome{token, err}
		}()
	}
	want := outcome{planted + "access-2", nil}
	for range cap(outcomes) {
		if got := <-outcomes; got != want {
			t.Errorf("Refresh = %v, want %v", got, want)
		}
	}
	if w.google.renewals != 1 {
		t.Errorf("%d requests to Google, want 1", w.google.renewals)
	}
}

func TestRefreshTokenIsKept(t *testing.T) {
	t.Parallel()
	for _, keepOld := range []bool{true, false} {
		w := newWorld(t)
		w.mustConnect()
		w.google.keepOld = keepOld
		tokens := w.tokens()
		for range 3 {
			if _, err := tokens.Refresh(t.Context(), w.token(tokens)); err != nil {
				t.Fatalf("google answers a new refresh token %v: %v", !keepOld, err)
			}
		}
		if w.google.renewals != 3 {
			t.Errorf("%d renewals, want 3", w.google.renewals)
		}
		if dump := w.dump(); strings.Contains(dump, planted) {
			t.Errorf("a secret lies in the clear: %s", dump)
		}
	}
}

func TestRefusedRefresh(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		answer func(http.ResponseWriter, string) bool
		want   error
		state  proto.ConnectionState
	}{
		{"revoked", oauthError(http.StatusBadRequest, "invalid_grant"), connection.ErrReconnect, proto.ConnectionReconnect},
		{"client unknown", oauthError(http.StatusUnauthorized, "invalid_client"), connection.ErrClient, proto.ConnectionConnected},
		{"client not allowed", oauthError(http.StatusBadRequest, "unauthorized_client"), connection.ErrClient, proto.ConnectionConnected},
		{"google fails", status(http.StatusInternalServerError), connection.ErrGoogle, proto.ConnectionConnected},
		{"google answers HTML", status(http.StatusOK), connection.ErrGoogle, proto.ConnectionConnected},
		{"too many requests", status(http.StatusTooManyRequests), connection.ErrGoogle, proto.ConnectionConnected},
		{"an error that nobody knows", oauthError(http.StatusBadRequest, "temporarily_unavailable"), connection.ErrGoogle, proto.ConnectionConnected},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.mustConnect()
			tokens := w.tokens()
			rejected := w.token(tokens)
			w.google.answer = tt.answer
			_, err := tokens.Refresh(t.Context(), rejected)
			if !errors.Is(err, tt.want) || strings.Contains(err.Error(), planted) {
				t.Errorf("Refresh = %v, want %v and no secret", err, tt.want)
			}
			if w.state() != tt.state || w.listed() != (tt.state == proto.ConnectionConnected) {
				t.Errorf("state %s, listed %v; want %s", w.state(), w.listed(), tt.state)
			}
			if _, err := w.keeper.Tokens(t.Context(), business); tt.state == proto.ConnectionReconnect && !errors.Is(err, connection.ErrReconnect) {
				t.Errorf("the next job's Tokens = %v, want %v", err, connection.ErrReconnect)
			}
			if w.text("GET", w.keys.TokenLock(business)) != "" {
				t.Error("the lock was kept")
			}
		})
	}
}

// What came of a refresh whose lock ran out is not written over another's: not
// its tokens, and not that Google takes the old refresh token for none.
func TestLostLock(t *testing.T) {
	t.Parallel()
	for _, refused := range []bool{false, true} {
		w := newWorld(t)
		w.mustConnect()
		w.google.keepOld = true
		tokens := w.tokens()
		rejected := w.token(tokens)
		calls := 0
		w.google.answer = func(rw http.ResponseWriter, _ string) bool {
			if calls++; calls > 1 {
				return false
			}
			// The lock runs out while Google thinks, and another renews.
			w.do("DEL", w.keys.TokenLock(business))
			if _, err := tokens.Refresh(t.Context(), rejected); err != nil {
				t.Errorf("the other's refresh: %v", err)
			}
			w.do("SET", w.keys.TokenLock(business), "a third")
			if refused {
				refuse(rw, http.StatusBadRequest, "invalid_grant")
				return true
			}
			return false
		}
		got, err := tokens.Refresh(t.Context(), rejected)
		if err != nil || got != planted+"access-2" || w.state() != proto.ConnectionConnected {
			t.Errorf("refused %v: Refresh = %q, %v, connection %s; want what the other stored", refused, got, err, w.state())
		}
		if w.text("GET", w.keys.TokenLock(business)) != "a third" {
			t.Error("the lock of another was taken away")
		}
	}
}

// A lock whose holder died runs out.
func TestLockOfTheDead(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.mustConnect()
	tokens := w.tokens()
	w.do("SET", w.keys.TokenLock(business), "somebody", "PX", "150")
	if _, err := tokens.Refresh(t.Context(), w.token(tokens)); err != nil || w.google.renewals != 1 {
		t.Errorf("Refresh = %v after %d renewals", err, w.google.renewals)
	}
}

func TestWaiterGivesUp(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.mustConnect()
	tokens := w.tokens()
	rejected := w.token(tokens)
	w.do("SET", w.keys.TokenLock(business), "somebody")
	ctx, cancel := context.WithCancelCause(t.Context())
	gaveUp := make(chan error, 1)
	go func() {
		_, err := tokens.Refresh(ctx, rejected)
		gaveUp <- err
	}()
	cancel(errors.New("shutdown"))
	if err := <-gaveUp; !errors.Is(err, context.Canceled) {
		t.Errorf("Refresh = %v, want %v", err, context.Canceled)
	}
	if w.text("GET", w.keys.TokenLock(business)) != "somebody" {
		t.Error("the lock of another was taken away")
	}
}

// A job's tokens end with the connection that it found.
func TestTokensEndWithTheConnection(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		do   func(w *world)
		want error
	}{
		{"disconnected", (*world).disconnect, connection.ErrNotConnected},
		{"connected anew", (*world).mustConnect, connection.ErrChanged},
		{"erased", func(w *world) { w.do("DEL", w.keys.Connection(business)) }, connection.ErrNotConnected},
		{"to be connected again", func(w *world) { w.mark(w.tokens(), connection.ReasonUnauthorized) }, connection.ErrReconnect},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.mustConnect()
			tokens := w.tokens()
			rejected := w.token(tokens)
			tt.do(w)
			if _, err := tokens.Token(t.Context()); !errors.Is(err, tt.want) {
				t.Errorf("Token = %v, want %v", err, tt.want)
			}
			if _, err := tokens.Refresh(t.Context(), rejected); !errors.Is(err, tt.want) {
				t.Errorf("Refresh = %v, want %v", err, tt.want)
			}
			if w.google.renewals != 0 {
				t.Errorf("%d requests to Google in the name of a connection that is no more", w.google.renewals)
			}
		})
	}
}

// A connection that ends while Google renews its token gets nothing written.
func TestDisconnectDuringRefresh(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.mustConnect()
	tokens := w.tokens()
	rejected := w.token(tokens)
	w.google.answer = func(http.ResponseWriter, string) bool { w.disconnect(); return false }
	if _, err := tokens.Refresh(t.Context(), rejected); !errors.Is(err, connection.ErrChanged) {
		t.Errorf("Refresh = %v, want %v", err, connection.ErrChanged)
	}
	if w.text("HGET", w.keys.Connection(business), "refresh") != "" || w.state() != proto.ConnectionNone {
		t.Error("the refresh brought the erased token back")
	}
}

// Two minutes ahead, or half the life of a token that is short-lived.
func TestRenewalAhead(t *testing.T) {
	t.Parallel()
	for life, want := range map[int]int64{3600: 120_000, 60: 30_000} {
		w := newWorld(t)
		w.google.life = life
		w.mustConnect()
		message := w.do("HMGET", w.keys.Connection(business), "access_renew", "access_until")
		at, err := message.AsIntSlice()
		if err != nil {
			t.Fatal(err)
		}
		if ahead := at[1] - at[0]; ahead != want {
			t.Errorf("a token of %d s is renewed %d ms ahead, want %d", life, ahead, want)
		}
	}
}
