package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/prosaas/receipts/pkg/redistest"
)

// The test binary is the program itself where a test starts it so.
func TestMain(m *testing.M) {
	if os.Getenv("RUN_MAIN") != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

func program(t *testing.T, environ []string, args ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self, args...)
	cmd.Env = append([]string{"RUN_MAIN=1"}, environ...)
	return cmd
}

func TestServeUntilTerminated(t *testing.T) {
	t.Parallel()
	cmd := program(t, []string{
		"JWT_SECRET=a-secret-of-these-tests-0123456789", "REDIS_URL=" + redistest.DB(t), "API_ADDR=127.0.0.1:0", "API_ADMIN_ADDR=127.0.0.1:0",
	})
	logs, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	addr := ""
	lines := bufio.NewScanner(logs)
	for addr == "" && lines.Scan() {
		var line struct{ Addr string }
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			t.Fatalf("log line %q: %v", lines.Text(), err)
		}
		addr = line.Addr
	}
	if err := run([]string{"healthcheck"}, []string{"API_ADDR=" + addr}, nil, nil); err != nil {
		t.Error(err)
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	for lines.Scan() { // to its end, as Wait asks
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("ended with %v", err)
	}
}

func TestFaultsAreALineEach(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name    string
		environ []string
		args    []string
		want    []string // of each line
	}{
		{"settings", []string{"SYNC_QUEUE=urgent"}, nil, []string{"receipts-api: settings:", "JWT_SECRET", "SYNC_QUEUE"}},
		{"a command", nil, []string{"server"}, []string{`"server"; ` + usage}},
		{"an argument", nil, []string{"serve", "--port"}, []string{`"--port"; ` + usage}},
		{"nobody there", []string{"API_ADDR=127.0.0.1:1"}, []string{"healthcheck"}, []string{"127.0.0.1:1"}},
		{"no address", []string{"API_ADDR=here"}, []string{"healthcheck"}, []string{"API_ADDR"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			cmd := program(t, row.environ, row.args...)
			var out, faults bytes.Buffer
			cmd.Stdout, cmd.Stderr = &out, &faults
			err := cmd.Run()
			lines := strings.Split(strings.TrimSuffix(faults.String(), "\n"), "\n")
			if code := cmd.ProcessState.ExitCode(); code != 1 || out.Len() > 0 || len(lines) != len(row.want) {
				t.Fatalf("exit %d (%v), out %q, faults %q", code, err, out.String(), faults.String())
			}
			for i, w := range row.want {
				if !strings.Contains(lines[i], w) {
					t.Errorf("line %q does not name %s", lines[i], w)
				}
			}
		})
	}
}

func TestVersion(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	if err := run([]string{"version"}, nil, &out, nil); err != nil || out.String() != version+"\n" {
		t.Errorf("version printed %q, %v", out.String(), err)
	}
}

func TestUsage(t *testing.T) {
	t.Parallel()
	for _, flag := range []string{"--help", "-h"} {
		var out bytes.Buffer
		if err := run([]string{flag}, nil, &out, nil); err != nil || out.String() != usage+"\n" {
			t.Errorf("%s printed %q, %v", flag, out.String(), err)
		}
	}
}

func TestHealthcheckWantsAWellAnswer(t *testing.T) {
	t.Parallel()
	unwell := httptest.NewServer(http.NotFoundHandler())
	defer unwell.Close()
	_, port, _ := strings.Cut(strings.TrimPrefix(unwell.URL, "http://"), ":")
	for _, addr := range []string{"127.0.0.1:" + port, ":" + port, "0.0.0.0:" + port} {
		err := run([]string{"healthcheck"}, []string{"API_ADDR=" + addr}, nil, nil)
		if err == nil || !strings.Contains(err.Error(), "404") {
			t.Errorf("healthcheck on %s: %v", addr, err)
		}
	}
}
