package pattern

import (
	"regexp/syntax"
	"slices"
	"unicode"
)

// matches is what is known of the texts that an expression matches: every one of
// them where they are few, or else words of which each holds one. A small letter
// of ASCII stands for both cases.
type matches struct {
	all  []string
	some []string
}

const (
	maxAll  = 32 // texts; more are told by words that they hold
	minWord = 2  // bytes; a shorter one is in every text
)

// words is nil where nothing is known.
func (m matches) words() []string {
	if m.all != nil {
		return better(m.all, nil)
	}
	return m.some
}

func matchesOf(re *syntax.Regexp) matches {
	switch re.Op {
	case syntax.OpEmptyMatch, syntax.OpBeginLine, syntax.OpEndLine, syntax.OpBeginText, syntax.OpEndText, syntax.OpWordBoundary, syntax.OpNoWordBoundary:
		return matches{all: []string{""}}
	case syntax.OpLiteral:
		var each []matches
		for _, r := range re.Rune {
			each = append(each, letter(r, re.Flags&syntax.FoldCase != 0))
		}
		return joined(each)
	case syntax.OpCharClass:
		return oneOf(re.Rune)
	case syntax.OpCapture:
		return matchesOf(re.Sub[0])
	case syntax.OpPlus, syntax.OpRepeat:
		if re.Op == syntax.OpRepeat && re.Min == 0 {
			return matches{}
		}
		return matches{some: matchesOf(re.Sub[0]).words()}
	case syntax.OpQuest:
		return either([]matches{matchesOf(re.Sub[0]), {all: []string{""}}})
	case syntax.OpConcat, syntax.OpAlternate:
		var each []matches
		for _, sub := range re.Sub {
			each = append(each, matchesOf(sub))
		}
		if re.Op == syntax.OpConcat {
			return joined(each)
		}
		return either(each)
	default:
		return matches{} // any text
	}
}

// letter is one letter, or with fold all that differ from it in case alone.
func letter(r rune, fold bool) matches {
	if !fold {
		return matches{all: []string{string(r)}}
	}
	m := matches{all: []string{lower(r)}}
	for o := unicode.SimpleFold(r); o != r; o = unicode.SimpleFold(o) {
		m.add(lower(o))
	}
	return m
}

// oneOf is a class, given as ranges of letters.
func oneOf(ranges []rune) matches {
	var m matches
	for i := 0; i < len(ranges); i += 2 {
		for r := ranges[i]; r <= ranges[i+1]; r++ {
			if m.add(lower(r)); len(m.all) > maxAll {
				return matches{}
			}
		}
	}
	return m
}

func (m *matches) add(text string) {
	if !slices.Contains(m.all, text) {
		m.all = append(m.all, text)
	}
}

// lower is a letter for which either case will do.
func lower(r rune) string {
	if r <= unicode.MaxASCII {
		r = unicode.ToLower(r)
	}
	return string(r)
}

// joined is what stands one behind the other.
func joined(each []matches) matches {
	var best []string
	known, run := true, []string{""} // of what stands together all matches are known
	for _, m := range each {
		if len(run)*len(m.all) > maxAll || m.all == nil {
			best, known, run = better(best, run), false, []string{""}
		}
		if m.all == nil {
			best = better(best, m.some)
			continue
		}
		var longer []string
		for _, head := range run {
			for _, tail := range m.all {
				longer = append(longer, head+tail)
			}
		}
		run = longer
	}
	if known {
		return matches{all: run}
	}
	return matches{some: better(best, run)}
}

// either is one of several.
func either(each []matches) matches {
	var m matches
	known := true
	for _, e := range each {
		m.all, known = append(m.all, e.all...), known && e.all != nil
	}
	if known && len(m.all) <= maxAll {
		return m
	}
	m.all = nil
	for _, e := range each {
		words := e.words()
		if words == nil {
			return matches{}
		}
		m.some = append(m.some, words...)
	}
	return m
}

// better is the set of words that fewer texts hold: the one whose shortest is
// longer, or else which has fewer.
func better(a, b []string) []string {
	x, y := shortest(a), shortest(b)
	if y > x || y == x && len(b) < len(a) {
		a, x = b, y
	}
	if x < minWord {
		return nil
	}
	return a
}

func shortest(words []string) int {
	n := 0
	for i, w := range words {
		if i == 0 || len(w) < n {
			n = len(w)
		}
	}
	return n
}
