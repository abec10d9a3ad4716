// Command devstack is the whole system on one terminal, with nothing to
// install: an embedded Redis (or the one that REDIS_URL names), simulated Gmail,
// receipts-api and receipts-worker from the folder that it lies in itself, with
// secrets made for this one run. When it ends all of it is gone, but for what a
// Redis of REDIS_URL keeps; where a part ends by itself, devstack says which and
// ends too.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/alecthomas/kong"
)

type flags struct {
	Mailbox string `default:"seed:600" placeholder:"DIR|seed:N" help:"The mailbox: a folder of .eml, .html and .pdf files, or N generated mails, Hebrew and English (${default})."`
}

func main() {
	var f flags
	kong.Parse(&f, kong.Description("The whole system on one terminal, until Ctrl-C."))
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, f, os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "devstack:", err)
		os.Exit(1)
	}
}

// run is the system's life: it ends in order with ctx, or with the first part
// that ends by itself, which is an error.
func run(ctx context.Context, f flags, out io.Writer) (err error) {
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find the programs to start: %w", err)
	}
	system := newSystem(filepath.Dir(self), out)
	defer func() { err = errors.Join(err, system.stop()) }()
	if err := system.start(ctx, f.Mailbox, os.Getenv("REDIS_URL"), os.Getenv("LOG_LEVEL")); err != nil {
		if ctx.Err() != nil { // Ctrl-C while it started
			return nil
		}
		return err
	}
	if err := system.greet(); err != nil {
		return err
	}
	select {
	case <-ctx.Done():
		return nil
	case err := <-system.failed:
		return err
	}
}
