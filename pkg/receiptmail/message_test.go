package receiptmail

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

func parse(t *testing.T, raw string) *message {
	t.Helper()
	m, err := parseMessage([]byte(strings.ReplaceAll(raw, "\n", "\r\n")), time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func textOf(m *message) string {
	var b strings.Builder
	for _, d := range m.docs {
		for _, l := range d.lines {
			b.WriteString(strings.Join(l.Cells, " | ") + "\n")
		}
	}
	return b.String()
}

func TestReadRefusesWhatIsNoMail(t *testing.T) {
	t.Parallel()
	for name, raw := range map[string]string{"nothing": "", "no header": "\x00\x01\x02 garbage", "only a line": "hello\r\n"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := reader.Read(t.Context(), []byte(raw), time.Time{})
			var unreadable *UnreadableError
			if !errors.As(err, &unreadable) || unreadable.Reason != ReasonNoHeader {
				t.Errorf("error %v, want reason %s", err, ReasonNoHeader)
			}
		})
	}
}

func TestParseSender(t *testing.T) {
	t.Parallel()
	tests := []struct {
		in   string
		want sender
	}{
		{`"Shop, Inc." <Orders@Shop.Example>`, sender{"Shop, Inc.", "orders@shop.example", "shop.example"}},
		{"Shop<orders@shop.example>", sender{"Shop", "orders@shop.example", "shop.example"}},
		{"orders@shop.example", sender{"", "orders@shop.example", "shop.example"}},
		{"Just a name", sender{"Just a name", "", ""}},
		{"Broken <orders@shop.example", sender{"Broken", "orders@shop.example", "shop.example"}},
	}
	for _, tt := range tests {
		if got := parseSender(tt.in); got != tt.want {
			t.Errorf("%q read as %+v, want %+v", tt.in, got, tt.want)
		}
	}
}

func TestParseMessageReadsEveryShape(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, raw, want string
	}{
		{"no content type", "Subject: x\n\nhello\n", "hello\n"},
		{"single html", "Subject: x\nContent-Type: text/html\n\n<p>a<p>b\n", "a\nb\n"},
		{"html sent as text", "Subject: x\n\n<html><body><p>a</p></body></html>\n", "a\n"},
		{"missing boundary", "Subject: x\nContent-Type: multipart/mixed\n\nhello\n", "hello\n"},
		{"unclosed boundary", "Subject: x\nContent-Type: multipart/mixed; boundary=b\n\n--b\n\nhello\n", "hello\n"},
		{"no empty line before the first part", "Subject: x\nContent-Type: multipart/mixed; boundary=b\n--b\nContent-Type: text/html\n\n<html><p>hello</p></html>\n--b--\n", "hello\n--b--\n"},
		{"unknown charset", "Subject: x\nContent-Type: text/plain; charset=x-unheard-of\n\nhello\n", "hello\n"},
		{"broken base64", "Subject: x\nContent-Type: text/plain\nContent-Transfer-Encoding: base64\n\naGVsbG8=!!!!\n", "hello\n"},
		{"message in a message", "Subject: x\nContent-Type: message/rfc822\n\nSubject: inner\n\ninside\n", "inside\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := textOf(parse(t, tt.raw)); got != tt.want {
				t.Errorf("text %q, want %q", got, tt.want)
			}
		})
	}
}

func TestParseMessageSeesPDFs(t *testing.T) {
	t.Parallel()
	m := parse(t, "Subject: x\nContent-Type: multipart/mixed; boundary=b\n\n"+
		"--b\nContent-Type: application/octet-stream; name=a.pdf\nContent-Disposition: attachment\n\nnot really\n"+
		"--b\nContent-Type: application/octet-stream; name=blob\nContent-Disposition: attachment\n\n%PDF-1.4 x\n"+
		"--b\nContent-Type: image/png\nContent-ID: <logo>\n\npng\n--b--\n")
	if len(m.files) != 2 {
		t.Fatalf("%d files, want 2: %+v", len(m.files), m.files)
	}
	for i, f := range m.files {
		if f.MediaType != mediaPDF || f.N != i+1 || len(f.sha256) != 64 {
			t.Errorf("file %d: %+v", i, f)
		}
	}
}

