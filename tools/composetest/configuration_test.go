//go:build compose

package composetest

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// A setting may change without new images: make prod-up deploys what make images
// built last, whatever version the checkout has by now.
func TestConfigurationChangesAlone(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	for _, name := range []string{"Makefile", "LICENSE", ".dockerignore", "deploy/Dockerfile", "go.work", "go.work.sum"} {
		s.write(name, original(t, name))
	}
	programs, err := filepath.Abs(filepath.Join(root, "bin"))
	if err != nil {
		t.Fatal(err)
	}
	s.must("cp", "-R", programs, "bin")
	s.must("make", "--old-file=bin/third-party-notices.txt", "BINARY=prebuilt", "VERSION="+s.project, "images")
	deploy := func() {
		t.Helper()
		s.must("env", "-u", "COMPOSE_FILE", "make", "VERSION="+s.project+"-edited-since", "prod-up")
	}
	images := func() []string {
		return s.inspect("{{.Image}}", append(s.of("receipts-api"), s.of("receipts-worker")...)...)
	}

	deploy()
	want := images()
	if out := s.must("docker", "compose", "-f", "deploy/.deployed/compose.yaml", "ps"); !strings.Contains(out, "receipts-api:"+s.project+"-") {
		t.Errorf("ps does not show the version:\n%s", out)
	}
	s.edit("deploy/redis/redis.conf", "maxmemory 512mb", "maxmemory 300mb")
	deploy()
	if diff := cmp.Diff("maxmemory\n314572800", s.redis("config", "get", "maxmemory")); diff != "" {
		t.Errorf("the setting that was edited (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(want, images()); diff != "" {
		t.Errorf("images (-want +got):\n%s", diff)
	}
}
