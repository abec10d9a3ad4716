package gmailsim

import (
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"golang.org/x/oauth2"
)

const callback = "http://127.0.0.1:1/callback"

func (b *bench) oauth() *oauth2.Config {
	return &oauth2.Config{
		ClientID: "client", ClientSecret: "secret", RedirectURL: callback, Scopes: []string{ScopeReadonly},
		Endpoint: oauth2.Endpoint{AuthURL: b.url + "/o/oauth2/v2/auth", TokenURL: b.url + "/token"},
	}
}

// visit does one request and gives where it redirects, and the page.
func visit(t *testing.T, method, address string, form url.Values) (status int, back *url.URL, page string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, address, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	back, _ = resp.Location()
	return resp.StatusCode, back, string(body)
}

// consent follows the authorize page and gives the code.
func (b *bench) consent(t *testing.T, opts ...oauth2.AuthCodeOption) string {
	t.Helper()
	_, back, page := visit(t, http.MethodGet, b.oauth().AuthCodeURL("the state", opts...), nil)
	if back == nil || back.Query().Get("state") != "the state" || !strings.HasPrefix(back.String(), callback) {
		t.Fatalf("authorize redirects to %v: %s", back, page)
	}
	return back.Query().Get("code")
}

func TestOAuthFromConsentToRevocation(t *testing.T) {
	t.Parallel()
	b := newBench(t, 6, Options{AutoConsent: true, ClientID: "client", ClientSecret: "secret"})
	verifier := oauth2.GenerateVerifier()
	code := b.consent(t, oauth2.AccessTypeOffline, oauth2.S256ChallengeOption(verifier), oauth2.SetAuthURLParam("login_hint", "other@example.com"))
	token, err := b.oauth().Exchange(t.Context(), code, oauth2.VerifierOption(verifier))
	if err != nil {
		t.Fatal(err)
	}
	if token.RefreshToken == "" || token.Extra("scope") != ScopeReadonly || token.TokenType != "Bearer" || token.ExpiresIn != 3600 {
		t.Errorf("token = %+v, scope %v", token, token.Extra("scope"))
	}
	profile := func(access string) (string, int) {
		got, err := b.clientWith(t, access).Users.GetProfile("me").Context(t.Context()).Do()
		if err != nil {
			return "", apiErr(t, err).Code
		}
		return got.EmailAddress, http.StatusOK
	}
	if address, code := profile(token.AccessToken); address != "other@example.com" {
		t.Errorf("the token opens %q (%d)", address, code)
	}
	b.clock.advance(time.Hour)
	if _, code := profile(token.AccessToken); code != http.StatusUnauthorized {
		t.Errorf("after an hour: %d, want 401", code)
	}
	renewed, err := b.oauth().TokenSource(t.Context(), &oauth2.Token{RefreshToken: token.RefreshToken}).Token()
	if err != nil {
		t.Fatal(err)
	}
	if address, code := profile(renewed.AccessToken); address != "other@example.com" {
		t.Errorf("the renewed token opens %q (%d)", address, code)
	}
	b.ExpireAccessTokens("other@example.com")
	if _, code := profile(renewed.AccessToken); code != http.StatusUnauthorized {
		t.Errorf("expired by hand: %d, want 401", code)
	}
	if status, _, page := visit(t, http.MethodPost, b.url+"/revoke", url.Values{"token": {token.RefreshToken}}); status != http.StatusOK {
		t.Errorf("revoke: %d %s", status, page)
	}
	if status, _, _ := visit(t, http.MethodPost, b.url+"/revoke", url.Values{"token": {token.RefreshToken}}); status != http.StatusBadRequest {
		t.Errorf("revoke again: %d, want 400", status)
	}
	wantRefusal(t, b, token.RefreshToken, http.StatusBadRequest, "invalid_grant")
}

// wantRefusal refreshes and wants that refused.
func wantRefusal(t *testing.T, b *bench, refresh string, status int, code string) {
	t.Helper()
	_, err := b.oauth().TokenSource(t.Context(), &oauth2.Token{RefreshToken: refresh}).Token()
	var e *oauth2.RetrieveError
	if !errors.As(err, &e) || e.Response.StatusCode != status || e.ErrorCode != code {
		t.Errorf("refresh: %v, want %d %s", err, status, code)
	}
}

