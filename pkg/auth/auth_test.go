package auth_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/lestrrat-go/jwx/v2/jwa"
	"github.com/lestrrat-go/jwx/v2/jws"

	"github.com/prosaas/receipts/pkg/auth"
)

var (
	secret = []byte("k8Jw2mQz7Rt5Yx1Vb4Nc6Lp9Hd3Fg0Sa")
	noon   = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC) // 1795435200
)

func atNoon() time.Time { return noon }

// sign makes a token of claims as they are, however wrong.
func sign(t *testing.T, claims string, alg jwa.SignatureAlgorithm, key any) string {
	t.Helper()
	token, err := jws.Sign([]byte(claims), jws.WithKey(alg, key))
	if err != nil {
		t.Fatal(err)
	}
	return string(token)
}

// signAs signs with HS256 whatever the header says.
func signAs(header, payload string) string {
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(header + "." + payload))
	return header + "." + payload + "." + encode(string(mac.Sum(nil)))
}

func encode(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }

func TestVerifyClaims(t *testing.T) {
	t.Parallel()
	strict := auth.Options{Issuer: "https://idp.test", Audience: "receipts"}
	const good = `"role":"owner","business_id":"b1","exp":1795438800`
	owner := auth.Principal{BusinessID: "b1", Role: auth.RoleOwner}

	tests := []struct {
		name   string
		opts   auth.Options
		claims string
		want   auth.Principal
		err    error
	}{
		{name: "least", claims: `{` + good + `}`, want: owner},
		{name: "subject", claims: `{"sub":"u7",` + good + `}`, want: auth.Principal{Subject: "u7", BusinessID: "b1", Role: auth.RoleOwner}},
		{name: "subject too long", claims: `{"sub":"` + strings.Repeat("u", 256) + `",` + good + `}`, err: auth.ErrInvalid},
		{name: "not an object", claims: `[]`, err: auth.ErrInvalid},
		{name: "not JSON", claims: `sub=u7`, err: auth.ErrInvalid},

		{name: "business by number", claims: `{"role":"member","business_id":42,"exp":1795438800}`, want: auth.Principal{BusinessID: "42", Role: auth.RoleMember}},
		{name: "business by a number that no float holds", claims: `{"role":"member","business_id":9007199254740993,"exp":1795438800}`, want: auth.Principal{BusinessID: "9007199254740993", Role: auth.RoleMember}},
		{name: "business by fraction", claims: `{"role":"member","business_id":4.5,"exp":1795438800}`, err: auth.ErrInvalid},
		{name: "business by exponent", claims: `{"role":"member","business_id":1e3,"exp":1795438800}`, err: auth.ErrInvalid},
		{name: "business below zero", claims: `{"role":"member","business_id":-1,"exp":1795438800}`, err: auth.ErrInvalid},
		{name: "business that would leave its key", claims: `{"role":"member","business_id":"b}:x","exp":1795438800}`, err: auth.ErrInvalid},
		{name: "business of 65 characters", claims: `{"role":"member","business_id":"` + strings.Repeat("b", 65) + `","exp":1795438800}`, err: auth.ErrInvalid},
		{name: "business of none", claims: `{"role":"member","business_id":"","exp":1795438800}`, err: auth.ErrInvalid},
		{name: "business as list", claims: `{"role":"member","business_id":["b1"],"exp":1795438800}`, err: auth.ErrInvalid},
		{name: "business under a name of another case", claims: `{"role":"member","Business_ID":"b2","exp":1795438800}`, err: auth.ErrInvalid},
		{name: "no business", claims: `{"role":"owner","exp":1795438800}`, err: auth.ErrInvalid},
		{name: "no business for an operator", claims: `{"role":"system_admin","exp":1795438800}`, want: auth.Principal{Role: auth.RoleSystemAdmin}},
		{name: "null for an operator", claims: `{"role":"system_admin","business_id":null,"exp":1795438800}`, want: auth.Principal{Role: auth.RoleSystemAdmin}},
		{name: "bad business for an operator", claims: `{"role":"system_admin","business_id":"*","exp":1795438800}`, err: auth.ErrInvalid},

		{name: "no role", claims: `{"business_id":"b1","exp":1795438800}`, err: auth.ErrInvalid},
		{name: "unknown role", claims: `{"business_id":"b1","role":"root","exp":1795438800}`, err: auth.ErrInvalid},
		{name: "roles as list", claims: `{"business_id":"b1","role":["owner"],"exp":1795438800}`, err: auth.ErrInvalid},

		{name: "no exp", claims: `{"role":"owner","business_id":"b1"}`, err: auth.ErrInvalid},
		{name: "exp null", claims: `{"role":"owner","business_id":"b1","exp":null}`, err: auth.ErrInvalid},
		{name: "exp zero", claims: `{"role":"owner","business_id":"b1","exp":0}`, err: auth.ErrExpired},
		{name: "expired within the skew", claims: `{"role":"owner","business_id":"b1","exp":1795435171}`, want: owner},
		{name: "expired", claims: `{"role":"owner","business_id":"b1","exp":1795435170}`, err: auth.ErrExpired},
		{name: "not yet, within the skew", claims: `{"nbf":1795435230,` + good + `}`, want: owner},
		{name: "not yet", claims: `{"nbf":1795435231,` + good + `}`, err: auth.ErrInvalid},
		{name: "issued in the future", claims: `{"iat":1795435231,` + good + `}`, err: auth.ErrInvalid},

		{name: "right issuer and audience", opts: strict, claims: `{"iss":"https://idp.test","aud":"receipts",` + good + `}`, want: owner},
		{name: "right audience among others", opts: strict, claims: `{"iss":"https://idp.test","aud":["crm","receipts"],` + good + `}`, want: owner},
		{name: "wrong issuer", opts: strict, claims: `{"iss":"https://idp.test.evil","aud":"receipts",` + good + `}`, err: auth.ErrInvalid},
		{name: "no issuer", opts: strict, claims: `{"aud":"receipts",` + good + `}`, err: auth.ErrInvalid},
		{name: "wrong audience", opts: strict, claims: `{"iss":"https://idp.test","aud":"crm",` + good + `}`, err: auth.ErrInvalid},
		{name: "no audience", opts: strict, claims: `{"iss":"https://idp.test",` + good + `}`, err: auth.ErrInvalid},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tt.opts.Now = atNoon
			token := sign(t, tt.claims, jwa.HS256, secret)
			got, err := auth.NewSecretVerifier(secret, tt.opts).Verify(t.Context(), token)
			if !errors.Is(err, tt.err) {
				t.Errorf("error %v, want %v", err, tt.err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("principal (-want +got):\n%s", diff)
			}
		})
	}
}

