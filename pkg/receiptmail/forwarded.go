package receiptmail

import (
	"strings"

	"github.com/prosaas/receipts/pkg/receiptmail/internal/page"
	"github.com/prosaas/receipts/pkg/receiptmail/internal/pattern"
)

var (
	forwardSubject = pattern.MustCompile(`(?i)^\s*(?:fwd?|wg|tr|rv|i|הועבר|העברה)\s*:\s*`)
	forwardMark    = pattern.MustCompile(`(?i)^-{2,}\s*(?:forwarded message|original message|הודעה שהועברה|ההודעה המקורית|weitergeleitete nachricht|message transféré)|^begin forwarded message:`)
	forwardFrom    = pattern.MustCompile(`(?i)^(?:from|מאת|von|de|da)\s?:\s*(.+)$`)
	forwardTopic   = pattern.MustCompile(`(?i)^(?:subject|נושא|betreff|objet|asunto|oggetto)\s?:\s*(.+)$`)
)

const forwardHeader = 8 // lines in which a forwarded mail tells where it came from

var (
	replySubject = pattern.MustCompile(`(?i)^\s*(?:re|aw|sv|antw|השב|תגובה)\s*:`)
	replyQuote   = pattern.MustCompile(`(?i)^on .{5,120} wrote:?$|^ב.{5,120} (?:כתב|כתבה|מאת).{0,80}:?$|^am .{5,120} schrieb.{0,80}:?$|^le .{5,120} a écrit ?:?$|^-{2,}\s*original message`)
)

// cutQuoted leaves out what a reply quotes: whoever answers an invoice sends none.
func (m *message) cutQuoted() {
	if !replySubject.MatchString(m.subject) {
		return
	}
	for _, doc := range m.docs {
		for n, l := range doc.lines {
			if replyQuote.MatchString(l.Text()) {
				doc.lines = doc.lines[:n]
				break
			}
		}
	}
}

// readForwarded sees through a mail that was forwarded inline: sender and
// subject become those of the original, and what the forwarder wrote above it
// is left out.
func (m *message) readForwarded() {
	marked := forwardSubject.MatchString(m.subject)
	for _, doc := range m.docs {
		for n, l := range doc.lines {
			text := l.Text()
			isMark := forwardMark.MatchString(text)
			if !isMark && (!marked || !forwardFrom.MatchString(text)) {
				continue
			}
			if m.readForwardedHeader(doc.lines[n:min(len(doc.lines), n+forwardHeader)]) {
				doc.lines = doc.lines[n:]
				m.bulk = false // the list, if any, is not what sent it on
			}
			break
		}
	}
	for forwardSubject.MatchString(m.subject) {
		m.subject = forwardSubject.ReplaceAllString(m.subject, "")
	}
}

func (m *message) readForwardedHeader(lines []page.Line) bool {
	var from sender
	for _, l := range lines {
		text := l.Text()
		if f := forwardFrom.FindStringSubmatch(text); f != nil && from.address == "" {
			from = parseSender(strings.NewReplacer("[mailto:", "<", "]", ">", " (", " <", ")", ">").Replace(f[1]))
		}
		if t := forwardTopic.FindStringSubmatch(text); t != nil {
			m.subject = t[1]
		}
	}
	if from.domain == "" && from.name == "" {
		return false
	}
	m.from = from
	return true
}
