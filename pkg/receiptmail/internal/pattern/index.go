package pattern

import "slices"

// index finds in one pass which of several things a text can be, by words that
// each of them holds.
type index struct {
	wordless []int              // of them nothing is known
	width    int                // bytes with which each word is looked up
	starts   map[uint32][]entry // by those bytes
	likely   [4096 / 64]uint64  // a bit for each hash of them, for most texts the end of it
}

type entry struct {
	word string
	of   int
}

func newIndex(words [][]string) index {
	x := index{width: min(shortest(slices.Concat(words...)), 4), starts: map[uint32][]entry{}}
	for of, some := range words {
		if len(some) == 0 {
			x.wordless = append(x.wordless, of)
		}
		for _, w := range some {
			var key uint32
			for i := range x.width {
				key = x.next(key, w[i])
			}
			x.starts[key] = append(x.starts[key], entry{w, of})
			h := hash(key)
			x.likely[h/64] |= 1 << (h % 64)
		}
	}
	return x
}

// next is the key of the bytes that end in c, where that of those before is key.
func (x *index) next(key uint32, c byte) uint32 {
	unused := 32 - 8*x.width
	return (key<<8 | uint32(fold(c))) << unused >> unused
}

func fold(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		c += 'a' - 'A'
	}
	return c
}

func hash(key uint32) uint32 { return key * 2654435769 >> 20 } // Knuth's multiplicative

// any calls is, with what the text can be, until it says yes.
func (x *index) any(text string, is func(of int) bool) bool {
	if slices.ContainsFunc(x.wordless, is) {
		return true
	}
	if x.width == 0 {
		return false
	}
	var key uint32
	for i := range len(text) {
		key = x.next(key, text[i])
		if h := hash(key); x.likely[h/64]&(1<<(h%64)) == 0 || i+1 < x.width {
			continue
		}
		for _, e := range x.starts[key] {
			if begins(text[i+1-x.width:], e.word) && is(e.of) {
				return true
			}
		}
	}
	return false
}

// begins tells whether the text begins with the word, in which a small letter
// stands for both cases.
func begins(text, word string) bool {
	if len(text) < len(word) {
		return false
	}
	for i := range len(word) {
		if c := text[i]; c != word[i] && fold(c) != word[i] {
			return false
		}
	}
	return true
}
