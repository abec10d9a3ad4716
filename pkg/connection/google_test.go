package connection_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"testing"
)

// google is a Google of the test's own: a token endpoint that checks PKCE and
// rotates refresh tokens, Gmail's profile, and revocation.
type google struct {
	*httptest.Server
	mu sync.Mutex

	address  string // of the mailbox that the next code opens
	scope    string // granted; "" is not told
	life     int    // of access tokens, in s
	keepOld  bool   // refreshes answer no refresh token
	noToken  bool   // codes give no refresh token
	answer   func(w http.ResponseWriter, grant string) bool
	refresh  string // the refresh token that counts
	issued   int
	renewals int
	revoked  []string
	codes    map[string]url.Values // code -> the authorize request's query

	profileAnswer string // instead of the profile
}

const planted = "planted-secret-" // every secret of this Google begins so

func newGoogle(t *testing.T) *google {
	t.Helper()
	g := &google{address: "Owner@Example.test", scope: "https://www.googleapis.com/auth/gmail.readonly", life: 3600, codes: map[string]url.Values{}}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /token", g.token)
	mux.HandleFunc("GET /gmail/v1/users/me/profile", g.profile)
	mux.HandleFunc("POST /revoke", func(_ http.ResponseWriter, r *http.Request) {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.revoked = append(g.revoked, r.FormValue("token"))
	})
	g.Server = httptest.NewServer(mux)
	t.Cleanup(g.Close)
	return g
}

// consent is what a browser does at Google: it allows what authURL asks, and
// comes back with the state and a code.
func (g *google) consent(t *testing.T, authURL string) (state, code string) {
	t.Helper()
	u, err := url.Parse(authURL)
	if err != nil {
		t.Fatal(err)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	code = fmt.Sprintf("%scode-%d", planted, len(g.codes))
	g.codes[code] = u.Query()
	return u.Query().Get("state"), code
}

func (g *google) token(w http.ResponseWriter, r *http.Request) {
	grant := r.FormValue("grant_type")
	if g.answer != nil && g.answer(w, grant) {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	switch grant {
	case "authorization_code":
		asked, ok := g.codes[r.FormValue("code")]
		delete(g.codes, r.FormValue("code"))
		challenge := sha256.Sum256([]byte(r.FormValue("code_verifier")))
		if !ok || asked.Get("code_challenge_method") != "S256" || asked.Get("code_challenge") != base64.RawURLEncoding.EncodeToString(challenge[:]) {
			refuse(w, http.StatusBadRequest, "invalid_grant")
			return
		}
	case "refresh_token":
		g.renewals++
		if r.FormValue("refresh_token") != g.refresh {
			refuse(w, http.StatusBadRequest, "invalid_grant")
			return
		}
	}
	if r.FormValue("client_secret") != planted+"client" {
		refuse(w, http.StatusUnauthorized, "invalid_client")
		return
	}
	g.issued++
	answer := map[string]any{"access_token": fmt.Sprintf("%saccess-%d", planted, g.issued), "token_type": "Bearer", "expires_in": g.life}
	if g.scope != "" {
		answer["scope"] = g.scope
	}
	if !g.noToken && (grant == "authorization_code" || !g.keepOld) {
		g.refresh = fmt.Sprintf("%srefresh-%d", planted, g.issued)
		answer["refresh_token"] = g.refresh
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(answer)
}

func refuse(w http.ResponseWriter, status int, code string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = fmt.Fprintf(w, `{"error":%q,"error_description":"%sdescription"}`, code, planted)
}

func (g *google) profile(w http.ResponseWriter, r *http.Request) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if r.Header.Get("Authorization") != fmt.Sprintf("Bearer %saccess-%d", planted, g.issued) {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	if g.profileAnswer != "" {
		_, _ = io.WriteString(w, g.profileAnswer)
		return
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"emailAddress": g.address, "historyId": "17"})
}
