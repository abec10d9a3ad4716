// Package auth tells who calls: it verifies a JSON Web Token and answers with
// its principal, whose business is the only tenant that the caller may touch.
// Nothing is stored: after a crash the next token is verified as the first was.
// No other package verifies tokens, so that jwx can be replaced here alone.
package auth

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/lestrrat-go/jwx/v2/jwa"
	"github.com/lestrrat-go/jwx/v2/jws"
)

// What Verify answers instead of a principal.
var (
	ErrMissing         = errors.New("no token")
	ErrExpired         = errors.New("token has expired")
	ErrInvalid         = errors.New("token is not valid")
	ErrKeysUnavailable = errors.New("no keys to verify tokens with yet")
)

const (
	maxToken = 8 << 10 // bytes
	skew     = 30 * time.Second
)

// Options are what a deployment may add. The zero value accepts every issuer
// and audience, by the system's clock.
type Options struct {
	Issuer   string // what the claim iss must be
	Audience string // what the claim aud must hold
	Now      func() time.Time
}

func (o Options) now() time.Time {
	if o.Now == nil {
		return time.Now()
	}
	return o.Now()
}

// Verifier verifies tokens. It may be used by many goroutines at once.
type Verifier struct {
	opts Options
	// key finds what a token with this header must be signed with.
	key func(context.Context, jws.Headers) (jwa.SignatureAlgorithm, any, error)
}

// NewSecretVerifier verifies tokens signed with HS256 and secret, and no others.
func NewSecretVerifier(secret []byte, opts Options) *Verifier {
	return &Verifier{opts, func(_ context.Context, header jws.Headers) (jwa.SignatureAlgorithm, any, error) {
		if header.Algorithm() != jwa.HS256 {
			return "", nil, fmt.Errorf("%w: not signed with HS256", ErrInvalid)
		}
		return jwa.HS256, secret, nil
	}}
}

// NewKeySetVerifier verifies tokens signed with RS256, ES256 or EdDSA and a key
// of the set at url. The set is fetched when it is first needed, again when a
// token names a key that it lacks (at most every 30 s), and while it is in use
// every 15 minutes. Where fetching fails the last good set stays; until there
// is one, Verify answers [ErrKeysUnavailable].
func NewKeySetVerifier(url string, opts Options) *Verifier {
	return &Verifier{opts, newKeySet(url, opts.now).keyFor}
}

// Verify answers who signed in with token, or one of [ErrMissing],
// [ErrExpired], [ErrInvalid] and [ErrKeysUnavailable]. It waits only for a key
// set, and no longer than ctx.
func (v *Verifier) Verify(ctx context.Context, token string) (Principal, error) {
	switch {
	case token == "":
		return Principal{}, ErrMissing
	case len(token) > maxToken:
		return Principal{}, fmt.Errorf("%w: longer than %d bytes", ErrInvalid, maxToken)
	}
	payload, err := v.payload(ctx, []byte(token))
	if err != nil {
		return Principal{}, err
	}
	return v.opts.principal(payload)
}

// payload is what the token says, once its signature is proved. The algorithm
// is never the token's choice: its header must name the one that the key is for.
func (v *Verifier) payload(ctx context.Context, token []byte) ([]byte, error) {
	message, err := jws.Parse(token, jws.WithCompact())
	if err != nil || len(message.Signatures()) != 1 {
		return nil, fmt.Errorf("%w: not a signed token", ErrInvalid)
	}
	header := message.Signatures()[0].ProtectedHeaders()
	if len(header.Critical()) > 0 { // RFC 7515, 4.1.11: refuse what is not understood
		return nil, fmt.Errorf("%w: unknown critical header", ErrInvalid)
	}
	alg, key, err := v.key(ctx, header)
	if err != nil {
		return nil, err
	}
	payload, err := jws.Verify(token, jws.WithKey(alg, key))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	return payload, nil
}
