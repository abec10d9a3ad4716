package repotest

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/prosaas/receipts/proto"
)

// root is the repository, as a test of this package sees it.
const root = "../.."

const (
	warnLines = 500
	maxLines  = 600
)

// walk gives every file that is part of the project to visit, by its path from the root.
func walk(t *testing.T, tree fs.FS, visit func(name string, content []byte)) {
	t.Helper()
	err := fs.WalkDir(tree, ".", func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && slices.Contains([]string{".git", "bin", "node_modules", "testdata"}, entry.Name()):
			return fs.SkipDir
		case !entry.Type().IsRegular() || !slices.Contains([]string{".go", ".lua", ".md"}, path.Ext(name)):
			return nil
		}
		content, err := fs.ReadFile(tree, name)
		if err == nil {
			visit(name, content)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func isShipped(name string) bool {
	return path.Ext(name) == ".go" && !strings.HasSuffix(name, "_test.go")
}

func parse(t *testing.T, name string, content []byte, mode parser.Mode) *ast.File {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), name, content, mode)
	if err != nil {
		t.Fatal(err)
	}
	return file
}

var vagueName = regexp.MustCompile(`^(utils?|commons?|helpers?|models?|misc)$`)

// packageFaults lists packages without their one comment, and with a name that
// says nothing.
func packageFaults(t *testing.T, tree fs.FS) []string {
	t.Helper()
	comments, names := map[string]int{}, map[string]string{}
	walk(t, tree, func(name string, content []byte) {
		if !isShipped(name) {
			return
		}
		file := parse(t, name, content, parser.PackageClauseOnly|parser.ParseComments)
		names[path.Dir(name)] = file.Name.Name
		if file.Doc.Text() != "" {
			comments[path.Dir(name)]++
		}
	})
	var faults []string
	for dir, name := range names {
		if comments[dir] != 1 {
			faults = append(faults, fmt.Sprintf("%s: %d package comments, want one", dir, comments[dir]))
		}
		if vagueName.MatchString(name) || vagueName.MatchString(path.Base(dir)) {
			faults = append(faults, fmt.Sprintf("%s: package %s says nothing of what it holds", dir, name))
		}
	}
	return faults
}

// sizeFaults lists files too long to be read at one sitting, and those on the way there.
func sizeFaults(t *testing.T, tree fs.FS) (faults, warnings []string) {
	t.Helper()
	walk(t, tree, func(name string, content []byte) {
		switch lines := strings.Count(string(content), "\n"); {
		case !isShipped(name):
		case lines > maxLines:
			faults = append(faults, fmt.Sprintf("%s: %d lines, want at most %d", name, lines, maxLines))
		case lines > warnLines:
			warnings = append(warnings, fmt.Sprintf("%s: %d lines", name, lines))
		}
	})
	return faults, warnings
}

// keyTexts are the parts of Redis keys that no other file may write, taken from
// the keys themselves: ":queue:" of {receipts}:queue:<name>, "{b:" of a business.
func keyTexts() []string {
	const argument = "\x00"
	keys := reflect.ValueOf(proto.MustKeys(proto.DefaultPrefix))
	texts := []string{"{b:", "{o:"}
	for _, method := range keys.Methods() {
		arguments := make([]reflect.Value, method.Type().NumIn())
		for i := range arguments {
			arguments[i] = reflect.ValueOf(argument)
		}
		key := method.Call(arguments)[0].String()
		if rest, ok := strings.CutPrefix(key, proto.DefaultPrefix+":"); ok {
			text, _, _ := strings.Cut(rest, argument)
			texts = append(texts, ":"+text)
		}
	}
	return texts
}

// writesKey tells whether a text writes a part of a key. A key that ends in a
// word is found only where the text ends too: ":dead" is no part of ":deadline".
func writesKey(text string, keyTexts []string) bool {
	return slices.ContainsFunc(keyTexts, func(key string) bool {
		if strings.HasSuffix(key, ":") {
			return strings.Contains(text, key)
		}
		return strings.HasSuffix(text, key) || strings.Contains(text, key+"'") || strings.Contains(text, key+`"`)
	})
}

// keyFaults lists string literals and Lua lines, comments excepted, that write
// the text of a key anywhere but in proto/keys.go.
func keyFaults(t *testing.T, tree fs.FS) []string {
	t.Helper()
	texts := keyTexts()
	var faults []string
	report := func(name, text string) {
		for line := range strings.Lines(text) {
			code, _, _ := strings.Cut(strings.TrimRight(line, "\n"), "--")
			if writesKey(code, texts) {
				faults = append(faults, fmt.Sprintf("%s: the text of a key outside proto/keys.go: %q", name, code))
			}
		}
	}
	walk(t, tree, func(name string, content []byte) {
		switch {
		case path.Ext(name) == ".lua":
			report(name, string(content))
		case isShipped(name) && name != "proto/keys.go":
			ast.Inspect(parse(t, name, content, parser.SkipObjectResolution), func(node ast.Node) bool {
				if literal, ok := node.(*ast.BasicLit); ok && literal.Kind == token.STRING {
					text, err := strconv.Unquote(literal.Value)
					if err != nil {
						t.Fatal(err)
					}
					report(name, text)
				}
				return true
			})
		}
	})
	return faults
}

var link = regexp.MustCompile(`\]\(([^)#\s]+)[^)]*\)`)