// TestParseMessageSeesWinmail, whatever it is called.
func TestParseMessageSeesWinmail(t *testing.T) {
	t.Parallel()
	for name, part := range map[string]string{
		"its type":       "Content-Type: application/ms-tnef; name=a.dat\n\nx",
		"its other type": "Content-Type: application/vnd.ms-tnef; name=a.dat\n\nx",
		"its name":       "Content-Type: application/octet-stream; name=WinMail.dat\n\nx",
		"its beginning":  "Content-Type: application/octet-stream; name=a.dat\nContent-Transfer-Encoding: base64\n\neJ8+IgA=",
	} {
		m := parse(t, "Subject: x\nContent-Type: multipart/mixed; boundary=b\n\n--b\n"+part+"\n--b--\n")
		if len(m.files) != 1 || !isWinmail(m.files[0]) {
			t.Errorf("%s: %+v", name, m.files)
		}
	}
}

// TestContainersAreBounded: each one that nothing closes doubles what enmime reads
// at the end of the message.
func TestContainersAreBounded(t *testing.T) {
	t.Parallel()
	raw := "Subject: x\n"
	for i := range 2 * maxContainers {
		raw += fmt.Sprintf("Content-Type: multipart/mixed; boundary=b%d.\n\n--b%d.\n", i, i)
	}
	root, err := (&parser{message: &message{}}).read([]byte(raw + "\nfirst\n"))
	if err != nil {
		t.Fatal(err)
	}
	depth := 0
	for part := root; part.FirstChild != nil; part = part.FirstChild {
		depth++
	}
	if depth == 0 || depth > maxContainers {
		t.Errorf("%d containers, at most %d", depth, maxContainers)
	}
}

// TestParseMessageIsBounded: parts, containers and nesting past the bounds are
// left out, and what came before them is read.
func TestParseMessageIsBounded(t *testing.T) {
	t.Parallel()
	head := "Subject: x\nContent-Type: multipart/mixed; boundary=b\n\n--b\n\nfirst\n"
	var deep strings.Builder
	deep.WriteString("Subject: x\n")
	for i := range 2 * maxMultiparts {
		b := strings.Repeat("q", 1+i%60)
		deep.WriteString("Content-Type: multipart/mixed; boundary=" + b + "\n\n--" + b + "\n")
	}
	tests := map[string]string{
		"parts":    head + strings.Repeat("--b\n\nx\n", 50_000),
		"depth":    deep.String() + "Content-Type: text/plain\n\nfirst\n",
		"messages": strings.Repeat("Subject: x\nContent-Type: message/rfc822\n\n", 300) + "Subject: x\n\nfirst\n",
		"elements": "Subject: x\nContent-Type: text/html\n\n" + strings.Repeat("<div>", 20_000) + "first",
	}
	for name, raw := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := parse(t, raw)
			if len(m.docs) > maxDocuments {
				t.Errorf("%d documents, at most %d", len(m.docs), maxDocuments)
			}
			got := textOf(m)
			if beyond := name == "messages"; strings.HasPrefix(got, "first\n") == beyond && name != "depth" {
				t.Errorf("text begins %q", got[:min(len(got), 20)])
			}
		})
	}
}

func TestFirstParts(t *testing.T) {
	t.Parallel()
	few := []byte("a\n--b\n--c\n")
	if got := firstParts(few); !bytes.Equal(got, few) {
		t.Errorf("cut to %q", got)
	}
	if got := bytes.Count(firstParts(bytes.Repeat([]byte("\n--b"), 3*maxParts)), []byte("\n--")); got != maxParts {
		t.Errorf("%d parts left, want %d", got, maxParts)
	}
}

func TestForwardedMailIsTheOriginals(t *testing.T) {
	t.Parallel()
	m := parse(t, "From: Me <me@example.net>\nSubject: Fwd: hi\n\nlook\n\n---------- Forwarded message ---------\nFrom: Shop <shop@example.org>\nSubject: Your receipt\n\nTotal: 5.00\n")
	if want := (sender{"Shop", "shop@example.org", "example.org"}); m.from != want || m.subject != "Your receipt" {
		t.Errorf("from %+v, subject %q", m.from, m.subject)
	}
	if got := textOf(m); strings.Contains(got, "look") || !strings.Contains(got, "Total: 5.00") {
		t.Errorf("text %q", got)
	}
}