func TestVerifySignature(t *testing.T) {
	t.Parallel()
	const claims = `{"role":"owner","business_id":"b1","exp":1795438800}`
	good := sign(t, claims, jwa.HS256, secret)
	parts := strings.Split(good, ".")

	critical := jws.NewHeaders()
	for name, value := range map[string]any{"crit": []string{"sudo"}, "sudo": true} {
		if err := critical.Set(name, value); err != nil {
			t.Fatal(err)
		}
	}
	json := `{"payload":"` + parts[1] + `","protected":"` + parts[0] + `","signature":"` + parts[2] + `"}`
	criticalToken, err := jws.Sign([]byte(claims), jws.WithKey(jwa.HS256, secret, jws.WithProtectedHeaders(critical)))
	if err != nil {
		t.Fatal(err)
	}

	tests := []struct {
		name, token string
		err         error
	}{
		{"good", good, nil},
		{"none at all", "", auth.ErrMissing},
		{"garbage", "a.b.c", auth.ErrInvalid},
		{"two parts", parts[0] + "." + parts[1], auth.ErrInvalid},
		{"alg none", encode(`{"alg":"none"}`) + "." + parts[1] + ".", auth.ErrInvalid},
		{"alg none with a signature", encode(`{"alg":"none"}`) + "." + parts[1] + "." + parts[2], auth.ErrInvalid},
		{"alg none over a true signature", signAs(encode(`{"alg":"none"}`), parts[1]), auth.ErrInvalid},
		{"another hash named over a true signature", signAs(encode(`{"alg":"HS512"}`), parts[1]), auth.ErrInvalid},
		{"no signature", parts[0] + "." + parts[1] + ".", auth.ErrInvalid},
		{"other claims under the signature", parts[0] + "." + encode(strings.Replace(claims, "b1", "b2", 1)) + "." + parts[2], auth.ErrInvalid},
		{"another secret", sign(t, claims, jwa.HS256, []byte(strings.Repeat("x", 32))), auth.ErrInvalid},
		{"another hash", sign(t, claims, jwa.HS512, secret), auth.ErrInvalid},
		{"JSON serialization", json, auth.ErrInvalid},
		{"critical header", string(criticalToken), auth.ErrInvalid},
		{"oversized", sign(t, `{"pad":"`+strings.Repeat("p", 8<<10)+`",`+claims[1:], jwa.HS256, secret), auth.ErrInvalid},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := auth.NewSecretVerifier(secret, auth.Options{Now: atNoon}).Verify(t.Context(), tt.token)
			if !errors.Is(err, tt.err) {
				t.Errorf("error %v, want %v", err, tt.err)
			}
			if accepted := got != (auth.Principal{}); accepted != (tt.err == nil) {
				t.Errorf("principal %+v with error %v", got, err)
			}
		})
	}
}

