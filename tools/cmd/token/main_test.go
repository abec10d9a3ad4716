package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prosaas/receipts/pkg/auth"
)

const secret = "k8Jw2mQz7Rt5Yx1Vb4Nc6Lp9Hd3Fg0Sa"

func TestTokenVerifies(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(path, []byte(secret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	want := auth.Principal{Subject: "script", BusinessID: "b1", Role: auth.RoleAdmin}
	for _, tt := range []struct {
		environ []string
		opts    auth.Options
	}{
		{[]string{"JWT_SECRET=" + secret}, auth.Options{}},
		{[]string{"JWT_SECRET_FILE=" + path, "JWT_ISSUER=idp", "JWT_AUDIENCE=receipts"}, auth.Options{Issuer: "idp", Audience: "receipts"}},
	} {
		var out bytes.Buffer
		if err := run(flags{Business: "b1", Role: auth.RoleAdmin, Sub: "script", TTL: time.Hour}, tt.environ, &out); err != nil {
			t.Fatal(err)
		}
		token, rest, _ := strings.Cut(out.String(), "\n")
		if rest != "" {
			t.Errorf("more than a token: %q", rest)
		}
		got, err := auth.NewSecretVerifier([]byte(secret), tt.opts).Verify(t.Context(), token)
		if err != nil || got != want {
			t.Errorf("with %v: %+v, %v; want %+v", tt.opts, got, err, want)
		}
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	good := flags{Business: "b1", Role: auth.RoleOwner, TTL: time.Hour}
	badBusiness, badTTL := good, good
	badBusiness.Business, badTTL.TTL = "b 1", -time.Hour
	for _, tt := range []struct {
		f       flags
		environ []string
		names   string // what the error is about
	}{
		{good, nil, "JWT_SECRET"},
		{good, []string{"JWT_SECRET=short"}, "JWT_SECRET"},
		{good, []string{"JWKS_URL=https://idp.test/keys"}, "JWKS_URL"},
		{badBusiness, []string{"JWT_SECRET=" + secret}, "--business"},
		{badTTL, []string{"JWT_SECRET=" + secret}, "--ttl"},
	} {
		var out bytes.Buffer
		err := run(tt.f, tt.environ, &out)
		if err == nil || !strings.Contains(err.Error(), tt.names) || out.Len() > 0 {
			t.Errorf("%+v with %v: printed %q, error %v; want one about %s", tt.f, tt.environ, out.String(), err, tt.names)
		}
	}
}
