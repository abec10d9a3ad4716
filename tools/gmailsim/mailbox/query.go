package mailbox

import (
	"slices"
	"strconv"
	"strings"
	"time"
	_ "time/tzdata" // date words mean midnight in Los Angeles, wherever this runs
	"unicode"
)

// Query is a search in Gmail's language: words, "phrases", OR, {any of these},
// (all of these), -not, from: to: subject: filename: has:attachment after:
// before: category: label: in: is:. after: and before: take epoch seconds or
// YYYY/MM/DD, which means midnight in Los Angeles. Words match whole words, in
// any case. An operator that is not known is searched for as words.
type Query struct {
	root          node
	after, before int64 // seconds; what the whole query demands, 0 for no bound
	anywhere      bool  // spam and trash too
}

// node is one term of a query, or a group of them.
type node struct {
	op    operator
	kids  []node
	field string
	value string // normalised, or as written where the field has its own words
	at    int64  // seconds, of after and before
}

type operator int

const (
	allOf operator = iota
	anyOf
	noneOf
	term
)

// ParseQuery reads q. Every text is a query: what does not parse is words.
func ParseQuery(q string) Query {
	p := &parser{rest: []rune(q)}
	out := Query{root: node{op: allOf}}
	for !p.done() {
		kids := p.terms(0)
		out.root.kids = append(out.root.kids, kids...)
		if !p.done() {
			p.rest = p.rest[1:] // a closing bracket that nobody opened
		}
	}
	for _, k := range out.root.kids {
		switch {
		case k.op != term:
		case k.field == "after":
			out.after = max(out.after, k.at)
		case k.field == "before" && (out.before == 0 || k.at < out.before):
			out.before = k.at
		}
	}
	out.anywhere = out.root.asksHidden()
	return out
}

func (q Query) all() bool { return len(q.root.kids) == 0 }

// asksHidden tells whether the query names spam or trash, or everything.
func (n node) asksHidden() bool {
	if n.op == term && (n.field == "in" || n.field == "label") {
		return slices.Contains([]string{"anywhere", "spam", "trash"}, strings.ToLower(n.value))
	}
	return n.op != noneOf && slices.ContainsFunc(n.kids, node.asksHidden)
}

// parser goes through the text once, from the left.
type parser struct {
	rest []rune
}

func (p *parser) done() bool {
	for len(p.rest) > 0 && unicode.IsSpace(p.rest[0]) {
		p.rest = p.rest[1:]
	}
	return len(p.rest) == 0
}

// terms reads up to the closing bracket, or to the end. OR binds closer than
// standing side by side: a b OR c is a AND (b OR c).
func (p *parser) terms(closing rune) []node {
	var out []node
	joining := false
	for !p.done() {
		if p.rest[0] == closing || p.rest[0] == ')' || p.rest[0] == '}' {
			return out
		}
		n, ok := p.term()
		switch {
		case !ok:
		case n.field == "" && n.value == "OR":
			joining = len(out) > 0
			continue
		case n.field == "" && n.value == "AND":
		case joining:
			last := &out[len(out)-1]
			if last.op != anyOf {
				*last = node{op: anyOf, kids: []node{*last}}
			}
			last.kids = append(last.kids, n)
		default:
			out = append(out, n)
		}
		joining = false
	}
	return out
}

// term reads one word, phrase, group or field. Words come back normalised, but
// for the operators OR and AND.
func (p *parser) term() (node, bool) {
	switch c := p.rest[0]; c {
	case '-':
		p.rest = p.rest[1:]
		if len(p.rest) == 0 || unicode.IsSpace(p.rest[0]) {
			return node{}, false
		}
		n, ok := p.term()
		return node{op: noneOf, kids: []node{n}}, ok
	case '(':
		return p.group(')', allOf)
	case '{':
		return p.group('}', anyOf)
	case '"':
		p.rest = p.rest[1:]
		end := slices.Index(p.rest, '"')
		if end < 0 {
			end = len(p.rest)
		}
		phrase := string(p.rest[:end])
		p.rest = p.rest[min(end+1, len(p.rest)):]
		return word(phrase)
	}
	end := slices.IndexFunc(p.rest, func(r rune) bool { return unicode.IsSpace(r) || strings.ContainsRune("(){}", r) })
	if end < 0 {
		end = len(p.rest)
	}
	text := string(p.rest[:end])
	field, value, found := strings.Cut(text, ":")
	field = strings.ToLower(field)
	if found && isField(field) {
		p.rest = p.rest[len([]rune(field))+1:]
		return p.field(field, value)
	}
	p.rest = p.rest[end:]
	if text == "OR" || text == "AND" {
		return node{op: term, value: text}, true
	}
	return word(text)
}

func (p *parser) group(closing rune, op operator) (node, bool) {
	p.rest = p.rest[1:]
	kids := p.terms(closing)
	if len(p.rest) > 0 {
		p.rest = p.rest[1:]
	}
	return node{op: op, kids: kids}, len(kids) > 0
}

// field reads what follows "name:", which may be a phrase or a group.
func (p *parser) field(name, value string) (node, bool) {
	if value == "" && (len(p.rest) == 0 || unicode.IsSpace(p.rest[0])) {
		return node{}, false
	}
	if slices.Contains([]string{"from", "to", "subject", "filename"}, name) {
		n, ok := p.term()
		return n.within(name), ok
	}
	p.rest = p.rest[len([]rune(value)):]
	n := node{op: term, field: name, value: value}
	if name == "after" || name == "before" {
		at, ok := parseDay(value)
		n.at = at
		return n, ok
	}
	return n, value != ""
}

// within says that every word of n is looked for in that field.
func (n node) within(field string) node {
	if n.op == term {
		n.field = field
		return n
	}
	for i := range n.kids {
		n.kids[i] = n.kids[i].within(field)
	}
	return n
}

func isField(name string) bool {
	return slices.Contains([]string{
		"from", "to", "subject", "filename", "has", "after", "before", "category", "label", "in", "is",
	}, name)
}

func word(text string) (node, bool) {
	value := normalise(text)
	return node{op: term, value: value}, strings.TrimSpace(value) != ""
}

// parseDay reads the value of after: and before:.
func parseDay(value string) (int64, bool) {
	if seconds, err := strconv.ParseInt(value, 10, 64); err == nil {
		return seconds, true
	}
	losAngeles, err := time.LoadLocation("America/Los_Angeles")
	if err != nil {
		return 0, false
	}
	day, err := time.ParseInLocation("2006/1/2", strings.ReplaceAll(value, "-", "/"), losAngeles)
	return day.Unix(), err == nil
}
