package receiptmail

import (
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// line is one line of a document as its reader sees it: the cells of a table
// row, or a single cell of running text.
type line struct {
	cells []string
}

func (l line) text() string { return strings.Join(l.cells, " ") }

var normalRunes = strings.NewReplacer(
	// Marks that order or join letters, and show nothing.
	"\u200b", "", "\u200c", "", "\u200d", "", "\u200e", "", "\u200f", "", "\u2060", "", "\ufeff", "", "\u00ad", "", "\u034f", "", "\u061c", "",
	"\u202a", "", "\u202b", "", "\u202c", "", "\u202d", "", "\u202e", "",
	"\u2066", "", "\u2067", "", "\u2068", "", "\u2069", "",
	"\u00a0", " ", "\u202f", " ", "\u2007", " ", "\u2009", " ", "\u3000", " ",
	// Gershayim as people write them; two geresh make one.
	"״", `"`, "“", `"`, "”", `"`, "„", `"`, "‟", `"`, "″", `"`, "''", `"`, "׳׳", `"`, "’’", `"`, "´´", `"`, "``", `"`,
	"׳", "'", "’", "'", "‘", "'", "′", "'", "`", "'", "´", "'",
	"−", "-", "–", "-", "—", "-", "‑", "-", "‐", "-", "־", "-",
	"：", ":", "，", ",", "．", ".", "￥", "¥", "＄", "$",
)

// normalise brings text to the one form that every rule is written in: NFC, no
// bidirectional marks, plain spaces, one kind of quotes, dashes and gershayim,
// runs of space made one.
func normalise(s string) string {
	s = normalRunes.Replace(norm.NFC.String(strings.ToValidUTF8(s, "")))
	return strings.Join(strings.FieldsFunc(s, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) }), " ")
}

var textColumns = regexp.MustCompile(`\t+| {3,}|\s*\|\s*|\s*(?:\.{3,}|…+|_{3,})\s*`)

// Bounds on one line. Few mails come near them: a paragraph that does is read
// as several lines, a row as its first cells.
const (
	maxCell  = 2000 // bytes
	maxCells = 30
)

// bound cuts the message down to as many lines, and as much text, as is looked
// at: all that is read of it later costs a bounded time. HTML counts first, as
// it is read first.
func (m *message) bound() {
	left, text := maxLines, maxTextBytes
	for _, kind := range []string{"html", "text"} {
		for i := range m.docs {
			if doc := &m.docs[i]; doc.kind == kind {
				doc.lines = boundLines(doc.lines, &left, &text)
			}
		}
	}
}

// boundLines takes from lines what left and text, in lines and bytes, allow.
func boundLines(lines []line, left, text *int) []line {
	var kept []line
	for _, l := range lines {
		if len(l.cells) > 1 {
			l.cells = l.cells[:min(len(l.cells), maxCells)]
			for i, c := range l.cells {
				l.cells[i] = leading(c, maxCell)
			}
		}
		for rest := l.cells; len(rest) > 0; {
			take := rest
			if rest = nil; len(take) == 1 && len(take[0]) > maxCell {
				first, more := breakCell(take[0])
				take = []string{first}
				if more != "" {
					rest = []string{more}
				}
			}
			for _, c := range take {
				*text -= len(c)
			}
			if *left--; *left < 0 || *text < 0 {
				return kept
			}
			kept = append(kept, line{take})
		}
	}
	return kept
}

// breakCell breaks running text that is too long for a cell, between words if
// it has any.
func breakCell(s string) (first, rest string) {
	first = leading(s, maxCell)
	if i := strings.LastIndexByte(first, ' '); i > 0 {
		first = first[:i]
	}
	return first, strings.TrimLeft(s[len(first):], " ")
}

// layText lays out plain text. Columns are told by runs of spaces, tabs, bars
// and leaders; marks of quotation are cut off.
func layText(text string) []line {
	var lines []line
	for raw := range strings.Lines(text) {
		raw = strings.TrimLeft(raw, "> \t*")
		var cells []string
		for _, c := range textColumns.Split(strings.ReplaceAll(raw, "\u00a0", " "), 20) {
			if c = strings.Trim(normalise(c), "*"); c != "" {
				cells = append(cells, c)
			}
		}
		if len(cells) == 0 {
			continue
		}
		if lines = append(lines, line{cells}); len(lines) >= maxLines {
			break
		}
	}
	return lines
}

// Words that most Hebrew receipts contain, and the same as programs leave them
// that write Hebrew in the order of the screen.
var (
	hebrewLogical = regexp.MustCompile(`סה"כ|חשבונית|קבלה|מע"מ|תשלום|תאריך|לכבוד|הזמנה|מספר`)
	hebrewVisual  = regexp.MustCompile(`כ"הס|תינובשח|הלבק|מ"עמ|םולשת|ךיראת|דובכל|הנמזה|רפסמ`)
)

// turnVisual turns a document written in visual order into logical order.
func turnVisual(lines []line) {
	logical, visual := 0, 0
	for _, l := range lines {
		for _, c := range l.cells {
			if !hasHebrew(c) {
				continue
			}
			logical += len(hebrewLogical.FindAllStringIndex(c, -1))
			visual += len(hebrewVisual.FindAllStringIndex(c, -1))
		}
	}
	if visual <= logical {
		return
	}
	for _, l := range lines {
		for i, c := range l.cells {
			if hasHebrew(c) {
				l.cells[i] = reverseVisual(c)
			}
		}
		for i, j := 0, len(l.cells)-1; i < j; i, j = i+1, j-1 {
			l.cells[i], l.cells[j] = l.cells[j], l.cells[i]
		}
	}
}

var leftToRight = regexp.MustCompile(`%?[A-Za-z0-9](?:[A-Za-z0-9.,:/@_%+&'-]*[A-Za-z0-9%])?`)

func reverseVisual(s string) string {
	r := []rune(s)
	for i, j := 0, len(r)-1; i < j; i, j = i+1, j-1 {
		r[i], r[j] = r[j], r[i]
	}
	mirrored := strings.NewReplacer("(", ")", ")", "(", "[", "]", "]", "[").Replace(string(r))
	return leftToRight.ReplaceAllStringFunc(mirrored, func(run string) string {
		b := []byte(run)
		for i, j := 0, len(b)-1; i < j; i, j = i+1, j-1 {
			b[i], b[j] = b[j], b[i]
		}
		return string(b)
	})
}

func hasHebrew(s string) bool {
	for _, r := range s {
		if r >= 'א' && r <= 'ת' {
			return true
		}
	}
	return false
}

func hasLetter(s string) bool { return strings.IndexFunc(s, unicode.IsLetter) >= 0 }

// clip cuts s to n characters.
func clip(s string, n int) string {
	for i := range s {
		if n--; n < 0 {
			return s[:i]
		}
	}
	return s
}

// leading is the beginning of s, of at most n bytes and whole characters.
func leading(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

// trailing is the end of s, of at most n bytes and whole characters.
func trailing(s string, n int) string {
	if len(s) <= n {
		return s
	}
	i := len(s) - n
	for i < len(s) && !utf8.RuneStart(s[i]) {
		i++
	}
	return s[i:]
}
