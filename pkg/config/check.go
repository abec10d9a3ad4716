package config

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/prosaas/receipts/proto"
)

// check refuses the value of a variable unless it is well.
func (l *loader) check(well bool, variable string) {
	if !well {
		l.refuse(variable)
	}
}

func (l *loader) checkRedis(c Redis) {
	l.check(isRedisURL(c.RedisURL.Reveal()), "REDIS_URL")
}

func (l *loader) checkListen(c Listen) {
	l.check(isAddr(c.APIAddr), "API_ADDR")
}

func (l *loader) checkJWT(c JWT) {
	switch {
	case c.JWTSecret != "" && c.JWKSURL != "":
		l.fault("JWT_SECRET", "and JWKS_URL are both set: set one of them")
	case c.JWKSURL != "":
		l.check(isURL(c.JWKSURL), "JWKS_URL")
	default:
		l.check(len(c.JWTSecret) >= 32, "JWT_SECRET")
	}
}

func (l *loader) checkCommon(c Common) {
	l.checkRedis(c.Redis)
	l.check(c.StoreRedisURL == "" || isRedisURL(c.StoreRedisURL.Reveal()), "STORE_REDIS_URL")
	l.check(c.AppEnv == Development || c.AppEnv == Production, "APP_ENV")
	_, err := proto.NewKeys(c.QueuePrefix)
	l.check(err == nil, "QUEUE_PREFIX")
	l.check(slices.Contains([]string{"", "text", "json"}, c.LogFormat), "LOG_FORMAT")
	l.check(c.TokenKeys == "" || isTokenKeySet(c.TokenKeys.Reveal()), "TOKEN_KEYS")
	l.check(isURL(c.GmailEndpoint), "GMAIL_ENDPOINT")
	l.check(isURL(c.OAuthAuthURL), "OAUTH_AUTH_URL")
	l.check(isURL(c.OAuthTokenURL), "OAUTH_TOKEN_URL")
	l.check(isURL(c.OAuthRevokeURL), "OAUTH_REVOKE_URL")
	l.check(c.GoogleClientID != "" || c.GoogleClientSecret == "", "GOOGLE_CLIENT_ID")
	l.check(c.GoogleClientSecret != "" || c.GoogleClientID == "", "GOOGLE_CLIENT_SECRET")
	l.check(within(c.JobRetention, 1, 8760*time.Hour), "JOB_RETENTION")
	l.check(within(c.ShutdownTimeout, 1, 5*time.Minute), "SHUTDOWN_TIMEOUT")
	// Local would mean another zone on every machine.
	l.check(c.DefaultTimeZone != nil && c.DefaultTimeZone.String() != "Local", "DEFAULT_TIME_ZONE")
	if c.AppEnv == Production {
		l.checkNoExamples()
	}
}

func (l *loader) checkAPI(c API) {
	l.checkListen(c.Listen)
	l.check(isAddr(c.AdminAddr) && (c.AdminAddr != c.APIAddr || strings.HasSuffix(c.APIAddr, ":0")), "API_ADMIN_ADDR")
	l.checkJWT(c.JWT)
	l.check(c.JWKSURL == "" || c.AppEnv != Production || strings.HasPrefix(c.JWKSURL, "https://"), "JWKS_URL")
	l.check(len(c.DiagnosticKeys) <= 2, "DIAGNOSTIC_KEYS")
	for _, key := range c.DiagnosticKeys {
		l.check(len(key) >= 32 && !strings.ContainsFunc(key.Reveal(), unicode.IsSpace), "DIAGNOSTIC_KEYS")
	}
	if c.GoogleClientID != "" || c.GoogleRedirectURL != "" {
		l.check(isURL(c.GoogleRedirectURL), "GOOGLE_REDIRECT_URL")
	}
	l.check(proto.ValidQueue(c.SyncQueue), "SYNC_QUEUE")
	l.check(within(c.GuardWait, 0, time.Minute), "GUARD_WAIT")
	l.check(c.QueueDepthLimit >= 1, "QUEUE_DEPTH_LIMIT")
	l.check(within(c.ShutdownDelay, 0, time.Minute), "SHUTDOWN_DELAY")
	if c.ShutdownDelay >= c.ShutdownTimeout && !l.faulty["SHUTDOWN_TIMEOUT"] {
		l.refuseFor("SHUTDOWN_DELAY", fmt.Sprintf("a duration below SHUTDOWN_TIMEOUT (%s), up to 1m", c.ShutdownTimeout))
	}
	l.check(c.LoginURL == "" || isURL(c.LoginURL) || isPath(c.LoginURL), "LOGIN_URL")
}

