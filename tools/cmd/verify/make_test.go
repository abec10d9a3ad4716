package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const (
	// seen has a stand-in write who it is, what it was called with, of which version, and for which composition.
	seen = `echo "$(basename "$0") $*; $RECEIPTS_VERSION in $COMPOSE_FILE" >>calls` + "\n"
	// docker lists the containers that run.
	docker = `[ "$*" = "compose ps --all --quiet" ] && { echo $RUNS; exit; }` + "\n" + seen
	// golang must not be called where something was deployed.
	golang = seen
	// lock stands in for deploy/lock.sh, which another one may hold.
	lock    = `echo locked >>calls; [ -z "$TAKEN" ] || exit 1` + "\n"
	program = seen + `exit "${VERIFY_EXITS:-0}"` + "\n"
)

// TestMake holds what the Makefile's verify and drill run. Docker, Go and verify
// are stand-ins: what is deployed is not theirs.
func TestMake(t *testing.T) {
	t.Parallel()
	const (
		files    = "compose.yaml"
		deployed = "deploy/.deployed/compose.yaml"
		built    = "go build -trimpath -ldflags -s -w -o bin/ ./tools/cmd/verify; v1 in compose.yaml"
	)
	for name, tt := range map[string]struct {
		target   string
		deployed bool
		environ  []string
		want     []string
		fails    bool
	}{
		"what the files say":          {"verify", false, []string{"RUNS=1"}, []string{built, "verify --deployed; v1 in " + files}, false},
		"nothing is deployed":         {"verify", false, nil, nil, true},
		"nothing to drill":            {"drill", false, nil, nil, true},
		"what was deployed":           {"verify", true, []string{"BUSINESS=b1", "OUTPUT=json"}, []string{"verify --deployed --output json --business b1; v1 in " + deployed}, false},
		"what the caller says":        {"verify", true, []string{"COMPOSE_FILE=other.yaml"}, []string{"verify --deployed; v1 in other.yaml"}, false},
		"it fails":                    {"verify", true, []string{"VERIFY_EXITS=1"}, []string{"verify --deployed; v1 in " + deployed}, true},
		"the drill":                   {"drill", true, nil, []string{"locked", "verify --deployed --drill; v1 in " + deployed}, false},
		"the drill of files":          {"drill", false, []string{"RUNS=1"}, []string{built, "locked", "verify --deployed --drill; v1 in " + files}, false},
		"the drill fails":             {"drill", true, []string{"VERIFY_EXITS=4"}, []string{"locked", "verify --deployed --drill; v1 in " + deployed}, true},
		"a drill beside a deployment": {"drill", true, []string{"TAKEN=yes"}, []string{"locked"}, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			plant(t, dir, "path/docker", docker)
			plant(t, dir, "path/go", golang)
			plant(t, dir, "deploy/lock.sh", lock)
			if tt.deployed {
				plant(t, dir, deployed, "")
				plant(t, dir, "deploy/.deployed/verify", program)
			} else {
				plant(t, dir, "bin/verify", program)
			}
			makefile, err := filepath.Abs("../../../Makefile")
			if err != nil {
				t.Fatal(err)
			}
			cmd := exec.CommandContext(t.Context(), "make", "--file", makefile, "VERSION=v1", tt.target)
			cmd.Dir = dir
			cmd.Env = append([]string{"PATH=" + filepath.Join(dir, "path") + string(filepath.ListSeparator) + os.Getenv("PATH")}, tt.environ...)
			out, err := cmd.CombinedOutput()
			if (err != nil) != tt.fails {
				t.Errorf("make %s: %v\n%s", tt.target, err, out)
			}
			calls, err := os.ReadFile(filepath.Join(dir, "calls"))
			if err != nil && !os.IsNotExist(err) {
				t.Fatal(err)
			}
			if nothing := strings.Contains(string(out), "nothing is deployed here: make prod-up"); nothing != (tt.want == nil) {
				t.Errorf("make %s says:\n%s", tt.target, out)
			}
			if diff := cmp.Diff(strings.Join(tt.want, "\n"), strings.TrimSpace(string(calls))); diff != "" {
				t.Errorf("calls (-want +got):\n%s", diff)
			}
		})
	}
}

// plant writes a script.
func plant(t *testing.T, dir, name, script string) {
	t.Helper()
	file := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte("#!/bin/sh\n"+script), 0o700); err != nil { // #nosec G306 -- it is run
		t.Fatal(err)
	}
}
