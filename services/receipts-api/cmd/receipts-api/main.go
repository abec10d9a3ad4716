// Command receipts-api is the HTTP API: serve (default) runs it, healthcheck
// tells whether the one on this machine answers, version prints its version.
// Settings come from the environment; nothing outlives the process but what it
// wrote to Redis.
package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"
	_ "time/tzdata" // the image has no zones

	_ "golang.org/x/crypto/x509roots/fallback" // nor root certificates

	"github.com/prosaas/receipts/pkg/config"
	"github.com/prosaas/receipts/pkg/logging"
	"github.com/prosaas/receipts/services/receipts-api/internal/app"
)

var version = "dev" // stamped when it is built

const usage = "usage: receipts-api [serve | healthcheck | version]"

func main() {
	if err := run(os.Args[1:], os.Environ(), os.Stdout, os.Stderr); err != nil {
		logging.Failure(os.Stderr, config.LogFormat(os.Environ()), "receipts-api", err)
		os.Exit(1)
	}
}

func run(args, environ []string, out, logs io.Writer) error {
	command := "serve"
	if len(args) > 0 {
		command = args[0]
	}
	switch {
	case len(args) > 1:
		return fmt.Errorf("unexpected argument %q; %s", args[1], usage)
	case command == "--help", command == "-h":
		_, err := fmt.Fprintln(out, usage)
		return err
	case command == "serve":
		return serve(environ, logs)
	case command == "healthcheck":
		return healthcheck(environ)
	case command == "version":
		_, err := fmt.Fprintln(out, version)
		return err
	default:
		return fmt.Errorf("no such command %q; %s", command, usage)
	}
}

func serve(environ []string, logs io.Writer) error {
	cfg, err := config.LoadAPI(environ)
	if err != nil {
		return fmt.Errorf("settings:\n%w", err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	return app.Run(ctx, cfg, logging.New(logs, cfg.LogLevel, cfg.LogFormat), version)
}

// healthcheck asks the API on this machine whether it answers.
func healthcheck(environ []string) error {
	cfg, err := config.LoadListen(environ)
	if err != nil {
		return err
	}
	host, port, err := net.SplitHostPort(cfg.APIAddr)
	if err != nil {
		return fmt.Errorf("healthcheck: %w", err)
	}
	if ip := net.ParseIP(host); host == "" || ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+net.JoinHostPort(host, port)+"/livez", nil)
	if err != nil {
		return fmt.Errorf("healthcheck: %w", err)
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return fmt.Errorf("healthcheck: %w", err)
	}
	defer func() { _ = answer.Body.Close() }() // not wanted
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("healthcheck: %s answered %s", r.URL, answer.Status)
	}
	return nil
}