func TestCodeIsGoodOnceForItsOwn(t *testing.T) {
	t.Parallel()
	b := newBench(t, 6, Options{AutoConsent: true})
	verifier := oauth2.GenerateVerifier()
	tests := []struct {
		name     string
		verifier string
		config   func(*oauth2.Config)
		wait     time.Duration
		ok       bool
	}{
		{"right", verifier, func(*oauth2.Config) {}, 0, true},
		{"wrong verifier", "another", func(*oauth2.Config) {}, 0, false},
		{"wrong redirect", verifier, func(c *oauth2.Config) { c.RedirectURL = "http://127.0.0.1:2/" }, 0, false},
		{"wrong client", verifier, func(c *oauth2.Config) { c.ClientID = "another" }, 0, false},
		{"too late", verifier, func(*oauth2.Config) {}, codeTTL + time.Second, false},
	}
	for _, tt := range tests {
		code := b.consent(t, oauth2.S256ChallengeOption(verifier))
		b.clock.advance(tt.wait)
		config := b.oauth()
		tt.config(config)
		_, err := config.Exchange(t.Context(), code, oauth2.VerifierOption(tt.verifier))
		if (err == nil) != tt.ok {
			t.Errorf("%s: %v, want ok %v", tt.name, err, tt.ok)
		}
		if _, err := b.oauth().Exchange(t.Context(), code, oauth2.VerifierOption(verifier)); err == nil {
			t.Errorf("%s: the code is good twice", tt.name)
		}
	}
}

func TestRefreshTokenOnlyWhenConsentIsAsked(t *testing.T) {
	t.Parallel()
	b := newBench(t, 6, Options{AutoConsent: true})
	tests := []struct {
		name string
		opts []oauth2.AuthCodeOption
		want bool
	}{
		{"online", nil, false},
		{"offline, first time", []oauth2.AuthCodeOption{oauth2.AccessTypeOffline}, true},
		{"offline, again", []oauth2.AuthCodeOption{oauth2.AccessTypeOffline}, false},
		{"offline, again, prompted", []oauth2.AuthCodeOption{oauth2.AccessTypeOffline, oauth2.SetAuthURLParam("prompt", "consent")}, true},
	}
	for _, tt := range tests {
		token, err := b.oauth().Exchange(t.Context(), b.consent(t, tt.opts...))
		if err != nil {
			t.Fatal(err)
		}
		if got := token.RefreshToken != ""; got != tt.want {
			t.Errorf("%s: refresh token %v, want %v", tt.name, got, tt.want)
		}
	}
}

// The old refresh token is good until the new one was used: the answer that
// brought it may have been lost.
func TestRefreshTokensRotate(t *testing.T) {
	t.Parallel()
	b := newBench(t, 6, Options{RotateRefreshTokens: true})
	_, first := b.Grant(ownerAddress, ScopeReadonly)
	refresh := func(token string) string {
		t.Helper()
		got, err := b.oauth().TokenSource(t.Context(), &oauth2.Token{RefreshToken: token}).Token()
		if err != nil {
			t.Fatal(err)
		}
		return got.RefreshToken
	}
	lost := refresh(first)
	second := refresh(first)
	if second == first || second == lost {
		t.Error("the refresh token is the same twice")
	}
	third := refresh(second)
	wantRefusal(t, b, first, http.StatusBadRequest, "invalid_grant")
	wantRefusal(t, b, lost, http.StatusBadRequest, "invalid_grant")
	b.RevokeTokens(ownerAddress)
	wantRefusal(t, b, third, http.StatusBadRequest, "invalid_grant")
}

func TestTokenEndpointRefuses(t *testing.T) {
	t.Parallel()
	b := newBench(t, 6, Options{ClientID: "client", ClientSecret: "another secret"})
	_, refresh := b.Grant(ownerAddress, ScopeReadonly)
	wantRefusal(t, b, refresh, http.StatusUnauthorized, "invalid_client")
	b.opts.ClientSecret = "secret"
	wantRefusal(t, b, "made-up", http.StatusBadRequest, "invalid_grant")
	for _, tt := range []struct {
		spec, code string
		status     int
	}{
		{"method=token,code=400,reason=invalid_grant", "invalid_grant", 400},
		{"method=token,code=503", "backendError", 503},
	} {
		b.ClearFaults()
		if err := b.AddFault(tt.spec); err != nil {
			t.Fatal(err)
		}
		wantRefusal(t, b, refresh, tt.status, tt.code)
	}
	b.ClearFaults()
	status, _, page := visit(t, http.MethodPost, b.url+"/token", url.Values{"grant_type": {"password"}, "client_id": {"client"}, "client_secret": {"secret"}})
	if status != http.StatusBadRequest || !strings.Contains(page, "unsupported_grant_type") {
		t.Errorf("another grant: %d %s", status, page)
	}
}

