package httpapi

import (
	"encoding/base64"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/prosaas/receipts/pkg/auth"
)

func problemBody(text, action, code string) string {
	return `{"success":false,"error":"` + text + `","action":"` + action + `","technical_details":"` + code + `; request_id={id}"}`
}

func cookie(value string) change {
	return func(r *http.Request) {
		r.Header.Del("Authorization")
		r.AddCookie(&http.Cookie{Name: sessionCookie, Value: value})
	}
}

func TestWhoMayCall(t *testing.T) {
	t.Parallel()
	s := live(t)
	member := auth.Principal{Subject: "dana", BusinessID: business, Role: auth.RoleMember}
	good := token(t, member, time.Hour)
	foreign, err := auth.Sign([]byte("another-secret-of-these-tests-0123"), member, time.Hour, auth.Options{})
	if err != nil {
		t.Fatal(err)
	}
	encode := base64.RawURLEncoding.EncodeToString
	unsigned := encode([]byte(`{"alg":"none"}`)) + "." + strings.Split(good, ".")[1] + "."

	missing := problemBody("Not signed in", "Sign in", "not_signed_in")
	invalid := problemBody("The session is not valid", "Sign in again", "token_invalid")
	crossOrigin := problemBody("Refused: the request came from another site", "Do this on the page of this service itself", "cross_origin")
	none := problemBody("No such sync", "Start a sync, or look at the list of syncs", "job_not_found")
	bearer := func(token string) change { return with("Authorization", "Bearer "+token) }

	for _, row := range []struct {
		name    string
		changes []change
		status  int
		want    string // "" is no matter
	}{
		{"nobody", []change{anonymous}, 401, missing},
		{"an empty token", []change{bearer("")}, 401, missing},
		{"not a bearer", []change{with("Authorization", "Basic ZGFuYTpwYXNz")}, 401, missing},
		{"expired", []change{bearer(token(t, member, -time.Hour))}, 401, problemBody("The session has expired", "Sign in again", "token_expired")},
		{"foreign", []change{bearer(foreign)}, 401, invalid},
		{"unsigned", []change{bearer(unsigned)}, 401, invalid},
		{"garbage", []change{bearer("x.y.z")}, 401, invalid},
		{"too long", []change{bearer(strings.Repeat("x", 9<<10))}, 401, invalid},
		{"an admin of no business", []change{as(t, auth.Principal{Role: auth.RoleSystemAdmin})}, 404, none},
		{"an admin of another business", []change{as(t, auth.Principal{Role: auth.RoleOwner, BusinessID: "other"})}, 404, none},
		{"a cookie", []change{cookie(good)}, 404, none},
		{"a bad cookie", []change{cookie("x")}, 401, invalid},
		{"a good header counts before a bad cookie", []change{cookie("x"), bearer(good)}, 404, none},
		{"a cookie on our page", []change{cookie(good), with("Sec-Fetch-Site", "same-origin")}, 404, none},
		{"a cookie on another site's page", []change{cookie(good), with("Sec-Fetch-Site", "cross-site")}, 403, crossOrigin},
		{"a cookie from another origin", []change{cookie(good), with("Origin", "https://evil.example")}, 403, crossOrigin},
		{"a header from another origin", []change{bearer(good), with("Origin", "https://product.example")}, 404, none},
	} {
		t.Run(row.name, func(t *testing.T) {
			a := s.do("POST", syncPath+"/nope/cancel", "", row.changes...)
			a.want(t, row.status, row.want)
			if got := a.header.Get("WWW-Authenticate"); (got == "Bearer") != (row.status == 401) {
				t.Errorf("WWW-Authenticate = %q with %d", got, row.status)
			}
		})
	}
}

func TestWhoLacksTheRole(t *testing.T) {
	t.Parallel()
	s := live(t)
	forbidden := problemBody("Forbidden", "Ask somebody who may do this, or sign in as somebody else", "forbidden")
	owner := as(t, auth.Principal{BusinessID: business, Role: auth.RoleOwner})
	for _, row := range []struct {
		name, method, path string
		change             change
	}{
		{"an admin of no business syncs none", "POST", syncPath, as(t, auth.Principal{Role: auth.RoleSystemAdmin})},
		{"a member connects nothing", "GET", "/api/gmail/oauth/start", as(t, auth.Principal{BusinessID: business, Role: auth.RoleMember})},
		{"an owner verifies nothing", "POST", verifyPath, owner},
		{"a wrong key verifies nothing", "POST", verifyPath, with("X-Diagnostic-Key", diagnosticKey+"x")},
		{"an owner reads no job of the queue", "GET", jobsPath + "/x", owner},
		{"an owner retries no job", "POST", jobsPath + "/x/retry", owner},
	} {
		t.Run(row.name, func(t *testing.T) {
			s.do(row.method, row.path, "", row.change).want(t, 403, forbidden)
		})
	}
}

