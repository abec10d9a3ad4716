// Command receipts-worker claims syncs, reads Gmail and keeps receipts. Its
// settings come from the environment; a crash loses nothing that another
// worker does not pick up.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	_ "time/tzdata" // the image has no zones of its own

	_ "golang.org/x/crypto/x509roots/fallback" // nor certificates

	"github.com/prosaas/receipts/pkg/config"
	"github.com/prosaas/receipts/pkg/logging"
	"github.com/prosaas/receipts/services/receipts-worker/internal/app"
)

var version = "dev" // stamped by the build

const usage = "usage: receipts-worker [serve | healthcheck | version]"

func main() {
	if err := run(os.Args[1:]); err != nil {
		logging.Failure(os.Stderr, config.LogFormat(os.Environ()), "receipts-worker", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	command := "serve"
	if len(args) > 0 {
		command = args[0]
	}
	switch {
	case len(args) > 1:
		return fmt.Errorf("unexpected argument %q; %s", args[1], usage)
	case command == "--help", command == "-h":
		_, err := fmt.Println(usage)
		return err
	case command == "version":
		_, err := fmt.Println(version)
		return err
	case command == "healthcheck":
		settings, err := config.LoadRedis(os.Environ())
		if err != nil {
			return err
		}
		return app.Healthcheck(ctx, settings)
	case command == "serve":
		settings, err := config.LoadWorker(os.Environ())
		if err != nil {
			return fmt.Errorf("settings:\n%w", err)
		}
		log := logging.New(os.Stderr, settings.LogLevel, settings.LogFormat)
		return app.Run(ctx, settings, version, log)
	default:
		return fmt.Errorf("no such command %q; %s", command, usage)
	}
}