// A token endpoint that errs does not refuse: its client must tell the two apart.
func TestFaultedTokens(t *testing.T) {
	t.Parallel()
	b := newBench(t, 6, Options{})
	_, refresh := b.Grant(ownerAddress, ScopeReadonly)
	for _, tt := range []struct {
		spec, retry string
		status      int // 0: there is no answer
	}{
		{"code=503,retry_after=20", "20", 503},
		{"code=429,retry_after=20,retry_form=date", "Mon, 23 Nov 2026 09:00:20 GMT", 429},
		{"kind=html", "", 502},
		{"kind=reset", "", 0},
		{"kind=cut", "", 0},
		{"kind=gzip", "", 0},
		{"kind=type", "", 0},
	} {
		b.ClearFaults()
		if err := b.AddFault("method=token," + tt.spec); err != nil {
			t.Fatal(err)
		}
		_, err := b.oauth().TokenSource(t.Context(), &oauth2.Token{RefreshToken: refresh}).Token()
		e, answered := errors.AsType[*oauth2.RetrieveError](err)
		switch {
		case err == nil || answered != (tt.status > 0):
			t.Errorf("%s: %v", tt.spec, err)
		case answered && (e.Response.StatusCode != tt.status || e.Response.Header.Get("Retry-After") != tt.retry || e.ErrorCode == "invalid_grant"):
			t.Errorf("%s: %d %q, Retry-After %q; want %d, %q", tt.spec, e.Response.StatusCode, e.ErrorCode, e.Response.Header.Get("Retry-After"), tt.status, tt.retry)
		}
	}
	b.ClearFaults()
	if _, err := b.oauth().TokenSource(t.Context(), &oauth2.Token{RefreshToken: refresh}).Token(); err != nil {
		t.Errorf("once the faults are gone: %v", err)
	}
	if err := b.AddFault("method=revoke,code=503"); err != nil {
		t.Fatal(err)
	}
	for _, want := range []int{http.StatusServiceUnavailable, http.StatusOK} {
		if status, _, page := visit(t, http.MethodPost, b.url+"/revoke", url.Values{"token": {refresh}}); status != want {
			t.Errorf("revoke: %d %s, want %d", status, page, want)
		}
		b.ClearFaults()
	}
}

func TestConsentPage(t *testing.T) {
	t.Parallel()
	b := newBench(t, 6, Options{})
	page := b.oauth().AuthCodeURL("the state", oauth2.SetAuthURLParam("login_hint", "other@example.com"))
	status, _, text := visit(t, http.MethodGet, page, nil)
	for _, want := range []string{"Allow", "Cancel", ScopeReadonly, ownerAddress, `value="other@example.com" checked`} {
		if status != http.StatusOK || !strings.Contains(text, want) {
			t.Errorf("page (%d) lacks %q:\n%s", status, want, text)
		}
	}
	if strings.Contains(text, "<script") {
		t.Error("the page has a script")
	}
	tests := []struct {
		name          string
		form          url.Values
		status        int
		scope, denied string
	}{
		{"allow", url.Values{"answer": {"allow"}, "account": {ownerAddress}, "scope": {ScopeReadonly}}, 302, ScopeReadonly, ""},
		{"allow, scope unticked", url.Values{"answer": {"allow"}, "account": {ownerAddress}}, 302, "", ""},
		{"allow more than asked", url.Values{"answer": {"allow"}, "account": {ownerAddress}, "scope": {"https://mail.google.com/"}}, 302, "", ""},
		{"cancel", url.Values{"answer": {"cancel"}, "account": {ownerAddress}}, 302, "", "access_denied"},
		{"no such account", url.Values{"answer": {"allow"}, "account": {"x@example.com"}}, 400, "", ""},
	}
	for _, tt := range tests {
		status, back, _ := visit(t, http.MethodPost, page, tt.form)
		if status != tt.status {
			t.Errorf("%s: %d, want %d", tt.name, status, tt.status)
		}
		if back == nil {
			continue
		}
		q := back.Query()
		if q.Get("scope") != tt.scope || q.Get("error") != tt.denied || q.Get("state") != "the state" || (q.Get("code") == "") != (tt.denied != "") {
			t.Errorf("%s goes back with %v", tt.name, q)
		}
	}
}

func TestAuthorizeRefusesAtOnce(t *testing.T) {
	t.Parallel()
	b := newBench(t, 6, Options{AutoConsent: true, ClientID: "client"})
	tests := []struct{ name, key, value string }{
		{"redirect elsewhere", "redirect_uri", "javascript:alert(1)"},
		{"redirect to another protocol", "redirect_uri", "ftp://127.0.0.1/"},
		{"no redirect", "redirect_uri", ""},
		{"another flow", "response_type", "token"},
		{"another client", "client_id", "another"},
		{"no scope", "scope", ""},
		{"plain challenge", "code_challenge_method", "plain"},
	}
	for _, tt := range tests {
		address := b.oauth().AuthCodeURL("s", oauth2.S256ChallengeOption("v"), oauth2.SetAuthURLParam(tt.key, tt.value))
		if status, back, _ := visit(t, http.MethodGet, address, nil); status != http.StatusBadRequest || back != nil {
			t.Errorf("%s: %d, to %v", tt.name, status, back)
		}
	}
}