func TestSignedTokensVerify(t *testing.T) {
	t.Parallel()
	opts := auth.Options{Issuer: "https://idp.test", Audience: "receipts", Now: atNoon}
	for _, want := range []auth.Principal{
		{Subject: "u7", BusinessID: "b1", Role: auth.RoleMember},
		{Subject: "ops", Role: auth.RoleSystemAdmin},
	} {
		token, err := auth.Sign(secret, want, time.Hour, opts)
		if err != nil {
			t.Fatal(err)
		}
		got, err := auth.NewSecretVerifier(secret, opts).Verify(t.Context(), token)
		if err != nil || got != want {
			t.Errorf("Verify = %+v, %v; want %+v", got, err, want)
		}
		later := opts
		later.Now = func() time.Time { return noon.Add(time.Hour + 30*time.Second) }
		if _, err := auth.NewSecretVerifier(secret, later).Verify(t.Context(), token); !errors.Is(err, auth.ErrExpired) {
			t.Errorf("after its time: %v, want %v", err, auth.ErrExpired)
		}
	}
}

func TestCan(t *testing.T) {
	t.Parallel()
	needs := []auth.Role{auth.RoleMember, auth.RoleAdmin, auth.RoleOwner, auth.RoleSystemAdmin, "root", ""}
	tests := []struct {
		who auth.Principal
		can []auth.Role
	}{
		{auth.Principal{BusinessID: "b1", Role: auth.RoleMember}, []auth.Role{auth.RoleMember}},
		{auth.Principal{BusinessID: "b1", Role: auth.RoleAdmin}, []auth.Role{auth.RoleMember, auth.RoleAdmin}},
		{auth.Principal{BusinessID: "b1", Role: auth.RoleOwner}, []auth.Role{auth.RoleMember, auth.RoleAdmin, auth.RoleOwner}},
		{auth.Principal{BusinessID: "b1", Role: auth.RoleSystemAdmin}, []auth.Role{auth.RoleMember, auth.RoleAdmin, auth.RoleOwner, auth.RoleSystemAdmin}},
		{auth.Principal{Role: auth.RoleSystemAdmin}, []auth.Role{auth.RoleSystemAdmin}},
		{auth.Principal{}, nil},
	}
	for _, tt := range tests {
		var can []auth.Role
		for _, need := range needs {
			if tt.who.Can(need) {
				can = append(can, need)
			}
		}
		if diff := cmp.Diff(tt.can, can); diff != "" {
			t.Errorf("%+v can (-want +got):\n%s", tt.who, diff)
		}
	}
}
