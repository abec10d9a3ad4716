package mailgen

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"mime"
	"mime/quotedprintable"
	"strings"
	"time"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"

	"github.com/prosaas/receipts/tools/gmailsim/mailbox"
)

// raw is the letter as bytes; id makes its Message-ID.
func (l *letter) raw(date time.Time, id uint64) []byte {
	var b bytes.Buffer
	_, domain, _ := strings.Cut(l.fromAddress, "@")
	fmt.Fprintf(&b, "Delivered-To: %s\r\nReceived: from mail.%s (mail.%[2]s [192.0.2.%d]) by mx.example.com with ESMTPS id %x; %s\r\n",
		owner, domain, id%250+1, id>>20, date.UTC().Format(time.RFC1123Z))
	fmt.Fprintf(&b, "From: %s <%s>\r\nTo: %s\r\n", l.header(l.fromName), l.fromAddress, owner)
	fmt.Fprintf(&b, "Subject: %s\r\n", l.header(l.subject))
	fmt.Fprintf(&b, "Date: %s\r\nMessage-ID: <%016x@%s>\r\nMIME-Version: 1.0\r\n",
		date.In(time.FixedZone("", 2*60*60)).Format(time.RFC1123Z), id, domain)

	if len(l.files) == 0 {
		l.writeBody(&b, id)
		return b.Bytes()
	}
	boundary := fmt.Sprintf("mixed_%016x", id)
	fmt.Fprintf(&b, "Content-Type: multipart/mixed; boundary=%q\r\n\r\n--%[1]s\r\n", boundary)
	l.writeBody(&b, id)
	for _, f := range l.files {
		fmt.Fprintf(&b, "\r\n--%s\r\nContent-Type: %s\r\nContent-Disposition: %s\r\nContent-Transfer-Encoding: base64\r\n\r\n",
			boundary, f.mediaType, mime.FormatMediaType("attachment", map[string]string{"filename": f.name}))
		mailbox.WriteBase64(&b, f.content)
	}
	fmt.Fprintf(&b, "\r\n--%s--\r\n", boundary)
	return b.Bytes()
}

func (l *letter) writeBody(b *bytes.Buffer, id uint64) {
	switch l.shape {
	case htmlOnly:
		l.writePart(b, "text/html", l.html())
	case textOnly:
		l.writePart(b, "text/plain", l.text())
	case alternative:
		boundary := fmt.Sprintf("alt_%016x", id)
		fmt.Fprintf(b, "Content-Type: multipart/alternative; boundary=%q\r\n\r\n--%[1]s\r\n", boundary)
		l.writePart(b, "text/plain", l.text())
		fmt.Fprintf(b, "\r\n--%s\r\n", boundary)
		l.writePart(b, "text/html", l.html())
		fmt.Fprintf(b, "\r\n--%s--\r\n", boundary)
	}
}

func (l *letter) writePart(b *bytes.Buffer, mediaType, text string) {
	transfer := "base64"
	if l.quoted {
		transfer = "quoted-printable"
	}
	fmt.Fprintf(b, "Content-Type: %s; charset=%s\r\nContent-Transfer-Encoding: %s\r\n\r\n", mediaType, l.charset, transfer)
	content := l.encode(text)
	if !l.quoted {
		mailbox.WriteBase64(b, content)
		return
	}
	w := quotedprintable.NewWriter(b)
	_, _ = w.Write(content) // a bytes.Buffer takes everything
	_ = w.Close()
}

// header is text as it stands in a header (RFC 2047).
func (l *letter) header(text string) string {
	if l.charset == "utf-8" {
		return mime.QEncoding.Encode("utf-8", text)
	}
	return "=?" + l.charset + "?B?" + base64.StdEncoding.EncodeToString(l.encode(text)) + "?="
}

// encode is text in the letter's character set. Gershayim have no place in all
// programs that write windows-1255: they write a quotation mark.
func (l *letter) encode(text string) []byte {
	if l.charset == "utf-8" {
		return []byte(text)
	}
	text = strings.NewReplacer("״", `"`, "•", "*").Replace(text)
	out, err := encoding.ReplaceUnsupported(charmap.Windows1255.NewEncoder()).Bytes([]byte(text))
	if err != nil {
		return []byte(text)
	}
	return out
}
