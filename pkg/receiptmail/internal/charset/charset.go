// Package charset turns the bytes of mails into text, whatever their labels say of
// them. It is pure.
package charset

import (
	"bytes"
	"encoding/base64"
	"io"
	"mime/quotedprintable"
	"regexp"
	"strings"
	"unicode/utf8"

	htmlcharset "golang.org/x/net/html/charset"
	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
)

// hebrewLabels are read as windows-1255, a superset of ISO 8859-8 in all that
// mails contain: programs label it so and write ₪, which ISO 8859-8 turns into ¤.
// Whether the text is in visual order is told by its words, not by the label.
var hebrewLabels = regexp.MustCompile(`(?i)^(cs)?(iso[-_]?8859[-_]?8([-_]?[ei])?|iso_8859-8:1988|hebrew|logical|visual|isolatinhebrew)$`)

var metaCharset = regexp.MustCompile(`(?i)<meta[^>]{1,200}?charset\s*=\s*["']?\s*([A-Za-z0-9_:.-]{2,40})`)

// Text turns the bytes of a text part into UTF-8. What is valid UTF-8 is
// UTF-8 whatever its label says; what is not follows the label, the document's
// own meta tag, and at last windows-1255, which keeps ASCII as it is.
func Text(content []byte, label string) string {
	content = bytes.TrimPrefix(content, []byte("\xef\xbb\xbf"))
	enc := encodingOf(label)
	if utf8.Valid(content) && !isWide(label) {
		return string(content)
	}
	if enc == nil {
		if m := metaCharset.FindSubmatch(content[:min(len(content), 4096)]); m != nil {
			enc = encodingOf(string(m[1]))
		}
	}
	if enc == nil {
		// Damaged UTF-8 (a cut, a stray byte) stays mostly right as UTF-8.
		if mostlyUTF8(content) {
			return strings.ToValidUTF8(string(content), "")
		}
		enc = charmap.Windows1255
	}
	decoded, err := enc.NewDecoder().Bytes(content)
	if err != nil {
		return strings.ToValidUTF8(string(content), "")
	}
	return string(decoded)
}

// isWide tells whether the label names a charset whose bytes may look like
// valid UTF-8 without being it.
func isWide(label string) bool {
	l := strings.ToLower(label)
	return strings.HasPrefix(l, "utf-16") || strings.HasPrefix(l, "utf-32") || strings.HasPrefix(l, "iso-2022") || strings.HasPrefix(l, "hz-")
}

// encodingOf is nil for UTF-8, ASCII and what nobody knows: those say nothing
// about bytes above 127 that are not UTF-8.
func encodingOf(label string) encoding.Encoding {
	label = strings.ToLower(strings.Trim(label, " \t\"'"))
	label = strings.TrimPrefix(label, "charset=")
	if hebrewLabels.MatchString(label) {
		return charmap.Windows1255
	}
	if label == "us-ascii" || label == "ascii" {
		return nil
	}
	enc, name := htmlcharset.Lookup(label)
	if name == "utf-8" || name == "" {
		return nil
	}
	return enc
}

func mostlyUTF8(content []byte) bool {
	good, bad := 0, 0
	for len(content) > 0 {
		r, n := utf8.DecodeRune(content)
		switch {
		case r == utf8.RuneError && n == 1:
			bad++
		case n > 1:
			good++
		}
		content = content[n:]
	}
	return good > 4*bad
}

var encodedWord = regexp.MustCompile(`=\?([A-Za-z0-9_:.-]{2,40})(?:\*[A-Za-z-]*)?\?([BbQq])\?([^?]{0,998})\?=`)

// Header decodes the RFC 2047 words of a header. Neighbours of one
// charset are joined before they are decoded: many senders split a letter
// between two words.
func Header(value string) string {
	found := encodedWord.FindAllStringSubmatchIndex(value, 500)
	if found == nil {
		return Text([]byte(value), "")
	}
	var out strings.Builder
	var pending []byte
	label := ""
	flush := func() {
		out.WriteString(Text(pending, label))
		pending = nil
	}
	end := 0
	for i, m := range found {
		between := value[end:m[0]]
		word := value[m[2]:m[3]]
		adjacent := i > 0 && strings.TrimSpace(between) == ""
		if !adjacent || !strings.EqualFold(word, label) {
			flush()
		}
		if !adjacent {
			out.WriteString(Text([]byte(between), ""))
		}
		label = word
		pending = append(pending, decodeWord(value[m[4]:m[5]], value[m[6]:m[7]])...)
		end = m[1]
	}
	flush()
	out.WriteString(Text([]byte(value[end:]), ""))
	return out.String()
}

func decodeWord(how, text string) []byte {
	if strings.EqualFold(how, "B") {
		// RawStdEncoding with the padding cut off also reads words that forgot theirs.
		decoded, _ := base64.RawStdEncoding.DecodeString(strings.TrimRight(text, "= "))
		return decoded
	}
	decoded, err := io.ReadAll(quotedprintable.NewReader(strings.NewReader(strings.ReplaceAll(text, "_", " "))))
	if err != nil {
		return []byte(text)
	}
	return decoded
}
