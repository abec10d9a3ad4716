package repotest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const house = "github.com/prosaas/receipts/"

// pkg is what go list tells of a package.
type pkg struct {
	ImportPath   string
	Imports      []string
	Deps         []string // transitive, tests excluded
	TestImports  []string
	XTestImports []string
}

// A layer is a part of the tree with the parts that it may reach, whether it
// imports them itself or through others. Whatever lies in itself it may reach.
type layer struct {
	part  string
	reach []string
	tests []string // what its tests may import besides
}

// layers are the directions of the house: down, never up, never sideways. The
// longest part that a package lies in is its layer.
var layers = []layer{
	{part: "proto"},

	// Leaves: nothing of ours below them but the wire.
	{part: "pkg/auth", reach: []string{"proto"}},
	{part: "pkg/blobstore", reach: []string{"proto"}},
	{part: "pkg/config", reach: []string{"proto"}},
	{part: "pkg/lifecycle"},
	{part: "pkg/logging"},
	{part: "pkg/metrics"},
	{part: "pkg/redisclient", reach: []string{"proto"}, tests: []string{"pkg/redistest"}},
	{part: "pkg/redistest", reach: []string{"proto"}},

	// What knows the domain: each stands beside the others and sees none of them.
	{part: "pkg/internal/plane", reach: []string{"proto", "pkg/redisclient"}, tests: []string{"pkg/redistest"}},
	// Queue and registry are two halves of one protocol: each is tested with the real other.
	{part: "pkg/queue", reach: domain, tests: append([]string{"pkg/registry"}, domainTests...)},
	{part: "pkg/registry", reach: domain, tests: append([]string{"pkg/queue"}, domainTests...)},
	{part: "pkg/receiptstore", reach: domain, tests: domainTests},
	{part: "pkg/receiptmail", reach: []string{"proto"}},
	{part: "pkg/connection", reach: domain, tests: domainTests},

	{part: "services/receipts-api", reach: []string{"proto", "pkg"}, tests: []string{"tools/gmailsim"}},
	{part: "services/receipts-worker", reach: []string{"proto", "pkg"}, tests: []string{"tools/gmailsim"}},
	{part: "tools", reach: []string{"proto", "pkg"}},
}

var (
	domain      = []string{"proto", "pkg/redisclient", "pkg/internal/plane", "pkg/logging", "pkg/metrics", "pkg/queue/queuetest"}
	domainTests = []string{"pkg/redistest"}
)

// A keeper is a third-party module that only some parts may import, so that
// its next major version is a day's work there, and that others must not even
// reach through those parts.
type keeper struct {
	module  string
	only    []string
	outside []string
	why     string
}

var keepers = []keeper{
	{
		module:  "github.com/labstack/echo",
		only:    []string{"services/receipts-api/internal/httpapi", "services/receipts-api/internal/app"},
		outside: []string{"pkg", "services/receipts-worker", "tools"},
		why:     "HTTP belongs to httpapi",
	},
	{
		module:  "github.com/redis/rueidis",
		only:    []string{"pkg", "tools/cmd/bench"},
		outside: []string{"proto", "pkg/receiptmail", "tools/gmailsim"},
		why:     "Redis is spoken in pkg",
	},
	{
		module:  "google.golang.org/api",
		only:    []string{"services/receipts-worker/internal/gmailsync", "tools/gmailsim"},
		outside: []string{"pkg", "services/receipts-api"},
		why:     "Gmail's client is 18 MB, and stops at the worker",
	},
	{
		module:  "github.com/lestrrat-go/jwx",
		only:    []string{"pkg/auth", "pkg/connection"},
		outside: []string{"pkg/queue", "pkg/registry", "pkg/receiptstore", "pkg/receiptmail", "pkg/config"},
		why:     "jwx v2 is no longer maintained",
	},
	{
		module:  "github.com/alicebob/miniredis",
		only:    []string{"pkg/queue/queuetest", "pkg/redistest", "tools"},
		outside: []string{"services"},
		why:     "nothing that ships holds a stand-in",
	},
}

// in tells whether an import path lies in one of the parts (of ours) or modules.
func in(path string, parts ...string) bool {
	path = strings.TrimPrefix(path, house)
	return slices.ContainsFunc(parts, func(part string) bool {
		return path == part || strings.HasPrefix(path, part+"/")
	})
}

