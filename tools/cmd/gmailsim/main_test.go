package main

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// started runs the program until the test ends, and gives its address.
func started(t *testing.T, args ...string) (address string, stop func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	out, in := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		err := run(ctx, append([]string{"--addr", "127.0.0.1:0"}, args...), in)
		_ = in.CloseWithError(io.EOF)
		ended <- err
	}()
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("no line (%v): %v", err, <-ended)
	}
	address = strings.TrimSpace(strings.TrimPrefix(line, "gmailsim listens on "))
	return address, func() error {
		cancel()
		return <-ended
	}
}

func fetch(t *testing.T, address string) map[string]any {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	var body map[string]any
	if err := json.NewDecoder(resp.Body).Decode(&body); err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: %d, %v", address, resp.StatusCode, err)
	}
	return body
}

func TestRunServesUntilItIsStopped(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "a=b.eml"), []byte("Subject: a\r\n\r\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	address, stop := started(t, "--mailbox", "seed:60", "--mailbox", "second@example.com="+dir, "--quota", "off", "--auto-consent",
		"--fault", "method=messages.get,nth=3,code=500", "--fault", "delay=1ms")
	boxes, _ := fetch(t, address+"/__sim/")["mailboxes"].([]any)
	if len(boxes) != 2 {
		t.Fatalf("mailboxes = %v", boxes)
	}
	for i, want := range []struct {
		address  string
		messages float64
	}{{defaultAddress, 60}, {"second@example.com", 1}} {
		box, _ := boxes[i].(map[string]any)
		if box["address"] != want.address || box["messages"] != want.messages {
			t.Errorf("mailbox %d = %v, want %+v", i, box, want)
		}
	}
	if ledger := fetch(t, address+"/__sim/ledger"); ledger["units"] != 0.0 {
		t.Errorf("ledger = %v", ledger)
	}
	if err := stop(); err != nil {
		t.Errorf("stopped: %v", err)
	}
}

func TestRunRefuses(t *testing.T) {
	t.Parallel()
	ended, cancel := context.WithCancel(t.Context())
	cancel() // whatever is not refused ends at once
	if err := run(ended, []string{"--mailbox", "seed:6", "--addr", "127.0.0.1:0"}, io.Discard); err != nil {
		t.Fatalf("what is right is refused: %v", err)
	}
	for name, args := range map[string][]string{
		"no mailbox":      {},
		"no mails":        {"--mailbox", "seed:0"},
		"no number":       {"--mailbox", "seed:many"},
		"no such folder":  {"--mailbox", filepath.Join(t.TempDir(), "missing")},
		"unknown quota":   {"--mailbox", "seed:6", "--quota", "free"},
		"unknown fault":   {"--mailbox", "seed:6", "--fault", "colour=red"},
		"unknown flag":    {"--mailbox", "seed:6", "--colour"},
		"no such address": {"--mailbox", "seed:6", "--addr", "nowhere"},
	} {
		if err := run(ended, append([]string{"--addr", "127.0.0.1:0"}, args...), io.Discard); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
}
