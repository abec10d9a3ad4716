package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strconv"
	"time"

	"github.com/alicebob/miniredis/v2"

	"github.com/prosaas/receipts/pkg/auth"
	"github.com/prosaas/receipts/pkg/lifecycle"
	"github.com/prosaas/receipts/proto"
	"github.com/prosaas/receipts/tools/gmailsim"
	"github.com/prosaas/receipts/tools/gmailsim/mailbox"
)

const (
	business = "demo"
	account  = "demo@example.com"

	loopback    = "127.0.0.1"
	anyPort     = loopback + ":0"
	usualPort   = 8080 // of the page, where it is free
	startWithin = 30 * time.Second
	stopWithin  = 30 * time.Second
	signedInFor = 24 * time.Hour
)

// system is everything that runs. What was started last stops first, so that
// the API goes before the worker, and both before Gmail and Redis.
type system struct {
	bin    string
	out    *lines
	stack  *lifecycle.Stack
	failed chan error // of a part that ended by itself

	secrets  secrets
	redisURL string
	gmail    string // the simulator's address
	page     string // the API's
}

func newSystem(bin string, out io.Writer) *system {
	return &system{bin: bin, out: newLines(out), stack: lifecycle.New(stopWithin), failed: make(chan error, 4), secrets: newSecrets()}
}

func (s *system) stop() error { return s.stack.Stop() }

// start starts one part after the other, and answers once syncs are accepted.
func (s *system) start(ctx context.Context, mails, redisURL, logLevel string) error {
	if err := s.startRedis(redisURL); err != nil {
		return err
	}
	if err := s.startGmail(ctx, mails); err != nil {
		return err
	}
	addr, err := freeAddr(ctx)
	if err != nil {
		return err
	}
	s.page = "http://" + addr
	common := []string{
		"REDIS_URL=" + s.redisURL, "TOKEN_KEYS=" + s.secrets.tokenKeys, "LOG_FORMAT=text", "LOG_LEVEL=" + logLevel,
		"GMAIL_ENDPOINT=" + s.gmail, "OAUTH_AUTH_URL=" + s.gmail + "/o/oauth2/v2/auth",
		"OAUTH_TOKEN_URL=" + s.gmail + "/token", "OAUTH_REVOKE_URL=" + s.gmail + "/revoke",
		"GOOGLE_CLIENT_ID=devstack", "GOOGLE_CLIENT_SECRET=" + s.secrets.client,
	}
	worker := append([]string{"WORKER_ADMIN_ADDR=" + anyPort, "GMAIL_QUOTA_PROFILE=" + string(gmailsim.QuotaOff)}, common...)
	if err := s.startProgram("receipts-worker", worker); err != nil {
		return err
	}
	public := append([]string{
		"API_ADDR=" + addr, "API_ADMIN_ADDR=" + anyPort, "JWT_SECRET=" + s.secrets.jwt, "DIAGNOSTIC_KEYS=" + s.secrets.diagnostics,
		"GOOGLE_REDIRECT_URL=" + s.page + "/api/gmail/oauth/callback",
	}, common...)
	if err := s.startProgram("receipts-api", public); err != nil {
		return err
	}
	return s.awaitWorker(ctx)
}

// startRedis takes the Redis of url, or one of its own. That one's clock runs,
// which it does not by itself: leases, limits and heartbeats must end in time.
func (s *system) startRedis(url string) error {
	if url != "" {
		s.redisURL = url
		return nil
	}
	redis := miniredis.NewMiniRedis()
	redis.ClockTTL(true)
	if err := redis.StartAddr(anyPort); err != nil {
		return fmt.Errorf("start the embedded redis: %w", err)
	}
	s.stack.OnStop("embedded redis", func(context.Context) error { redis.Close(); return nil })
	s.redisURL = "redis://" + redis.Addr() + "/0"
	return nil
}

