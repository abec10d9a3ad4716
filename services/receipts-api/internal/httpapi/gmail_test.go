package httpapi

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/prosaas/receipts/pkg/auth"
	"github.com/prosaas/receipts/pkg/connection"
	"github.com/prosaas/receipts/proto"
	"github.com/prosaas/receipts/services/receipts-api/internal/page"
)

// google is a Google that allows everything, but for what a test changes.
type google struct {
	*httptest.Server
	address string
	scope   string
	away    bool
	revoked int
}

// connectable is a service with a Google beside it.
func connectable(t *testing.T) (*service, *google) {
	t.Helper()
	g := &google{address: "owner@example.test", scope: "https://www.googleapis.com/auth/gmail.readonly"}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /token", func(w http.ResponseWriter, _ *http.Request) {
		if g.away {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]any{"access_token": "at", "refresh_token": "rt", "expires_in": 3600, "scope": g.scope})
	})
	mux.HandleFunc("GET /gmail/v1/users/me/profile", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprintf(w, `{"emailAddress":%q}`, g.address)
	})
	mux.HandleFunc("POST /revoke", func(http.ResponseWriter, *http.Request) { g.revoked++ })
	g.Server = httptest.NewServer(mux)
	t.Cleanup(g.Close)

	s := serve(t).ready()
	s.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	s.connectTo(g, `{"keys":[{"kty":"oct","kid":"a","alg":"A256GCMKW","k":"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"}]}`)
	return s, g
}

func (s *service) connectTo(g *google, tokenKeys string) {
	s.Helper()
	sealer, err := connection.NewSealer(tokenKeys)
	if err != nil {
		s.Fatal(err)
	}
	s.api.Connection = connection.New(s.redis, s.redis, s.keys, connection.OAuth{
		ClientID: "client", ClientSecret: "secret", RedirectURL: s.url + "/api/gmail/oauth/callback",
		AuthURL: g.URL + "/auth", TokenURL: g.URL + "/token", RevokeURL: g.URL + "/revoke", GmailEndpoint: g.URL,
	}, sealer, connection.Options{})
}

func (s *service) owner() change {
	return as(s, auth.Principal{Subject: "dana", BusinessID: business, Role: auth.RoleOwner})
}

// start asks for consent, and answers the state and the browser's cookie.
func (s *service) start(query string) (state string, cookie *http.Cookie) {
	s.Helper()
	a := s.do(http.MethodGet, "/api/gmail/oauth/start"+query, "", s.owner())
	if a.status != http.StatusOK {
		s.Fatalf("start answered %d %s", a.status, a.body)
	}
	var body proto.OAuthStart
	a.json(s, &body)
	u, err := url.Parse(body.AuthURL)
	if err != nil {
		s.Fatal(err)
	}
	cookies := (&http.Response{Header: a.header}).Cookies()
	if len(cookies) != 1 {
		s.Fatalf("%d cookies, want 1", len(cookies))
	}
	return u.Query().Get("state"), cookies[0]
}

// comeBack is the browser that Google sends back: no token, only the cookie.
func (s *service) comeBack(query url.Values, cookie *http.Cookie) answer {
	s.Helper()
	return s.do(http.MethodGet, "/api/gmail/oauth/callback?"+query.Encode(), "", anonymous, func(r *http.Request) {
		if cookie != nil {
			r.AddCookie(cookie)
		}
	})
}

func (s *service) connectGmail(query string) answer {
	s.Helper()
	state, cookie := s.start(query)
	return s.comeBack(url.Values{"state": {state}, "code": {"c"}}, cookie)
}

func (s *service) connection() proto.ConnectionAnswer {
	s.Helper()
	var c proto.ConnectionAnswer
	s.do(http.MethodGet, "/api/gmail/oauth/status", "").json(s, &c)
	return c
}

