//go:build compose

package composetest

import (
	"context"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestImages(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	for image, limit := range map[string]int{"receipts-api": 20e6, "receipts-worker": 60e6} {
		size, err := strconv.Atoi(s.inspect("{{.Size}}", image+":"+built)[0])
		if err != nil || size > limit {
			t.Errorf("%s has %d bytes, want at most %d (%v)", image, size, limit, err)
		}
		if got := s.must("docker", "run", "--rm", image+":"+built, "version"); got != built {
			t.Errorf("%s says that it is version %q", image, got)
		}
	}
	for _, image := range images {
		if diff := cmp.Diff([]string{"65532:65532"}, s.inspect("{{.Config.User}}", image+":"+built)); diff != "" {
			t.Errorf("user of %s (-want +got):\n%s", image, diff)
		}
		container := s.must("docker", "create", image+":"+built)
		s.must("docker", "cp", container+":/licenses", filepath.Join(s.dir, image))
		s.must("docker", "rm", container)
		if notices := s.read(image + "/third-party-notices.txt"); !strings.Contains(notices, "==== The Go programming language: LICENSE") {
			t.Errorf("%s lacks the notices of third parties", image)
		}
	}
}

// What the compose files ask for is what the kernel does.
func TestProcessesAreHeldTight(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	s.mustProdUp()
	for service, uid := range map[string]string{"receipts-api": "65532", "receipts-worker": "65532", "redis": "999"} {
		container := s.of(service)[0]
		status, err := os.ReadFile(filepath.Join("/proc", s.inspect("{{.State.Pid}}", container)[0], "status"))
		if err != nil {
			t.Fatal(err)
		}
		for name, want := range map[string]string{"Uid": uid, "CapEff": "0000000000000000", "NoNewPrivs": "1", "Seccomp": "2"} {
			if got := regexp.MustCompile(`(?m)^` + name + `:\s+(\S+)`).FindSubmatch(status); got == nil || string(got[1]) != want {
				t.Errorf("%s: %s is %q, want %s", service, name, got, want)
			}
		}
	}
	if published := s.must("docker", "port", s.of("receipts-api")[0]); !strings.HasSuffix(published, strings.TrimPrefix(s.api, "http://")) || strings.Contains(published, "0.0.0.0") {
		t.Errorf("the API is published as %q", published)
	}
	for _, service := range []string{"redis", "receipts-worker"} {
		if published := s.must("docker", "port", s.of(service)[0]); published != "" {
			t.Errorf("%s is published as %q", service, published)
		}
	}
}

// What is looked at is what prod-up deployed, whatever the checkout says by now.
// A secret that was edited since is the one fault.
func TestVerifyAndDrill(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	s.write("Makefile", original(t, "Makefile"))
	run := func(target string) (string, error) {
		ctx, cancel := context.WithTimeout(t.Context(), 3*patience)
		defer cancel()
		return s.run(ctx, "env", "-u", "COMPOSE_FILE", "NO_COLOR=1", "make", "VERSION="+s.project, target)
	}
	if out, err := run("prod-up"); err != nil {
		t.Fatalf("make prod-up: %v\n%s", err, out)
	}
	key := s.read("deploy/secrets/diagnostic_keys")
	s.write("deploy/secrets/diagnostic_keys", "edited-since-and-not-deployed-yet-0123456789")
	s.write("compose.yaml", "name: "+s.project+"\nservices: {}\n")

	if out, err := run("verify"); err == nil || strings.Count(out, "✘") != 1 || !strings.Contains(out, "deploy/secrets/diagnostic_keys was edited since it was deployed") {
		t.Errorf("make verify: %v\n%s", err, out)
	}
	if out, err := run("drill"); err != nil || strings.Contains(out, "✘") || !strings.Contains(out, "✔") {
		t.Errorf("make drill: %v\n%s", err, out)
	}
	s.write("deploy/secrets/diagnostic_keys", key)
	s.serves()
}
