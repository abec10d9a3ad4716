package mailgen

import (
	"html"
	"math/rand/v2"
	"strings"

	"github.com/prosaas/receipts/tools/gmailsim/mailbox"
)

// owner is who all mail is for.
const owner = "owner@example.com"

// letter is a mail before it is encoded.
type letter struct {
	fromName, fromAddress string
	subject               string
	hebrew                bool
	lines                 []line
	files                 []file
	labels                []string
	truth                 mailbox.Truth
	shape                 shape
	charset               string // utf-8 or windows-1255
	quoted                bool   // quoted-printable instead of base64
}

type shape int

const (
	htmlOnly shape = iota
	textOnly
	alternative
)

// line is a paragraph, a heading, or a row of a table.
type line struct {
	heading bool
	cells   []string // more than one: a row
}

type file struct {
	name, mediaType string
	content         []byte
}

func (l *letter) heading(text string) {
	l.lines = append(l.lines, line{heading: true, cells: []string{text}})
}
func (l *letter) say(text string)        { l.lines = append(l.lines, line{cells: []string{text}}) }
func (l *letter) row(cells ...string)    { l.lines = append(l.lines, line{cells: cells}) }
func (l *letter) attach(f file)          { l.files = append(l.files, f) }
func (l *letter) label(labels ...string) { l.labels = append(l.labels, labels...) }

// dress chooses how the letter is sent, and makes one in a hundred a long one.
func (l *letter) dress(rng *rand.Rand) {
	l.shape = shape(rng.IntN(3))
	l.quoted = rng.IntN(2) == 0
	l.charset = "utf-8"
	if l.hebrew && rng.IntN(4) == 0 {
		l.charset = "windows-1255"
	}
	long := rng.IntN(100) == 0
	paragraphs := 5
	if long {
		paragraphs = 20 + rng.IntN(280)
	}
	for range paragraphs {
		l.say(filler(rng, l.hebrew))
	}
	if rng.IntN(3) > 0 {
		l.label("INBOX")
	}
	if rng.IntN(5) == 0 {
		l.label("UNREAD")
	}
}

// text is the letter as plain text.
func (l *letter) text() string {
	var b strings.Builder
	for _, ln := range l.lines {
		switch {
		case ln.heading:
			b.WriteString("*** " + ln.cells[0] + " ***\n\n")
		case len(ln.cells) == 1:
			b.WriteString(ln.cells[0] + "\n\n")
		default:
			b.WriteString(ln.cells[0] + ": " + strings.Join(ln.cells[1:], "  ") + "\n")
		}
	}
	return b.String()
}

// html is the letter as a page of the kind that shops send: tables in tables,
// styles in place, a preview line that nobody sees.
func (l *letter) html() string {
	direction, align := "ltr", "left"
	if l.hebrew {
		direction, align = "rtl", "right"
	}
	var b strings.Builder
	b.WriteString(`<!DOCTYPE html><html><head><meta http-equiv="Content-Type" content="text/html; charset=` + l.charset + `">` +
		"\n<style>body{margin:0;background:#f4f4f7;font-family:Arial,sans-serif}.card{width:600px;background:#fff}.row td{border-bottom:1px solid #eee}</style></head>\n")
	b.WriteString(`<body dir="` + direction + `"><div style="display:none;max-height:0;overflow:hidden">` + html.EscapeString(l.subject) + "</div>\n")
	b.WriteString(`<table role="presentation" width="100%" cellpadding="0" cellspacing="0"><tr><td align="center"><table class="card" cellpadding="8">` + "\n")
	inRows := false
	for _, ln := range l.lines {
		rows := len(ln.cells) > 1
		if rows && !inRows {
			b.WriteString(`<tr><td><table width="100%" cellpadding="4" style="border-collapse:collapse">` + "\n")
		}
		if !rows && inRows {
			b.WriteString("</table></td></tr>\n")
		}
		inRows = rows
		switch {
		case ln.heading:
			b.WriteString(`<tr><td><h1 style="font-size:22px;color:#333">` + html.EscapeString(ln.cells[0]) + "</h1></td></tr>\n")
		case !rows:
			b.WriteString(`<tr><td style="font-size:14px;line-height:20px;color:#51545e">` + html.EscapeString(ln.cells[0]) + "</td></tr>\n")
		default:
			b.WriteString(`<tr class="row">`)
			for k, cell := range ln.cells {
				style := "text-align:" + align
				if k == len(ln.cells)-1 {
					style = "font-weight:bold;white-space:nowrap"
				}
				b.WriteString(`<td style="` + style + `">` + html.EscapeString(cell) + "</td>")
			}
			b.WriteString("</tr>\n")
		}
	}
	if inRows {
		b.WriteString("</table></td></tr>\n")
	}
	b.WriteString("</table></td></tr></table></body></html>\n")
	return b.String()
}
