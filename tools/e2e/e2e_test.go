// Package e2e holds the tests of the whole: the programs themselves as
// processes, a real redis-server, simulated Gmail, HTTP, and a browser. What
// they do a person with a terminal could do, and what they assert that person
// would see. Processes and data of a test are gone when it ends.
package e2e

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"testing"
)

// update has the browser test write the README's pictures anew.
var update = flag.Bool("update", false, "write the pictures of the README anew")

// programs is the folder that TestMain builds into.
var programs string

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(run(m))
}

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "e2e-")
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

// build makes the programs as this test was made: with the race detector, if
// it has it.
func build(dir string) error {
	const house = "github.com/prosaas/receipts/"
	args := []string{"build", "-ldflags=-s -w", "-o", dir + string(filepath.Separator)}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, setting := range info.Settings {
			if setting.Key == "-race" {
				args = append(args, "-race="+setting.Value)
			}
		}
	}
	for _, program := range []string{"services/receipts-api/cmd/receipts-api", "services/receipts-worker/cmd/receipts-worker", "tools/cmd/devstack"} {
		args = append(args, house+program)
	}
	if out, err := exec.Command("go", args...).CombinedOutput(); err != nil {
		return fmt.Errorf("build the programs: %w\n%s", err, out)
	}
	return nil
}
