package e2e

import (
	"encoding/base64"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prosaas/receipts/pkg/auth"
	"github.com/prosaas/receipts/proto"
)

func TestBadInput(t *testing.T) {
	t.Parallel()
	s := newSystem(t, options{mails: 30})
	api := s.startAPI()
	good := token(t, "b1", auth.RoleOwner)
	expired, err := auth.Sign([]byte(jwtSecret), auth.Principal{Subject: "e2e", BusinessID: "b1", Role: auth.RoleOwner}, -time.Hour, auth.Options{})
	if err != nil {
		t.Fatal(err)
	}
	foreign, err := auth.Sign([]byte("another-secret-than-theirs-0123456789"), auth.Principal{Subject: "e2e", BusinessID: "b1", Role: auth.RoleOwner}, time.Hour, auth.Options{})
	if err != nil {
		t.Fatal(err)
	}
	_, claims, _ := strings.Cut(good, ".")
	claims, _, _ = strings.Cut(claims, ".")
	unsigned := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none","typ":"JWT"}`)) + "." + claims + "."

	const sync = "/api/receipts/sync"
	for _, tt := range []struct {
		name, token, method, path, body string
		status                          int
		says                            string // in error, action or technical_details
	}{
		{"no token", "", http.MethodPost, sync, "", http.StatusUnauthorized, "not_signed_in"},
		{"expired token", expired, http.MethodPost, sync, "", http.StatusUnauthorized, "token_expired"},
		{"foreign token", foreign, http.MethodPost, sync, "", http.StatusUnauthorized, "token_invalid"},
		{"unsigned token", unsigned, http.MethodPost, sync, "", http.StatusUnauthorized, "token_invalid"},
		{"garbage for a token", "garbage", http.MethodPost, sync, "", http.StatusUnauthorized, "token_invalid"},
		{"not JSON", good, http.MethodPost, sync, "mode=full", http.StatusBadRequest, "JSON"},
		{"half of JSON", good, http.MethodPost, sync, `{"mode": "full"`, http.StatusBadRequest, "JSON"},
		{"unknown field", good, http.MethodPost, sync, `{"business_id": "b2"}`, http.StatusBadRequest, "business_id"},
		{"wrong mode", good, http.MethodPost, sync, `{"mode": "everything"}`, http.StatusBadRequest, "mode"},
		{"wrong type", good, http.MethodPost, sync, `{"months_back": "three"}`, http.StatusBadRequest, "months_back"},
		{"days in the wrong order", good, http.MethodPost, sync, `{"from_date": "2026-02-02", "to_date": "2026-02-01"}`, http.StatusBadRequest, "from_date"},
		{"no such day", good, http.MethodPost, sync, `{"from_date": "2026-02-30"}`, http.StatusBadRequest, "from_date"},
		{"1 MB", good, http.MethodPost, sync, `{"mode": "` + strings.Repeat("x", 1<<20) + `"}`, http.StatusRequestEntityTooLarge, "64 KiB"},
		{"no such job", good, http.MethodGet, sync + "/01890000-0000-7000-8000-000000000000", "", http.StatusNotFound, "job_not_found"},
		{"no such receipt", good, http.MethodGet, "/api/receipts/none", "", http.StatusNotFound, "receipt_not_found"},
		{"no such page", good, http.MethodGet, "/nowhere", "", http.StatusNotFound, "not_found"},
		{"no such method", good, http.MethodPut, sync, "", http.StatusMethodNotAllowed, "method_not_allowed"},
		{"broken cursor", good, http.MethodGet, "/api/receipts?cursor=x", "", http.StatusBadRequest, "cursor"},
	} {
		c := &client{t: t, api: api.url, token: tt.token, http: http.DefaultClient}
		a := c.call(tt.method, tt.path, tt.body)
		p := decode[proto.Problem](t, a, tt.status)
		said := p.Error + " " + p.Action + " " + p.TechnicalDetails
		if p.Success || p.Error == "" || p.Action == "" || p.TechnicalDetails == "" || !strings.Contains(said, tt.says) {
			t.Errorf("%s: %+v says nothing of %q", tt.name, p, tt.says)
		}
	}
	if a := (&client{t: t, api: api.url, http: http.DefaultClient}).call(http.MethodGet, "/livez", ""); a.status != http.StatusOK {
		t.Errorf("/livez answers %d after all that", a.status)
	}
}

func TestBadSettings(t *testing.T) {
	t.Parallel()
	s := newSystem(t, options{mails: 30})
	common := s.settings("JWT_SECRET="+jwtSecret, "API_ADDR=127.0.0.1:0", "API_ADMIN_ADDR=127.0.0.1:0", "WORKER_ADMIN_ADDR=127.0.0.1:0", "GOOGLE_REDIRECT_URL=http://127.0.0.1/callback")
	for _, tt := range []struct{ program, setting string }{
		{"receipts-api", "TOKEN_KEYS=not a key set"},
		{"receipts-worker", "TOKEN_KEYS=not a key set"},
		{"receipts-api", `TOKEN_KEYS={"keys":[{"kty":"oct","kid":"short","alg":"A256GCMKW","k":"MDEy"}]}`},
		{"receipts-api", "JWT_SECRET=short"},
		{"receipts-api", "SYNC_QUEUE=fast"},
		{"receipts-worker", "WORKER_QUEUES=high,fast"},
		{"receipts-worker", "QUEUE_PREFIX=receipts"},
	} {
		variable, _, _ := strings.Cut(tt.setting, "=")
		p := launch(t, tt.program, append(slices.Clip(common), tt.setting))
		if code := p.awaitEnd(patience); code == 0 || !strings.Contains(strings.Join(p.log(), "\n"), variable) {
			t.Errorf("%s with %s ended with %d, saying %q", tt.program, tt.setting, code, p.log())
		}
	}
}

func TestHealthchecks(t *testing.T) {
	t.Parallel()
	s := newSystem(t, options{mails: 30})
	api := s.startAPI()
	nowhere := freeAddr(t)
	for _, tt := range []struct {
		program, setting string
		well             bool
	}{
		{"receipts-api", "API_ADDR=" + strings.TrimPrefix(api.url, "http://"), true},
		{"receipts-api", "API_ADDR=" + nowhere, false},
		{"receipts-worker", "REDIS_URL=" + s.redis, true}, // no worker runs: it asks for Redis alone
		{"receipts-worker", "REDIS_URL=redis://" + nowhere + "/0", false},
	} {
		p := launch(t, tt.program, []string{tt.setting}, "healthcheck")
		if code := p.awaitEnd(patience); (code == 0) != tt.well {
			t.Errorf("healthcheck of %s with %s ended with %d, saying %q", tt.program, tt.setting, code, p.log())
		}
	}
}
