package mailbox

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/jhillyerd/enmime/v2"
)

func TestFolder(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	files := map[string]string{
		"a/one.eml":               "From: a@example.com\r\nSubject: One\r\n\r\nfirst body\r\n",
		"b/deep/Ticket_no-7.HTML": "<style>p{color:red}</style><p>Total &euro;5</p>",
		"c.pdf":                   "%PDF-1.4 not really",
		"notes.txt":               "left out",
		"latin.html":              "<html><head><meta http-equiv=\"Content-Type\" content=\"text/html; charset=iso-8859-1\"></head><p>caf\xe9</p></html>",
	}
	for name, content := range files {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	end := time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC)
	f, err := OpenFolder(dir, end)
	if err != nil {
		t.Fatal(err)
	}
	m := New("a@example.com", f, Options{})
	if f.Len() != 4 {
		t.Fatalf("folder has %d mails, want 4", f.Len())
	}
	last := end.AddDate(-1, 0, 0)
	for i := range f.Len() {
		if date := f.Date(i); !date.After(last) || !date.Before(end) {
			t.Errorf("date of %d = %v, want between %v and %v", i, date, last, end)
		}
		last = f.Date(i)
	}
	tests := []struct {
		q, path, text, file string
	}{
		{"subject:one body", "a/one.eml", "first body", ""},
		{`subject:"ticket no 7" total`, "b/deep/Ticket_no-7.HTML", "€5", ""},
		{"filename:pdf", "c.pdf", "attached", "c.pdf"},
		{"café", "latin.html", "café", ""},
	}
	for _, tt := range tests {
		found := listed(t, m, tt.q, ListOptions{})
		if len(found) != 1 || f.Path(found[0]) != tt.path {
			t.Errorf("%q finds %v, want %s alone", tt.q, found, tt.path)
			continue
		}
		raw, err := f.Raw(found[0])
		if err != nil {
			t.Fatal(err)
		}
		env, err := enmime.ReadEnvelope(bytes.NewReader(raw))
		if err != nil {
			t.Fatalf("%s is no mail: %v", tt.path, err)
		}
		if !bytes.Contains([]byte(env.Text), []byte(tt.text)) {
			t.Errorf("%s reads %q, want %q in it", tt.path, env.Text, tt.text)
		}
		if tt.file != "" && (len(env.Attachments) != 1 || string(env.Attachments[0].Content) != files[tt.path]) {
			t.Errorf("%s does not come with its file", tt.path)
		}
	}
	if _, err := OpenFolder(t.TempDir(), end); err == nil {
		t.Error("a folder without mails is opened")
	}
	if _, err := OpenFolder(filepath.Join(dir, "missing"), end); err == nil {
		t.Error("a folder that is not there is opened")
	}
}
