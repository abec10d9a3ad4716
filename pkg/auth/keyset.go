package auth

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/lestrrat-go/jwx/v2/jwa"
	"github.com/lestrrat-go/jwx/v2/jwk"
	"github.com/lestrrat-go/jwx/v2/jws"
	"golang.org/x/sync/singleflight"
)

const (
	fetchTimeout = 5 * time.Second
	maxKeySet    = 1 << 20          // bytes
	firstFloor   = time.Second      // between tries while there is no set
	refreshFloor = 30 * time.Second // between tries once there is one, so that made-up key ids cost nothing
	refreshAge   = 15 * time.Minute // after which a key that its issuer withdrew is no longer trusted
)

// keySet is the issuer's public keys. jwx has a cache of its own, but that
// never asks again for a key that it does not know.
type keySet struct {
	url    string
	now    func() time.Time
	flight singleflight.Group // one fetch at a time, for all who wait

	mu        sync.Mutex
	keys      jwk.Set // nil until the first was fetched
	fetchedAt time.Time
	triedAt   time.Time
	err       error // of the last try
}

func newKeySet(url string, now func() time.Time) *keySet {
	return &keySet{url: url, now: now}
}

// keyFor is the key that a token with this header must be signed with. HS* and
// none are refused before any key is looked at: a public key is no secret.
func (s *keySet) keyFor(ctx context.Context, header jws.Headers) (jwa.SignatureAlgorithm, any, error) {
	alg := header.Algorithm()
	if alg != jwa.RS256 && alg != jwa.ES256 && alg != jwa.EdDSA {
		return "", nil, fmt.Errorf("%w: not signed with RS256, ES256 or EdDSA", ErrInvalid)
	}
	key, err := s.find(ctx, header.KeyID())
	if err != nil {
		return "", nil, err
	}
	if !fits(key, alg) {
		return "", nil, fmt.Errorf("%w: its key is not for its algorithm", ErrInvalid)
	}
	return alg, key, nil
}

func fits(key jwk.Key, alg jwa.SignatureAlgorithm) bool {
	if named := key.Algorithm().String(); named != "" && named != alg.String() {
		return false
	}
	if use := key.KeyUsage(); use != "" && use != string(jwk.ForSignature) {
		return false
	}
	switch key := key.(type) {
	case jwk.RSAPublicKey:
		return alg == jwa.RS256
	case jwk.ECDSAPublicKey:
		return alg == jwa.ES256 && key.Crv() == jwa.P256
	case jwk.OKPPublicKey:
		return alg == jwa.EdDSA && key.Crv() == jwa.Ed25519
	default:
		return false
	}
}

// find looks a key up, and fetches the set where it is missing or lacks the key.
func (s *keySet) find(ctx context.Context, id string) (jwk.Key, error) {
	if id == "" {
		return nil, fmt.Errorf("%w: it names no key", ErrInvalid)
	}
	keys, old, _ := s.state()
	if keys != nil {
		if key, ok := keys.LookupKeyID(id); ok && !old {
			return key, nil
		}
	}
	s.refresh(ctx)
	keys, _, err := s.state()
	if keys == nil {
		return nil, fmt.Errorf("%w: %w", ErrKeysUnavailable, err)
	}
	if key, ok := keys.LookupKeyID(id); ok {
		return key, nil
	}
	return nil, fmt.Errorf("%w: no such key", ErrInvalid)
}

// state is the newest good set, whether it is old, and why the last try failed.
func (s *keySet) state() (keys jwk.Set, old bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	err = s.err
	if err == nil {
		err = errors.New("not fetched in time")
	}
	return s.keys, s.now().Sub(s.fetchedAt) >= refreshAge, err
}

// refresh fetches the set unless that was tried a moment ago, and waits for it
// no longer than ctx. The fetch itself outlives a caller that gives up.
func (s *keySet) refresh(ctx context.Context) {
	done := s.flight.DoChan("", func() (any, error) {
		if !s.begin() {
			return nil, nil
		}
		keys, err := s.fetch()
		s.mu.Lock()
		defer s.mu.Unlock()
		s.err = err
		if err == nil {
			s.keys, s.fetchedAt = keys, s.now()
		}
		return nil, nil
	})
	select {
	case <-done:
	case <-ctx.Done():
	}
}

// begin tells whether it is time for another try, and notes it.
func (s *keySet) begin() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	floor := refreshFloor
	if s.keys == nil {
		floor = firstFloor
	}
	if now := s.now(); s.triedAt.IsZero() || now.Sub(s.triedAt) >= floor {
		s.triedAt = now
		return true
	}
	return false
}

func (s *keySet) fetch() (jwk.Set, error) {
	ctx, cancel := context.WithTimeout(context.Background(), fetchTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url, nil)
	if err != nil {
		return nil, fmt.Errorf("fetch key set: %w", err)
	}
	answer, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, fmt.Errorf("fetch key set: %w", err)
	}
	defer func() { _ = answer.Body.Close() }() // read to its end below, or not wanted
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("fetch key set: answered %s", answer.Status)
	}
	body, err := io.ReadAll(io.LimitReader(answer.Body, maxKeySet+1))
	if err != nil {
		return nil, fmt.Errorf("fetch key set: %w", err)
	}
	if len(body) > maxKeySet {
		return nil, fmt.Errorf("fetch key set: larger than %d bytes", maxKeySet)
	}
	// A key of a kind that jwx does not know must not cost us the others.
	keys, err := jwk.Parse(body, jwk.WithIgnoreParseError(true))
	if err != nil {
		return nil, fmt.Errorf("fetch key set: %w", err)
	}
	if keys.Len() == 0 {
		return nil, errors.New("fetch key set: no key in it")
	}
	return keys, nil
}
