package gmailsync

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/prosaas/receipts/pkg/connection"
	"github.com/prosaas/receipts/proto"
)

const (
	tokenKey     = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"
	clientSecret = "planted-client-secret"
)

// linked is a world whose business is connected as a person does it, to the
// simulator's OAuth, and whose log is kept.
type linked struct {
	*world
	keeper *connection.Keeper
	log    *logged

	mu     sync.Mutex
	issued []string // every token that Google gave
}

func newLinked(t *testing.T, o options) *linked {
	t.Helper()
	o.sim.AutoConsent = true
	l := &linked{world: newWorld(t, o), log: &logged{}}
	token := httptest.NewServer(http.HandlerFunc(l.token))
	t.Cleanup(token.Close)
	sealer, err := connection.NewSealer(`{"keys":[{"kty":"oct","kid":"a","alg":"A256GCMKW","k":"` + tokenKey + `"}]}`)
	if err != nil {
		t.Fatal(err)
	}
	logger := slog.New(slog.NewJSONHandler(l.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	l.keeper = connection.New(l.client, l.client, l.keys, connection.OAuth{
		ClientID: "client", ClientSecret: clientSecret, RedirectURL: "http://127.0.0.1/callback",
		AuthURL: l.endpoint + "/o/oauth2/v2/auth", TokenURL: token.URL + "/token", RevokeURL: l.endpoint + "/revoke", GmailEndpoint: l.endpoint + "/",
	}, sealer, connection.Options{Logger: logger})
	l.Syncer.log = logger
	zone := mustZone(t)
	l.open = func(ctx context.Context, business string) (Mailbox, error) {
		tokens, err := l.keeper.Tokens(ctx, business)
		if err != nil {
			return Mailbox{}, err
		}
		return Mailbox{Tokens: tokens, Address: tokens.Address, Epoch: tokens.Epoch, Zone: zone}, nil
	}
	l.link()
	return l
}

// token is Google's token endpoint; what it gives is remembered.
func (l *linked) token(rw http.ResponseWriter, r *http.Request) {
	answer := httptest.NewRecorder()
	l.sim.ServeHTTP(answer, r)
	var tokens struct {
		Access  string `json:"access_token"`
		Refresh string `json:"refresh_token"`
	}
	if json.Unmarshal(answer.Body.Bytes(), &tokens) == nil {
		l.mu.Lock()
		for _, token := range []string{tokens.Access, tokens.Refresh} {
			if token != "" {
				l.issued = append(l.issued, token)
			}
		}
		l.mu.Unlock()
	}
	maps.Copy(rw.Header(), answer.Header())
	rw.WriteHeader(answer.Code)
	_, _ = rw.Write(answer.Body.Bytes())
}

// link connects the business, or connects it again.
func (l *linked) link() {
	l.t.Helper()
	binding := connection.NewBinding()
	authURL, err := l.keeper.Start(l.t.Context(), connection.Request{Business: business, Binding: binding})
	if err != nil {
		l.t.Fatal(err)
	}
	request, err := http.NewRequestWithContext(l.t.Context(), http.MethodGet, authURL, http.NoBody)
	if err != nil {
		l.t.Fatal(err)
	}
	answer, err := http.DefaultTransport.RoundTrip(request)
	if err != nil {
		l.t.Fatal(err)
	}
	_ = answer.Body.Close()
	back, err := answer.Location()
	if err != nil {
		l.t.Fatal(err)
	}
	if _, err := l.keeper.Complete(l.t.Context(), back.Query().Get("state"), back.Query().Get("code"), binding); err != nil {
		l.t.Fatal(err)
	}
}

func (l *linked) status() proto.ConnectionAnswer {
	l.t.Helper()
	answer, err := l.keeper.Status(l.t.Context(), business)
	if err != nil {
		l.t.Fatal(err)
	}
	return answer
}

// logged is a log that can be read while it is written.
type logged struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}
