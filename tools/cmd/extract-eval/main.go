// Command extract-eval measures the extractor on a folder of mails with known
// answers: precision and recall of the decision, and how often total, currency,
// tax, date, number and vendor are read exactly; how far confidence can be
// trusted; and what stays of it for senders without a rule. It only reads; stopped half
// way it leaves nothing behind.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"

	"github.com/alecthomas/kong"

	"github.com/prosaas/receipts/pkg/receiptmail"
)

type arguments struct {
	Output   string `short:"o" enum:"text,json" default:"text" help:"Form of the report: text or json."`
	LeaveOut bool   `help:"Read each mail as if its sender had no rule, and report on the mails whose sender has one."`
	Dir      string `arg:"" type:"existingdir" help:"Folder with expected.tsv and the mails it names."`
}

func main() {
	var args arguments
	kong.Parse(&args, kong.Name("extract-eval"), kong.Description("Measure the extractor on mails with known answers."))
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, args, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "extract-eval:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args arguments, out io.Writer) (err error) {
	rows, err := readExpected(args.Dir)
	if err != nil {
		return err
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return fmt.Errorf("find a folder for compiled code: %w", err)
	}
	reader := receiptmail.NewReader(filepath.Join(cache, "receipts", "pdf"))
	defer func() { err = errors.Join(err, reader.Close(context.WithoutCancel(ctx))) }()
	report := report{}
	for _, row := range rows {
		c, err := measure(ctx, reader, args.Dir, row, args.LeaveOut)
		if errors.Is(err, errNoRule) {
			continue
		}
		if err != nil {
			return err
		}
		report.add(c)
	}
	report.finish()
	if args.Output == "json" {
		enc := json.NewEncoder(out)
		enc.SetIndent("", "  ")
		enc.SetEscapeHTML(false)
		return enc.Encode(report)
	}
	return report.print(out)
}
