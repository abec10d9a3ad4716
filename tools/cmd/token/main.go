// Command token prints a JSON Web Token that receipts-api takes: for scripts,
// tests and a first look, where no product issues them yet. It signs with
// JWT_SECRET (or JWT_SECRET_FILE), for JWT_ISSUER and JWT_AUDIENCE where they
// are set, and keeps nothing.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/alecthomas/kong"

	"github.com/prosaas/receipts/pkg/auth"
	"github.com/prosaas/receipts/pkg/config"
	"github.com/prosaas/receipts/proto"
)

type flags struct {
	Business string        `required:"" placeholder:"ID" help:"The business that the token is for."`
	Role     auth.Role     `default:"owner" enum:"member,admin,owner,system_admin" help:"What its holder may do: ${enum}."`
	Sub      string        `default:"token" placeholder:"NAME" help:"Who its holder is."`
	TTL      time.Duration `name:"ttl" default:"1h" help:"How long it is good."`
}

func main() {
	var f flags
	kong.Parse(&f, kong.Description("Print a token that receipts-api takes, signed with JWT_SECRET."))
	if err := run(f, os.Environ(), os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "token:", err)
		os.Exit(1)
	}
}

func run(f flags, environ []string, out io.Writer) error {
	cfg, err := config.LoadJWT(environ)
	switch {
	case err != nil:
		return err
	case cfg.JWTSecret == "":
		return errors.New("JWKS_URL is set, so that only its owner signs tokens; set JWT_SECRET instead")
	case !proto.ValidID(f.Business):
		return errors.New("--business wants 1 to 64 letters, digits, - and _")
	case f.TTL <= 0:
		return errors.New("--ttl wants a duration above zero, as 1h")
	}
	token, err := auth.Sign([]byte(cfg.JWTSecret.Reveal()),
		auth.Principal{Subject: f.Sub, BusinessID: f.Business, Role: f.Role}, f.TTL,
		auth.Options{Issuer: cfg.JWTIssuer, Audience: cfg.JWTAudience})
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(out, token)
	return err
}
