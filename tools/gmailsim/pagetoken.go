package gmailsim

import (
	"encoding/base64"
	"fmt"
	"hash/fnv"
	"sync/atomic"
)

// pageTokens are opaque to the caller. One is good for the call it was given
// for, until the tokens are expired.
type pageTokens struct {
	generation atomic.Int64
}

func (p *pageTokens) seal(key string, position int) string {
	plain := fmt.Sprintf("%d %d %x", p.generation.Load(), position, keyOf(key))
	return base64.RawURLEncoding.EncodeToString([]byte(plain))
}

// open is the position that the token stands for; no token is the beginning.
func (p *pageTokens) open(key, token string) (int, error) {
	if token == "" {
		return 0, nil
	}
	plain, _ := base64.RawURLEncoding.DecodeString(token) // what does not decode does not scan
	var generation int64
	var position int
	var sum uint64
	_, err := fmt.Sscanf(string(plain), "%d %d %x", &generation, &position, &sum)
	if err != nil || generation != p.generation.Load() || sum != keyOf(key) || position < 0 {
		return 0, invalidArgument("Invalid pageToken")
	}
	return position, nil
}

func keyOf(key string) uint64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(key))
	return h.Sum64()
}

// ExpirePageTokens makes every page token given so far invalid.
func (s *Sim) ExpirePageTokens() { s.pages.generation.Add(1) }
