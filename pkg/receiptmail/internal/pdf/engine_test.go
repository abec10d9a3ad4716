package pdf

import (
	"bytes"
	"compress/zlib"
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var mutations = flag.Int("pdf.mutations", 60, "damaged documents to read")

// engine is every test's: it is what takes long.
var engine *Engine

func TestMain(m *testing.M) {
	flag.Parse()
	cache, err := os.UserCacheDir()
	if err != nil {
		fmt.Fprintln(os.Stderr, "find the cache of compiled code:", err)
		os.Exit(1)
	}
	engine = New(filepath.Join(cache, "receipts", "pdf"))
	code := m.Run()
	if err := engine.Close(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(code)
}

// write makes a PDF of one page with the given content stream, in Helvetica, and
// a file embedded if its name is not empty.
func write(content []byte, filter, name, file string) []byte {
	names, embedded := "", ""
	if name != "" {
		names = "/Names<</EmbeddedFiles<</Names[(" + name + ") 6 0 R]>>>>"
		embedded = fmt.Sprintf("<</Length %d>>stream\n%s\nendstream", len(file), file)
	}
	objects := []string{
		"<</Type/Catalog/Pages 2 0 R" + names + ">>",
		"<</Type/Pages/Kids[3 0 R]/Count 1>>",
		"<</Type/Page/Parent 2 0 R/MediaBox[0 0 600 800]/Contents 4 0 R/Resources<</Font<</F 5 0 R>>>>>>",
		fmt.Sprintf("<</Length %d%s>>stream\n%s\nendstream", len(content), filter, content),
		"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>",
		"<</Type/Filespec/F(" + name + ")/EF<</F 7 0 R>>>>",
		embedded,
	}
	var b bytes.Buffer
	b.WriteString("%PDF-1.7\n")
	var offsets []int
	for i, o := range objects {
		offsets = append(offsets, b.Len())
		fmt.Fprintf(&b, "%d 0 obj\n%s\nendobj\n", i+1, o)
	}
	xref := b.Len()
	fmt.Fprintf(&b, "xref\n0 %d\n0000000000 65535 f \n", len(objects)+1)
	for _, o := range offsets {
		fmt.Fprintf(&b, "%010d 00000 n \n", o)
	}
	fmt.Fprintf(&b, "trailer<</Size %d/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF\n", len(objects)+1, xref)
	return b.Bytes()
}

func texts(lines []Line) [][]string {
	var all [][]string
	for _, l := range lines {
		var cells []string
		for _, c := range l {
			cells = append(cells, c.Text)
		}
		all = append(all, cells)
	}
	return all
}

func testdata(tb testing.TB, name string) []byte {
	tb.Helper()
	content, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		tb.Fatal(err)
	}
	return content
}

func TestRead(t *testing.T) {
	t.Parallel()
	// The total is drawn before what stands above it, and beside its label.
	content := "BT /F 10 Tf 1 0 0 1 400 100 Tm (12.50 EUR) Tj 1 0 0 1 50 100 Tm (Total) Tj 1 0 0 1 50 700 Tm (Invoice 77) Tj ET"
	doc, err := engine.Read(t.Context(), write([]byte(content), "", "factur-x.xml", "<a/>"))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([][]string{{"Invoice 77"}, {"Total", "12.50 EUR"}}, texts(doc.Lines)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]File{{"factur-x.xml", []byte("<a/>")}}, doc.Files); diff != "" {
		t.Error(diff)
	}
}

// TestReadHebrew: what a browser printed comes in the order in which it is read,
// cells from the right.
func TestReadHebrew(t *testing.T) {
	t.Parallel()
	doc, err := engine.Read(t.Context(), testdata(t, "hebrew.pdf"))
	if err != nil {
		t.Fatal(err)
	}
	got := texts(doc.Lines)
	for _, want := range [][]string{
		{"חשבונית מס 883301"},
		{"מק\"ט", "תיאור", "כמות", "מחיר", "סכום"},
		{"B-220", "טונר שחור", "4", "280.00", "1,120.00"},
		{"סה\"כ לתשלום בש\"ח", "1,612.12"},
	} {
		if !slices.ContainsFunc(got, func(line []string) bool { return slices.Equal(line, want) }) {
			t.Errorf("no line %q in %q", want, got)
		}
	}
}

