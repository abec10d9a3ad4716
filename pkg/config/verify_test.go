package config_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/prosaas/receipts/pkg/config"
)

func TestVerify(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "keys")
	if err := os.WriteFile(file, []byte("first,second\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	defaults := config.Verify{
		Redis: config.Redis{RedisURL: "redis://127.0.0.1:6379/0"}, QueuePrefix: "{receipts}",
		APIURL: "http://127.0.0.1:8080", APIAdminURL: "http://127.0.0.1:9090", WorkerAdminURL: "http://127.0.0.1:9091",
	}
	changed := defaults
	changed.APIURL, changed.NoColor, changed.DiagnosticKeys = "https://receipts.example.com", "1", []config.Secret{"first", "second"}

	for name, tt := range map[string]struct {
		environ []string
		want    config.Verify
		faults  []string // variables; none: no error
	}{
		"defaults":            {nil, defaults, nil},
		"values":              {[]string{"API_URL=https://receipts.example.com", "NO_COLOR=1", "DIAGNOSTIC_KEY_FILE=" + file, "JWT_SECRET="}, changed, nil},
		"every fault at once": {[]string{"API_URL=receipts", "API_ADMIN_URL=:9090", "WORKER_ADMIN_URL=ftp://x", "REDIS_URL=x", "QUEUE_PREFIX=x"}, config.Verify{}, []string{"API_URL", "API_ADMIN_URL", "WORKER_ADMIN_URL", "REDIS_URL", "QUEUE_PREFIX"}},
		"a secret's file":     {[]string{"JWT_SECRET_FILE=/no/such/file"}, config.Verify{}, []string{"JWT_SECRET"}},
	} {
		got, err := config.LoadVerify(tt.environ)
		if (err != nil) != (tt.faults != nil) {
			t.Errorf("%s: %v", name, err)
			continue
		}
		for _, variable := range tt.faults {
			if !strings.Contains("\n"+err.Error(), "\n"+variable+" ") {
				t.Errorf("%s: %q does not name %s", name, err, variable)
			}
		}
		if diff := cmp.Diff(tt.want, got, cmp.Transformer("Reveal", config.Secret.Reveal)); tt.faults == nil && diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}