// Every route that needs a role refuses whoever has none.
func TestEveryRouteIsGuarded(t *testing.T) {
	t.Parallel()
	s := live(t)
	open := map[string]bool{
		"/livez": true, "/readyz": true, "/version": true, "/openapi.yaml": true, "DELETE /api/session": true, // takes a cookie away
		"/api/gmail/oauth/callback": true, // bound to the browser that began
	}
	for _, r := range s.api.routes() {
		if open[r.path] || open[r.method+" "+r.path] {
			continue
		}
		a := s.do(r.method, strings.NewReplacer(":job_id", "x", ":id", "x").Replace(r.path), "", anonymous)
		if a.status != http.StatusUnauthorized && a.status != http.StatusForbidden {
			t.Errorf("%s %s answered %d to nobody", r.method, r.path, a.status)
		}
	}
}

func TestSession(t *testing.T) {
	t.Parallel()
	s := serve(t)
	dana := auth.Principal{Subject: "dana", BusinessID: business, Role: auth.RoleAdmin}
	signed := token(t, dana, time.Hour)
	body := `{"success":true,"subject":"dana","business_id":"acme","role":"admin"}`

	in := s.do("POST", "/api/session", "", with("Authorization", "Bearer "+signed))
	in.want(t, 200, body)
	diff(t, "cookie", in.header.Get("Set-Cookie"), sessionCookie+"="+signed+"; Path=/; HttpOnly; SameSite=Lax")
	s.do("GET", "/api/session", "", cookie(signed)).want(t, 200, body)

	public := s.do("POST", "/api/session", "", as(t, dana), func(r *http.Request) { r.Host = "receipts.example.com" })
	if got := public.header.Get("Set-Cookie"); !strings.HasSuffix(got, "; HttpOnly; Secure; SameSite=Lax") {
		t.Errorf("cookie outside of loopback = %s", got)
	}
	out := s.do("DELETE", "/api/session", "", cookie("whatever"))
	if got := out.header.Get("Set-Cookie"); out.status != http.StatusNoContent || got != sessionCookie+"=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax" {
		t.Errorf("sign-out = %d, cookie %s", out.status, got)
	}

	notSignedIn := problemBody("Not signed in", "Sign in", "not_signed_in")
	s.do("GET", "/api/session", "", anonymous).want(t, 401, notSignedIn)
	s.do("POST", "/api/session", "", cookie(signed)).want(t, 401, notSignedIn) // a cookie makes no cookie
	long, err := auth.Sign([]byte(testSecret), dana, time.Hour, auth.Options{Issuer: strings.Repeat("i", 4000)})
	if err != nil {
		t.Fatal(err)
	}
	s.do("POST", "/api/session", "", with("Authorization", "Bearer "+long)).want(t, 400,
		problemBody("The token is too long for a cookie", "Issue tokens with fewer claims, of at most 3900 bytes", "token_too_long"))
}

func TestTokensAreNotLogged(t *testing.T) {
	t.Parallel()
	s := serve(t)
	signed := token(t, auth.Principal{Subject: "dana", BusinessID: business, Role: auth.RoleMember}, time.Hour)
	secret := strings.Split(signed, ".")[2]
	for _, c := range []change{with("Authorization", "Bearer "+signed), cookie(signed), with("Authorization", "Bearer x"+signed), with("X-Diagnostic-Key", secret)} {
		s.do("GET", "/api/receipts/queue/diagnostics", "", c)
		if line := s.log.await(t, `"msg":"request`, "diagnostics"); strings.Contains(line, secret) {
			t.Errorf("the log shows the token: %s", line)
		}
	}
}

func TestClientIP(t *testing.T) {
	t.Parallel()
	for _, row := range []struct{ name, trusted, forwarded, want string }{
		{"nobody is trusted", "", "203.0.113.9", "127.0.0.1"},
		{"another is trusted", "10.0.0.0/8", "203.0.113.9", "127.0.0.1"},
		{"the proxy is trusted", "127.0.0.0/8", "203.0.113.9", "203.0.113.9"},
		{"what a client claims is not", "127.0.0.0/8", "198.51.100.1, 203.0.113.9", "203.0.113.9"},
		{"a chain of proxies", "127.0.0.0/8,10.0.0.0/8", "203.0.113.9, 10.1.2.3", "203.0.113.9"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, "TRUSTED_PROXIES="+row.trusted)
			s.do("GET", "/livez", "", with("X-Forwarded-For", row.forwarded))
			s.log.await(t, `"route":"/livez"`, `"remote_ip":"`+row.want+`"`)
		})
	}
}
