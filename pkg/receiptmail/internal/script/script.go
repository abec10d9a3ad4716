// Package script brings writing to the one form that every rule is written in,
// and cuts it between letters. It is pure.
package script

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

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

// Normalise brings text to the one form that every rule is written in: NFC, no
// bidirectional marks, plain spaces, one kind of quotes, dashes and gershayim,
// runs of space made one.
func Normalise(s string) string {
	s = normalRunes.Replace(norm.NFC.String(strings.ToValidUTF8(s, "")))
	return strings.Join(strings.FieldsFunc(s, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) }), " ")
}

// HasHebrew tells whether any letter is Hebrew.
func HasHebrew(s string) bool {
	for _, r := range s {
		if r >= 'א' && r <= 'ת' {
			return true
		}
	}
	return false
}

// HasLetter tells whether there is a letter of any tongue.
func HasLetter(s string) bool { return strings.IndexFunc(s, unicode.IsLetter) >= 0 }

// Clip cuts s to n characters.
func Clip(s string, n int) string {
	for i := range s {
		if n--; n < 0 {
			return s[:i]
		}
	}
	return s
}

// Leading is the beginning of s, of at most n bytes and whole characters.
func Leading(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

// Trailing is the end of s, of at most n bytes and whole characters.
func Trailing(s string, n int) string {
	if len(s) <= n {
		return s
	}
	i := len(s) - n
	for i < len(s) && !utf8.RuneStart(s[i]) {
		i++
	}
	return s[i:]
}
