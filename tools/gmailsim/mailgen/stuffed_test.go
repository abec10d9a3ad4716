package mailgen

import (
	"bytes"
	"compress/gzip"
	"strings"
	"testing"

	"github.com/jhillyerd/enmime/v2"
)

// What a mail said is found in it once it is stuffed, whatever its shape.
func TestStuffedMailSaysWhatItSaid(t *testing.T) {
	t.Parallel()
	mails := map[string][]byte{
		"no part of MIME": []byte("From: a@example.com\nSubject: plain\n\nThe total is 5\n"),
		"folded":          []byte("Content-Type: text/html;\r\n charset=utf-8\r\nSubject: a\r\n folded one\r\nMIME-Version: 1.0\r\n\r\n<p>Total 5</p>\r\n"),
	}
	g := New(1, 100, end())
	for i := range 100 {
		if l := g.compose(i); len(l.files) > 0 && l.shape == alternative {
			mails["parts in parts"], _ = g.Raw(i)
		}
	}
	if len(mails) != 3 {
		t.Fatal("no mail has a file and its text twice")
	}
	parser := enmime.NewParser(enmime.DisableTextConversion(true))
	for name, raw := range mails {
		before, err := parser.ReadEnvelope(bytes.NewReader(raw))
		if err != nil {
			t.Fatal(err)
		}
		after, err := parser.ReadEnvelope(bytes.NewReader(InManyParts(raw, 3)))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for _, field := range []string{"From", "Subject", "Date", "Message-ID"} {
			if got, want := after.GetHeader(field), before.GetHeader(field); got != want {
				t.Errorf("%s: %s is %q, was %q", name, field, got, want)
			}
		}
		if !strings.Contains(after.Text, strings.TrimSpace(before.Text)) || !strings.Contains(after.HTML, strings.TrimSpace(before.HTML)) {
			t.Errorf("%s reads %.200q, %.200q; was %.200q, %.200q", name, after.Text, after.HTML, before.Text, before.HTML)
		}
		if got := len(after.Attachments) - len(before.Attachments); got != 3 {
			t.Errorf("%s: %d files more, want 3", name, got)
		}
	}
}

func TestHuge(t *testing.T) {
	t.Parallel()
	const size = 1 << 20
	env, err := enmime.ReadEnvelope(bytes.NewReader(Huge([]byte("Subject: huge\r\n\r\nThe total is 5\r\n"), size)))
	if err != nil || len(env.Attachments) != 1 || len(env.Attachments[0].Content) != size || env.GetHeader("Subject") != "huge" {
		t.Errorf("%d files under %q, %v", len(env.Attachments), env.GetHeader("Subject"), err)
	}
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	_, _ = z.Write(env.Attachments[0].Content)
	if z.Close() != nil || packed.Len() < size {
		t.Errorf("the noise is compressed to %d bytes", packed.Len())
	}
}
