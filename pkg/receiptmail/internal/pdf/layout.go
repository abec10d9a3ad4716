package pdf

import (
	"cmp"
	"slices"
	"strings"
	"unicode"

	"golang.org/x/text/unicode/bidi"
)

// Line is one line of a page: its cells in reading order, which is from right
// to left where the line is Hebrew or Arabic.
type Line []Cell

// Cell is a run of text with no wide gap in it. Left and Right are where it
// stands on its page, in points, for finding its column.
type Cell struct {
	Text        string
	Left, Right float32
}

// glyph is a letter on a page; the vertical axis goes up.
type glyph struct {
	r                        rune
	word                     int // as the file parts them, by spaces it draws or PDFium sees
	left, right, bottom, top float32
}

func (g glyph) height() float32 { return g.top - g.bottom }
func (g glyph) middle() float32 { return (g.top + g.bottom) / 2 }

// As parts of the letters' height: what parts two lines; two words, where the
// file parts them too; two words in any case; two cells.
const (
	lineGap = 0.5
	wordGap = 0.05
	wideGap = 0.3
	cellGap = 0.95
)

// layPage puts letters in lines and cells. The order in which the file has them
// says nothing: programs draw a page in any.
func layPage(glyphs []glyph) []Line {
	glyphs = slices.DeleteFunc(glyphs, func(g glyph) bool { return g.height() <= 0 || g.right < g.left })
	slices.SortStableFunc(glyphs, func(a, b glyph) int { return cmp.Compare(b.middle(), a.middle()) })
	rtl := readsRightToLeft(glyphs)
	var lines []Line
	for len(glyphs) > 0 {
		n := 1
		for n < len(glyphs) && glyphs[0].middle()-glyphs[n].middle() < lineGap*min(glyphs[0].height(), glyphs[n].height()) {
			n++
		}
		if line := layLine(glyphs[:n], rtl); len(line) > 0 {
			lines = append(lines, line)
		}
		glyphs = glyphs[n:]
	}
	return lines
}

// readsRightToLeft tells whether most letters are of a script that does.
func readsRightToLeft(glyphs []glyph) bool {
	right, left := 0, 0
	for _, g := range glyphs {
		switch {
		case isRightToLeft(g.r):
			right++
		case unicode.IsLetter(g.r):
			left++
		}
	}
	return right > left
}

func isRightToLeft(r rune) bool { return unicode.In(r, unicode.Hebrew, unicode.Arabic) }

// layLine takes the letters of one line, and whether its page reads from right
// to left: a line of numbers alone is read as the lines around it.
func layLine(glyphs []glyph, rtl bool) Line {
	slices.SortStableFunc(glyphs, func(a, b glyph) int { return cmp.Compare(a.left, b.left) })
	var line Line
	var text strings.Builder
	var cell Cell
	end := func() {
		if cell.Text = logical(strings.TrimSpace(text.String())); cell.Text != "" {
			line = append(line, cell)
		}
		text.Reset()
	}
	var last glyph
	for _, g := range glyphs {
		gap, size := g.left-last.right, min(g.height(), last.height())
		switch {
		case text.Len() == 0:
			cell = Cell{Left: g.left}
		case g.r == last.r && g.left-last.left < (last.right-last.left)/4:
			continue // drawn twice, to look bold
		case gap > cellGap*size:
			end()
			cell = Cell{Left: g.left}
		case gap > wideGap*size || gap > wordGap*size && g.word != last.word:
			text.WriteByte(' ')
		}
		text.WriteRune(g.r)
		cell.Right, last = g.right, g
	}
	end()
	if reversed(line, rtl) {
		slices.Reverse(line)
	}
	return line
}

// reversed tells whether a line's cells are read from the right: where nearly
// all its letters are, or any on a page that is; and where it has none, as the page is.
func reversed(line Line, rtl bool) bool {
	right, left := 0, 0
	for _, c := range line {
		for _, r := range c.Text {
			switch {
			case isRightToLeft(r):
				right++
			case unicode.IsLetter(r):
				left++
			}
		}
	}
	if rtl {
		return right > 0 || left == 0
	}
	return right > 2*left
}

// logical puts text, given as its letters stand on the page from left to right,
// into the order in which it is read. That is what displaying it from right to
// left does: the way there and the way back are one.
func logical(visual string) string {
	if !strings.ContainsFunc(visual, isRightToLeft) {
		return visual
	}
	var p bidi.Paragraph
	if _, err := p.SetString(visual, bidi.DefaultDirection(bidi.RightToLeft)); err != nil {
		return visual
	}
	order, err := p.Order()
	if err != nil {
		return visual
	}
	var b strings.Builder
	for i := order.NumRuns() - 1; i >= 0; i-- {
		run := order.Run(i)
		if run.Direction() == bidi.RightToLeft {
			b.WriteString(bidi.ReverseString(run.String()))
		} else {
			b.WriteString(run.String())
		}
	}
	return strings.TrimSpace(b.String())
}
