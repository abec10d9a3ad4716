package config_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"log/slog"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/prosaas/receipts/pkg/config"
)

var update = flag.Bool("update", false, "write .env.example anew")

const (
	goodSecret = "k8Jw2mQz7Rt5Yx1Vb4Nc6Lp9Hd3Fg0Sa"
	goodKeys   = `{"keys":[{"kty":"oct","kid":"2026-11","alg":"A256GCMKW","k":"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"}]}`
)

// environ is what the API needs at least, with changes.
func environ(changes map[string]string) []string {
	vars := map[string]string{"JWT_SECRET": goodSecret}
	maps.Copy(vars, changes)
	var list []string
	for name, value := range vars {
		list = append(list, name+"="+value)
	}
	return list
}

func TestDefaults(t *testing.T) {
	t.Parallel()
	zone, err := time.LoadLocation("Asia/Jerusalem")
	if err != nil {
		t.Fatal(err)
	}
	common := config.Common{
		AppEnv:          config.Development,
		Redis:           config.Redis{RedisURL: "redis://127.0.0.1:6379/0"},
		Store:           config.Store{StoreRedisURL: "redis://127.0.0.1:6379/0"},
		QueuePrefix:     "{receipts}",
		LogLevel:        slog.LevelInfo,
		GmailEndpoint:   "https://gmail.googleapis.com/",
		OAuthAuthURL:    "https://accounts.google.com/o/oauth2/v2/auth",
		OAuthTokenURL:   "https://oauth2.googleapis.com/token",
		OAuthRevokeURL:  "https://oauth2.googleapis.com/revoke",
		JobRetention:    168 * time.Hour,
		ShutdownTimeout: 25 * time.Second,
		DefaultTimeZone: zone,
	}
	sameZone := cmp.Comparer(func(a, b *time.Location) bool { return a.String() == b.String() })
	revealed := cmp.Transformer("Reveal", config.Secret.Reveal)

	api, err := config.LoadAPI(environ(nil))
	if err != nil {
		t.Fatalf("LoadAPI with defaults: %v", err)
	}
	wantAPI := config.API{
		Common:          common,
		Listen:          config.Listen{APIAddr: ":8080"},
		AdminAddr:       ":9090",
		JWT:             config.JWT{JWTSecret: goodSecret},
		SyncQueue:       "default",
		GuardWait:       10 * time.Second,
		QueueDepthLimit: 10000,
		SyncRateLimit:   config.Rate{Count: 6, Per: time.Minute},
	}
	if diff := cmp.Diff(wantAPI, api, sameZone, revealed); diff != "" {
		t.Errorf("LoadAPI (-want +got):\n%s", diff)
	}

	worker, err := config.LoadWorker(nil)
	if err != nil {
		t.Fatalf("LoadWorker with defaults: %v", err)
	}
	wantWorker := config.Worker{
		Common:            common,
		Queues:            []string{"high", "default", "low"},
		Concurrency:       10,
		AdminAddr:         ":9091",
		HeartbeatInterval: 2 * time.Second,
		HeartbeatTTL:      10 * time.Second,
		JobTimeout:        2 * time.Hour,
		JobMaxAttempts:    5,
		GmailQuotaProfile: "2026",
	}
	if diff := cmp.Diff(wantWorker, worker, sameZone, revealed); diff != "" {
		t.Errorf("LoadWorker (-want +got):\n%s", diff)
	}
}

