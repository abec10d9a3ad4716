package connection_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/prosaas/receipts/pkg/connection"
	"github.com/prosaas/receipts/proto"
)

func TestStartAsksGoogle(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	authURL, err := w.keeper.Start(t.Context(), connection.Request{Business: business, Subject: "u-1", Binding: "the-binding"})
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(authURL)
	if err != nil {
		t.Fatal(err)
	}
	query := u.Query()
	state := query.Get("state")
	if len(state) != 43 || len(query.Get("code_challenge")) != 43 {
		t.Errorf("state %q, challenge %q: want 43 characters each", state, query.Get("code_challenge"))
	}
	query.Del("state")
	query.Del("code_challenge")
	want := url.Values{
		"access_type": {"offline"}, "prompt": {"consent"}, "response_type": {"code"}, "code_challenge_method": {"S256"}, "client_id": {"client"},
		"scope": {"https://www.googleapis.com/auth/gmail.readonly"}, "redirect_uri": {w.oauth.RedirectURL},
	}
	if diff := cmp.Diff(want, query); diff != "" {
		t.Errorf("asked of Google (-want +got):\n%s", diff)
	}
	ttl := w.do("PTTL", w.keys.OAuthState(state))
	if left, err := ttl.AsInt64(); err != nil || left <= 0 || left > connection.PendingTTL.Milliseconds() {
		t.Errorf("the pending authorization expires in %d ms, error %v", left, err)
	}
	if dump := w.dump(); strings.Contains(dump, "the-binding") {
		t.Errorf("the binding lies in the clear: %s", dump)
	}
}

func TestComplete(t *testing.T) {
	t.Parallel()
	const binding = "the-binding"
	gone := func(w *world, _, state, code string) (string, string) {
		w.do("DEL", w.keys.OAuthState(state))
		return state, code
	}
	used := func(w *world, authURL, state, code string) (string, string) {
		if _, err := w.keeper.Complete(w.t.Context(), state, code, binding); err != nil {
			w.t.Fatal(err)
		}
		w.disconnect()
		_, again := w.google.consent(w.t, authURL) // Google would take it
		return state, again
	}
	malformed := func(w *world, _, state, code string) (string, string) {
		other := "}" + state[1:]
		w.do("RENAME", w.keys.OAuthState(state), w.keys.OAuthState(other))
		return other, code
	}
	tests := []struct {
		name    string
		google  func(g *google)
		meddle  func(w *world, authURL, state, code string) (string, string)
		binding string
		want    error
	}{
		{name: "well", binding: binding},
		{name: "scope not told", binding: binding, google: func(g *google) { g.scope = "" }},
		{name: "more than asked", binding: binding, google: func(g *google) { g.scope = "openid https://mail.google.com/" }},
		{name: "scope unticked", binding: binding, google: func(g *google) { g.scope = "openid" }, want: connection.ErrScope},
		{name: "no refresh token", binding: binding, google: func(g *google) { g.noToken = true }, want: connection.ErrNoRefreshToken},
		{name: "another browser", binding: "another", want: connection.ErrState},
		{name: "no binding", want: connection.ErrState},
		{name: "expired", binding: binding, meddle: gone, want: connection.ErrState},
		{name: "used", binding: binding, meddle: used, want: connection.ErrState},
		{name: "no state", binding: binding, meddle: func(_ *world, _, _, code string) (string, string) { return "", code }, want: connection.ErrState},
		{name: "state that would be another key", binding: binding, meddle: malformed, want: connection.ErrState},
		{name: "no code", binding: binding, meddle: func(_ *world, _, state, _ string) (string, string) { return state, "" }, want: connection.ErrState},
		{name: "code of another authorization", binding: binding, meddle: func(w *world, _, state, _ string) (string, string) {
			other, err := w.keeper.Start(w.t.Context(), connection.Request{Business: business, Binding: binding})
			if err != nil {
				w.t.Fatal(err)
			}
			_, code := w.google.consent(w.t, other)
			return state, code
		}, want: connection.ErrState}, // PKCE: its challenge is another verifier's
		{name: "google fails", binding: binding, google: func(g *google) { g.answer = status(http.StatusBadGateway) }, want: connection.ErrGoogle},
		{name: "google sends elsewhere", binding: binding, google: func(g *google) { g.answer = redirect(g.URL + "/token") }, want: connection.ErrGoogle},
		{name: "google is away", binding: binding, google: func(g *google) { g.Close() }, want: connection.ErrGoogle},
		{name: "google refuses the client", binding: binding, google: func(g *google) { g.answer = oauthError(http.StatusUnauthorized, "invalid_client") }, want: connection.ErrClient},
		{name: "gmail refuses the scope", binding: binding, google: func(g *google) {
			g.profileAnswer = `{"error":{"code":403,"errors":[{"reason":"insufficientPermissions"}]}}`
		}, want: connection.ErrScope},
		{name: "gmail tells no address", binding: binding, google: func(g *google) { g.profileAnswer = `{}` }, want: connection.ErrGoogle},
		{name: "gmail does not end", binding: binding, google: func(g *google) { g.profileAnswer = strings.Repeat(" ", 1<<20) + `{"emailAddress":"a@example.test"}` }, want: connection.ErrGoogle},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			if tt.google != nil {
				tt.google(w.google)
			}
			authURL, err := w.keeper.Start(t.Context(), connection.Request{Business: business, Binding: binding})
			if err != nil {
				t.Fatal(err)
			}
			state, code := w.google.consent(t, authURL)
			if tt.meddle != nil {
				state, code = tt.meddle(w, authURL, state, code)
			}
			_, err = w.keeper.Complete(t.Context(), state, code, tt.binding)
			if !errors.Is(err, tt.want) {
				t.Fatalf("Complete = %v, want %v", err, tt.want)
			}
			connected := tt.want == nil
			if got := w.state() == proto.ConnectionConnected; got != connected || w.listed() != connected {
				t.Errorf("connected %v, listed %v; want %v", got, w.listed(), connected)
			}
			if err != nil && strings.Contains(err.Error(), planted) {
				t.Errorf("the error shows a secret: %v", err)
			}
			if dump := w.dump(); strings.Contains(dump, planted) {
				t.Errorf("a secret lies in the clear: %s", dump)
			}
		})
	}
}

