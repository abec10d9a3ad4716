// Command gmailsim serves simulated Gmail accounts and Google's OAuth over HTTP.
// Nothing is kept: mailboxes start anew, and tokens end, with the process.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/alecthomas/kong"

	"github.com/prosaas/receipts/tools/gmailsim"
	"github.com/prosaas/receipts/tools/gmailsim/mailbox"
)

const defaultAddress = "owner@example.com"

const description = `Simulated Gmail accounts and Google's OAuth over HTTP.

For example: gmailsim --mailbox seed:400 --auto-consent --fault p=0.01,seed=1,code=500`

type flags struct {
	Addr                string        `default:"127.0.0.1:8025" help:"Where to listen; port 0 takes a free one."`
	Mailbox             []string      `required:"" sep:"none" placeholder:"[ADDRESS=]DIR|seed:N" help:"A folder of .eml, .html and .pdf files, or N generated mails; the account is owner@example.com unless ADDRESS= stands before. Once for each account."`
	AutoConsent         bool          `help:"The authorize page redirects at once, as if Allow had been pressed."`
	Quota               string        `default:"2026" enum:"2026,legacy,off" help:"Prices and limit: 2026 (the default: what new projects have since May 2026, 6000 units a minute, 20 for a message), legacy (15000 and 5), off (counted as 2026, nothing refused)."`
	Fault               []string      `sep:"none" placeholder:"RULE" help:"What goes wrong, as below. May be given many times."`
	GetLag              time.Duration `placeholder:"DURATION" help:"A mail that was announced is not found (404) for so long, as 3s."`
	SearchLag           time.Duration `placeholder:"DURATION" help:"A search finds a new mail only after so long, as 1m."`
	EmptyHistoryPages   bool          `help:"History begins with an empty page that has a next one."`
	RotateRefreshTokens bool          `help:"Each refresh gives a new refresh token; using that ends the old one."`
	AccessTokenTTL      time.Duration `name:"access-token-ttl" default:"1h" help:"How long an access token is good for."`
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "gmailsim:", err)
		os.Exit(1)
	}
}

// run serves until ctx ends. It prints one line when it listens.
func run(ctx context.Context, args []string, out io.Writer) error {
	var f flags
	helped := false
	parser, err := kong.New(&f, kong.Name("gmailsim"), kong.Description(description), kong.Writers(out, out),
		kong.Help(help), kong.Exit(func(int) { helped = true }))
	if err != nil {
		return fmt.Errorf("read flags: %w", err)
	}
	if _, err := parser.Parse(args); err != nil && !helped {
		return fmt.Errorf("read flags: %w; --help tells of all", err)
	}
	if helped {
		return nil
	}
	sim, err := build(f)
	if err != nil {
		return err
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", f.Addr)
	if err != nil {
		return fmt.Errorf("listen on %s: %w", f.Addr, err)
	}
	fmt.Fprintf(out, "gmailsim listens on http://%s\n", listener.Addr())
	return serve(ctx, listener, sim)
}

// help is kong's, and what the simulator says of itself.
func help(options kong.HelpOptions, ctx *kong.Context) error {
	if err := kong.DefaultHelpPrinter(options, ctx); err != nil {
		return err
	}
	_, err := fmt.Fprintln(ctx.Stdout, "\n"+gmailsim.Help())
	return err
}

func build(f flags) (*gmailsim.Sim, error) {
	var boxes []*mailbox.Mailbox
	taken := map[string]bool{}
	for _, spec := range f.Mailbox {
		address := defaultAddress
		if before, after, found := strings.Cut(spec, "="); found && strings.Contains(before, "@") {
			address, spec = before, after
		}
		if taken[strings.ToLower(address)] {
			return nil, fmt.Errorf("--mailbox %s: %s has one already; put another address before it, as in second@example.com=%[1]s", spec, address)
		}
		taken[strings.ToLower(address)] = true
		box, err := gmailsim.OpenMailbox(address, spec, mailbox.Options{GetLag: f.GetLag, SearchLag: f.SearchLag})
		if err != nil {
			return nil, fmt.Errorf("read --mailbox: %w", err)
		}
		boxes = append(boxes, box)
	}
	sim := gmailsim.New(boxes, gmailsim.Options{
		AutoConsent: f.AutoConsent, Quota: gmailsim.Quota(f.Quota), AccessTokenTTL: f.AccessTokenTTL,
		RotateRefreshTokens: f.RotateRefreshTokens, EmptyHistoryPages: f.EmptyHistoryPages,
	})
	return sim, sim.AddFault(f.Fault...)
}

// serve answers until ctx ends, then gives calls under way two seconds.
func serve(ctx context.Context, listener net.Listener, handler http.Handler) error {
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	select {
	case err := <-ended:
		return fmt.Errorf("serve on %s: %w", listener.Addr(), err)
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	if err := server.Shutdown(grace); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("stop serving on %s: %w", listener.Addr(), err)
	}
	return server.Close()
}
