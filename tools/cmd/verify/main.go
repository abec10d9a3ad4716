// Command verify checks a running deployment, one line for each check, and says
// under one that failed what to run to mend it. With --drill it breaks it as
// well, and puts it back. Its settings come from the environment; it keeps
// nothing. What it exits with is in the constants below.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/alecthomas/kong"

	"github.com/prosaas/receipts/pkg/config"
	"github.com/prosaas/receipts/proto"
	"github.com/prosaas/receipts/tools/verify"
)

// What verify exits with.
const (
	exitWell     = 0 // nothing failed
	exitFailed   = 1 // a check failed
	exitUsage    = 2 // a flag or a setting is wrong
	exitNotRun   = 3 // it could not check what it was asked to, or was interrupted
	exitTimedOut = 4 // all that failed ran out of time: a check's own, or that of --wait
)

const description = `Check a running deployment: a line for each check, and under one that failed what to run to mend it.

Exits with 0: nothing failed; 1: a check failed; 2: a flag or a setting is wrong; 3: it could not check what it was asked to, or was interrupted; 4: all that failed ran out of time: a check's own, or that of --wait.`

type flags struct {
	Output   string        `short:"o" default:"text" enum:"text,json" placeholder:"text|json" help:"How the result is shown (${default})."`
	Wait     time.Duration `placeholder:"60s" help:"How long checks that fail are tried again."`
	Only     []string      `enum:"config,containers,drift,redis,registry,api,flow,metrics,drill" placeholder:"GROUP" help:"Only these groups: ${enum}."`
	Business string        `placeholder:"ID" help:"Ask for a real sync of this business too (group flow)."`
	Drill    bool          `help:"Stop and kill workers, and put everything back. Without --only: config, containers, api and flow first, which must be well."`
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Environ(), os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

func run(ctx context.Context, args, environ []string, out, errs io.Writer) int {
	f, done, err := parse(args, out)
	if done {
		return exitWell
	}
	settings, faults := config.LoadVerify(environ)
	if err = errors.Join(err, faults); err != nil {
		_, _ = fmt.Fprintln(errs, "verify:", err)
		return exitUsage
	}
	report, err := look(ctx, f, settings, composition(environ), out)
	if err != nil {
		_, _ = fmt.Fprintln(errs, "verify:", err)
		return exitNotRun
	}
	return exitCode(report)
}

func exitCode(report verify.Report) int {
	switch {
	case report.Failed == 0:
		return exitWell
	case report.TimedOut == report.Failed:
		return exitTimedOut
	default:
		return exitFailed
	}
}

// parse reads the flags. It is done where help was asked for, and shown.
func parse(args []string, out io.Writer) (f flags, done bool, err error) {
	parser, err := kong.New(&f, kong.Name("verify"), kong.Description(description),
		kong.Writers(out, out), kong.Exit(func(int) { done = true }))
	if err != nil {
		return f, false, err
	}
	_, err = parser.Parse(args)
	switch {
	case err != nil || done:
		return f, done, err
	case f.Wait < 0:
		return f, false, errors.New("--wait wants a duration, as 60s")
	case f.Business != "" && !proto.ValidID(f.Business):
		return f, false, errors.New("--business wants 1 to 64 letters, digits, - and _")
	case slices.Contains(f.Only, verify.GroupDrill) && !f.Drill:
		return f, false, errors.New("group drill stops and kills workers: it wants --drill")
	}
	if f.Drill && len(f.Only) == 0 {
		f.Only = []string{verify.GroupConfig, verify.GroupContainers, verify.GroupAPI, verify.GroupFlow}
	}
	if f.Drill && !slices.Contains(f.Only, verify.GroupDrill) {
		f.Only = append(f.Only, verify.GroupDrill)
	}
	return f, false, nil
}

// composition returns the files that docker compose is to read: those of
// COMPOSE_FILE, or else what is deployed.
func composition(environ []string) string {
	for _, entry := range environ {
		if files, ok := strings.CutPrefix(entry, "COMPOSE_FILE="); ok && files != "" {
			return files
		}
	}
	return verify.Deployed
}

// look runs the checks and shows the results.
func look(ctx context.Context, f flags, settings config.Verify, files string, out io.Writer) (verify.Report, error) {
	d, err := verify.Open(settings, verify.Options{Business: f.Business, Files: files})
	if err != nil {
		return verify.Report{}, err
	}
	defer d.Close()
	plan := verify.Plan{Only: f.Only, Wait: f.Wait}
	if f.Output == "json" {
		report, err := d.Run(ctx, plan, func(verify.Result) {})
		if errors.Is(err, verify.ErrNotHere) {
			return report, err
		}
		encoder := json.NewEncoder(out)
		encoder.SetIndent("", "  ")
		return report, errors.Join(err, encoder.Encode(report))
	}
	text := &text{out: out, colors: settings.NoColor == "" && isTerminal(out)}
	report, err := d.Run(ctx, plan, text.result)
	if errors.Is(err, verify.ErrNotHere) {
		return report, err
	}
	text.summary(report)
	return report, errors.Join(err, text.err)
}

func isTerminal(out io.Writer) bool {
	file, ok := out.(*os.File)
	if !ok {
		return false
	}
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
