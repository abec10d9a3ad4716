package pdf

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// draw puts text on a page, letters of width 5 and height 10 from x on; a space
// moves on without drawing.
func draw(text string, x, y float32, word int) []glyph {
	var glyphs []glyph
	for _, r := range text {
		if r == ' ' {
			word++
		} else {
			glyphs = append(glyphs, glyph{r: r, word: word, left: x, right: x + 5, bottom: y, top: y + 10})
		}
		x += 5
	}
	return glyphs
}

func TestLayPage(t *testing.T) {
	t.Parallel()
	page := func(parts ...[]glyph) []glyph {
		var all []glyph
		for _, p := range parts {
			all = append(all, p...)
		}
		return all
	}
	for name, row := range map[string]struct {
		glyphs []glyph
		want   string // cells parted by |
	}{
		"words":                       {draw("Total due", 50, 100, 0), "Total due"},
		"cells":                       {page(draw("Total", 50, 100, 0), draw("9.00", 300, 100, 9)), "Total|9.00"},
		"lines, whatever their order": {page(draw("below", 50, 100, 0), draw("above", 50, 200, 9)), "above\nbelow"},
		"one line, not quite level":   {page(draw("Total", 50, 100, 0), draw("9.00", 300, 103, 9)), "Total|9.00"},
		"bold by drawing twice":       {page(draw("AB", 50, 100, 0), draw("AB", 50.5, 100, 0)), "AB"},
		"Hebrew":                      {draw("00.9 :כ\"הס", 50, 100, 0), "סה\"כ: 00.9"},
		"Hebrew cells":                {page(draw("םולשת", 300, 100, 0), draw("9.00", 50, 100, 9)), "תשלום|9.00"},
		"numbers on a Hebrew page":    {page(draw("םולשת ךס", 300, 200, 0), draw("1.00", 50, 100, 20), draw("2.00", 300, 100, 30)), "סך תשלום\n2.00|1.00"},
		"a Hebrew word beside Latin":  {page(draw("Invoice Date / ךיראת", 50, 100, 0), draw("2.3.26", 400, 100, 9), draw("Some more Latin", 50, 50, 30)), "תאריך / Invoice Date|2.3.26\nSome more Latin"},
	} {
		var lines []string
		for _, cells := range texts(layPage(row.glyphs)) {
			lines = append(lines, strings.Join(cells, "|"))
		}
		got := strings.Join(lines, "\n")
		if got != row.want {
			t.Errorf("%s: %q, want %q", name, got, row.want)
		}
	}
}

func TestLogical(t *testing.T) {
	t.Parallel()
	for visual, want := range map[string]string{
		"Total 9.00":            "Total 9.00",
		"9.00 :כ\"הס":           "סה\"כ: 9.00",
		"USD 12.50 כ\"הס":       "סה\"כ USD 12.50",
		"(18%) מ\"עמ":           "מע\"מ (18%)",
		"09/03/2026 ךיראת":      "תאריך 09/03/2026",
		"INV-12 תינובשח":        "חשבונית INV-12",
		"₪ 1,180.00 :םולשתל":    "לתשלום: 1,180.00 ₪",
		"04-8551234 :ןופלט 'חר": "רח' טלפון: 04-8551234",
	} {
		if diff := cmp.Diff(want, logical(visual)); diff != "" {
			t.Errorf("%q: %s", visual, diff)
		}
	}
}