func TestReadRefuses(t *testing.T) {
	t.Parallel()
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	if doc, err := engine.Read(canceled, testdata(t, "table.pdf")); !errors.Is(err, context.Canceled) {
		t.Errorf("canceled: %d lines, %v", len(doc.Lines), err)
	}
	for name, content := range map[string][]byte{
		"nothing":   nil,
		"garbage":   []byte("%PDF-1.7\n%%EOF"),
		"too large": make([]byte, maxContent+1),
	} {
		if doc, err := engine.Read(t.Context(), content); !errors.Is(err, ErrUnreadable) {
			t.Errorf("%s: %d lines, %v, want %v", name, len(doc.Lines), err, ErrUnreadable)
		}
	}
}

// TestReadIsBounded: a page that unpacks to 32 MB of text neither fills the
// memory nor is read to its end.
func TestReadIsBounded(t *testing.T) {
	t.Parallel()
	var packed bytes.Buffer
	z := zlib.NewWriter(&packed)
	fmt.Fprint(z, "BT /F 1 Tf ")
	piece := []byte(strings.Repeat("1 0 0 1 50 700 Tm (Total 1.00) Tj ", 1000))
	for range 32 << 20 / len(piece) {
		if _, err := z.Write(piece); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	doc, err := engine.Read(t.Context(), write(packed.Bytes(), "/Filter/FlateDecode", "", ""))
	letters := 0
	for _, l := range doc.Lines {
		for _, c := range l {
			letters += len(c.Text)
		}
	}
	if err != nil && !errors.Is(err, ErrUnreadable) || letters > 2*maxGlyphs {
		t.Errorf("%d letters, %v", letters, err)
	}
}

func TestCloseBeforeStart(t *testing.T) {
	t.Parallel()
	e := New("")
	if err := e.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := e.Read(t.Context(), testdata(t, "table.pdf")); !errors.Is(err, errNotRunning) {
		t.Errorf("read after close: %v, want %v", err, errNotRunning)
	}
}

// TestMutations damages documents and reads them: each is read, or refused, and
// the next good one is read as before.
func TestMutations(t *testing.T) {
	t.Parallel()
	good := map[string][]byte{
		"hebrew.pdf": testdata(t, "hebrew.pdf"), "table.pdf": testdata(t, "table.pdf"),
		"written": write([]byte("BT /F 10 Tf 1 0 0 1 50 100 Tm (Total 1.00) Tj ET"), "", "a.xml", "<a/>"),
	}
	names := []string{"hebrew.pdf", "table.pdf", "written"}
	random := rand.New(rand.NewPCG(1, 2))
	for i := range *mutations {
		name := names[i%len(names)]
		if _, err := engine.Read(t.Context(), mutate(random, good[name])); err != nil && !errors.Is(err, ErrUnreadable) {
			t.Fatalf("mutation %d of %s: %v", i, name, err)
		}
	}
	for name, content := range good {
		if doc, err := engine.Read(t.Context(), content); err != nil || len(doc.Lines) == 0 {
			t.Errorf("%s afterwards: %d lines, %v", name, len(doc.Lines), err)
		}
	}
}

func mutate(random *rand.Rand, content []byte) []byte {
	b := bytes.Clone(content)
	for range 1 + random.IntN(20) {
		at := random.IntN(len(b))
		switch random.IntN(5) {
		case 0:
			b[at] = byte(random.Uint32())
		case 1:
			b[at] ^= 1 << random.IntN(8)
		case 2:
			b = b[:max(at, 1)]
		case 3: // a number grows: lengths, counts, offsets
			if i := bytes.IndexAny(b[at:], "0123456789"); i >= 0 {
				b[at+i] = '9'
			}
		case 4:
			to := min(len(b), at+random.IntN(200))
			b = slices.Concat(b[:to], b[at:])
		}
	}
	return b
}

// FuzzRead: whatever the bytes, the sandbox holds them.
func FuzzRead(f *testing.F) {
	f.Add(testdata(f, "table.pdf"))
	f.Add(write([]byte("BT /F 10 Tf 1 0 0 1 50 100 Tm (Total 1.00) Tj ET"), "", "a.xml", "<a/>"))
	f.Fuzz(func(t *testing.T, content []byte) {
		if _, err := engine.Read(t.Context(), content); err != nil && !errors.Is(err, ErrUnreadable) {
			t.Error(err)
		}
	})
}
