//go:build compose

package composetest

import (
	"strings"
	"testing"
)

// The commands of deploy/guide/backups.md, as they stand there: on a stack that was
// just deployed, and then on one whose volumes are all new.
func TestBackupGuide(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	s.write("Makefile", original(t, "Makefile"))
	s.mustProdUp()
	run := func(heading, from string) string {
		t.Helper()
		return s.must("env", "-u", "COMPOSE_FILE", "RECEIPTS_VERSION="+s.project, "FROM="+from, "sh", "-euc", guide(t, "backups.md", heading))
	}
	folder := lastLine(run("Back up", ""))
	if !strings.HasPrefix(folder, "backups/") {
		t.Fatalf("make backup ended with %q", folder)
	}
	if out := run("Check that a copy can be restored", ""); !strings.Contains(out, folder+" loads") {
		t.Errorf("restore-check: %s", out)
	}
	run("Restore", folder)
	s.serves()

	s.must("docker", "compose", "--file", "deploy/.deployed/compose.yaml", "down", "--volumes")
	s.must("rm", "-rf", "deploy/.deployed")
	run("On a new machine", folder)
	s.serves()
}
