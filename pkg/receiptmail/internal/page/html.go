package page

import (
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"

	"github.com/prosaas/receipts/pkg/receiptmail/internal/money"
	"github.com/prosaas/receipts/pkg/receiptmail/internal/script"
)

// MaxNodeDepth is how deep elements are looked at.
const MaxNodeDepth = 512 // as deep as the parser of x/net/html goes

// Markup is what a document says to machines.
type Markup struct {
	JSONLD []string
	Items  []*html.Node // outermost elements with itemscope
}

// Found tells whether there is any.
func (m Markup) Found() bool { return len(m.JSONLD) > 0 || len(m.Items) > 0 }

// HTML lays out an HTML document: the rows of its tables with their cells,
// and the lines of all other text; what a reader does not see is left out.
func HTML(source string) ([]Line, Markup) {
	root, err := html.Parse(strings.NewReader(source))
	if err != nil {
		return layTokens(source), Markup{} // nested deeper than the parser goes
	}
	w := &walker{text: MaxBytes}
	f := &flow{}
	w.children(root, f, style{}, 0)
	f.end()
	return f.lines, w.markup
}

// layTokens is for what cannot be parsed: all its text, a line for each piece.
func layTokens(source string) []Line {
	f := &flow{}
	z := html.NewTokenizer(strings.NewReader(source))
	hidden := false
	for {
		switch z.Next() {
		case html.ErrorToken:
			return f.lines
		case html.TextToken:
			if !hidden {
				f.open.Write(z.Text())
				f.end()
			}
		case html.StartTagToken:
			name, _ := z.TagName()
			hidden = string(name) == "style" || string(name) == "script"
		case html.EndTagToken:
			hidden = false
		default:
		}
	}
}

type walker struct {
	text   int // bytes still to be taken
	markup Markup
}

// style is what an element inherits.
type style struct {
	tiny      bool // font-size: 0
	invisible bool
	pre       bool // line breaks of the source count
	inItem    bool
}

// flow is a column of lines; the last one still open.
type flow struct {
	lines []Line
	open  strings.Builder
	joint bool // what comes next stands in an element of its own, right behind another
}

func (f *flow) end() {
	if len(f.lines) < MaxLines {
		if s := script.Normalise(f.open.String()); s != "" {
			f.lines = append(f.lines, Line{Cells: []string{s}})
		}
	}
	f.open.Reset()
}

func (w *walker) children(n *html.Node, f *flow, st style, depth int) {
	if depth > MaxNodeDepth {
		return
	}
	for c := n.FirstChild; c != nil; c = c.NextSibling {
		switch c.Type {
		case html.TextNode:
			w.addText(c.Data, f, st)
		case html.ElementNode:
			f.joint = c.PrevSibling != nil && c.PrevSibling.Type == html.ElementNode && c.DataAtom != atom.Sup && !isBlock(c.PrevSibling.DataAtom)
			w.element(c, f, st, depth+1)
		case html.DocumentNode, html.DoctypeNode, html.CommentNode, html.ErrorNode, html.RawNode:
		}
	}
}

func (w *walker) addText(s string, f *flow, st style) {
	if st.tiny || st.invisible || w.text <= 0 {
		return
	}
	s = s[:min(len(s), w.text)]
	w.text -= len(s)
	if f.joint && s != "" {
		f.joint = false
		last, _ := utf8.DecodeLastRuneInString(f.open.String())
		first, _ := utf8.DecodeRuneInString(s)
		if unicode.IsLetter(last) && isWord(first) || unicode.IsDigit(last) && (unicode.IsLetter(first) || unicode.Is(unicode.Sc, first)) {
			f.open.WriteByte(' ') // "Total" and "143.30", which a style sheet keeps apart
		}
	}
	for st.pre {
		first, rest, more := strings.Cut(s, "\n")
		if !more {
			break
		}
		f.open.WriteString(first)
		f.end()
		s = rest
	}
	f.open.WriteString(s)
}

func (w *walker) element(n *html.Node, f *flow, st style, depth int) {
	switch n.DataAtom {
	case atom.Script:
		if strings.EqualFold(Attr(n, "type"), "application/ld+json") && n.FirstChild != nil {
			w.markup.JSONLD = append(w.markup.JSONLD, n.FirstChild.Data)
		}
		return
	case atom.Style, atom.Title, atom.Template, atom.Noscript, atom.Svg, atom.Object, atom.Select, atom.Textarea:
		return
	case atom.Br, atom.Hr:
		f.end()
		return
	case atom.Wbr, atom.Img:
		return
	}
	if !st.inItem && HasAttr(n, "itemscope") {
		w.markup.Items = append(w.markup.Items, n)
		st.inItem = true
	}
	if n.DataAtom != atom.Head && n.DataAtom != atom.Html {
		var gone bool
		if st, gone = visible(n, st); gone {
			return
		}
	}
	switch {
	case n.DataAtom == atom.Tr:
		f.end()
		for _, l := range w.row(n, st, depth) {
			if len(f.lines) < MaxLines {
				f.lines = append(f.lines, l)
			}
		}
	case n.DataAtom == atom.Sup:
		w.superscript(n, f, st, depth)
	case n.DataAtom == atom.Pre:
		st.pre = true
		f.end()
		w.children(n, f, st, depth)
		f.end()
	case isBlock(n.DataAtom):
		f.end()
		w.children(n, f, st, depth)
		f.end()
	default:
		w.children(n, f, st, depth)
	}
}

func isWord(r rune) bool { return r != utf8.RuneError && (unicode.IsLetter(r) || unicode.IsDigit(r)) }

var trailingWhole = regexp.MustCompile(`[$€£₪]\s?[\d,]+\s*$`)

