package gmailsim

import (
	"html/template"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/prosaas/receipts/tools/gmailsim/mailbox"
)

// maxForm bounds what an OAuth form may hold.
const maxForm = 64 << 10

func (s *Sim) routeOAuth() {
	s.mux.HandleFunc("GET /o/oauth2/v2/auth", s.authorizePage)
	s.mux.HandleFunc("POST /o/oauth2/v2/auth", s.authorizeAnswer)
	s.mux.Handle("POST /token", s.oauth(methodToken, s.token))
	s.mux.Handle("POST /revoke", s.oauth(methodRevoke, s.revoke))
}

// authorizePage asks the person, or, with AutoConsent, says yes for them to the
// account that login_hint names.
func (s *Sim) authorizePage(w http.ResponseWriter, r *http.Request) {
	ask := r.URL.Query()
	back, problem := s.authorizeRequest(ask)
	if problem != "" {
		http.Error(w, "Error 400: "+problem, http.StatusBadRequest)
		return
	}
	chosen := s.Mailbox(ask.Get("login_hint"))
	if chosen == nil {
		chosen = s.mailboxes[0]
	}
	if s.opts.AutoConsent {
		s.redirect(w, r, back, s.agreed(ask, chosen, strings.Fields(ask.Get("scope"))))
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_ = consentPage().Execute(w, map[string]any{ // a caller that went away is its own affair
		"Mailboxes": s.mailboxes, "Chosen": chosen, "Scopes": strings.Fields(ask.Get("scope")),
	})
}

// authorizeAnswer is the form of that page. It is posted to the page's own
// address, so that what was asked for stands in the query.
func (s *Sim) authorizeAnswer(w http.ResponseWriter, r *http.Request) {
	ask := r.URL.Query()
	back, problem := s.authorizeRequest(ask)
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := r.ParseForm(); err != nil && problem == "" {
		problem = "invalid_request: unreadable form"
	}
	chosen := s.Mailbox(r.PostForm.Get("account"))
	if chosen == nil && problem == "" {
		problem = "invalid_request: no such account"
	}
	if problem != "" {
		http.Error(w, "Error 400: "+problem, http.StatusBadRequest)
		return
	}
	if r.PostForm.Get("answer") != "allow" {
		s.redirect(w, r, back, url.Values{"error": {"access_denied"}, "state": {ask.Get("state")}})
		return
	}
	s.redirect(w, r, back, s.agreed(ask, chosen, r.PostForm["scope"]))
}

// authorizeRequest checks what Google checks before it redirects anywhere.
func (s *Sim) authorizeRequest(ask url.Values) (back *url.URL, problem string) {
	back, err := url.Parse(ask.Get("redirect_uri"))
	switch {
	case err != nil || back.Host == "" || !slices.Contains([]string{"http", "https"}, back.Scheme):
		return nil, "redirect_uri_mismatch"
	case ask.Get("response_type") != "code":
		return nil, "invalid_request: response_type must be code"
	case ask.Get("client_id") == "" || (s.opts.ClientID != "" && ask.Get("client_id") != s.opts.ClientID):
		return nil, "invalid_client"
	case ask.Get("scope") == "":
		return nil, "invalid_request: missing scope"
	case ask.Get("code_challenge") != "" && ask.Get("code_challenge_method") != "S256":
		return nil, "invalid_request: code_challenge_method must be S256"
	}
	return back, ""
}

// agreed is what goes back: a code for those of the scopes that were allowed.
func (s *Sim) agreed(ask url.Values, box *mailbox.Mailbox, allowed []string) url.Values {
	scopes := slices.DeleteFunc(strings.Fields(ask.Get("scope")), func(scope string) bool { return !slices.Contains(allowed, scope) })
	g := &grant{address: box.Address(), clientID: ask.Get("client_id"), scope: strings.Join(scopes, " ")}
	name := s.tokens.consent(g, ask.Get("redirect_uri"), ask.Get("code_challenge"),
		ask.Get("access_type") == "offline", strings.Contains(ask.Get("prompt"), "consent"))
	return url.Values{"code": {name}, "state": {ask.Get("state")}, "scope": {g.scope}}
}

func (s *Sim) redirect(w http.ResponseWriter, r *http.Request, back *url.URL, params url.Values) {
	query := back.Query()
	maps.Copy(query, params)
	back.RawQuery = query.Encode()
	http.Redirect(w, r, back.String(), http.StatusFound)
}

// oauthError is an answer by RFC 6749, 5.2.
type oauthError struct {
	status      int
	Code        string `json:"error"`
	Description string `json:"error_description,omitempty"`
}

// oauth is the way of every call to a token endpoint.
func (s *Sim) oauth(method string, handle func(url.Values) (any, *oauthError)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.arrive(method, "")
		f := s.faults.pick(method, "")
		if !f.wait(r.Context()) {
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, maxForm)
		if err := r.ParseForm(); err != nil {
			answer{status: http.StatusBadRequest, body: oauthError{Code: "invalid_request"}}.write(w, r, f)
			return
		}
		if id, secret, ok := r.BasicAuth(); ok {
			r.Form.Set("client_id", id)
			r.Form.Set("client_secret", secret)
		}
		if f.is(kindError) {
			now := s.opts.Now()
			problem := oauthError{Code: f.reason, Description: strings.TrimSpace(f.retry.text(now))}
			answer{status: f.code, header: f.retry.header(now), body: problem}.write(w, r, f)
			return
		}
		body, problem := handle(r.Form)
		if problem != nil {
			answer{status: problem.status, body: problem}.write(w, r, f)
			return
		}
		answer{status: http.StatusOK, body: body}.write(w, r, f)
	})
}

