package auth_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lestrrat-go/jwx/v2/jwa"
	"github.com/lestrrat-go/jwx/v2/jwk"
	"github.com/lestrrat-go/jwx/v2/jws"

	"github.com/prosaas/receipts/pkg/auth"
)

const goodClaims = `{"role":"owner","business_id":"b1","exp":1795438800}`

// issuer publishes a key set over HTTP, and can be down.
type issuer struct {
	url   string
	calls atomic.Int32

	mu   sync.Mutex
	body []byte // nil: down
}

func newIssuer(t *testing.T) *issuer {
	t.Helper()
	is := &issuer{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		is.calls.Add(1)
		is.mu.Lock()
		body := is.body
		is.mu.Unlock()
		if body == nil {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		_, _ = w.Write(body)
	}))
	t.Cleanup(server.Close)
	is.url = server.URL
	return is
}

func (is *issuer) publish(body []byte) {
	is.mu.Lock()
	defer is.mu.Unlock()
	is.body = body
}

// clock is moved by hand.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) move(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// published is a key as an issuer's set shows it.
func published(t *testing.T, public any, attributes map[string]any) json.RawMessage {
	t.Helper()
	key, err := jwk.FromRaw(public)
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range attributes {
		if err := key.Set(name, value); err != nil {
			t.Fatal(err)
		}
	}
	text, err := json.Marshal(key)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func keySet(keys ...json.RawMessage) []byte {
	texts := make([]string, len(keys))
	for i, key := range keys {
		texts[i] = string(key)
	}
	return []byte(`{"keys":[` + strings.Join(texts, ",") + `]}`)
}

// signWith makes a good token whose header names a key.
func signWith(t *testing.T, kid string, alg jwa.SignatureAlgorithm, key any) string {
	t.Helper()
	header := jws.NewHeaders()
	if err := header.Set(jws.KeyIDKey, kid); err != nil {
		t.Fatal(err)
	}
	token, err := jws.Sign([]byte(goodClaims), jws.WithKey(alg, key, jws.WithProtectedHeaders(header)))
	if err != nil {
		t.Fatal(err)
	}
	return string(token)
}

func newEd25519(t *testing.T) (ed25519.PublicKey, ed25519.PrivateKey) {
	t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return public, private
}

func newECDSA(t *testing.T, curve elliptic.Curve) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func TestKeySetAlgorithms(t *testing.T) {
	t.Parallel()
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	p256, p384 := newECDSA(t, elliptic.P256()), newECDSA(t, elliptic.P384())
	edPublic, edPrivate := newEd25519(t)
	der, err := x509.MarshalPKIXPublicKey(&rsaKey.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	rsaPEM := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})

	is := newIssuer(t)
	is.publish(keySet(
		published(t, &rsaKey.PublicKey, map[string]any{"kid": "rsa"}),
		published(t, &rsaKey.PublicKey, map[string]any{"kid": "rsa-384", "alg": "RS384"}),
		published(t, &rsaKey.PublicKey, map[string]any{"kid": "rsa-enc", "use": "enc"}),
		published(t, &p256.PublicKey, map[string]any{"kid": "p256", "alg": "ES256", "use": "sig"}),
		published(t, &p384.PublicKey, map[string]any{"kid": "p384"}),
		published(t, edPublic, map[string]any{"kid": "ed"}),
		published(t, secret, map[string]any{"kid": "oct"}),
		json.RawMessage(`{"kty":"AKP","alg":"ML-DSA-44","kid":"of-the-future","pub":"AAAA"}`),
	))

	tests := []struct {
		name, token string
		err         error
	}{
		{"RS256", signWith(t, "rsa", jwa.RS256, rsaKey), nil},
		{"ES256", signWith(t, "p256", jwa.ES256, p256), nil},
		{"EdDSA", signWith(t, "ed", jwa.EdDSA, edPrivate), nil},
		{"PS256", signWith(t, "rsa", jwa.PS256, rsaKey), auth.ErrInvalid},
		{"ES384", signWith(t, "p384", jwa.ES384, p384), auth.ErrInvalid},
		{"HS256 with the public key as secret", signWith(t, "rsa", jwa.HS256, rsaPEM), auth.ErrInvalid},
		{"HS256 with the public key's DER as secret", signWith(t, "rsa", jwa.HS256, der), auth.ErrInvalid},
		{"HS256 with a secret that the set gives away", signWith(t, "oct", jwa.HS256, secret), auth.ErrInvalid},
		{"key for another algorithm", signWith(t, "rsa-384", jwa.RS256, rsaKey), auth.ErrInvalid},
		{"key for encryption", signWith(t, "rsa-enc", jwa.RS256, rsaKey), auth.ErrInvalid},
		{"key of another kind", signWith(t, "p256", jwa.RS256, rsaKey), auth.ErrInvalid},
		{"key of another curve", signWith(t, "p384", jwa.ES256, p384), auth.ErrInvalid},
		{"key of another signer", signWith(t, "p256", jwa.ES256, newECDSA(t, elliptic.P256())), auth.ErrInvalid},
		{"no key named", sign(t, goodClaims, jwa.RS256, rsaKey), auth.ErrInvalid},
		{"unknown key", signWith(t, "nobody", jwa.RS256, rsaKey), auth.ErrInvalid},
		{"alg none", encode(`{"alg":"none","kid":"rsa"}`) + "." + encode(goodClaims) + ".", auth.ErrInvalid},
	}
	verifier := auth.NewKeySetVerifier(is.url, auth.Options{Now: atNoon})
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := verifier.Verify(t.Context(), tt.token)
			if !errors.Is(err, tt.err) {
				t.Errorf("error %v, want %v", err, tt.err)
			}
			if accepted := got.BusinessID == "b1"; accepted != (tt.err == nil) {
				t.Errorf("principal %+v with error %v", got, err)
			}
		})
	}
}

