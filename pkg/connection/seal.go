package connection

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/lestrrat-go/jwx/v2/jwa"
	"github.com/lestrrat-go/jwx/v2/jwe"
	"github.com/lestrrat-go/jwx/v2/jwk"
)

// Sealer encrypts tokens: compact JWE, A256GCMKW and A256GCM, bound to the
// business and to what the token is used for by protected headers, so that a
// sealed token moved elsewhere does not open. The zero Sealer has no keys and
// refuses with [ErrNoKeys].
type Sealer struct {
	first jwk.Key // encrypts
	all   jwk.Set // decrypt, by kid
}

// NewSealer reads a JWK set: each key oct of 256 bit, with a kid of its own and
// alg A256GCMKW; the first encrypts, all decrypt. Keys rotate by putting a new
// one first; the old one may go once every business was synced. An empty set of
// keys is a Sealer that refuses. An error says which key is wrong and how to
// mend it, and shows no key.
func NewSealer(tokenKeys string) (*Sealer, error) {
	if tokenKeys == "" {
		return &Sealer{}, nil
	}
	var set struct {
		Keys []struct{ Kty, Kid, Alg, K string }
	}
	if json.Unmarshal([]byte(tokenKeys), &set) != nil || len(set.Keys) == 0 {
		return nil, errors.New(`token keys: not a JWK set: want {"keys":[{"kty":"oct","kid":"…","alg":"A256GCMKW","k":"…"}]}`)
	}
	s := &Sealer{all: jwk.NewSet()}
	for i, entry := range set.Keys {
		bits, err := base64.RawURLEncoding.DecodeString(entry.K)
		name := fmt.Sprintf("token keys: key %d (kid %q)", i+1, entry.Kid)
		switch {
		case entry.Kid == "":
			return nil, fmt.Errorf("%s has no kid: give it a name that no other key ever had", name)
		case entry.Kty != "oct":
			return nil, fmt.Errorf(`%s is not symmetric: set its kty to "oct"`, name)
		case entry.Alg != jwa.A256GCMKW.String():
			return nil, fmt.Errorf(`%s is for another algorithm: set its alg to "A256GCMKW"`, name)
		case err != nil:
			return nil, fmt.Errorf("%s is no base64url without padding: make a new one", name)
		case len(bits) != 32:
			return nil, fmt.Errorf("%s has %d bit: make one of 256", name, 8*len(bits))
		}
		if _, twice := s.all.LookupKeyID(entry.Kid); twice {
			return nil, fmt.Errorf("%s is there twice: give each key a kid of its own", name)
		}
		key, err := newKey(entry.Kid, bits)
		if err != nil {
			return nil, fmt.Errorf("%s cannot be used: make a new one", name)
		}
		if err := s.all.AddKey(key); err != nil {
			return nil, fmt.Errorf("%s cannot be used: make a new one", name)
		}
		if s.first == nil {
			s.first = key
		}
	}
	return s, nil
}

func newKey(kid string, bits []byte) (jwk.Key, error) {
	key, err := jwk.FromRaw(bits)
	if err != nil {
		return nil, err
	}
	// Without its alg jwx never decrypts with a key of a set.
	return key, errors.Join(key.Set(jwk.KeyIDKey, kid), key.Set(jwk.AlgorithmKey, jwa.A256GCMKW))
}

// What a sealed value is used for.
type use string

const (
	useRefresh  use = "refresh_token"
	useAccess   use = "access_token"
	useVerifier use = "pkce_verifier"
)

const (
	headerBusiness = "business_id"
	headerUse      = "use"
	maxSealed      = 16 << 10 // bytes; Google's tokens are under 2,048
)

// seal answers a compact JWE of the value.
func (s *Sealer) seal(business string, u use, value string) (string, error) {
	if s.first == nil {
		return "", ErrNoKeys
	}
	headers := jwe.NewHeaders()
	if err := errors.Join(headers.Set(headerBusiness, business), headers.Set(headerUse, string(u))); err != nil {
		return "", fmt.Errorf("seal %s of business %s: %w", u, business, err)
	}
	sealed, err := jwe.Encrypt([]byte(value), jwe.WithKey(jwa.A256GCMKW, s.first), jwe.WithContentEncryption(jwa.A256GCM), jwe.WithProtectedHeaders(headers))
	if err != nil {
		return "", fmt.Errorf("seal %s of business %s: %w", u, business, err)
	}
	if len(sealed) > maxSealed {
		return "", fmt.Errorf("seal %s of business %s: longer than %d bytes", u, business, maxSealed)
	}
	return string(sealed), nil
}

// open is the way back. Whatever does not fit is [ErrUnreadable].
func (s *Sealer) open(business string, u use, sealed string) (string, error) {
	if s.first == nil {
		return "", ErrNoKeys
	}
	unreadable := fmt.Errorf("%s of business %s: %w", u, business, ErrUnreadable)
	if len(sealed) > maxSealed {
		return "", unreadable
	}
	message := jwe.NewMessage()
	value, err := jwe.Decrypt([]byte(sealed), jwe.WithKeySet(s.all), jwe.WithMessage(message))
	if err != nil {
		return "", unreadable
	}
	headers := message.ProtectedHeaders()
	boundTo, _ := headers.Get(headerBusiness)
	usedFor, _ := headers.Get(headerUse)
	if boundTo != business || usedFor != string(u) || headers.ContentEncryption() != jwa.A256GCM {
		return "", unreadable
	}
	return string(value), nil
}

// random answers 256 random bits as 43 characters of base64url.
func random() string {
	bits := make([]byte, 32)
	_, _ = rand.Read(bits) // never fails: crypto/rand ends the program instead
	return base64.RawURLEncoding.EncodeToString(bits)
}
