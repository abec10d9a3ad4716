package main

import (
	"crypto/rand"
	"encoding/base64"
	"fmt"
)

// secrets are made for one run.
type secrets struct {
	jwt, diagnostics, client string
	tokenKeys                string // a JWK set of one key (RFC 7517; RFC 7518, 6.4)
}

func newSecrets() secrets {
	return secrets{
		jwt: random(), diagnostics: random(), client: random(),
		tokenKeys: fmt.Sprintf(`{"keys":[{"kty":"oct","kid":"devstack","alg":"A256GCMKW","k":"%s"}]}`, random()),
	}
}

// random is 256 bits.
func random() string {
	var key [32]byte
	_, _ = rand.Read(key[:]) // never fails: crypto/rand ends the program instead
	return base64.RawURLEncoding.EncodeToString(key[:])
}