func TestValuesAreRead(t *testing.T) {
	t.Parallel()
	api, err := config.LoadAPI(environ(map[string]string{
		"LOG_LEVEL":       "debug",
		"TOKEN_KEYS":      goodKeys,
		"DIAGNOSTIC_KEYS": goodSecret + "," + strings.Repeat("a1", 16),
		"TRUSTED_PROXIES": "10.0.0.0/8,fd00::/8",
		"SYNC_RATE_LIMIT": "0",
		"GUARD_WAIT":      "", // nothing is not set
		"LOGIN_URL":       "/login?next=receipts",
		"REDIS_URL":       "rediss://app:pw@a:6379,b:6379/2",
	}))
	if err != nil {
		t.Fatal(err)
	}
	want := config.API{
		DiagnosticKeys: []config.Secret{goodSecret, "a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1"},
		TrustedProxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")},
		GuardWait:      10 * time.Second,
		LoginURL:       "/login?next=receipts",
	}
	ignored := cmpopts.IgnoreFields(config.API{}, "Common", "Listen", "JWT", "AdminAddr", "SyncQueue", "QueueDepthLimit")
	if diff := cmp.Diff(want, api, ignored, cmpopts.EquateComparable(netip.Prefix{}), cmp.Transformer("Reveal", config.Secret.Reveal)); diff != "" {
		t.Errorf("LoadAPI (-want +got):\n%s", diff)
	}
	if api.StoreRedisURL != api.RedisURL {
		t.Errorf("the store is at %s, want it where Redis is", api.StoreRedisURL.Reveal())
	}
	worker, err := config.LoadWorker([]string{"STORE_REDIS_URL=redis://store:6379/1"})
	if err != nil || worker.StoreRedisURL != "redis://store:6379/1" || worker.RedisURL != "redis://127.0.0.1:6379/0" {
		t.Errorf("a store of its own is at %s, Redis at %s: %v", worker.StoreRedisURL.Reveal(), worker.RedisURL.Reveal(), err)
	}
	if api.LogLevel != slog.LevelDebug || api.TokenKeys != goodKeys || api.RedisURL != "rediss://app:pw@a:6379,b:6379/2" {
		t.Errorf("level %v, %d bytes of token keys, Redis %s", api.LogLevel, len(api.TokenKeys), api.RedisURL.Reveal())
	}
}

