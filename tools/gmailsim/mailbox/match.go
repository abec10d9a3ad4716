package mailbox

import (
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"
)

// doc is a mail made ready for matching: lower-case words with one space before
// and after each, so that a word, and a phrase, is a substring.
type doc struct {
	from, to, subject, files, all string
	hasFiles                      bool
}

// candidate is a doc with what may change about it.
type candidate struct {
	*doc
	labels []string
	date   time.Time
}

func (n node) match(c candidate) bool {
	matches := func(k node) bool { return k.match(c) }
	switch n.op {
	case allOf:
		return !slices.ContainsFunc(n.kids, func(k node) bool { return !k.match(c) })
	case anyOf:
		return slices.ContainsFunc(n.kids, matches)
	case noneOf:
		return !slices.ContainsFunc(n.kids, matches)
	case term: // below
	}
	switch n.field {
	case "from":
		return strings.Contains(c.from, n.value)
	case "to":
		return strings.Contains(c.to, n.value)
	case "subject":
		return strings.Contains(c.subject, n.value)
	case "filename":
		return strings.Contains(c.files, n.value)
	case "has":
		return n.value == "attachment" && c.hasFiles
	case "after":
		return c.date.Unix() >= n.at
	case "before":
		return c.date.Unix() < n.at
	case "category":
		name := strings.ToUpper(n.value)
		if name == "PRIMARY" {
			name = "PERSONAL"
		}
		return slices.Contains(c.labels, "CATEGORY_"+name)
	case "label", "in", "is":
		return matchLabel(c.labels, strings.ToUpper(n.value))
	}
	return strings.Contains(c.all, n.value)
}

func matchLabel(labels []string, name string) bool {
	switch name {
	case "ANYWHERE":
		return true
	case "READ":
		return !slices.Contains(labels, "UNREAD")
	case "DRAFTS", "CHATS":
		name = strings.TrimSuffix(name, "S")
	}
	return slices.ContainsFunc(labels, func(l string) bool { return strings.EqualFold(l, name) })
}

// normalise makes text comparable. Quotation marks and apostrophes inside a
// word vanish (סה"כ is one word, with either kind of gershayim); all else that
// is no letter or digit parts words.
func normalise(text string) string {
	var b strings.Builder
	b.Grow(len(text) + 2)
	b.WriteByte(' ')
	spaced := true
	for _, r := range text {
		switch {
		case unicode.IsLetter(r) || unicode.IsDigit(r):
			b.WriteRune(unicode.ToLower(r))
			spaced = false
		case strings.ContainsRune("\"'״׳’", r) || unicode.Is(unicode.Mn, r) || unicode.Is(unicode.Cf, r):
		case !spaced:
			b.WriteByte(' ')
			spaced = true
		}
	}
	if !spaced {
		b.WriteByte(' ')
	}
	return b.String()
}

// docCache keeps the docs of the mails that were looked at last: several
// searches go over one window of dates before the next.
type docCache struct {
	mu    sync.Mutex
	docs  map[int]*doc
	bytes int
}

// docCacheBytes is where the cache starts anew.
const docCacheBytes = 32 << 20

func (m *Mailbox) doc(i int) (*doc, error) {
	m.docs.mu.Lock()
	d := m.docs.docs[i]
	m.docs.mu.Unlock()
	if d != nil {
		return d, nil
	}
	text, err := m.text(i)
	if err != nil {
		return nil, err
	}
	d = &doc{
		from: normalise(text.From), to: normalise(text.To), subject: normalise(text.Subject),
		files: normalise(strings.Join(text.Files, " / ")), hasFiles: len(text.Files) > 0,
	}
	d.all = d.from + d.to + d.subject + normalise(text.Body)

	m.docs.mu.Lock()
	defer m.docs.mu.Unlock()
	if m.docs.docs == nil || m.docs.bytes > docCacheBytes {
		m.docs.docs, m.docs.bytes = make(map[int]*doc), 0
	}
	m.docs.docs[i] = d
	m.docs.bytes += len(d.all)
	return d, nil
}
