package config

import (
	"log/slog"
	"net/netip"
	"time"
)

// The tags of a setting: env is its variable, envDefault what it is where none
// is set, doc what it is for, want what may be set (faults and .env.example say
// so), example a value to begin with, refused in production where it is a secret.

// The environments, as APP_ENV names them.
const (
	Development = "development"
	Production  = "production"
)

// Redis is where Redis is: all that the worker's healthcheck needs. The URL is
// a secret, since it may hold a password.
type Redis struct {
	RedisURL Secret `env:"REDIS_URL" envDefault:"redis://127.0.0.1:6379/0" doc:"where Redis is" want:"redis://[user:password@]host:port/db, rediss:// for TLS; several hosts with commas are a Cluster, ?master_set= is Sentinel"`
}

// Store is where the keys of businesses are. A Redis of their own cannot stop the
// queue when it is full.
type Store struct {
	StoreRedisURL Secret `env:"STORE_REDIS_URL" doc:"where the Redis is that keeps connections and receipts; by default that of REDIS_URL, which also has the queue" want:"what REDIS_URL takes, or nothing for one Redis"`
}

// Listen is where the API listens: all that its healthcheck needs.
type Listen struct {
	APIAddr string `env:"API_ADDR" envDefault:":8080" doc:"where the API listens" want:"host:port, or :port"`
}

// JWT is how callers prove who they are: exactly one of JWTSecret and JWKSURL is set.
type JWT struct {
	JWTSecret   Secret `env:"JWT_SECRET" doc:"the secret that HS256 tokens are signed with" want:"at least 32 bytes, as openssl rand -base64 48 prints, or JWKS_URL instead: exactly one of the two" example:"example-only-jwt-secret-0123456789"`
	JWKSURL     string `env:"JWKS_URL" doc:"the key set that tokens are verified with" want:"an https:// address (http:// outside production), or JWT_SECRET instead: exactly one of the two"`
	JWTIssuer   string `env:"JWT_ISSUER" doc:"what the claim iss must be" want:"the issuer's name, or nothing to accept any"`
	JWTAudience string `env:"JWT_AUDIENCE" doc:"what the claim aud must hold" want:"this service's name, or nothing to accept any"`
}

// Common is what both services read.
type Common struct {
	AppEnv string `env:"APP_ENV" envDefault:"development" doc:"production refuses example secrets" want:"development or production"`
	Redis
	Store
	QueuePrefix        string         `env:"QUEUE_PREFIX" envDefault:"{receipts}" doc:"what every key in Redis begins with" want:"letters, digits and one {tag}, as in {receipts}"`
	LogLevel           slog.Level     `env:"LOG_LEVEL" envDefault:"info" doc:"the least level that is logged" want:"debug, info, warn or error"`
	LogFormat          string         `env:"LOG_FORMAT" doc:"how log lines look" want:"text or json, or nothing: text on a terminal, else json"`
	TokenKeys          Secret         `env:"TOKEN_KEYS" doc:"the keys that seal Gmail's tokens: the first encrypts, all decrypt; without them connecting is refused" want:"a JWK set whose keys are oct of 256 bit, each with a kid of its own and alg A256GCMKW" example:"{\"keys\":[{\"kty\":\"oct\",\"kid\":\"example-1\",\"alg\":\"A256GCMKW\",\"k\":\"ZXhhbXBsZS1vbmx5LXRva2VuLWtleS0wMTIzNDU2Nzg\"}]}"`
	GmailEndpoint      string         `env:"GMAIL_ENDPOINT" envDefault:"https://gmail.googleapis.com/" doc:"where Gmail's API is" want:"an http:// or https:// address"`
	OAuthAuthURL       string         `env:"OAUTH_AUTH_URL" envDefault:"https://accounts.google.com/o/oauth2/v2/auth" doc:"where a person allows access" want:"an http:// or https:// address"`
	OAuthTokenURL      string         `env:"OAUTH_TOKEN_URL" envDefault:"https://oauth2.googleapis.com/token" doc:"where tokens are issued" want:"an http:// or https:// address"`
	OAuthRevokeURL     string         `env:"OAUTH_REVOKE_URL" envDefault:"https://oauth2.googleapis.com/revoke" doc:"where tokens are revoked" want:"an http:// or https:// address"`
	GoogleClientID     string         `env:"GOOGLE_CLIENT_ID" doc:"the OAuth client's id" want:"the id of the OAuth client, together with GOOGLE_CLIENT_SECRET and, in the API, GOOGLE_REDIRECT_URL"`
	GoogleClientSecret Secret         `env:"GOOGLE_CLIENT_SECRET" doc:"the OAuth client's secret" want:"the secret of the OAuth client, together with GOOGLE_CLIENT_ID"`
	JobRetention       time.Duration  `env:"JOB_RETENTION" envDefault:"168h" doc:"how long an ended job is kept" want:"a duration up to 8760h, as 168h"`
	ShutdownTimeout    time.Duration  `env:"SHUTDOWN_TIMEOUT" envDefault:"25s" doc:"how long stopping may take at most" want:"a duration up to 5m, as 25s"`
	DefaultTimeZone    *time.Location `env:"DEFAULT_TIME_ZONE" envDefault:"Asia/Jerusalem" doc:"the time zone of a business that set none" want:"an IANA name, as Asia/Jerusalem"`
}

