// Package pattern makes regular expressions that are quick to say no: each knows
// words of which whatever it matches holds one, and looks for those first. Most
// texts hold none. It is pure.
package pattern

import (
	"regexp"
	"regexp/syntax"
	"slices"
	"sync"
)

// Pattern is a regular expression. It matches what package regexp says.
type Pattern struct {
	*regexp.Regexp
	ways func() ways // worked out with the first text
}

// ways are those in which an expression can match: a text that matches none of
// them does not match.
type ways struct {
	each  []func() *regexp.Regexp // compiled with the first text that may match
	words index                   // of each
}

const (
	maxWays = 256
	maxExpr = 1000 // bytes of one, written out: large classes take long to compile
)

// Compile fails as [regexp.Compile] does.
func Compile(expr string) (*Pattern, error) {
	whole, err := regexp.Compile(expr)
	if err != nil {
		return nil, err
	}
	tree, err := syntax.Parse(expr, syntax.Perl)
	if err != nil {
		return nil, err
	}
	return &Pattern{whole, sync.OnceValue(func() ways { return newWays(whole, tree) })}, nil
}

// MustCompile is for expressions that are part of the program.
func MustCompile(expr string) *Pattern {
	p, err := Compile(expr)
	if err != nil {
		panic(err)
	}
	return p
}

// newWays takes an expression apart, unless that would cost more than it saves.
func newWays(whole *regexp.Regexp, tree *syntax.Regexp) ways {
	trees := waysOf(tree)
	var w ways
	var words [][]string
	for _, t := range trees {
		expr := t.String()
		if len(trees) == 1 || len(trees) > maxWays || len(expr) > maxExpr {
			return ways{[]func() *regexp.Regexp{func() *regexp.Regexp { return whole }}, newIndex([][]string{matchesOf(tree).words()})}
		}
		w.each = append(w.each, sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(expr) }))
		words = append(words, matchesOf(t).words())
	}
	w.words = newIndex(words)
	return w
}

// waysOf lists the ways in which an expression that holds an alternative can
// match: x(a|b)y matches as xay, or as xby.
func waysOf(re *syntax.Regexp) []*syntax.Regexp {
	switch re.Op {
	case syntax.OpCapture:
		return waysOf(re.Sub[0])
	case syntax.OpAlternate:
		var ways []*syntax.Regexp
		for _, sub := range re.Sub {
			ways = append(ways, waysOf(sub)...)
		}
		return ways
	case syntax.OpConcat:
		for i, sub := range re.Sub {
			inner := waysOf(sub)
			if len(inner) < 2 {
				continue
			}
			var ways []*syntax.Regexp
			for _, way := range inner {
				all := slices.Clone(re.Sub)
				all[i] = way
				ways = append(ways, &syntax.Regexp{Op: syntax.OpConcat, Sub: all})
			}
			return ways
		}
	default:
	}
	return []*syntax.Regexp{re}
}

// MatchString is as [regexp.Regexp.MatchString].
func (p *Pattern) MatchString(s string) bool {
	ways := p.ways()
	var tried [maxWays]bool
	return ways.words.any(s, func(n int) bool {
		again := tried[n]
		tried[n] = true
		return !again && ways.each[n]().MatchString(s)
	})
}

// FindStringIndex is as [regexp.Regexp.FindStringIndex].
func (p *Pattern) FindStringIndex(s string) []int {
	if !p.MatchString(s) {
		return nil
	}
	return p.Regexp.FindStringIndex(s)
}

// FindAllStringIndex is as [regexp.Regexp.FindAllStringIndex].
func (p *Pattern) FindAllStringIndex(s string, n int) [][]int {
	if !p.MatchString(s) {
		return nil
	}
	return p.Regexp.FindAllStringIndex(s, n)
}

// FindStringSubmatch is as [regexp.Regexp.FindStringSubmatch].
func (p *Pattern) FindStringSubmatch(s string) []string {
	if !p.MatchString(s) {
		return nil
	}
	return p.Regexp.FindStringSubmatch(s)
}

// FindAllStringSubmatch is as [regexp.Regexp.FindAllStringSubmatch].
func (p *Pattern) FindAllStringSubmatch(s string, n int) [][]string {
	if !p.MatchString(s) {
		return nil
	}
	return p.Regexp.FindAllStringSubmatch(s, n)
}