func TestConnectStartsTheFirstSync(t *testing.T) {
	t.Parallel()
	s, _ := connectable(t)
	s.worker(proto.Queues()...)
	state, cookie := s.start("")
	if !cookie.HttpOnly || cookie.SameSite != http.SameSiteLaxMode || cookie.Path != "/api/gmail/oauth" || cookie.MaxAge != 600 || cookie.Secure {
		t.Errorf("binding cookie %v", cookie)
	}
	a := s.comeBack(url.Values{"state": {state}, "code": {"c"}}, cookie)
	if a.status != http.StatusFound || a.header.Get("Location") != "/?connected=true" {
		t.Fatalf("callback answered %d to %s", a.status, a.header.Get("Location"))
	}
	if gone := (&http.Response{Header: a.header}).Cookies(); len(gone) != 1 || gone[0].MaxAge >= 0 || gone[0].Path != cookie.Path {
		t.Errorf("the binding cookie stays: %v", gone)
	}
	job := s.latest()
	if job.Trigger != proto.TriggerConnect || job.Mode != proto.ModeFull || job.Status != proto.StateQueued {
		t.Errorf("first sync: %s of %s, %s", job.Mode, job.Trigger, job.Status)
	}
	email := "owner@example.test"
	diff(t, "connection", s.connection(), proto.ConnectionAnswer{Success: true, Connected: true, Status: proto.ConnectionConnected, Email: &email})
}

// A connection stands although nobody is there to sync it.
func TestConnectWithoutWorker(t *testing.T) {
	t.Parallel()
	s, _ := connectable(t)
	a := s.connectGmail("")
	if a.status != http.StatusFound || a.header.Get("Location") != "/?connected=true" || !s.connection().Connected {
		t.Errorf("callback answered %d to %s, connected %v", a.status, a.header.Get("Location"), s.connection().Connected)
	}
	if a := s.do(http.MethodGet, "/api/receipts/sync/latest", ""); a.status != http.StatusNotFound {
		t.Errorf("a job was made that nobody listens for: %s", a.body)
	}
}

func TestSecureBindingCookie(t *testing.T) {
	t.Parallel()
	s, _ := connectable(t)
	a := s.do(http.MethodGet, "/api/gmail/oauth/start", "", s.owner(), func(r *http.Request) { r.Host = "receipts.example.test" })
	if cookie := a.header.Get("Set-Cookie"); !strings.Contains(cookie, "; Secure") {
		t.Errorf("binding cookie away from loopback: %s", cookie)
	}
}

func TestConnectRefused(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		google func(g *google)
		query  func(state string) url.Values
		cookie func(*http.Cookie) *http.Cookie
		want   string
	}{
		{name: "denied", query: func(state string) url.Values { return url.Values{"state": {state}, "error": {"access_denied"}} }, want: "denied"},
		{name: "google errs", query: func(state string) url.Values { return url.Values{"state": {state}, "error": {"server_error"}} }, want: "google_unavailable"},
		{name: "nothing", query: func(string) url.Values { return nil }, want: "invalid_state"},
		{name: "invented state", query: func(string) url.Values { return url.Values{"state": {strings.Repeat("x", 43)}, "code": {"c"}} }, want: "invalid_state"},
		{name: "another browser", cookie: func(*http.Cookie) *http.Cookie { return nil }, want: "invalid_state"},
		{name: "another binding", cookie: func(c *http.Cookie) *http.Cookie { c.Value = "x" + c.Value[1:]; return c }, want: "invalid_state"},
		{name: "scope unticked", google: func(g *google) { g.scope = "openid" }, want: "scope_missing"},
		{name: "google away", google: func(g *google) { g.away = true }, want: "google_unavailable"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s, g := connectable(t)
			if tt.google != nil {
				tt.google(g)
			}
			state, cookie := s.start("")
			query := url.Values{"state": {state}, "code": {"c"}}
			if tt.query != nil {
				query = tt.query(state)
			}
			if tt.cookie != nil {
				cookie = tt.cookie(cookie)
			}
			a := s.comeBack(query, cookie)
			if a.status != http.StatusFound || a.header.Get("Location") != "/?error="+tt.want {
				t.Errorf("callback answered %d to %s, want /?error=%s", a.status, a.header.Get("Location"), tt.want)
			}
			if s.connection().Connected {
				t.Error("it was connected all the same")
			}
		})
	}
}

func TestAnotherMailboxIsConfirmed(t *testing.T) {
	t.Parallel()
	s, g := connectable(t)
	s.connectGmail("")
	g.address = "other@example.test"
	if a := s.connectGmail(""); a.header.Get("Location") != "/?error=other_mailbox" || *s.connection().Email != "owner@example.test" {
		t.Errorf("unconfirmed: to %s, connected %s", a.header.Get("Location"), *s.connection().Email)
	}
	if a := s.connectGmail("?confirm=new_mailbox"); a.header.Get("Location") != "/?connected=true" || *s.connection().Email != g.address {
		t.Errorf("confirmed: to %s, connected %s", a.header.Get("Location"), *s.connection().Email)
	}
}

