// Command notices prints the licenses of everything that is linked into the
// given Go programs: Go itself, and each module with the version that was
// built in. It fails over a module without a license, so that nothing ships
// that may not; it reads the module cache and keeps nothing.
package main

import (
	"bytes"
	"context"
	"debug/buildinfo"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"slices"
	"strings"
)

const house = "github.com/prosaas/receipts/"

func main() {
	if err := run(context.Background(), os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "notices:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, programs []string, out io.Writer) error {
	if len(programs) == 0 {
		return errors.New("usage: notices PROGRAM…")
	}
	modules, err := linked(programs)
	if err != nil {
		return err
	}
	root, err := exec.CommandContext(ctx, "go", "env", "GOROOT").Output()
	if err != nil {
		return fmt.Errorf("ask go where it is: %w", err)
	}
	places := []place{{name: "The Go programming language", dir: strings.TrimSpace(string(root))}}
	downloaded, err := locate(ctx, modules)
	if err != nil {
		return err
	}
	for _, p := range append(places, downloaded...) {
		if err := p.print(out); err != nil {
			return err
		}
	}
	return nil
}

// linked lists the modules of others in the programs, as path@version, each once.
func linked(programs []string) ([]string, error) {
	var modules []string
	for _, program := range programs {
		info, err := buildinfo.ReadFile(program)
		if err != nil {
			return nil, fmt.Errorf("read what %s was built from: %w", program, err)
		}
		for _, module := range info.Deps {
			if !strings.HasPrefix(module.Path, house) {
				modules = append(modules, origin(module))
			}
		}
	}
	slices.Sort(modules)
	return slices.Compact(modules), nil
}

func origin(module *debug.Module) string {
	if module.Replace != nil {
		module = module.Replace
	}
	return module.Path + "@" + module.Version
}

// place is where the source of something lies.
type place struct{ name, dir string }

// locate finds modules in the module cache.
func locate(ctx context.Context, modules []string) ([]place, error) {
	if len(modules) == 0 {
		return nil, nil
	}
	cmd := exec.CommandContext(ctx, "go", append([]string{"mod", "download", "-json"}, modules...)...) // #nosec G204 -- the modules of our own programs
	cmd.Stderr = os.Stderr
	answer, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("find the modules: %w", err)
	}
	var places []place
	for decoder := json.NewDecoder(bytes.NewReader(answer)); ; {
		var module struct{ Path, Version, Dir string }
		if err := decoder.Decode(&module); errors.Is(err, io.EOF) {
			return places, nil
		} else if err != nil {
			return nil, fmt.Errorf("find the modules: %w", err)
		}
		places = append(places, place{name: module.Path + " " + module.Version, dir: module.Dir})
	}
}

var license = regexp.MustCompile(`(?i)^((un)?licen[sc]e|copying|copyright|notice|patents)([.-].*)?$`)

// print prints the licenses and notices at the top of a source tree.
func (p place) print(out io.Writer) error {
	entries, err := os.ReadDir(p.dir)
	if err != nil {
		return fmt.Errorf("look for the license of %s: %w", p.name, err)
	}
	found := false
	for _, entry := range entries {
		if entry.IsDir() || !license.MatchString(entry.Name()) {
			continue
		}
		text, err := os.ReadFile(filepath.Join(p.dir, entry.Name()))
		if err != nil {
			return fmt.Errorf("read the license of %s: %w", p.name, err)
		}
		found = true
		if _, err := fmt.Fprintf(out, "==== %s: %s\n\n%s\n\n", p.name, entry.Name(), bytes.TrimSpace(text)); err != nil {
			return err
		}
	}
	if !found {
		return fmt.Errorf("%s has no license in %s: nothing may ship with it", p.name, p.dir)
	}
	return nil
}
