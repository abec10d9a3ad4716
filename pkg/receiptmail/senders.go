package receiptmail

import (
	"embed"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/prosaas/receipts/pkg/receiptmail/internal/label"
	"github.com/prosaas/receipts/pkg/receiptmail/internal/pattern"
	"github.com/prosaas/receipts/pkg/receiptmail/internal/script"
)

// Senders that matter have a rule each, in senders/NAME.txt: data, not code. A
// line is "key: value"; what begins with # is a remark. Keys, of which only
// domain is required and all but vendor may be repeated:
//
//	domain       the sender's domain; those below it belong to it
//	from         a pattern of the sender's name and address, where the domain has several
//	vendor       the name of who sells, where that is the sender
//	seller       a pattern with one group: who sells, where the sender is a platform
//	total        the label of what was charged, as the mail prints it
//	number       a pattern with one group: the number of the document
//	order        the same: the number of the order
//	not_receipt  a pattern of subjects of mails that are none
//
// Patterns are Go's regular expressions in any case, applied to the subject and
// to each line of the text. A rule adds to what the other strategies read, and
// each has a sample: testdata/mail/sender-NAME.eml.
//
//go:embed senders/*.txt
var senderFiles embed.FS

// senderRule is one sender's.
type senderRule struct {
	name       string
	domains    []string
	from       []*pattern.Pattern
	vendor     string
	totals     []string // labels, normalised and in lower case
	sellers    []*pattern.Pattern
	numbers    []*pattern.Pattern
	orders     []*pattern.Pattern
	notReceipt []*pattern.Pattern
}

// senderRules reads what is embedded; that it can be read, a test holds.
func senderRules() []senderRule {
	entries, err := senderFiles.ReadDir("senders")
	if err != nil {
		panic(err)
	}
	var rules []senderRule
	for _, e := range entries {
		text, err := senderFiles.ReadFile("senders/" + e.Name())
		if err != nil {
			panic(err)
		}
		rule, err := parseSenderRule(strings.TrimSuffix(e.Name(), path.Ext(e.Name())), string(text))
		if err != nil {
			panic(err)
		}
		rules = append(rules, rule)
	}
	return rules
}

func parseSenderRule(name, text string) (senderRule, error) {
	rule := senderRule{name: name}
	for n, raw := range strings.Split(text, "\n") {
		if raw = strings.TrimSpace(raw); raw == "" || strings.HasPrefix(raw, "#") {
			continue
		}
		key, value, _ := strings.Cut(raw, ":")
		value = strings.TrimSpace(value)
		patterns := map[string]*[]*pattern.Pattern{"from": &rule.from, "seller": &rule.sellers, "number": &rule.numbers, "order": &rule.orders, "not_receipt": &rule.notReceipt}
		switch {
		case value == "":
			return rule, fmt.Errorf("sender rule %s line %d: no value", name, n+1)
		case key == "domain":
			rule.domains = append(rule.domains, value)
		case key == "vendor":
			rule.vendor = value
		case key == "total":
			rule.totals = append(rule.totals, asLabel(script.Normalise(value)))
		case patterns[key] != nil:
			p, err := pattern.Compile("(?i)" + value)
			if err != nil {
				return rule, fmt.Errorf("sender rule %s line %d: %w", name, n+1, err)
			}
			want := 1
			if key == "from" || key == "not_receipt" {
				want = 0
			}
			if p.NumSubexp() != want {
				return rule, fmt.Errorf("sender rule %s line %d: %d groups, want %d", name, n+1, p.NumSubexp(), want)
			}
			*patterns[key] = append(*patterns[key], p)
		default:
			return rule, fmt.Errorf("sender rule %s line %d: no key %q", name, n+1, key)
		}
	}
	if len(rule.domains) == 0 {
		return rule, fmt.Errorf("sender rule %s: no domain", name)
	}
	return rule, nil
}

func asLabel(s string) string { return label.Trim(strings.ToLower(s)) }

// senderRuleOf is the rule for who sent the message: one that knows more of the
// sender than the domain goes first.
func senderRuleOf(rules []senderRule, m *message) (rule senderRule, ok bool) {
	for _, r := range rules {
		if !slices.ContainsFunc(r.domains, func(d string) bool { return m.from.domain == d || strings.HasSuffix(m.from.domain, "."+d) }) {
			continue
		}
		if len(r.from) > 0 && matchesAny(r.from, m.from.name+" "+m.from.address) {
			return r, true
		}
		if len(r.from) == 0 {
			rule, ok = r, true
		}
	}
	return rule, ok
}

func matchesAny(patterns []*pattern.Pattern, text string) bool {
	return slices.ContainsFunc(patterns, func(p *pattern.Pattern) bool { return p.MatchString(text) })
}

// Confidence in what a sender's rule reads: its author has seen the layout.
const sureSender = 0.9

func (r senderRule) read(m *message) []finding {
	var all []finding
	found := func(name field, value, text string) {
		all = append(all, finding{origin: originBody, field: name, value: script.Clip(value, maxFieldText), source: waySender + r.name, confidence: sureSender, text: script.Clip(text, maxFieldText)})
	}
	if r.vendor != "" {
		found(fieldVendor, r.vendor, m.from.domain)
	}
	for _, of := range []struct {
		name     field
		patterns []*pattern.Pattern
	}{{fieldVendor, r.sellers}, {fieldNumber, r.numbers}, {fieldOrderID, r.orders}} {
		if value, text := firstMatch(of.patterns, m); value != "" {
			found(of.name, value, text)
		}
	}
	return append(all, r.readTotal(m)...)
}

// firstMatch is what the first pattern that matches holds in its group.
func firstMatch(patterns []*pattern.Pattern, m *message) (value, text string) {
	texts := []string{m.subject}
	for _, doc := range m.texts()[:min(1, len(m.texts()))] {
		for _, l := range doc.lines {
			texts = append(texts, script.Clip(l.Text(), maxSentence))
		}
	}
	for _, p := range patterns {
		for _, t := range texts {
			if found := p.FindStringSubmatch(t); found != nil {
				if value = strings.Trim(found[1], ` "'.,:;-`); value != "" {
					return value, t
				}
			}
		}
	}
	return "", ""
}

// readTotal reads the amount beside the rule's label: the same label that the
// general rules would weigh, and here known to be the one.
func (r senderRule) readTotal(m *message) []finding {
	if len(r.totals) == 0 {
		return nil
	}
	for _, doc := range m.texts() {
		var one *reading
		for _, read := range m.readingsOf(doc) {
			if !slices.Contains(r.totals, asLabel(read.label)) || read.role == label.Refunded || read.role == label.Received {
				continue
			}
			if one != nil && !one.amount.Value.Equal(read.amount.Value) {
				return nil // several purchases, or not the layout it was made for
			}
			one = &read
		}
		if one != nil {
			one.role = max(one.role, label.Charged)
			one.confidence = sureSender
			p := purchase{total: *one}
			return p.amounts(doc.origin, waySender+r.name, 0)
		}
	}
	return nil
}
