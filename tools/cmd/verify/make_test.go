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
	// seen has a stand-in tell who it is, what it was called with, of which version, and where it was sent.
	seen = `echo "$(basename "$0") $*; $RECEIPTS_VERSION in $COMPOSE_FILE; at $API_URL; with $DIAGNOSTIC_KEY_FILE" >>calls` + "\n"
	// docker knows one composition, mounts its secrets as compose tells them, and publishes the API.
	docker = `case "$*" in
"compose config") printf 'secrets:\n  diagnostic_keys:\n    name: x\n    file: /of/%s/diagnostic_keys\n  jwt_secret:\n    file: /of/jwt_secret\n' "$COMPOSE_FILE" ;;
"compose port receipts-api 8080") echo "${PORT:-:0}" ;;
*) ` + seen + ` exit "${DOCKER_EXITS:-0}" ;;
esac
`
	// lock stands in for deploy/lock.sh, which another one may hold.
	lock    = `echo locked >>calls; [ -z "$TAKEN" ] || exit 1` + "\n"
	program = seen + `exit "${VERIFY_EXITS:-0}"` + "\n"
)

// TestMake holds what the Makefile's verify and drill run, and that neither half
// fails unseen. Docker and verify are stand-ins: what is deployed is not theirs.
func TestMake(t *testing.T) {
	t.Parallel()
	const (
		files    = "compose.yaml"
		deployed = "deploy/.deployed/compose.yaml"
		half     = "verify --only config,containers,drift,flow; v1 in "
		inside   = "docker compose run --rm --env COMPOSE_FILE verify --only redis,registry,api,metrics"
	)
	for name, tt := range map[string]struct {
		target   string
		deployed bool
		environ  []string
		want     []string
		fails    bool
	}{
		"what the files say": {"verify", false, nil, []string{
			half + files + "; at http://127.0.0.1:8080; with /of/" + files + "/diagnostic_keys",
			inside + "; v1 in " + files + "; at http://127.0.0.1:8080; with /of/" + files + "/diagnostic_keys",
		}, false},
		"what was deployed": {"verify", true, []string{"PORT=127.0.0.1:18080", "BUSINESS=b1"}, []string{
			half + deployed + "; at http://127.0.0.1:18080; with /of/" + deployed + "/diagnostic_keys",
			inside + " --only flow --business b1; v1 in " + deployed + "; at http://127.0.0.1:18080; with /of/" + deployed + "/diagnostic_keys",
		}, false},
		"what the caller says": {"verify", true, []string{"COMPOSE_FILE=other.yaml", "API_URL=https://x", "DIAGNOSTIC_KEY_FILE=key"}, []string{
			half + "other.yaml; at https://x; with key", inside + "; v1 in other.yaml; at https://x; with key",
		}, false},
		"the half from here fails": {"verify", false, []string{"VERIFY_EXITS=1", "API_URL=x", "DIAGNOSTIC_KEY_FILE=key"}, []string{
			half + files + "; at x; with key", inside + "; v1 in " + files + "; at x; with key",
		}, true},
		"the half from inside fails": {"verify", false, []string{"DOCKER_EXITS=1", "API_URL=x", "DIAGNOSTIC_KEY_FILE=key"}, []string{
			half + files + "; at x; with key", inside + "; v1 in " + files + "; at x; with key",
		}, true},
		"the drill": {"drill", true, nil, []string{
			"locked",
			"verify --drill; v1 in " + deployed + "; at http://127.0.0.1:8080; with /of/" + deployed + "/diagnostic_keys",
		}, false},
		"the drill fails": {"drill", true, []string{"VERIFY_EXITS=4", "API_URL=x", "DIAGNOSTIC_KEY_FILE=key"}, []string{
			"locked",
			"verify --drill; v1 in " + deployed + "; at x; with key",
		}, true},
		"a drill beside a deployment": {"drill", true, []string{"TAKEN=yes"}, []string{"locked"}, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			plant(t, dir, "path/docker", docker)
			plant(t, dir, "path/go", "")
			plant(t, dir, "bin/verify", program)
			plant(t, dir, "deploy/lock.sh", lock)
			if tt.deployed {
				plant(t, dir, deployed, "")
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
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, strings.Split(strings.TrimSpace(string(calls)), "\n")); diff != "" {
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
