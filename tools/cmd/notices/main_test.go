package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestNoticesOfAProgram(t *testing.T) {
	t.Parallel()
	program := filepath.Join(t.TempDir(), "token")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", program, "../token").CombinedOutput(); err != nil {
		t.Fatalf("build a program: %v\n%s", err, out)
	}
	var out bytes.Buffer
	if err := run(t.Context(), []string{program, program}, &out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"==== The Go programming language: LICENSE", "==== github.com/alecthomas/kong v", "Redistribution and use in source and binary forms"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("notices lack %q", want)
		}
	}
	if diff := cmp.Diff(1, strings.Count(out.String(), "==== github.com/alecthomas/kong v")); diff != "" {
		t.Errorf("times that a module is told of (-want +got):\n%s", diff)
	}
}

func TestNoLicenseIsAFault(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]bool{
		"LICENSE": true, "LICENCE.md": true, "license.txt": true, "COPYING": true, "UNLICENSE": true, "LICENSE-MIT": true, "README.md": false, "licenses.go": false,
	} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, name), []byte("All may use it.\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		err := place{name: "example.com/m v1.0.0", dir: dir}.print(&out)
		if (err == nil) != want || strings.Contains(out.String(), "All may use it.") != want {
			t.Errorf("%s: %v, %q", name, err, out.String())
		}
	}
}

func TestWhatIsNoProgramIsRefused(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{nil, {"main.go"}, {"nowhere"}} {
		if err := run(t.Context(), args, &bytes.Buffer{}); err == nil {
			t.Errorf("run(%q) found no fault", args)
		}
	}
}