// A token that no key of a set could have signed makes no call to the issuer.
func TestKeySetIsNotAskedForSecrets(t *testing.T) {
	t.Parallel()
	is := newIssuer(t)
	verifier := auth.NewKeySetVerifier(is.url, auth.Options{Now: atNoon})
	if _, err := verifier.Verify(t.Context(), signWith(t, "k", jwa.HS256, secret)); !errors.Is(err, auth.ErrInvalid) {
		t.Errorf("HS256: %v, want %v", err, auth.ErrInvalid)
	}
	if got := is.calls.Load(); got != 0 {
		t.Errorf("%d fetches", got)
	}
}

// A new key is taken at once; made-up key ids make one fetch in 30 s, not one each.
func TestKeySetRotation(t *testing.T) {
	t.Parallel()
	oldPublic, oldPrivate := newEd25519(t)
	newPublic, newPrivate := newEd25519(t)
	oldKey := published(t, oldPublic, map[string]any{"kid": "old"})
	newKey := published(t, newPublic, map[string]any{"kid": "new"})
	oldToken, newToken := signWith(t, "old", jwa.EdDSA, oldPrivate), signWith(t, "new", jwa.EdDSA, newPrivate)

	is := newIssuer(t)
	is.publish(keySet(oldKey))
	clk := &clock{now: noon}
	verifier := auth.NewKeySetVerifier(is.url, auth.Options{Now: clk.Now})

	steps := []struct {
		name  string
		do    func()
		token string
		err   error
		calls int32 // to the issuer so far
	}{
		{"first token fetches", func() {}, oldToken, nil, 1},
		{"second does not", func() {}, oldToken, nil, 1},
		{"unknown key so soon", func() {}, newToken, auth.ErrInvalid, 1},
		{"rotated, but a moment ago", func() { is.publish(keySet(oldKey, newKey)); clk.move(29 * time.Second) }, newToken, auth.ErrInvalid, 1},
		{"half a minute on", func() { clk.move(time.Second) }, newToken, nil, 2},
		{"both keys verify", func() {}, oldToken, nil, 2},
		{"made-up key", func() { clk.move(30 * time.Second) }, signWith(t, "made-up", jwa.EdDSA, newPrivate), auth.ErrInvalid, 3},
		{"another made-up key", func() {}, signWith(t, "made-up-2", jwa.EdDSA, newPrivate), auth.ErrInvalid, 3},
		{"issuer down, set still good", func() { is.publish(nil); clk.move(15 * time.Minute) }, newToken, nil, 4},
		{"and not asked again at once", func() {}, newToken, nil, 4},
		{"old key withdrawn", func() { is.publish(keySet(newKey)); clk.move(30 * time.Second) }, oldToken, auth.ErrInvalid, 5},
		{"new key stays", func() {}, newToken, nil, 5},
	}
	for _, step := range steps {
		step.do()
		if _, err := verifier.Verify(t.Context(), step.token); !errors.Is(err, step.err) {
			t.Errorf("%s: %v, want %v", step.name, err, step.err)
		}
		if got := is.calls.Load(); got != step.calls {
			t.Errorf("%s: %d fetches, want %d", step.name, got, step.calls)
		}
	}
}