func TestFaults(t *testing.T) {
	t.Parallel()
	loadAPI := func(environ []string) error { _, err := config.LoadAPI(environ); return err }
	loadWorker := func(environ []string) error { _, err := config.LoadWorker(environ); return err }
	production := func(name, value string) map[string]string {
		return map[string]string{"APP_ENV": "production", name: value}
	}
	key := func(jwk string) map[string]string {
		return map[string]string{"TOKEN_KEYS": `{"keys":[` + jwk + `]}`}
	}
	tests := []struct {
		name   string
		load   func([]string) error
		set    map[string]string
		faults []string // the variables, one line of the error each
	}{
		{"environment by another name", loadAPI, map[string]string{"APP_ENV": "prod"}, []string{"APP_ENV"}},
		{"redis of another scheme", loadWorker, map[string]string{"REDIS_URL": "http://127.0.0.1"}, []string{"REDIS_URL"}},
		{"store of another scheme", loadWorker, map[string]string{"STORE_REDIS_URL": "http://127.0.0.1"}, []string{"STORE_REDIS_URL"}},
		{"example password of the store in production", loadAPI, production("STORE_REDIS_URL", "redis://app:changeme@store:6379/0"), []string{"STORE_REDIS_URL"}},
		{"redis without host", loadWorker, map[string]string{"REDIS_URL": "redis://app:x7Tq9@/0"}, []string{"REDIS_URL"}},
		{"prefix without tag", loadWorker, map[string]string{"QUEUE_PREFIX": "receipts"}, []string{"QUEUE_PREFIX"}},
		{"unknown level", loadWorker, map[string]string{"LOG_LEVEL": "loud"}, []string{"LOG_LEVEL"}},
		{"unknown format", loadWorker, map[string]string{"LOG_FORMAT": "xml"}, []string{"LOG_FORMAT"}},
		{"token keys not JSON", loadWorker, map[string]string{"TOKEN_KEYS": "secret"}, []string{"TOKEN_KEYS"}},
		{"token keys empty", loadWorker, key(``), []string{"TOKEN_KEYS"}},
		{"token key without alg", loadWorker, key(`{"kty":"oct","kid":"a","k":"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"}`), []string{"TOKEN_KEYS"}},
		{"token key without kid", loadWorker, key(`{"kty":"oct","alg":"A256GCMKW","k":"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"}`), []string{"TOKEN_KEYS"}},
		{"token key of 128 bit", loadWorker, key(`{"kty":"oct","kid":"a","alg":"A256GCMKW","k":"AAECAwQFBgcICQoLDA0ODw"}`), []string{"TOKEN_KEYS"}},
		{"token keys of one kid", loadWorker, map[string]string{"TOKEN_KEYS": strings.Replace(goodKeys, "}]", "},"+goodKeys[len(`{"keys":[`):len(goodKeys)-1], 1)}, []string{"TOKEN_KEYS"}},
		{"endpoint without scheme", loadWorker, map[string]string{"GMAIL_ENDPOINT": "gmail.googleapis.com"}, []string{"GMAIL_ENDPOINT"}},
		{"client id alone", loadWorker, map[string]string{"GOOGLE_CLIENT_ID": "id"}, []string{"GOOGLE_CLIENT_SECRET"}},
		{"client without redirect", loadAPI, map[string]string{"GOOGLE_CLIENT_ID": "id", "GOOGLE_CLIENT_SECRET": "s"}, []string{"GOOGLE_REDIRECT_URL"}},
		{"unknown zone", loadWorker, map[string]string{"DEFAULT_TIME_ZONE": "Asia/Jeruslem"}, []string{"DEFAULT_TIME_ZONE"}},
		{"zone of the machine", loadWorker, map[string]string{"DEFAULT_TIME_ZONE": "Local"}, []string{"DEFAULT_TIME_ZONE"}},
		{"no duration", loadWorker, map[string]string{"SHUTDOWN_TIMEOUT": "25"}, []string{"SHUTDOWN_TIMEOUT"}},

		{"address without port", loadAPI, map[string]string{"API_ADDR": "localhost"}, []string{"API_ADDR"}},
		{"metrics on the public address", loadAPI, map[string]string{"API_ADDR": ":80", "API_ADMIN_ADDR": ":80"}, []string{"API_ADMIN_ADDR"}},
		{"no way to verify tokens", loadAPI, map[string]string{"JWT_SECRET": ""}, []string{"JWT_SECRET"}},
		{"two ways to verify tokens", loadAPI, map[string]string{"JWKS_URL": "https://idp.test/keys"}, []string{"JWT_SECRET"}},
		{"short secret", loadAPI, map[string]string{"JWT_SECRET": goodSecret[:31]}, []string{"JWT_SECRET"}},
		{"key set in the clear in production", loadAPI, map[string]string{"APP_ENV": "production", "JWT_SECRET": "", "JWKS_URL": "http://idp.test/keys"}, []string{"JWKS_URL"}},
		{"short diagnostic key", loadAPI, map[string]string{"DIAGNOSTIC_KEYS": goodSecret + ",short"}, []string{"DIAGNOSTIC_KEYS"}},
		{"diagnostic keys with a space between", loadAPI, map[string]string{"DIAGNOSTIC_KEYS": goodSecret + ", " + goodSecret}, []string{"DIAGNOSTIC_KEYS"}},
		{"three diagnostic keys", loadAPI, map[string]string{"DIAGNOSTIC_KEYS": goodSecret + "," + goodSecret + "," + goodSecret}, []string{"DIAGNOSTIC_KEYS"}},
		{"queue that nobody knows", loadAPI, map[string]string{"SYNC_QUEUE": "main"}, []string{"SYNC_QUEUE"}},
		{"guard that waits for ever", loadAPI, map[string]string{"GUARD_WAIT": "1h"}, []string{"GUARD_WAIT"}},
		{"no depth", loadAPI, map[string]string{"QUEUE_DEPTH_LIMIT": "0"}, []string{"QUEUE_DEPTH_LIMIT"}},
		{"rate without unit", loadAPI, map[string]string{"SYNC_RATE_LIMIT": "6"}, []string{"SYNC_RATE_LIMIT"}},
		{"rate of nothing", loadAPI, map[string]string{"SYNC_RATE_LIMIT": "0/m"}, []string{"SYNC_RATE_LIMIT"}},
		{"rate a fortnight", loadAPI, map[string]string{"SYNC_RATE_LIMIT": "6/f"}, []string{"SYNC_RATE_LIMIT"}},
		{"proxy without a mask", loadAPI, map[string]string{"TRUSTED_PROXIES": "10.0.0.1"}, []string{"TRUSTED_PROXIES"}},
		{"delay that leaves no time to stop", loadAPI, map[string]string{"SHUTDOWN_DELAY": "25s"}, []string{"SHUTDOWN_DELAY"}},
		{"delay above a minute", loadAPI, map[string]string{"SHUTDOWN_DELAY": "61s", "SHUTDOWN_TIMEOUT": "5m"}, []string{"SHUTDOWN_DELAY"}},
		{"delay below a timeout that cannot be read", loadAPI, map[string]string{"SHUTDOWN_DELAY": "3s", "SHUTDOWN_TIMEOUT": "25"}, []string{"SHUTDOWN_TIMEOUT"}},
		{"login of another site", loadAPI, map[string]string{"LOGIN_URL": "//evil.test/"}, []string{"LOGIN_URL"}},
		{"login by script", loadAPI, map[string]string{"LOGIN_URL": "javascript:alert(1)"}, []string{"LOGIN_URL"}},

		{"unknown queue among good ones", loadWorker, map[string]string{"WORKER_QUEUES": "high, default"}, []string{"WORKER_QUEUES"}},
		{"queue twice", loadWorker, map[string]string{"WORKER_QUEUES": "low,low"}, []string{"WORKER_QUEUES"}},
		{"no slot", loadWorker, map[string]string{"WORKER_CONCURRENCY": "0"}, []string{"WORKER_CONCURRENCY"}},
		{"too many slots", loadWorker, map[string]string{"WORKER_CONCURRENCY": "101"}, []string{"WORKER_CONCURRENCY"}},
		{"slots in words", loadWorker, map[string]string{"WORKER_CONCURRENCY": "ten"}, []string{"WORKER_CONCURRENCY"}},
		{"short time to live", loadWorker, map[string]string{"HEARTBEAT_TTL": "7999ms"}, []string{"HEARTBEAT_TTL"}},
		{"long time to live", loadWorker, map[string]string{"HEARTBEAT_TTL": "61s"}, []string{"HEARTBEAT_TTL"}},
		{"no attempt", loadWorker, map[string]string{"JOB_MAX_ATTEMPTS": "0"}, []string{"JOB_MAX_ATTEMPTS"}},
		{"unknown quota", loadWorker, map[string]string{"GMAIL_QUOTA_PROFILE": "2025"}, []string{"GMAIL_QUOTA_PROFILE"}},
		{"no quota in production", loadWorker, production("GMAIL_QUOTA_PROFILE", "off"), []string{"GMAIL_QUOTA_PROFILE"}},

		{"example secret in production", loadAPI, production("JWT_SECRET", "example-only-jwt-secret-0123456789"), []string{"JWT_SECRET"}},
		{"placeholder in production", loadAPI, production("DIAGNOSTIC_KEYS", "ChangeMe-ChangeMe-ChangeMe-ChangeMe"), []string{"DIAGNOSTIC_KEYS"}},
		{"example password in production", loadWorker, production("REDIS_URL", "redis://app:changeme@redis:6379/0"), []string{"REDIS_URL"}},
		{
			"everything at once", loadWorker,
			map[string]string{"LOG_LEVEL": "loud", "WORKER_CONCURRENCY": "-1", "WORKER_QUEUES": "none", "JOB_TIMEOUT": "soon"},
			[]string{"JOB_TIMEOUT", "LOG_LEVEL", "WORKER_CONCURRENCY", "WORKER_QUEUES"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			err := tt.load(environ(tt.set))
			if err == nil {
				t.Fatal("no fault")
			}
			var faulty []string
			for line := range strings.Lines(err.Error()) {
				variable, rest, _ := strings.Cut(line, " ")
				faulty = append(faulty, variable)
				if !strings.Contains(rest, "set ") {
					t.Errorf("%q does not say what to set", line)
				}
			}
			slices.Sort(faulty)
			if diff := cmp.Diff(tt.faults, faulty); diff != "" {
				t.Errorf("faulty variables (-want +got):\n%s\n%v", diff, err)
			}
			for _, secret := range []string{"JWT_SECRET", "DIAGNOSTIC_KEYS", "REDIS_URL", "STORE_REDIS_URL", "TOKEN_KEYS"} {
				if value := tt.set[secret]; value != "" && strings.Contains(err.Error(), value) {
					t.Errorf("the fault shows %s: %v", secret, err)
				}
			}
		})
	}
}

