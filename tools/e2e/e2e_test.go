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
	"runtime"
	"runtime/debug"
	"strconv"
	"testing"
)

// update has the browser test write the README's pictures anew.
var update = flag.Bool("update", false, "write the pictures of the README anew")

// programs is the folder that TestMain builds into.
var programs string

// atOnce is how many tests run at once, where -parallel says nothing else and
// the machine has no more processors: what they do most is wait.
const atOnce = 4

func TestMain(m *testing.M) {
	if err := flag.Set("test.parallel", strconv.Itoa(max(atOnce, runtime.GOMAXPROCS(0)))); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
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
// it has it. Flags are more flags of go build.
func build(dir string, flags ...string) error {
	const house = "github.com/prosaas/receipts/"
	args := append([]string{"build", "-ldflags=-s -w", "-o", dir + string(filepath.Separator)}, flags...)
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
