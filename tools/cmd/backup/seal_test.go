package main

import (
	"archive/tar"
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"filippo.io/age"
)

func writeFile(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// newIdentity writes an age identity into a file, and returns its path and recipient.
func newIdentity(t *testing.T) (path, recipient string) {
	t.Helper()
	identity, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	path = filepath.Join(t.TempDir(), "identity")
	writeFile(t, path, identity.String())
	return path, identity.Recipient().String()
}

// A sealed copy opens whole, with an identity of any of its recipients, and with no
// other; one that is cut or changed does not open.
func TestSealedCopy(t *testing.T) {
	t.Parallel()
	first, firstKey := newIdentity(t)
	second, secondKey := newIdentity(t)
	stranger, _ := newIdentity(t)
	folder, sealed := t.TempDir(), filepath.Join(t.TempDir(), "copy.tar.age")
	writeFile(t, filepath.Join(folder, "redis.rdb"), "the queue")
	if err := (&sealCmd{Recipients: []string{firstKey, secondKey}, Folder: folder, File: sealed}).Run(); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(sealed)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(content, []byte("the queue")) {
		t.Error("the sealed copy shows what is in it")
	}
	changed := bytes.Clone(content)
	changed[len(changed)-1] ^= 1
	for _, row := range []struct {
		name, identity string
		content        []byte
		opens          bool
	}{
		{"the first recipient", first, content, true},
		{"the second recipient", second, content, true},
		{"a stranger", stranger, content, false},
		{"cut", first, content[:len(content)-1], false},
		{"changed", first, changed, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			from, into := filepath.Join(t.TempDir(), "copy.tar.age"), t.TempDir()
			writeFile(t, from, string(row.content))
			err := (&openCmd{Identity: row.identity, From: from, Folder: into}).Run(t.Context())
			if (err == nil) != row.opens {
				t.Fatalf("open: %v", err)
			}
			if got, _ := os.ReadFile(filepath.Join(into, "redis.rdb")); row.opens && string(got) != "the queue" {
				t.Errorf("opened %q", got)
			}
		})
	}
}

// A seal without a valid recipient leaves no file.
func TestSealRefused(t *testing.T) {
	t.Parallel()
	into := t.TempDir()
	if err := (&sealCmd{Recipients: []string{"age1no"}, Folder: t.TempDir(), File: filepath.Join(into, "copy.tar.age")}).Run(); err == nil {
		t.Error("sealed for nobody")
	}
	if entries, err := os.ReadDir(into); err != nil || len(entries) > 0 {
		t.Errorf("left %v, %v", entries, err)
	}
}

// An archive with a name that leads out of the folder, a link, or a name twice is refused.
func TestHostileArchive(t *testing.T) {
	t.Parallel()
	for name, headers := range map[string][]tar.Header{
		"above":     {{Name: "../outside", Typeflag: tar.TypeReg}},
		"absolute":  {{Name: "/tmp/outside", Typeflag: tar.TypeReg}},
		"in folder": {{Name: "a/b", Typeflag: tar.TypeReg}},
		"link":      {{Name: "a", Linkname: "/etc/passwd", Typeflag: tar.TypeSymlink}},
		"twice":     {{Name: "a", Typeflag: tar.TypeReg}, {Name: "a", Typeflag: tar.TypeReg}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var archive bytes.Buffer
			w := tar.NewWriter(&archive)
			var err error
			for _, header := range headers {
				err = errors.Join(err, w.WriteHeader(&header))
			}
			if err := errors.Join(err, w.Close()); err != nil {
				t.Fatal(err)
			}
			if err := unpack(&archive, t.TempDir()); err == nil {
				t.Error("it was unpacked")
			}
		})
	}
}