// What the fault of one heartbeat setting says to set fits the other one.
func TestHeartbeatFaultFitsTheInterval(t *testing.T) {
	t.Parallel()
	for _, row := range []struct{ interval, ttl, want string }{
		{"3s", "", "HEARTBEAT_TTL is not set; set at least four times HEARTBEAT_INTERVAL (12s), up to 60s"},
		{"2s", "5s", `HEARTBEAT_TTL cannot be "5s"; set at least four times HEARTBEAT_INTERVAL (8s), up to 60s`},
		{"16s", "", `HEARTBEAT_INTERVAL cannot be "16s"; set a duration from 10ms to 15s, as 2s`}, // and no word of its fourfold
	} {
		_, err := config.LoadWorker([]string{"HEARTBEAT_INTERVAL=" + row.interval, "HEARTBEAT_TTL=" + row.ttl})
		if err == nil || err.Error() != row.want {
			t.Errorf("every %s for %q: %v\nwant %s", row.interval, row.ttl, err, row.want)
		}
	}
}

func TestProductionAcceptsRealSecrets(t *testing.T) {
	t.Parallel()
	_, err := config.LoadAPI(environ(map[string]string{
		"APP_ENV":         "production",
		"REDIS_URL":       "rediss://app:x7Tq@redis.example.com:6379/0",
		"TOKEN_KEYS":      goodKeys,
		"DIAGNOSTIC_KEYS": goodSecret,
	}))
	if err != nil {
		t.Error(err)
	}
}

