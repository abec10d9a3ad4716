//go:build compose

package composetest

import (
	"net/http"
	"path/filepath"
	"strings"
	"testing"
)

// Each secret is replaced as deploy/guide/secrets.md says it. The old one no longer
// works, the new one does, and a business that was connected before still syncs.
func TestSecretsRotate(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	s.write("Makefile", original(t, "Makefile"))
	s.simulator()
	s.connect("acme")

	rotate := func(heading string, environ ...string) {
		t.Helper()
		args := append([]string{"-u", "COMPOSE_FILE", "RECEIPTS_VERSION=" + s.project}, environ...)
		s.must("env", append(args, "sh", "-euc", guide(t, "secrets.md", heading))...)
	}
	status := func(path string, headers ...string) int {
		t.Helper()
		a, err := s.try(http.MethodGet, path, "", headers...)
		if err != nil {
			t.Fatal(err)
		}
		return a.status
	}
	wantStatus := func(what string, got, want int) {
		t.Helper()
		if got != want {
			t.Errorf("%s: status %d, want %d", what, got, want)
		}
	}

	const list, diagnostics = "/api/receipts", "/api/receipts/queue/diagnostics"
	session := s.bearer("acme")
	rotate("The key that signs sessions")
	wantStatus("a session of the old key", status(list, session...), http.StatusUnauthorized)
	wantStatus("a session of the new key", status(list, s.bearer("acme")...), http.StatusOK)

	first := s.read("deploy/secrets/diagnostic_keys")
	rotate("The diagnostic key")
	second, _, _ := strings.Cut(s.read("deploy/secrets/diagnostic_keys"), ",")
	for _, key := range []string{first, second} {
		wantStatus("either diagnostic key", status(diagnostics, "X-Diagnostic-Key", key), http.StatusOK)
	}
	rotate("Drop the old diagnostic key")
	wantStatus("the old diagnostic key", status(diagnostics, "X-Diagnostic-Key", first), http.StatusForbidden)
	wantStatus("the new diagnostic key", status(diagnostics, "X-Diagnostic-Key", second), http.StatusOK)

	rotate("The keys that seal Gmail's tokens")
	s.sync("acme")

	secret := filepath.Join(s.dir, "deploy/secrets/google_client_secret")
	rotate("The OAuth client's secret", "NEW_SECRET=the-second-one")
	if got := s.must("cat", secret); got != "the-second-one" {
		t.Errorf("the OAuth client's secret is %q", got)
	}
	s.sync("acme")

	password := s.read("deploy/secrets/redis_url_worker")
	rotate("The users of Redis")
	if out, err := s.run(t.Context(), "docker", "exec", s.of("redis")[0], "redis-cli", "-e", "--no-auth-warning", "-u", strings.Replace(password, "@redis:", "@127.0.0.1:", 1), "ping"); err == nil {
		t.Errorf("the old password of the worker still works: %s", out)
	}
	s.sync("acme")
}