// superscript reads cents set small: $44 with a raised 95 is 44.95.
func (w *walker) superscript(n *html.Node, f *flow, st style, depth int) {
	inner := &flow{}
	w.children(n, inner, st, depth)
	s := strings.TrimSpace(inner.open.String())
	if len(s) == 2 && strings.Trim(s, "0123456789") == "" && trailingWhole.MatchString(script.Trailing(f.open.String(), money.MaxAfter)) {
		s = "." + s
	} else if s != "" {
		s = " " + s
	}
	f.open.WriteString(s)
}

// row makes one line of a table row where each of its cells holds at most one:
// tables inside cells that merely lay the row out disappear. Columns of equally
// many lines are read across. Other rows are layout: their cells follow each other.
func (w *walker) row(tr *html.Node, st style, depth int) []Line {
	var columns [][]Line
	for c := tr.FirstChild; c != nil; c = c.NextSibling {
		if c.Type != html.ElementNode {
			continue
		}
		cellStyle, gone := visible(c, st)
		if gone {
			continue
		}
		if !cellStyle.inItem && HasAttr(c, "itemscope") {
			w.markup.Items = append(w.markup.Items, c)
			cellStyle.inItem = true
		}
		f := &flow{}
		w.children(c, f, cellStyle, depth+1)
		f.end()
		if len(f.lines) > 0 {
			columns = append(columns, f.lines)
		}
	}
	if len(columns) < 2 {
		if len(columns) == 1 {
			return columns[0]
		}
		return nil
	}
	height := len(columns[0])
	for _, col := range columns {
		if len(col) != height {
			height = 0
			break
		}
	}
	if height == 1 || height > 1 && isAmounts(columns[len(columns)-1]) {
		across := make([]Line, height)
		for _, col := range columns {
			for i, l := range col {
				if n := len(across[i].Cells); n > 0 && len(l.Cells) == 1 && centsAlone.MatchString(l.Cells[0]) {
					across[i].Cells[n-1] += l.Cells[0] // "$196" and ".20", set apart to line up
					continue
				}
				across[i].Cells = append(across[i].Cells, l.Cells...)
			}
		}
		return across
	}
	var down []Line
	for _, col := range columns {
		down = append(down, col...)
	}
	return down
}

var centsAlone = regexp.MustCompile(`^[.,]\d{2}$`)

// isAmounts tells whether every line is an amount and nothing else.
func isAmounts(lines []Line) bool {
	for _, l := range lines {
		if !isLoneAmount(l) {
			return false
		}
	}
	return true
}

func isBlock(a atom.Atom) bool {
	switch a {
	case atom.Div, atom.P, atom.Table, atom.Tbody, atom.Thead, atom.Tfoot, atom.Td, atom.Th, atom.Caption,
		atom.Ul, atom.Ol, atom.Li, atom.Dl, atom.Dt, atom.Dd, atom.H1, atom.H2, atom.H3, atom.H4, atom.H5, atom.H6,
		atom.Section, atom.Article, atom.Header, atom.Footer, atom.Main, atom.Aside, atom.Nav, atom.Blockquote,
		atom.Center, atom.Address, atom.Fieldset, atom.Form, atom.Body, atom.Html, atom.Head, atom.Figure:
		return true
	}
	return false
}

// visible applies an element's own style to what it inherits; gone says that
// nothing in it can be seen.
func visible(n *html.Node, st style) (_ style, gone bool) {
	for _, a := range n.Attr {
		switch a.Key {
		case "hidden":
			return st, true
		case "class", "id":
			if strings.Contains(strings.ToLower(a.Val), "preheader") {
				return st, true
			}
		case "style":
			if st, gone = applyStyle(a.Val, st); gone {
				return st, true
			}
		}
	}
	return st, false
}

var zeroLength = regexp.MustCompile(`^0*\.?0+(px|pt|em|rem|%)?$`)

func applyStyle(css string, st style) (_ style, gone bool) {
	clipped, flat := false, false
	for decl := range strings.SplitSeq(strings.ToLower(css), ";") {
		name, value, ok := strings.Cut(decl, ":")
		if !ok {
			continue
		}
		value = strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(value), "!important"))
		switch strings.TrimSpace(name) {
		case "display":
			if value == "none" {
				return st, true
			}
		case "visibility":
			st.invisible = value == "hidden" || value == "collapse"
		case "font-size":
			st.tiny = zeroLength.MatchString(value)
		case "opacity":
			if zeroLength.MatchString(value) {
				return st, true
			}
		case "max-height", "max-width":
			if zeroLength.MatchString(value) {
				return st, true
			}
		case "height", "width":
			flat = flat || zeroLength.MatchString(value)
		case "overflow":
			clipped = value == "hidden"
		}
	}
	return st, clipped && flat
}

// Attr is the value of an attribute, empty where there is none.
func Attr(n *html.Node, key string) string {
	value, _ := Lookup(n, key)
	return value
}

// HasAttr tells whether an element has an attribute.
func HasAttr(n *html.Node, key string) bool {
	_, ok := Lookup(n, key)
	return ok
}

// Lookup is the value of an attribute, and whether it is there.
func Lookup(n *html.Node, key string) (string, bool) {
	for _, a := range n.Attr {
		if a.Key == key {
			return a.Val, true
		}
	}
	return "", false
}

// isLoneAmount tells whether a line holds one amount with a currency or
// decimals, and no words.
func isLoneAmount(l Line) bool {
	if len(l.Cells) != 1 {
		return false
	}
	a, ok := money.Lone(l.Cells[0])
	return ok && (a.Currency != "" || a.Decimals)
}