// linkFaults lists links of Markdown files that lead to no file.
func linkFaults(t *testing.T, tree fs.FS) []string {
	t.Helper()
	var faults []string
	walk(t, tree, func(name string, content []byte) {
		if path.Ext(name) != ".md" {
			return
		}
		for _, match := range link.FindAllStringSubmatch(string(content), -1) {
			target := match[1]
			if strings.Contains(target, "://") || strings.HasPrefix(target, "mailto:") {
				continue
			}
			if _, err := fs.Stat(tree, path.Join(path.Dir(name), target)); err != nil {
				faults = append(faults, fmt.Sprintf("%s links to %s: %v", name, target, err))
			}
		}
	})
	return faults
}

func TestText(t *testing.T) {
	t.Parallel()
	top, err := filepath.Abs(root)
	if err != nil {
		t.Fatal(err)
	}
	tree := os.DirFS(top)
	if _, err := fs.Stat(tree, "go.work"); err != nil {
		t.Fatalf("%s is not the repository: %v", top, err)
	}
	sizes, warnings := sizeFaults(t, tree)
	for _, fault := range slices.Concat(packageFaults(t, tree), sizes, keyFaults(t, tree), linkFaults(t, tree)) {
		t.Error(fault)
	}
	for _, warning := range warnings {
		t.Logf("%s: wants a seam before it passes %d", warning, maxLines)
	}
}

func TestTextRulesBite(t *testing.T) {
	t.Parallel()
	packages := func(tree fs.FS) []string { return packageFaults(t, tree) }
	sizes := func(tree fs.FS) []string { faults, _ := sizeFaults(t, tree); return faults }
	keys := func(tree fs.FS) []string { return keyFaults(t, tree) }
	links := func(tree fs.FS) []string { return linkFaults(t, tree) }
	const documented = "// Package q queues.\npackage q\n"

	for _, tt := range []struct {
		name   string
		rule   func(fs.FS) []string
		files  map[string]string
		faults int
	}{
		{"one comment", packages, map[string]string{"q/a.go": documented, "q/b.go": "package q\n"}, 0},
		{"no comment", packages, map[string]string{"q/a.go": "package q\n"}, 1},
		{"a comment that stands apart", packages, map[string]string{"q/a.go": "// Package q queues.\n\npackage q\n"}, 1},
		{"two comments", packages, map[string]string{"q/a.go": documented, "q/b.go": documented}, 1},
		{"a test's comment does not count", packages, map[string]string{"q/a.go": documented, "q/a_test.go": documented}, 0},
		{"vague name", packages, map[string]string{"q/util/a.go": "// Package util is all sorts.\npackage util\n"}, 1},
		{"vague folder", packages, map[string]string{"helpers/a.go": documented}, 1},

		{"long file", sizes, map[string]string{"q/a.go": documented + strings.Repeat("\n", maxLines)}, 1},
		{"full file", sizes, map[string]string{"q/a.go": documented + strings.Repeat("\n", maxLines-2)}, 0},
		{"long test", sizes, map[string]string{"q/a_test.go": documented + strings.Repeat("\n", maxLines)}, 0},

		{"key in Go", keys, map[string]string{"q/a.go": documented + "const k = \"{receipts}:queue:\" + name\n"}, 1},
		{"key at the end", keys, map[string]string{"q/a.go": documented + "const k = prefix + \":delayed\"\n"}, 1},
		{"key of a business", keys, map[string]string{"q/a.go": documented + "const k = \"receipts:{b:%s}:x\"\n"}, 1},
		{"key in a script within Go", keys, map[string]string{"q/a.go": documented + "const s = `\nlocal k = P .. ':claimed:' .. w\nlocal d = P .. ':dead'\n`\n"}, 2},
		{"key in a script's comment", keys, map[string]string{"q/a.go": documented + "const s = `\n-- takes from P:queue:q\n`\n"}, 0},
		{"key in a Lua file", keys, map[string]string{"q/a.lua": "return redis.call('LPOP', P .. ':wake:' .. q)\n"}, 1},
		{"key in a comment", keys, map[string]string{"q/a.go": documented + "// {receipts}:queue:default\n"}, 0},
		{"key in a test", keys, map[string]string{"q/a_test.go": "package q\n\nconst k = \":queue:\"\n"}, 0},
		{"key where keys are written", keys, map[string]string{"proto/keys.go": documented + "const k = \":queue:\"\n"}, 0},
		{"a word like a key", keys, map[string]string{"q/a.go": documented + "const m = \"dead:line :deadline\"\n"}, 0},

		{"dead link", links, map[string]string{"README.md": "[the design](docs/design.md)\n"}, 1},
		{"dead picture", links, map[string]string{"README.md": "![page](page.png \"the page\")\n"}, 1},
		{"links that lead somewhere", links, map[string]string{"README.md": "[a](docs/a.md#top) [b](#here) [c](https://go.dev)\n", "docs/a.md": "[up](../README.md)\n"}, 0},
	} {
		tree := fstest.MapFS{}
		for name, content := range tt.files {
			tree[name] = &fstest.MapFile{Data: []byte(content)}
		}
		if faults := tt.rule(tree); len(faults) != tt.faults {
			t.Errorf("%s: %d faults, want %d: %q", tt.name, len(faults), tt.faults, faults)
		}
	}
}