// tokenAnswer is a success of the token endpoint (RFC 6749, 5.1).
type tokenAnswer struct {
	AccessToken  string `json:"access_token"`
	ExpiresIn    int    `json:"expires_in"` // seconds
	RefreshToken string `json:"refresh_token,omitempty"`
	Scope        string `json:"scope"`
	TokenType    string `json:"token_type"`
}

func (s *Sim) token(form url.Values) (any, *oauthError) {
	wrongClient := s.opts.ClientID != "" && form.Get("client_id") != s.opts.ClientID
	wrongSecret := s.opts.ClientSecret != "" && form.Get("client_secret") != s.opts.ClientSecret
	if wrongClient || wrongSecret {
		return nil, &oauthError{http.StatusUnauthorized, "invalid_client", "The OAuth client was not found."}
	}
	var g *grant
	var ok bool
	var refresh string
	switch form.Get("grant_type") {
	case "authorization_code":
		g, ok = s.tokens.exchange(form.Get("code"), form.Get("client_id"), form.Get("redirect_uri"), form.Get("code_verifier"))
		if !ok {
			return nil, &oauthError{http.StatusBadRequest, "invalid_grant", "Malformed auth code."}
		}
		refresh = g.refresh
	case "refresh_token":
		g, ok = s.tokens.renew(form.Get("refresh_token"), form.Get("client_id"), s.opts.RotateRefreshTokens)
		if !ok {
			return nil, &oauthError{http.StatusBadRequest, "invalid_grant", "Token has been expired or revoked."}
		}
		refresh = g.rotated
	default:
		return nil, &oauthError{http.StatusBadRequest, "unsupported_grant_type", "Invalid grant_type"}
	}
	return tokenAnswer{
		AccessToken: s.tokens.issue(g), ExpiresIn: int(s.opts.AccessTokenTTL / time.Second),
		RefreshToken: refresh, Scope: g.scope, TokenType: "Bearer",
	}, nil
}

func (s *Sim) revoke(form url.Values) (any, *oauthError) {
	if !s.tokens.revoke(form.Get("token")) {
		return nil, &oauthError{http.StatusBadRequest, "invalid_token", "Token expired or revoked"}
	}
	return struct{}{}, nil
}

// consentPage is Google's in miniature: an account, the scopes to tick, and two
// buttons; no script.
func consentPage() *template.Template {
	return template.Must(template.New("consent").Parse(`<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>Sign in (simulator)</title></head>
<body><main>
<h1>Gmail simulator</h1>
<p>This is no Google page. An application wants to use one of the simulated accounts.</p>
<form method="post">
<fieldset><legend>Account</legend>
{{range .Mailboxes}}<label><input type="radio" name="account" value="{{.Address}}"{{if eq . $.Chosen}} checked{{end}}> {{.Address}}</label><br>
{{end}}</fieldset>
<fieldset><legend>It may</legend>
{{range .Scopes}}<label><input type="checkbox" name="scope" value="{{.}}" checked> {{.}}</label><br>
{{end}}</fieldset>
<button name="answer" value="allow">Allow</button>
<button name="answer" value="cancel">Cancel</button>
</form>
</main></body></html>
`))
}
