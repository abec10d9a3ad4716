package e2e

import (
	"encoding/json"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// With LOG_FORMAT=json each line that a service writes is one JSON object, also
// where it refuses to start.
func TestRefusalsToStartAreJSON(t *testing.T) {
	t.Parallel()
	for _, row := range []struct{ program, setting string }{
		{"receipts-api", "SYNC_QUEUE=urgent"},
		{"receipts-api", "API_ADDR=256.0.0.1:1"},
		{"receipts-worker", "WORKER_QUEUES=urgent"},
		{"receipts-worker", "WORKER_ADMIN_ADDR=256.0.0.1:1"},
	} {
		t.Run(row.program+" "+row.setting, func(t *testing.T) {
			t.Parallel()
			cmd := exec.CommandContext(t.Context(), filepath.Join(programs, row.program))
			cmd.Env = []string{"LOG_FORMAT=json", "REDIS_URL=redis://127.0.0.1:1/0", "JWT_SECRET=" + strings.Repeat("s", 32), row.setting}
			out, err := cmd.CombinedOutput()
			if err == nil {
				t.Fatalf("it started:\n%s", out)
			}
			said := 0
			for line := range strings.Lines(string(out)) {
				var entry map[string]any
				if err := json.Unmarshal([]byte(line), &entry); err != nil {
					t.Errorf("no JSON: %v\n%s", err, line)
				}
				if entry["program"] == row.program {
					said++
				}
			}
			if said != 1 {
				t.Errorf("%d lines say why it ended:\n%s", said, out)
			}
		})
	}
}