func status(code int) func(http.ResponseWriter, string) bool {
	return func(w http.ResponseWriter, _ string) bool {
		http.Error(w, "<html>"+planted+"</html>", code)
		return true
	}
}

func oauthError(status int, code string) func(http.ResponseWriter, string) bool {
	return func(w http.ResponseWriter, _ string) bool {
		refuse(w, status, code)
		return true
	}
}

// redirect sends the first request on, as a server would that wants another to see it.
func redirect(to string) func(http.ResponseWriter, string) bool {
	sent := false
	return func(w http.ResponseWriter, _ string) bool {
		if sent {
			return false
		}
		sent = true
		w.Header().Set("Location", to)
		w.WriteHeader(http.StatusTemporaryRedirect)
		return true
	}
}

func TestStartWithoutClient(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	keeper := w.with(connection.OAuth{}, keySet(keyA), connection.Options{})
	if _, err := keeper.Start(t.Context(), connection.Request{Business: business}); !errors.Is(err, connection.ErrNoClient) {
		t.Errorf("Start = %v, want %v", err, connection.ErrNoClient)
	}
}

// Another mailbox is refused unless it was confirmed; then what is known of
// the old one's messages goes, and the receipts and the fence stay.
func TestOtherMailbox(t *testing.T) {
	t.Parallel()
	const job = "0190-job"
	tests := []struct {
		name      string
		address   string
		confirmed bool
		between   func(w *world)
		want      error
		kept      bool
	}{
		{name: "the same", address: "owner@example.test", kept: true},
		{name: "the same, written otherwise", address: "OWNER@example.TEST", kept: true},
		{name: "the same, confirmed for nothing", address: "owner@example.test", confirmed: true, kept: true},
		{name: "another", address: "other@example.test", want: connection.ErrOtherMailbox, kept: true},
		{name: "another after a disconnect", address: "other@example.test", between: (*world).disconnect, want: connection.ErrOtherMailbox, kept: true},
		{name: "another, confirmed", address: "other@example.test", confirmed: true},
		{name: "another after a disconnect, confirmed", address: "other@example.test", confirmed: true, between: (*world).disconnect},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.mustConnect()
			w.do("SET", w.keys.Inflight(business), job)
			w.do("HSET", w.keys.Sync(business), "fence", "17", "cursor", "99", "last_ok", "1")
			w.do("SADD", w.keys.Owed(business), "m1")
			w.do("SADD", w.keys.Wanted(business, job), "m2")
			w.do("HSET", w.keys.Run(business, job), "position", "3")
			w.do("HSET", w.keys.Outcomes(business), "m3", "receipt")
			w.do("HSET", w.keys.Receipts(business), "r1", "x")
			if tt.between != nil {
				tt.between(w)
			}
			before := w.state()

			w.google.address = tt.address
			err := w.connect(connection.Request{Business: business, Binding: "x", NewMailbox: tt.confirmed})
			if !errors.Is(err, tt.want) {
				t.Fatalf("connect = %v, want %v", err, tt.want)
			}
			if tt.want != nil && w.state() != before {
				t.Errorf("a refused mailbox made the connection %s, before it was %s", w.state(), before)
			}
			want := map[string]string{w.keys.Sync(business): "fence", w.keys.Receipts(business): "r1"}
			if tt.kept {
				want[w.keys.Sync(business)] = "cursor fence last_ok"
				want[w.keys.Owed(business)] = "m1"
				want[w.keys.Wanted(business, job)] = "m2"
				want[w.keys.Run(business, job)] = "position"
				want[w.keys.Outcomes(business)] = "m3"
			}
			got := map[string]string{}
			for _, key := range w.strings("KEYS", "*{b:*") {
				switch {
				case key == w.keys.Connection(business):
				case w.text("TYPE", key) == "set":
					got[key] = w.text("SRANDMEMBER", key)
				default:
					fields := w.strings("HKEYS", key)
					slices.Sort(fields)
					got[key] = strings.Join(fields, " ")
				}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("kept of the old mailbox (-want +got):\n%s", diff)
			}
		})
	}
}

// Two callbacks at once: whichever comes first, one mailbox is connected and
// the other refused.
func TestTwoMailboxesAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	failed := make(chan error, 2)
	for i := range 2 {
		authURL, err := w.keeper.Start(t.Context(), connection.Request{Business: business, Binding: "x"})
		if err != nil {
			t.Fatal(err)
		}
		state, code := w.google.consent(t, authURL)
		address := fmt.Sprintf("mailbox-%d@example.test", i)
		other := newGoogle(t)
		other.address = address
		oauth := w.oauth
		oauth.TokenURL, oauth.GmailEndpoint = other.URL+"/token", other.URL
		keeper := w.with(oauth, keySet(keyA), connection.Options{})
		other.codes = map[string]url.Values{code: w.google.codes[code]}
		go func() {
			_, err := keeper.Complete(t.Context(), state, code, "x")
			failed <- err
		}()
	}
	first, second := <-failed, <-failed
	if first == nil {
		first, second = second, first
	}
	if second != nil || !errors.Is(first, connection.ErrOtherMailbox) {
		t.Errorf("outcomes %v and %v, want none and %v", second, first, connection.ErrOtherMailbox)
	}
}