func ours(path string) bool { return strings.HasPrefix(path, house) }

// layerFaults lists what reaches where its layer does not allow.
func layerFaults(packages []pkg) []string {
	var faults []string
	for _, p := range packages {
		var at layer
		for _, l := range layers {
			if in(p.ImportPath, l.part) && len(l.part) > len(at.part) {
				at = l
			}
		}
		if at.part == "" {
			faults = append(faults, p.ImportPath+" has no place in layers")
			continue
		}
		allowed := append([]string{at.part}, at.reach...)
		for _, dep := range p.Deps {
			if ours(dep) && !in(dep, allowed...) {
				faults = append(faults, p.ImportPath+" reaches "+dep)
			}
		}
		allowed = append(allowed, at.tests...)
		for _, dep := range slices.Concat(p.TestImports, p.XTestImports) {
			if ours(dep) && !in(dep, allowed...) {
				faults = append(faults, "a test of "+p.ImportPath+" imports "+dep)
			}
		}
	}
	return faults
}

// keeperFaults lists who imports a kept module without being its keeper, or
// reaches it where that must not be. Paths of modules go on with /v2 and the like.
func keeperFaults(packages []pkg) []string {
	var faults []string
	for _, p := range packages {
		for _, k := range keepers {
			for _, dep := range p.Imports {
				if in(dep, k.module) && !in(p.ImportPath, k.only...) {
					faults = append(faults, fmt.Sprintf("%s imports %s: %s", p.ImportPath, dep, k.why))
				}
			}
			if in(p.ImportPath, k.outside...) && slices.ContainsFunc(p.Deps, func(dep string) bool { return in(dep, k.module) }) && !in(p.ImportPath, k.only...) {
				faults = append(faults, fmt.Sprintf("%s reaches %s: %s", p.ImportPath, k.module, k.why))
			}
		}
	}
	return faults
}

// wireFaults lists what proto imports besides the standard library, whose
// paths have no dot in their first element.
func wireFaults(packages []pkg) []string {
	var faults []string
	for _, p := range packages {
		for _, dep := range p.Deps {
			if first, _, _ := strings.Cut(dep, "/"); in(p.ImportPath, "proto") && !in(dep, "proto") && strings.Contains(first, ".") {
				faults = append(faults, p.ImportPath+" reaches "+dep+": the wire is the standard library only")
			}
		}
	}
	return faults
}

// testingFaults lists the programs that ship with Go's testing package in them.
func testingFaults(packages []pkg) []string {
	var faults []string
	for _, p := range packages {
		if strings.Contains(p.ImportPath, "/cmd/") && in(p.ImportPath, "services") && slices.Contains(p.Deps, house+"pkg/redistest") {
			faults = append(faults, p.ImportPath+" ships redistest")
		}
	}
	return faults
}

func TestImports(t *testing.T) {
	t.Parallel()
	packages := list(t)
	for _, faults := range [][]string{layerFaults(packages), keeperFaults(packages), wireFaults(packages), testingFaults(packages)} {
		for _, fault := range faults {
			t.Error(fault)
		}
	}
}

// list asks go list for every package of the workspace.
func list(t *testing.T) []pkg {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-json=ImportPath,Imports,Deps,TestImports,XTestImports", "work")
	cmd.Dir = root
	out, err := cmd.Output()
	if err != nil {
		if failed, ok := errors.AsType[*exec.ExitError](err); ok {
			t.Fatalf("go list: %v\n%s", err, failed.Stderr)
		}
		t.Fatal(err)
	}
	var packages []pkg
	for decoder := json.NewDecoder(bytes.NewReader(out)); ; {
		var p pkg
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		packages = append(packages, p)
	}
	if !slices.ContainsFunc(packages, func(p pkg) bool { return p.ImportPath == house+"tools/repotest" }) {
		t.Fatalf("go list told of %d packages, this one not among them", len(packages))
	}
	return packages
}

