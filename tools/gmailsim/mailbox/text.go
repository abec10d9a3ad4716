package mailbox

import (
	"bytes"
	"html"
	"strings"

	"github.com/jhillyerd/enmime/v2"
)

// readText is what a search sees of a raw mail. Of a mail that is no mail it is
// the bytes themselves.
func readText(raw []byte) Text {
	env, err := enmime.NewParser(enmime.DisableTextConversion(true)).ReadEnvelope(bytes.NewReader(raw))
	if err != nil {
		return Text{Body: string(raw)}
	}
	text := Text{
		From: env.GetHeader("From"), To: env.GetHeader("To") + " " + env.GetHeader("Cc"),
		Subject: env.GetHeader("Subject"), Body: env.Text + " " + stripTags(env.HTML),
	}
	for _, part := range env.Attachments {
		text.Files = append(text.Files, part.FileName)
	}
	return text
}

// snippet is the first hundred characters of a body, on one line.
func snippet(body string) string {
	const length = 100
	head := strings.ToValidUTF8(body[:min(len(body), 4*length)], "")
	line := []rune(strings.Join(strings.Fields(head), " "))
	return string(line[:min(len(line), length)])
}

// stripTags is the text of an HTML page, good enough to find words in.
func stripTags(page string) string {
	var b strings.Builder
	for page != "" {
		before, rest, _ := strings.Cut(page, "<")
		b.WriteString(before)
		b.WriteByte(' ')
		for _, hidden := range []string{"style", "script"} {
			if len(rest) >= len(hidden) && strings.EqualFold(rest[:len(hidden)], hidden) {
				_, rest, _ = strings.Cut(rest, "</")
			}
		}
		_, page, _ = strings.Cut(rest, ">")
	}
	return html.UnescapeString(b.String())
}