func TestSecretFromFile(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		content string
		set     map[string]string
		want    string
		fault   string
	}{
		{name: "newline at the end is no part of it", content: goodSecret + "\n", want: goodSecret},
		{name: "nor is one of Windows", content: goodSecret + "\r\n", want: goodSecret},
		{name: "a second newline is", content: goodSecret + "\n\n", want: goodSecret + "\n"},
		{name: "empty file", content: "\n", fault: "is empty in"},
		{name: "enormous file", content: strings.Repeat("a", 64<<10+1), fault: "more than 65536 bytes"},
		{name: "both", content: goodSecret, set: map[string]string{"JWT_SECRET": goodSecret}, fault: "are both set"},
		{name: "no such file", set: map[string]string{"JWT_SECRET_FILE": "/nowhere/at/all"}, fault: "no such file"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "secret")
			if err := os.WriteFile(path, []byte(tt.content), 0o600); err != nil {
				t.Fatal(err)
			}
			vars := map[string]string{"JWT_SECRET": "", "JWT_SECRET_FILE": path}
			maps.Copy(vars, tt.set)
			cfg, err := config.LoadJWT(environ(vars))
			if tt.fault == "" {
				if err != nil || cfg.JWTSecret.Reveal() != tt.want {
					t.Errorf("secret %q, error %v; want %q", cfg.JWTSecret.Reveal(), err, tt.want)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), tt.fault) || !strings.HasPrefix(err.Error(), "JWT_SECRET ") {
				t.Errorf("error %v, want one of JWT_SECRET with %q", err, tt.fault)
			}
			if strings.Count(err.Error(), "\n") > 0 {
				t.Errorf("more than one fault of one variable: %v", err)
			}
		})
	}
}

