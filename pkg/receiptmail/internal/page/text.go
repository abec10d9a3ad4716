// Package page lays texts out as their reader sees them: lines, and the cells of
// a row side by side. It is pure, and bounded in lines and bytes.
package page

import (
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/prosaas/receipts/pkg/receiptmail/internal/money"
	"github.com/prosaas/receipts/pkg/receiptmail/internal/pattern"
	"github.com/prosaas/receipts/pkg/receiptmail/internal/script"
)

// Line is one line of a document as its reader sees it: the cells of a table
// row, or a single cell of running text.
type Line struct {
	Cells []string
	Spans []Span // where each cell stands, of documents that have places: else nil
}

// Span is the width that a cell takes, in the document's own measure.
type Span struct{ Left, Right float32 }

func (s Span) overlaps(o Span) bool { return s.Left < o.Right && o.Left < s.Right }

// Column is the cell of line to that stands in the column of cell j of
// line from: by their places, or by their number where rows are alike. -1 is none.
func Column(from, to Line, j int) int {
	if from.Spans == nil || to.Spans == nil {
		if len(from.Cells) == len(to.Cells) {
			return j
		}
		return -1
	}
	return slices.IndexFunc(to.Spans, from.Spans[j].overlaps)
}

// Text is all of the line.
func (l Line) Text() string { return strings.Join(l.Cells, " ") }

var textColumns = pattern.MustCompile(`\t+| {3,}|\s*\|\s*|\s*(?:\.{3,}|…+|_{3,})\s*`)

// Bounds on one line. Few mails come near them: a paragraph that does is read
// as several lines, a row as its first cells.
const (
	MaxLines = 3000      // of one document, and of all that is looked at
	MaxBytes = 256 << 10 // of text, likewise
	MaxCell  = 2000      // bytes
	MaxCells = 30
)

// Bound takes from lines what left and text, in lines and bytes, allow.
func Bound(lines []Line, left, text *int) []Line {
	var kept []Line
	for _, l := range lines {
		if len(l.Cells) > 1 {
			l = joinSigns(l)
			l.Cells = l.Cells[:min(len(l.Cells), MaxCells)]
			l.Spans = l.Spans[:min(len(l.Spans), MaxCells)]
			for i, c := range l.Cells {
				l.Cells[i] = script.Leading(c, MaxCell)
			}
		}
		for rest := l.Cells; len(rest) > 0; {
			take := rest
			if rest = nil; len(take) == 1 && len(take[0]) > MaxCell {
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
			if len(take) != len(l.Spans) {
				l.Spans = nil
			}
			kept = append(kept, Line{Cells: take, Spans: l.Spans})
		}
	}
	return kept
}

// breakCell breaks running text that is too long for a cell, between words if
// it has any.
func breakCell(s string) (first, rest string) {
	first = script.Leading(s, MaxCell)
	if i := strings.LastIndexByte(first, ' '); i > 0 {
		first = first[:i]
	}
	return first, strings.TrimLeft(s[len(first):], " ")
}

// Text lays out plain text. Columns are told by runs of spaces, tabs, bars
// and leaders; marks of quotation are cut off. A cell's place counts characters.
func Text(text string) []Line {
	var lines []Line
	for raw := range strings.Lines(text) {
		if l := layTextLine(strings.ReplaceAll(raw, "\u00a0", " ")); len(l.Cells) > 0 {
			if lines = append(lines, l); len(lines) >= MaxLines {
				break
			}
		}
	}
	return lines
}

const maxTextColumns = 20

func layTextLine(raw string) Line {
	var l Line
	from := len(raw) - len(strings.TrimLeft(raw, "> \t*"))
	column := utf8.RuneCountInString(raw[:from])
	for from < len(raw) {
		to, next := len(raw), len(raw)
		if gap := textColumns.FindStringIndex(raw[from:]); gap != nil && len(l.Cells) < maxTextColumns-1 {
			to, next = from+gap[0], from+gap[1]
		}
		end := column + utf8.RuneCountInString(raw[from:to])
		if c := strings.Trim(script.Normalise(raw[from:to]), "*"); c != "" {
			l.Cells = append(l.Cells, c)
			l.Spans = append(l.Spans, Span{float32(column), float32(end)})
		}
		column = end + utf8.RuneCountInString(raw[to:next])
		from = next
	}
	return l
}

// Words that most Hebrew receipts contain, and the same as programs leave them
// that write Hebrew in the order of the screen.
var (
	hebrewLogical = pattern.MustCompile(`סה"כ|חשבונית|קבלה|מע"מ|תשלום|תאריך|לכבוד|הזמנה|מספר`)
	hebrewVisual  = pattern.MustCompile(`כ"הס|תינובשח|הלבק|מ"עמ|םולשת|ךיראת|דובכל|הנמזה|רפסמ`)
)

// joinSigns puts a currency that has a cell of its own to the number beside it.
func joinSigns(l Line) Line {
	for i := 0; i < len(l.Cells); i++ {
		if _, ok := money.Code(l.Cells[i]); !ok {
			continue
		}
		switch {
		case i+1 < len(l.Cells) && money.IsBare(l.Cells[i+1]):
			l = l.join(i)
		case i > 0 && money.IsBare(l.Cells[i-1]):
			l = l.join(i - 1)
			i--
		}
	}
	return l
}

// join makes one cell of cell i and the next.
func (l Line) join(i int) Line {
	l.Cells = slices.Replace(l.Cells, i, i+2, l.Cells[i]+" "+l.Cells[i+1])
	if l.Spans != nil {
		wide := Span{min(l.Spans[i].Left, l.Spans[i+1].Left), max(l.Spans[i].Right, l.Spans[i+1].Right)}
		l.Spans = slices.Replace(l.Spans, i, i+2, wide)
	}
	return l
}

// TurnVisual turns a document written in visual order into logical order.
func TurnVisual(lines []Line) {
	logical, visual := 0, 0
	for _, l := range lines {
		for _, c := range l.Cells {
			if !script.HasHebrew(c) {
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
		for i, c := range l.Cells {
			if script.HasHebrew(c) {
				l.Cells[i] = reverseVisual(c)
			}
		}
		slices.Reverse(l.Cells)
		slices.Reverse(l.Spans)
	}
}

var leftToRight = pattern.MustCompile(`%?[A-Za-z0-9](?:[A-Za-z0-9.,:/@_%+&'-]*[A-Za-z0-9%])?`)

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