func (l *loader) checkWorker(c Worker) {
	l.check(len(c.Queues) > 0, "WORKER_QUEUES")
	for i, queue := range c.Queues {
		l.check(proto.ValidQueue(queue) && !slices.Contains(c.Queues[:i], queue), "WORKER_QUEUES")
	}
	l.check(within(c.Concurrency, 1, 100), "WORKER_CONCURRENCY")
	l.check(isAddr(c.AdminAddr), "WORKER_ADMIN_ADDR")
	l.check(within(c.HeartbeatInterval, 10*time.Millisecond, 15*time.Second), "HEARTBEAT_INTERVAL")
	l.check(c.HeartbeatTTL <= time.Minute, "HEARTBEAT_TTL")
	if least := 4 * c.HeartbeatInterval; c.HeartbeatTTL < least && !l.faulty["HEARTBEAT_INTERVAL"] {
		l.refuseFor("HEARTBEAT_TTL", fmt.Sprintf("at least four times HEARTBEAT_INTERVAL (%s), up to 60s", least))
	}
	l.check(within(c.JobTimeout, 1, 24*time.Hour), "JOB_TIMEOUT")
	l.check(within(c.JobMaxAttempts, 1, 100), "JOB_MAX_ATTEMPTS")
	profiles := []string{"2026", "legacy", "off"}
	if c.AppEnv == Production {
		profiles = profiles[:2]
	}
	l.check(slices.Contains(profiles, c.GmailQuotaProfile), "GMAIL_QUOTA_PROFILE")
}

// checkNoExamples refuses secrets that were copied from an example: those of
// .env.example all say so themselves.
func (l *loader) checkNoExamples() {
	words := []string{"example", "changeme", "change-me", "change_me", "insecure", "password", "not-for-production"}
	for _, setting := range l.settings {
		if !isSecret(setting) {
			continue
		}
		variable := setting.Tag.Get("env")
		value := strings.ToLower(l.vars[variable])
		if variable == "REDIS_URL" || variable == "STORE_REDIS_URL" { // its host may well be redis.example.com
			value = value[:strings.LastIndex(value, "@")+1]
		}
		if slices.ContainsFunc(words, func(word string) bool { return strings.Contains(value, word) }) {
			l.fault(variable, "is an example, which APP_ENV=production refuses; set %s", setting.Tag.Get("want"))
		}
	}
}

func within[T int | time.Duration](v, least, most T) bool { return v >= least && v <= most }

func isAddr(s string) bool {
	_, port, err := net.SplitHostPort(s)
	if err != nil {
		return false
	}
	_, err = strconv.ParseUint(port, 10, 16)
	return err == nil
}

// isRedisURL does not use url.Parse, which takes the commas of a Cluster's hosts for a bad port.
func isRedisURL(s string) bool {
	scheme, rest, _ := strings.Cut(s, "://")
	host, _, _ := strings.Cut(rest[strings.LastIndex(rest, "@")+1:], "/")
	return (scheme == "redis" || scheme == "rediss") && host != ""
}

func isURL(s string) bool {
	u, err := url.Parse(s)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != ""
}

// isPath tells whether s stays on this site: //host would leave it.
func isPath(s string) bool {
	u, err := url.Parse(s)
	return err == nil && strings.HasPrefix(s, "/") && u.Host == "" && !strings.HasPrefix(s, "//")
}

// isTokenKeySet tells whether s is what package connection can seal with. jwx
// decrypts through a set only with keys that carry their alg.
func isTokenKeySet(s string) bool {
	var set struct {
		Keys []struct{ Kty, Kid, Alg, K string }
	}
	if err := json.Unmarshal([]byte(s), &set); err != nil {
		return false
	}
	kids := map[string]bool{}
	for _, key := range set.Keys {
		bits, err := base64.RawURLEncoding.DecodeString(key.K)
		if err != nil || len(bits) != 32 || key.Kty != "oct" || key.Alg != "A256GCMKW" || key.Kid == "" || kids[key.Kid] {
			return false
		}
		kids[key.Kid] = true
	}
	return len(kids) > 0
}