func TestKeySetUnavailableAtStart(t *testing.T) {
	t.Parallel()
	public, private := newEd25519(t)
	good := keySet(published(t, public, map[string]any{"kid": "k"}))
	token := signWith(t, "k", jwa.EdDSA, private)

	for name, body := range map[string][]byte{
		"down":      nil,
		"no JSON":   []byte("<html>sign in to the hotel's network</html>"),
		"no keys":   []byte(`{"keys":[]}`),
		"oversized": append(good, strings.Repeat(" ", 1<<20)...),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			is := newIssuer(t)
			is.publish(body)
			clk := &clock{now: noon}
			verifier := auth.NewKeySetVerifier(is.url, auth.Options{Now: clk.Now})
			for range 3 {
				if _, err := verifier.Verify(t.Context(), token); !errors.Is(err, auth.ErrKeysUnavailable) {
					t.Errorf("without keys: %v, want %v", err, auth.ErrKeysUnavailable)
				}
			}
			if got := is.calls.Load(); got != 1 {
				t.Errorf("%d fetches within a second, want 1", got)
			}
			is.publish(good)
			clk.move(time.Second)
			if _, err := verifier.Verify(t.Context(), token); err != nil {
				t.Errorf("once the keys came: %v", err)
			}
		})
	}
}

// Callers share one fetch, and one who gives up is not held by it.
func TestKeySetFetchIsShared(t *testing.T) {
	t.Parallel()
	public, private := newEd25519(t)
	token := signWith(t, "k", jwa.EdDSA, private)
	good := keySet(published(t, public, map[string]any{"kid": "k"}))
	asked, answer := make(chan struct{}), make(chan struct{})
	var calls atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if calls.Add(1) == 1 {
			close(asked)
		}
		<-answer
		_, _ = w.Write(good)
	}))
	t.Cleanup(server.Close)
	verifier := auth.NewKeySetVerifier(server.URL, auth.Options{Now: atNoon})

	results := make(chan error)
	for range 10 {
		go func() {
			_, err := verifier.Verify(t.Context(), token)
			results <- err
		}()
	}
	<-asked
	hurried, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := verifier.Verify(hurried, token); !errors.Is(err, auth.ErrKeysUnavailable) {
		t.Errorf("who gave up got %v, want %v", err, auth.ErrKeysUnavailable)
	}
	close(answer)
	for i := range 10 {
		if err := <-results; err != nil {
			t.Errorf("caller %d: %v", i, err)
		}
	}
	if got := calls.Load(); got != 1 {
		t.Errorf("%d fetches, want 1", got)
	}
}