func TestStartRefused(t *testing.T) {
	t.Parallel()
	s, g := connectable(t)
	s.do(http.MethodGet, "/api/gmail/oauth/start?confirm=yes", "", s.owner()).want(t, http.StatusBadRequest,
		`{"success":false,"error":"Field 'confirm' must be new_mailbox, or not be there","action":"Correct 'confirm' and send the request again","technical_details":"invalid_field; request_id={id}"}`)
	for _, path := range []string{"/api/gmail/oauth/start", "/api/gmail/oauth/disconnect"} {
		method := http.MethodGet
		if strings.HasSuffix(path, "disconnect") {
			method = http.MethodDelete
		}
		if a := s.do(method, path, ""); a.status != http.StatusForbidden {
			t.Errorf("a member: %s answered %d", path, a.status)
		}
		if a := s.do(method, path, "", anonymous); a.status != http.StatusUnauthorized {
			t.Errorf("nobody: %s answered %d", path, a.status)
		}
	}
	s.connectTo(g, "")
	s.do(http.MethodGet, "/api/gmail/oauth/start", "", s.owner()).want(t, http.StatusServiceUnavailable,
		`{"success":false,"error":"Connecting Gmail is switched off: there is no key to keep the connection safe","action":"Set TOKEN_KEYS, then connect again","technical_details":"no_token_keys; request_id={id}"}`)
}

func TestDisconnectCancelsTheSync(t *testing.T) {
	t.Parallel()
	s, g := connectable(t)
	s.worker(proto.Queues()...)
	s.connectGmail("")
	want := proto.ConnectionAnswer{Success: true, Status: proto.ConnectionNone}
	for range 2 { // twice is the same
		var got proto.ConnectionAnswer
		s.do(http.MethodDelete, "/api/gmail/oauth/disconnect", "", s.owner()).json(t, &got)
		diff(t, "answer", got, want)
	}
	if job := s.latest(); job.Status != proto.StateCanceled || g.revoked != 1 {
		t.Errorf("the sync in flight is %s, revoked %d times", job.Status, g.revoked)
	}
	if a := s.do(http.MethodPost, "/api/receipts/sync", ""); a.status != http.StatusConflict {
		t.Errorf("a sync after it answered %d %s", a.status, a.body)
	}
}

func TestStartTakesNoOtherParameters(t *testing.T) {
	t.Parallel()
	s, _ := connectable(t)
	for _, row := range []struct{ query, want string }{
		{"confrim=new_mailbox", problemBody("Unknown field 'confrim'", "Leave 'confrim' out, or correct its name", "unknown_field")},
		{"confirm=all", problemBody("Field 'confirm' must be new_mailbox, or not be there", "Correct 'confirm' and send the request again", "invalid_field")},
		{"confirm=new_mailbox;x=1", malformedQuery},
	} {
		s.do(http.MethodGet, "/api/gmail/oauth/start?"+row.query, "", s.owner()).want(t, 400, row.want)
	}
}

func TestConnectWithoutRedis(t *testing.T) {
	t.Parallel()
	s, _ := connectable(t)
	state, cookie := s.start("")
	s.redis.Close()
	a := s.comeBack(url.Values{"state": {state}, "code": {"c"}}, cookie)
	if a.status != http.StatusFound || a.header.Get("Location") != "/?error=redis_unavailable" {
		t.Errorf("callback answered %d to %s", a.status, a.header.Get("Location"))
	}
}

// Whatever the callback gives to the page, the page has words for.
func TestPageHasWordsForEachCode(t *testing.T) {
	t.Parallel()
	p, err := page.New(page.Options{})
	if err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	p.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/assets/en.json", nil))
	var words map[string]any
	if err := json.Unmarshal(w.Body.Bytes(), &words); err != nil {
		t.Fatal(err)
	}
	codes := []string{"denied", errNoRedis.code}
	for _, row := range gmailProblems {
		codes = append(codes, row.code)
	}
	for _, code := range codes {
		if _, ok := words["news."+code]; !ok {
			t.Errorf("the page has no words for %q", code)
		}
	}
}
