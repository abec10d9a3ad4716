package verify

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prosaas/receipts/pkg/config"
	"github.com/prosaas/receipts/proto"
)

var composeCommand = regexp.MustCompile(`docker compose (.*?)([;,)]|$)`)

// checkHint reports what is wrong with a hint to a user of what is deployed.
func checkHint(t *testing.T, hint string) {
	t.Helper()
	for _, found := range composeCommand.FindAllStringSubmatch(hint, -1) {
		words := strings.Fields(found[1])
		if len(words) < 3 || words[0] != "-f" || words[1] != Deployed {
			t.Errorf("%q does not name what is deployed", found[0])
			continue
		}
		if !slices.Contains([]string{"ps", "logs", "up", "restart", "config"}, words[2]) {
			t.Errorf("%q: %s is not for a hint", found[0], words[2])
		}
	}
	for _, never := range []string{"redis-cli", "git ", "down", "--force-recreate", "--build"} {
		if strings.Contains(hint, never) {
			t.Errorf("the hint %q has %q, which does not work for a user of what is deployed", hint, never)
		}
	}
}

// TestHintsNameWhatIsDeployed walks every check's hint. Those of single failures
// are seen in TestEveryCheckFails.
func TestHintsNameWhatIsDeployed(t *testing.T) {
	t.Parallel()
	for _, files := range []string{"", Deployed, "deploy/.deployed/next.yaml"} {
		d, err := Open(config.Verify{Redis: config.Redis{RedisURL: "redis://127.0.0.1:1/0"}, QueuePrefix: proto.DefaultPrefix}, Options{Business: business, Files: files})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(d.Close)
		for _, group := range d.Groups() {
			for _, check := range group.Checks {
				if check.Hint == "" {
					t.Errorf("%s has no hint", check.Name)
				}
				checkHint(t, d.compose.hint(check.Hint))
			}
		}
	}
}

func TestHintOfAnotherComposition(t *testing.T) {
	t.Parallel()
	c := compose{files: "compose.yaml:compose.prod.yaml"}
	got := c.hint("docker compose ps redis; then " + redeploy)
	if want := "docker compose -f compose.yaml -f compose.prod.yaml ps redis; then docker compose -f compose.yaml -f compose.prod.yaml up -d --wait"; got != want {
		t.Errorf("hint is %q, want %q", got, want)
	}
}