// API is what receipts-api reads.
type API struct {
	Common
	Listen
	AdminAddr string `env:"API_ADMIN_ADDR" envDefault:":9090" doc:"where the API's metrics are, never the public address" want:"host:port, or :port, other than API_ADDR"`
	JWT
	DiagnosticKeys    []Secret       `env:"DIAGNOSTIC_KEYS" doc:"keys that open the diagnostics; none closes that way" want:"one key, or two separated by a comma while they rotate, each of at least 32 characters without spaces" example:"example-only-diagnostic-key-0123456789"`
	GoogleRedirectURL string         `env:"GOOGLE_REDIRECT_URL" doc:"where Google sends a person back to" want:"the API's public address with /api/gmail/oauth/callback, together with GOOGLE_CLIENT_ID"`
	SyncQueue         string         `env:"SYNC_QUEUE" envDefault:"default" doc:"the queue that syncs go to" want:"high, default or low"`
	GuardWait         time.Duration  `env:"GUARD_WAIT" envDefault:"10s" doc:"how long a request waits for a worker that is restarting" want:"a duration up to 1m, as 10s, or 0s to answer at once"`
	QueueDepthLimit   int            `env:"QUEUE_DEPTH_LIMIT" envDefault:"10000" doc:"jobs that may wait in a queue" want:"a whole number from 1"`
	SyncRateLimit     Rate           `env:"SYNC_RATE_LIMIT" envDefault:"6/m" doc:"syncs that a business may ask for" want:"a number a second, minute or hour, as 6/m, or 0 for no limit"`
	TrustedProxies    []netip.Prefix `env:"TRUSTED_PROXIES" doc:"proxies whose X-Forwarded-For is believed; none ignores it" want:"networks separated by commas, as 10.0.0.0/8"`
	ShutdownDelay     time.Duration  `env:"SHUTDOWN_DELAY" envDefault:"0s" doc:"how long the API goes on serving, not ready, before it stops; a part of SHUTDOWN_TIMEOUT" want:"a duration up to 1m and below SHUTDOWN_TIMEOUT, as 3s"`
	LoginURL          string         `env:"LOGIN_URL" doc:"where the pages send a person to sign in" want:"an http:// or https:// address, or a path that begins with /"`
}

// Worker is what receipts-worker reads.
type Worker struct {
	Common
	Queues            []string      `env:"WORKER_QUEUES" envDefault:"high,default,low" doc:"the queues that the worker listens to, most urgent first" want:"some of high, default and low, separated by commas, each once"`
	Concurrency       int           `env:"WORKER_CONCURRENCY" envDefault:"10" doc:"jobs at a time" want:"a whole number from 1 to 100"`
	AdminAddr         string        `env:"WORKER_ADMIN_ADDR" envDefault:":9091" doc:"where the worker's metrics and /livez are" want:"host:port, or :port"`
	HeartbeatInterval time.Duration `env:"HEARTBEAT_INTERVAL" envDefault:"2s" doc:"how often the worker says that it lives" want:"a duration from 10ms to 15s, as 2s"`
	HeartbeatTTL      time.Duration `env:"HEARTBEAT_TTL" envDefault:"10s" doc:"how long one heartbeat counts" want:"a duration from four times HEARTBEAT_INTERVAL to 60s, as 10s"`
	JobTimeout        time.Duration `env:"JOB_TIMEOUT" envDefault:"2h" doc:"how long one attempt at a job may take" want:"a duration up to 24h, as 2h"`
	JobMaxAttempts    int           `env:"JOB_MAX_ATTEMPTS" envDefault:"5" doc:"attempts before a job has failed" want:"a whole number from 1 to 100"`
	GmailQuotaProfile string        `env:"GMAIL_QUOTA_PROFILE" envDefault:"2026" doc:"the quota of Gmail that the worker keeps to" want:"2026, legacy, or, outside production, off"`
}
