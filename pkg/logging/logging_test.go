package logging_test

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/prosaas/receipts/pkg/logging"
)

func TestFormat(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		format string
		json   bool
	}{
		{"text", false},
		{"json", true},
		{"", true}, // a buffer is no terminal
	} {
		var out bytes.Buffer
		logging.New(&out, slog.LevelInfo, tt.format).Info("🔔 JOB_START: Gmail receipts sync", logging.KeyJobID, "j-1")
		if got := json.Valid(out.Bytes()); got != tt.json {
			t.Errorf("format %q: is JSON %v, want %v: %s", tt.format, got, tt.json, out.String())
		}
		// People and scripts grep for the message as it is written.
		for _, want := range []string{"🔔 JOB_START: Gmail receipts sync", "job_id", "j-1"} {
			if !strings.Contains(out.String(), want) {
				t.Errorf("format %q: no %q in %s", tt.format, want, out.String())
			}
		}
	}
}

func TestFileIsNoTerminal(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "log")
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	logging.New(file, slog.LevelInfo, "").Info("hello")
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	line, err := os.ReadFile(path)
	if err != nil || !json.Valid(line) {
		t.Errorf("a file gets %q, %v; want JSON", line, err)
	}
}

func TestLevel(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	log := logging.New(&out, slog.LevelWarn, "json")
	log.Info("quiet")
	log.Warn("loud")
	if got := out.String(); strings.Contains(got, "quiet") || !strings.Contains(got, "loud") {
		t.Errorf("at level warn: %s", got)
	}
}
