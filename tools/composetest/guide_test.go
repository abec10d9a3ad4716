//go:build compose

package composetest

import (
	"strings"
	"testing"
)

// guide returns the first shell block below a heading of a page in deploy/guide,
// so that tests run what an operator reads.
func guide(t *testing.T, page, heading string) string {
	t.Helper()
	_, section, found := strings.Cut(original(t, "deploy/guide/"+page), "\n## "+heading+"\n")
	section, _, _ = strings.Cut(section, "\n## ")
	_, block, fenced := strings.Cut(section, "\n```sh\n")
	block, _, closed := strings.Cut(block, "\n```\n")
	if !found || !fenced || !closed {
		t.Fatalf("deploy/guide/%s has no shell block below %q", page, heading)
	}
	return block
}