// startGmail serves the mailbox without a quota: a first look should not wait
// for one.
func (s *system) startGmail(ctx context.Context, mails string) error {
	box, err := gmailsim.OpenMailbox(account, mails, mailbox.Options{})
	if err != nil {
		return fmt.Errorf("open the mailbox: %w", err)
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", anyPort)
	if err != nil {
		return fmt.Errorf("start simulated Gmail: %w", err)
	}
	server := &http.Server{
		Handler:           gmailsim.New([]*mailbox.Mailbox{box}, gmailsim.Options{Quota: gmailsim.QuotaOff}),
		ReadHeaderTimeout: 10 * time.Second,
	}
	go func() {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			s.failed <- fmt.Errorf("simulated Gmail ended: %w", err)
		}
	}()
	s.stack.OnStop("simulated Gmail", func(context.Context) error { return server.Close() })
	s.gmail = "http://" + listener.Addr().String()
	return nil
}

func (s *system) startProgram(name string, environ []string) error {
	p, err := launch(filepath.Join(s.bin, name), environ, s.out.of(name))
	if err != nil {
		return fmt.Errorf("start %s (`make build` makes it): %w", name, err)
	}
	go func() {
		if <-p.ended; p.asked.Err() == nil {
			s.failed <- fmt.Errorf("%s ended by itself: %w", name, p.err)
		}
	}()
	s.stack.OnStop(name, p.stop)
	return nil
}

// freeAddr is the usual address of the page, or one of the next where others
// listen there. None of them is a port that the kernel gives to connections.
func freeAddr(ctx context.Context) (string, error) {
	for port := usualPort; port < usualPort+100; port++ {
		listener, err := new(net.ListenConfig).Listen(ctx, "tcp", net.JoinHostPort(loopback, strconv.Itoa(port)))
		if err == nil {
			return listener.Addr().String(), listener.Close()
		}
	}
	return "", fmt.Errorf("every port from %d to %d is taken", usualPort, usualPort+99)
}

// awaitWorker waits until the API is ready and knows of the worker.
func (s *system) awaitWorker(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startWithin)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		err := s.accepting(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-tick.C:
		case failure := <-s.failed:
			return failure
		case <-ctx.Done():
			return fmt.Errorf("not ready after %s: %w", startWithin, err)
		}
	}
}

// accepting tells why syncs are not accepted yet.
func (s *system) accepting(ctx context.Context) error {
	if err := s.get(ctx, "/readyz", nil); err != nil {
		return err
	}
	var d proto.Diagnostics
	if err := s.get(ctx, "/api/receipts/queue/diagnostics", &d); err != nil {
		return err
	}
	if d.CriticalChecks.Status != "OK" {
		return errors.New(d.CriticalChecks.Status)
	}
	return nil
}

func (s *system) get(ctx context.Context, path string, into any) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, s.page+path, nil)
	if err != nil {
		return fmt.Errorf("get %s: %w", path, err)
	}
	r.Header.Set("X-Diagnostic-Key", s.secrets.diagnostics)
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return fmt.Errorf("get %s: %w", path, err)
	}
	defer func() { _ = answer.Body.Close() }() // read as far as it is wanted
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("get %s: %s", path, answer.Status)
	}
	if into == nil {
		return nil
	}
	if err := json.NewDecoder(answer.Body).Decode(into); err != nil {
		return fmt.Errorf("get %s: %w", path, err)
	}
	return nil
}

// greet tells a person what to do now.
func (s *system) greet() error {
	token, err := auth.Sign([]byte(s.secrets.jwt), auth.Principal{Subject: "devstack", BusinessID: business, Role: auth.RoleOwner}, signedInFor, auth.Options{})
	if err != nil {
		return err
	}
	s.out.say(fmt.Sprintf(`
  Receipts is up. Open this page, connect the (simulated) Gmail, and watch the first sync:

    %[1]s/signin#token=%[2]s

  The same by curl, once Gmail is connected:

    TOKEN=%[2]s
    curl -X POST %[1]s/api/receipts/sync -H "Authorization: Bearer $TOKEN"
    curl %[1]s/api/receipts -H "Authorization: Bearer $TOKEN"

  How the queue stands:

    curl %[1]s/api/receipts/queue/diagnostics -H 'X-Diagnostic-Key: %[3]s'

  Ctrl-C ends all of it.

`, s.page, token, s.secrets.diagnostics))
	return nil
}
