package verify

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"testing"
)

// programs is the folder that TestMain builds into.
var programs string

// version is what the programs are built as.
const version = "v1.2.3"

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "verify-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }()
	programs = dir
	if err := build(dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// build makes the tests' docker, and the services as this test was made: with
// the race detector, if it has it.
func build(dir string) error {
	const house = "github.com/prosaas/receipts/"
	if out, err := exec.Command("go", "build", "-o", dir, "./testdata/docker").CombinedOutput(); err != nil {
		return fmt.Errorf("build the docker of these tests: %w\n%s", err, out)
	}
	args := []string{"build", "-ldflags=-s -w -X main.version=" + version, "-o", dir + string(filepath.Separator)}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, setting := range info.Settings {
			if setting.Key == "-race" {
				args = append(args, "-race="+setting.Value)
			}
		}
	}
	args = append(args, house+"services/receipts-api/cmd/receipts-api", house+"services/receipts-worker/cmd/receipts-worker")
	if out, err := exec.Command("go", args...).CombinedOutput(); err != nil {
		return fmt.Errorf("build the services: %w\n%s", err, out)
	}
	return nil
}
