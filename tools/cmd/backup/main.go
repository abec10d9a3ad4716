// Command backup seals copies with age, opens them again, and keeps them in S3.
// backup.sh, restore.sh and restore-check.sh run it in a container. It never
// writes a copy in clear to S3, and it keeps no state of its own.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"
	_ "golang.org/x/crypto/x509roots/fallback" // its image has no root certificates
)

type flags struct {
	Seal  sealCmd  `cmd:"" help:"Seal the files of a folder into one file that only the recipients' identities open."`
	Open  openCmd  `cmd:"" help:"Open a sealed file, or s3://bucket/prefix/name, into a folder."`
	Put   putCmd   `cmd:"" help:"Upload a sealed file, and check what arrived."`
	Last  lastCmd  `cmd:"" help:"Print the address of the newest copy in S3."`
	Prune pruneCmd `cmd:"" help:"Remove all copies but the newest from S3."`
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	err := run(ctx, os.Args[1:])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "backup:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	parser, err := kong.New(&flags{}, kong.Name("backup"), kong.Description("Seal copies of the system, and keep them in S3."), kong.BindTo(ctx, (*context.Context)(nil)))
	if err != nil {
		return err
	}
	parsed, err := parser.Parse(args)
	if err != nil {
		return err
	}
	return parsed.Run()
}
