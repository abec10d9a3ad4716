package mailgen

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"regexp"
	"strings"

	"github.com/prosaas/receipts/tools/gmailsim/mailbox"
)

// Huge is the mail with a file of so many bytes of noise attached, which no
// compression makes small.
func Huge(raw []byte, size int) []byte {
	noise := make([]byte, size)
	_, _ = rand.NewChaCha8([32]byte{}).Read(noise)
	return stuffed(raw, size/57*78, func(b *bytes.Buffer, boundary string) { // base64 makes a line of 78 bytes of 57
		writeFileHead(b, boundary, "noise.bin", "application/octet-stream")
		mailbox.WriteBase64(b, noise)
	})
}

// InManyParts is the mail with so many tiny files attached.
func InManyParts(raw []byte, parts int) []byte {
	return stuffed(raw, parts*200, func(b *bytes.Buffer, boundary string) {
		for n := range parts {
			writeFileHead(b, boundary, fmt.Sprintf("%d.txt", n), "text/plain")
			mailbox.WriteBase64(b, []byte("tiny"))
		}
	})
}

func writeFileHead(b *bytes.Buffer, boundary, name, mediaType string) {
	fmt.Fprintf(b, "\r\n--%s\r\nContent-Type: %s\r\nContent-Disposition: attachment; filename=%q\r\nContent-Transfer-Encoding: base64\r\n\r\n",
		boundary, mediaType, name)
}

// stuffed is the mail under its own head with all that it held as the first of
// several parts: whoever reads it finds what it said before.
func stuffed(raw []byte, room int, attach func(b *bytes.Buffer, boundary string)) []byte {
	const boundary = "=_stuffed"
	head, body := raw, []byte(nil)
	if gap := regexp.MustCompile(`\r?\n\r?\n`).FindIndex(raw); gap != nil {
		head, body = raw[:gap[0]], raw[gap[1]:]
	}
	var outer, inner strings.Builder
	field := &outer
	for line := range strings.Lines(string(head) + "\r\n") {
		name, _, _ := strings.Cut(strings.ToLower(line), ":")
		switch {
		case strings.TrimSpace(line) == "" || name == "mime-version":
			continue
		case strings.HasPrefix(name, "content-"):
			field = &inner
		case line[0] != ' ' && line[0] != '\t':
			field = &outer
		}
		field.WriteString(strings.TrimRight(line, "\r\n") + "\r\n")
	}
	if inner.Len() == 0 {
		inner.WriteString("Content-Type: text/plain\r\n")
	}
	var b bytes.Buffer
	b.Grow(len(raw) + room + 1024)
	fmt.Fprintf(&b, "%sMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=%q\r\n\r\n--%[2]s\r\n%s\r\n",
		outer.String(), boundary, inner.String())
	b.Write(body)
	attach(&b, boundary)
	fmt.Fprintf(&b, "\r\n--%s--\r\n", boundary)
	return b.Bytes()
}
