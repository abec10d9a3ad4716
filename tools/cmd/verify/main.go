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
	Only     []string      `enum:"config,containers,drift,redis,api,registry,metrics,flow,drill" placeholder:"GROUP" help:"Only these groups: ${enum}."`
	Business string        `placeholder:"ID" help:"Ask for a real sync of this business too (group flow)."`
	Deployed bool          `help:"What is deployed here: with its own settings, and redis, api, registry and metrics from inside, by its container verify."`
	Failed   []string      `hidden:"" sep:"none" help:"A check that failed on the host."`
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
	show := reporter{out: out, errs: errs, json: f.Output == "json" || wantsJSON(args)}
	settings, faults := config.LoadVerify(environ)
	if err = errors.Join(err, faults); err != nil {
		return show.refusal(verify.Report{}, err, exitUsage)
	}
	report, err := look(ctx, f, settings, composition(environ), out)
	if err != nil {
		return show.refusal(report, err, exitNotRun)
	}
	if show.json {
		show.document(report)
	}
	return exitCode(report)
}

// wantsJSON reports whether JSON is asked for, also by arguments that are wrong.
func wantsJSON(args []string) bool {
	line := " " + strings.Join(args, " ") + " "
	return strings.Contains(line, " -o json ") || strings.Contains(line, " -ojson ") || strings.Contains(line, " -o=json ") ||
		strings.Contains(line, " --output json ") || strings.Contains(line, " --output=json ")
}

// reporter shows how a run ended. As JSON that is one document, whatever happens.
type reporter struct {
	out, errs io.Writer
	json      bool
}

// refusal shows why nothing was checked, or not all, and returns the exit code.
func (r reporter) refusal(report verify.Report, err error, code int) int {
	_, _ = fmt.Fprintln(r.errs, "verify:", err)
	if r.json {
		report.OK, report.Error = false, err.Error()
		if report.Checks == nil {
			report.Checks = []verify.Result{}
		}
		r.document(report)
	}
	return code
}

func (r reporter) document(report verify.Report) {
	encoder := json.NewEncoder(r.out)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(report); err != nil {
		_, _ = fmt.Fprintln(r.errs, "verify:", err)
	}
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
	d, err := verify.Open(settings, verify.Options{Business: f.Business, Files: files, Deployed: f.Deployed})
	if err != nil {
		return verify.Report{}, err
	}
	defer d.Close()
	plan := verify.Plan{Only: f.Only, Wait: f.Wait, Failed: f.Failed}
	if f.Output == "json" {
		return d.Run(ctx, plan, func(verify.Result) {})
	}
	text := &text{out: out, colors: settings.NoColor == "" && isTerminal(out)}
	report, err := d.Run(ctx, plan, text.result)
	if err != nil && len(report.Checks) == 0 {
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
