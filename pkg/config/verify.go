package config

import (
	"errors"

	"github.com/prosaas/receipts/proto"
)

// Verify is what the program verify reads: where the parts of a deployment are,
// and who it is to them.
type Verify struct {
	Redis
	QueuePrefix    string   `env:"QUEUE_PREFIX" envDefault:"{receipts}" doc:"what every key in Redis begins with" want:"what the services have, as {receipts}"`
	APIURL         string   `env:"API_URL" envDefault:"http://127.0.0.1:8080" doc:"where the API is" want:"an http:// or https:// address"`
	APIAdminURL    string   `env:"API_ADMIN_URL" envDefault:"http://127.0.0.1:9090" doc:"where the API's metrics are" want:"an http:// or https:// address"`
	WorkerAdminURL string   `env:"WORKER_ADMIN_URL" envDefault:"http://127.0.0.1:9091" doc:"where the workers' metrics are; every address of the name is asked" want:"an http:// or https:// address"`
	DiagnosticKeys []Secret `env:"DIAGNOSTIC_KEY" doc:"what opens the diagnostics and the queue's own check" want:"one of the API's DIAGNOSTIC_KEYS; of several the first is used"`
	VerifyToken    Secret   `env:"VERIFY_TOKEN" doc:"the token that asks for a sync" want:"a token of the business, or JWT_SECRET instead"`
	JWTSecret      Secret   `env:"JWT_SECRET" doc:"what such a token is signed with, where there is none" want:"the API's JWT_SECRET"`
	JWTIssuer      string   `env:"JWT_ISSUER" doc:"the claim iss of such a token" want:"the API's JWT_ISSUER"`
	JWTAudience    string   `env:"JWT_AUDIENCE" doc:"the claim aud of such a token" want:"the API's JWT_AUDIENCE"`
	TokenKeysLost  string   `env:"TOKEN_KEYS_LOST" doc:"the key that sealed stored connections is known to be lost" want:"yes, or nothing"`
	NoColor        string   `env:"NO_COLOR" doc:"no colors (https://no-color.org)" want:"anything"`
}

// LoadVerify reads the settings of the program verify, as [LoadAPI] does. No
// secret must be set: what cannot be checked without it says so.
func LoadVerify(environ []string) (Verify, error) {
	cfg, l := read[Verify](environ)
	l.checkRedis(cfg.Redis)
	_, err := proto.NewKeys(cfg.QueuePrefix)
	l.check(err == nil, "QUEUE_PREFIX")
	l.check(cfg.TokenKeysLost == "" || cfg.TokenKeysLost == "yes", "TOKEN_KEYS_LOST")
	l.check(isURL(cfg.APIURL), "API_URL")
	l.check(isURL(cfg.APIAdminURL), "API_ADMIN_URL")
	l.check(isURL(cfg.WorkerAdminURL), "WORKER_ADMIN_URL")
	return cfg, errors.Join(l.faults...)
}