func TestHealthchecksNeedNothingElse(t *testing.T) {
	t.Parallel()
	broken := []string{"WORKER_CONCURRENCY=many", "LOG_LEVEL=loud", "REDIS_URL=redis://redis:6379/1", "API_ADDR=:8081"}
	if c, err := config.LoadRedis(broken); err != nil || c.RedisURL != "redis://redis:6379/1" {
		t.Errorf("LoadRedis = %q, %v", c.RedisURL.Reveal(), err)
	}
	if c, err := config.LoadListen(broken); err != nil || c.APIAddr != ":8081" {
		t.Errorf("LoadListen = %q, %v", c.APIAddr, err)
	}
}

func TestSecretIsHidden(t *testing.T) {
	t.Parallel()
	const plain = "hunter2"
	cfg := config.API{JWT: config.JWT{JWTSecret: plain}, DiagnosticKeys: []config.Secret{plain}}

	var shown bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		fmt.Fprintf(&shown, verb+verb, cfg, cfg.JWTSecret)
	}
	marshaled, err := json.Marshal(cfg)
	if err != nil {
		t.Fatal(err)
	}
	shown.Write(marshaled)
	slog.New(slog.NewJSONHandler(&shown, nil)).Info("settings", "all", cfg, "one", cfg.JWTSecret)
	slog.New(slog.NewTextHandler(&shown, nil)).Info("settings", "all", cfg, "one", cfg.JWTSecret)

	// What a handler that looks at the value itself is given.
	if v := slog.AnyValue(cfg.JWTSecret).Resolve(); v.Kind() != slog.KindString || v.String() == plain {
		t.Errorf("resolved to %v %v", v.Kind(), v)
	}

	for _, form := range []string{plain, fmt.Sprintf("%x", plain)} {
		if strings.Contains(shown.String(), form) {
			t.Errorf("shown as %s in %s", form, shown.String())
		}
	}
	if cfg.JWTSecret.Reveal() != plain {
		t.Errorf("Reveal = %q", cfg.JWTSecret.Reveal())
	}
}

func TestEnvExample(t *testing.T) {
	const path = "../../.env.example"
	if *update {
		if err := os.WriteFile(path, []byte(config.EnvExample()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	committed, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(config.EnvExample(), string(committed)); diff != "" {
		t.Errorf("%s is not what the structs say; run this test with -update (-structs +file):\n%s", path, diff)
	}
}

// With .env.example as it is both services start, and in production neither does.
func TestEnvExampleIsForDevelopmentOnly(t *testing.T) {
	t.Parallel()
	var environ []string
	for line := range strings.Lines(config.EnvExample()) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok && !strings.HasPrefix(name, "#") {
			environ = append(environ, name+"="+strings.Trim(value, "'"))
		}
	}
	if _, err := config.LoadAPI(environ); err != nil {
		t.Errorf("API in development: %v", err)
	}
	if _, err := config.LoadWorker(environ); err != nil {
		t.Errorf("worker in development: %v", err)
	}
	environ = append(environ, "APP_ENV=production")
	_, err := config.LoadAPI(environ)
	for _, secret := range []string{"JWT_SECRET", "TOKEN_KEYS", "DIAGNOSTIC_KEYS"} {
		if err == nil || !strings.Contains(err.Error(), secret+" is an example") {
			t.Errorf("production takes the example of %s: %v", secret, err)
		}
	}
	if _, err := config.LoadWorker(environ); err == nil {
		t.Error("the worker starts in production with example keys")
	}
}