func TestImportRulesBite(t *testing.T) {
	t.Parallel()
	planted := func(path string, deps ...string) pkg {
		for i, dep := range deps {
			if in(dep, "proto", "pkg", "services", "tools") {
				deps[i] = house + dep
			}
		}
		return pkg{ImportPath: house + path, Deps: deps}
	}
	direct := func(p pkg) pkg { p.Imports = p.Deps; return p }
	inTest := func(p pkg) pkg { p.XTestImports, p.Deps = p.Deps, nil; return p }

	for _, tt := range []struct {
		name  string
		p     pkg
		finds bool
	}{
		{"proto reaches pkg", planted("proto", "pkg/auth"), true},
		{"proto reaches a third party", planted("proto", "github.com/google/uuid"), true},
		{"proto reaches the standard library", planted("proto", "encoding/json"), false},
		{"pkg reaches a service", planted("pkg/queue", "services/receipts-worker/internal/app"), true},
		{"pkg reaches tools", planted("pkg/connection", "tools/gmailsim"), true},
		{"a test of pkg imports tools", inTest(planted("pkg/connection", "tools/gmailsim")), true},
		{"a test of pkg imports redistest", inTest(planted("pkg/queue", "pkg/redistest")), false},
		{"queue reaches redistest", planted("pkg/queue", "pkg/redistest"), true},
		{"a test of queue imports registry", inTest(planted("pkg/queue", "pkg/registry")), false},
		{"a test of receiptstore imports queue", inTest(planted("pkg/receiptstore", "pkg/queue")), true},
		{"queue reaches registry", planted("pkg/queue", "pkg/registry"), true},
		{"queue reaches its plane", planted("pkg/queue", "pkg/internal/plane", "pkg/redisclient", "proto"), false},
		{"a leaf reaches a leaf", planted("pkg/auth", "pkg/logging"), true},
		{"a leaf reaches the wire", planted("pkg/config", "proto"), false},
		{"a package without a place", planted("pkg/util"), true},
		{"api reaches worker", planted("services/receipts-api/internal/app", "services/receipts-worker/internal/runner"), true},
		{"worker reaches tools", planted("services/receipts-worker/internal/app", "tools/gmailsim"), true},
		{"a test of the worker imports the simulator", inTest(planted("services/receipts-worker/internal/gmailsync", "tools/gmailsim")), false},
		{"a test of the worker imports the api", inTest(planted("services/receipts-worker/internal/app", "services/receipts-api/internal/app")), true},
		{"tools reach a service", planted("tools/cmd/devstack", "services/receipts-api/internal/app"), true},

		{"worker reaches echo", planted("services/receipts-worker/internal/app", "github.com/labstack/echo/v4"), true},
		{"page imports echo", direct(planted("services/receipts-api/internal/page", "github.com/labstack/echo/v4")), true},
		{"httpapi imports echo", direct(planted("services/receipts-api/internal/httpapi", "github.com/labstack/echo/v4")), false},
		{"api's program reaches echo", planted("services/receipts-api/cmd/receipts-api", "github.com/labstack/echo/v4"), false},
		{"a service imports rueidis", direct(planted("services/receipts-api/internal/app", "github.com/redis/rueidis")), true},
		{"a service reaches rueidis", planted("services/receipts-api/internal/app", "github.com/redis/rueidis"), false},
		{"api reaches Gmail", planted("services/receipts-api/internal/app", "google.golang.org/api/gmail/v1"), true},
		{"runner imports Gmail", direct(planted("services/receipts-worker/internal/runner", "google.golang.org/api/gmail/v1")), true},
		{"gmailsync imports Gmail", direct(planted("services/receipts-worker/internal/gmailsync", "google.golang.org/api/gmail/v1")), false},
		{"httpapi imports jwx", direct(planted("services/receipts-api/internal/httpapi", "github.com/lestrrat-go/jwx/v2/jwt")), true},
		{"connection imports jwx", direct(planted("pkg/connection", "github.com/lestrrat-go/jwx/v2/jwe")), false},
		{"a service reaches miniredis", planted("services/receipts-worker/internal/app", "github.com/alicebob/miniredis/v2"), true},
		{"a program ships redistest", planted("services/receipts-api/cmd/receipts-api", "pkg/redistest"), true},
	} {
		p := []pkg{tt.p}
		faults := slices.Concat(layerFaults(p), keeperFaults(p), wireFaults(p), testingFaults(p))
		if diff := cmp.Diff(tt.finds, len(faults) > 0); diff != "" {
			t.Errorf("%s: %q (-want +got):\n%s", tt.name, faults, diff)
		}
	}
}
