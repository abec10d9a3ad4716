package gmailsim

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"maps"
	"strings"
	"sync"
	"time"
)

// grant is what one consent allowed one client, or any client if that is "".
type grant struct {
	address, clientID, scope string
	refresh                  string // "" where no refresh token was given
	rotated                  string // given by the last refresh; its use ends refresh
}

// code is what the authorize page gave, until it is exchanged: once, within ten
// minutes, by whoever knows the verifier of the challenge.
type code struct {
	grant       *grant
	redirectURI string
	challenge   string
	offline     bool
	until       time.Time
}

const codeTTL = 10 * time.Minute

type accessToken struct {
	grant *grant
	until time.Time
}

// tokens are all that were given and still open something.
type tokens struct {
	now func() time.Time
	ttl time.Duration

	mu     sync.Mutex
	codes  map[string]code
	access map[string]accessToken
	grants map[*grant]bool
}

func newTokens(now func() time.Time, ttl time.Duration) *tokens {
	return &tokens{
		now: now, ttl: ttl,
		codes: make(map[string]code), access: make(map[string]accessToken), grants: make(map[*grant]bool),
	}
}

// consent gives a code for g. Google gives a refresh token when it asked for
// consent, not when it had it already.
func (t *tokens) consent(g *grant, redirectURI, challenge string, offline, prompted bool) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	for old := range t.grants {
		if old.address == g.address && old.clientID == g.clientID && old.refresh != "" && !prompted {
			offline = false
		}
	}
	now := t.now()
	maps.DeleteFunc(t.codes, func(_ string, c code) bool { return now.After(c.until) })
	name := "4/" + rand.Text()
	t.codes[name] = code{grant: g, redirectURI: redirectURI, challenge: challenge, offline: offline, until: now.Add(codeTTL)}
	return name
}

// exchange takes a code back. It is false for one that was used, is too old, or
// was given for another client, redirect or verifier (RFC 7636, S256).
func (t *tokens) exchange(name, clientID, redirectURI, verifier string) (*grant, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	c, ok := t.codes[name]
	delete(t.codes, name)
	if !ok || t.now().After(c.until) || c.grant.clientID != clientID || c.redirectURI != redirectURI {
		return nil, false
	}
	sum := sha256.Sum256([]byte(verifier))
	if c.challenge != "" && c.challenge != base64.RawURLEncoding.EncodeToString(sum[:]) {
		return nil, false
	}
	if c.offline {
		c.grant.refresh = newRefreshToken()
	}
	t.grants[c.grant] = true
	return c.grant, true
}

// renew finds the grant of a refresh token. With rotate it makes the next one,
// which ends this one only when it is used: an answer may be lost on its way.
func (t *tokens) renew(refresh, clientID string, rotate bool) (*grant, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	g := t.byRefresh(refresh)
	if g == nil || (g.clientID != "" && g.clientID != clientID) {
		return nil, false
	}
	if refresh == g.rotated {
		g.refresh, g.rotated = g.rotated, ""
	}
	if rotate {
		g.rotated = newRefreshToken()
	}
	return g, true
}

// issue makes an access token for g.
func (t *tokens) issue(g *grant) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.now()
	maps.DeleteFunc(t.access, func(_ string, a accessToken) bool { return !now.Before(a.until) })
	name := "ya29.sim-" + rand.Text()
	t.access[name] = accessToken{grant: g, until: now.Add(t.ttl)}
	return name
}

// open is the grant of a living access token, or nil.
func (t *tokens) open(access string) *grant {
	t.mu.Lock()
	defer t.mu.Unlock()
	a, ok := t.access[access]
	if !ok || !t.now().Before(a.until) {
		return nil
	}
	return a.grant
}

// revoke ends the grant of a token of either kind.
func (t *tokens) revoke(token string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	g := t.byRefresh(token)
	if g == nil {
		g = t.access[token].grant
	}
	if g == nil {
		return false
	}
	t.end(func(other *grant) bool { return other == g })
	return true
}

func (t *tokens) byRefresh(token string) *grant {
	for g := range t.grants {
		if token != "" && (g.refresh == token || g.rotated == token) {
			return g
		}
	}
	return nil
}

// end forgets the grants that are meant, and their access tokens. t.mu is held.
func (t *tokens) end(meant func(*grant) bool) {
	maps.DeleteFunc(t.grants, func(g *grant, _ bool) bool { return meant(g) })
	maps.DeleteFunc(t.access, func(_ string, a accessToken) bool { return meant(a.grant) })
}

func newRefreshToken() string { return "1//sim-" + rand.Text() }

func ofAddress(address string) func(*grant) bool {
	return func(g *grant) bool { return address == "" || strings.EqualFold(g.address, address) }
}

// Grant gives both tokens of an account without asking, to the configured
// client, or to any if none is.
func (s *Sim) Grant(address, scope string) (access, refresh string) {
	g := &grant{address: address, clientID: s.opts.ClientID, scope: scope, refresh: newRefreshToken()}
	s.tokens.mu.Lock()
	s.tokens.grants[g] = true
	s.tokens.mu.Unlock()
	return s.tokens.issue(g), g.refresh
}

// RevokeTokens ends all tokens of an account, or of every one if address is
// empty: Gmail says 401 from now on, and a refresh invalid_grant.
func (s *Sim) RevokeTokens(address string) {
	s.tokens.mu.Lock()
	defer s.tokens.mu.Unlock()
	s.tokens.end(ofAddress(address))
}

// ExpireAccessTokens ends the access tokens of an account, or of every one if
// address is empty. Refresh tokens stay.
func (s *Sim) ExpireAccessTokens(address string) {
	s.tokens.mu.Lock()
	defer s.tokens.mu.Unlock()
	meant := ofAddress(address)
	maps.DeleteFunc(s.tokens.access, func(_ string, a accessToken) bool { return meant(a.grant) })
}
