//go:build compose

package composetest

import (
	"regexp"
	"strings"
	"testing"
)

// Every command of the README's troubleshooting works on a deployed stack, and
// shows something.
func TestTroubleshooting(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	s.write("Makefile", original(t, "Makefile"))
	s.mustProdUp()
	s.serves()

	_, section, _ := strings.Cut(original(t, "README.md"), "\n## Troubleshooting\n")
	section, _, _ = strings.Cut(section, "\n## ")
	rows := regexp.MustCompile("(?m)^\\| [^|`]+ \\| `(.+?)` \\| .+ \\|$").FindAllStringSubmatch(section, -1)
	if want := strings.Count(section, "\n|") - 2; want < 1 || len(rows) != want {
		t.Fatalf("%d of %d rows have a command", len(rows), want)
	}
	for _, row := range rows {
		command := strings.ReplaceAll(row[1], `\|`, "|")
		if out := s.must("env", "-u", "COMPOSE_FILE", "bash", "-o", "pipefail", "-c", command); out == "" {
			t.Errorf("%s shows nothing", command)
		}
	}
}
