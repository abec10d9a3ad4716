package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
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

// What the flags say of the simulator's habits is how it behaves.
func TestFlagsReachTheSimulator(t *testing.T) {
	t.Parallel()
	address, stop := started(t, "--mailbox", "seed:6", "--auto-consent", "--access-token-ttl", "5m", "--rotate-refresh-tokens",
		"--get-lag", "1h", "--search-lag", "1h", "--empty-history-pages", "--quota", "legacy", "--fault", "method=profile,code=503")
	ask := func(method, path, bearer string, form url.Values) (int, map[string]any) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), method, address+path, strings.NewReader(form.Encode()))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+bearer)
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		resp, err := http.DefaultTransport.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = resp.Body.Close() }()
		if back, err := resp.Location(); err == nil {
			return resp.StatusCode, map[string]any{"code": back.Query().Get("code")}
		}
		var body map[string]any
		if err := json.NewDecoder(resp.Body).Decode(&body); err != nil {
			t.Fatalf("%s %s: %d, %v", method, path, resp.StatusCode, err)
		}
		return resp.StatusCode, body
	}
	boxes, _ := fetch(t, address+"/__sim/")["mailboxes"].([]any)
	box, _ := boxes[0].(map[string]any)
	_, consent := ask(http.MethodGet, "/o/oauth2/v2/auth?response_type=code&client_id=a&scope=https://www.googleapis.com/auth/gmail.readonly&access_type=offline&redirect_uri=http://127.0.0.1:1/", "", nil)
	code, _ := consent["code"].(string)
	_, token := ask(http.MethodPost, "/token", "", url.Values{"grant_type": {"authorization_code"}, "code": {code}, "client_id": {"a"}, "redirect_uri": {"http://127.0.0.1:1/"}})
	refresh, _ := token["refresh_token"].(string)
	_, renewed := ask(http.MethodPost, "/token", "", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {refresh}, "client_id": {"a"}})
	if token["expires_in"] != 300.0 || refresh == "" || renewed["refresh_token"] == nil || renewed["refresh_token"] == refresh {
		t.Errorf("token %v, renewed %v", token, renewed)
	}
	access, _ := token["access_token"].(string)
	_, added := ask(http.MethodPost, "/__sim/messages", "", nil)
	const me = "/gmail/v1/users/me/"
	if status, _ := ask(http.MethodGet, fmt.Sprint(me, "messages/", added["id"]), access, nil); status != http.StatusNotFound {
		t.Errorf("a mail that was just announced: %d, want 404", status)
	}
	if _, list := ask(http.MethodGet, me+"messages", access, nil); len(list["messages"].([]any)) != 6 {
		t.Errorf("a search finds %v, want the six from before", list)
	}
	if _, history := ask(http.MethodGet, fmt.Sprint(me, "history?startHistoryId=", box["history_id"]), access, nil); history["history"] != nil || history["nextPageToken"] == nil {
		t.Errorf("the first page of history = %v", history)
	}
	if status, _ := ask(http.MethodGet, me+"profile", access, nil); status != http.StatusServiceUnavailable {
		t.Errorf("profile: %d, want 503", status)
	}
	if ledger := fetch(t, address+"/__sim/ledger"); ledger["units"] != 13.0 {
		t.Errorf("ledger = %v, want the prices of legacy: 5 + 5 + 2 + 1", ledger)
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
	for _, tt := range []struct {
		args []string
		says string
	}{
		{nil, "--mailbox"},
		{[]string{"--mailbox", "seed:0"}, "from 1 to 10000000, as in seed:400"},
		{[]string{"--mailbox", "seed:many"}, "from 1 to 10000000, as in seed:400"},
		{[]string{"--mailbox", filepath.Join(t.TempDir(), "missing")}, "want a folder with mails, or seed:400"},
		{[]string{"--mailbox", t.TempDir()}, "no .eml, .html or .pdf files"},
		{[]string{"--mailbox", "seed:6", "--mailbox", "Owner@example.com=seed:7"}, "put another address before it, as in second@example.com=seed:7"},
		{[]string{"--mailbox", "seed:6", "--quota", "free"}, `one of "2026","legacy","off"`},
		{[]string{"--mailbox", "seed:6", "--fault", "code=500", "--fault", "colour=red"}, "there are method, id, nth"},
		{[]string{"--mailbox", "seed:6", "--get-lag", "5"}, "--get-lag"},
		{[]string{"--mailbox", "seed:6", "--colour"}, "unknown flag --colour"},
		{[]string{"--mailbox", "seed:6", "--addr", "nowhere"}, "nowhere"},
	} {
		err := run(ended, append([]string{"--addr", "127.0.0.1:0"}, tt.args...), io.Discard)
		if err == nil || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%q: %v, want %q in it", tt.args, err, tt.says)
		}
	}
}

// Whoever asks for help gets the flags, and the faults and controls too, and
// nothing is served.
func TestHelp(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	if err := run(t.Context(), []string{"--help"}, &out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"--mailbox=", "--rotate-refresh-tokens", "kind=huge", "retry_form=", "POST   /__sim/faults"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in the help:\n%s", want, out.String())
		}
	}
}
