// Package mailgen writes realistic mails, in Hebrew and English: receipts and
// invoices of invented senders, and the letters, notices and advertisements
// that lie between them in a mailbox.
//
// Mail i of a generator is a function of (seed, i, n, end) alone, so that a mailbox
// of 100,000 mails needs no memory, and what each mail ought to be read as is
// known beforehand. Nothing is kept; there is nothing to lose in a crash.
package mailgen

import (
	"math/rand/v2"
	"time"

	"github.com/prosaas/receipts/tools/gmailsim/mailbox"
)

// Generator is a mailbox.Source and its mailbox.Oracle: n mails spread over the
// 36 months before end. Of every six, one is a receipt, one looks like a
// receipt to a search (its words, an attachment) and is none, and four are
// neither. Mails have about 4 kB; a few have up to 200 kB.
type Generator struct {
	seed       uint64
	n          int
	start, end time.Time
	vendors    []vendor
}

var (
	_ mailbox.Source = (*Generator)(nil)
	_ mailbox.Oracle = (*Generator)(nil)
)

// New is a generator of n mails, the newest from just before end.
func New(seed uint64, n int, end time.Time) *Generator {
	return &Generator{seed: seed, n: n, start: end.AddDate(-3, 0, 0), end: end, vendors: vendors()}
}

// Len is the number of mails.
func (g *Generator) Len() int { return g.n }

// Date is when mail i came, to the second.
func (g *Generator) Date(i int) time.Time {
	step := g.end.Sub(g.start) / time.Duration(g.n)
	jitter := time.Duration(mix(g.seed+uint64(i)) % uint64(max(step, 1)))
	return g.start.Add(time.Duration(i)*step + jitter).Truncate(time.Second)
}

// Labels are those that Gmail would have given the mail.
func (g *Generator) Labels(i int) []string { return g.compose(i).labels }

// Text is what a search sees of the mail.
func (g *Generator) Text(i int) (mailbox.Text, error) {
	l := g.compose(i)
	text := mailbox.Text{From: l.fromName + " " + l.fromAddress, To: owner, Subject: l.subject, Body: l.text()}
	for _, f := range l.files {
		text.Files = append(text.Files, f.name)
	}
	return text, nil
}

// Raw is the mail as RFC 5322 bytes. It never fails.
func (g *Generator) Raw(i int) ([]byte, error) {
	l := g.compose(i)
	return l.raw(g.Date(i), mix(g.seed^uint64(i)<<1)), nil
}

// Expected is what the mail ought to be read as.
func (g *Generator) Expected(i int) mailbox.Truth {
	if g.kind(i) != receiptMail {
		return mailbox.Truth{}
	}
	return g.compose(i).truth
}

type kind int

const (
	otherMail kind = iota
	decoyMail
	receiptMail
)

func (g *Generator) kind(i int) kind {
	draw := mix(g.seed*31 + uint64(i/6))
	receipt := int(draw % 6)
	decoy := (receipt + 1 + int(draw>>8%5)) % 6
	switch i % 6 {
	case receipt:
		return receiptMail
	case decoy:
		return decoyMail
	}
	return otherMail
}

// compose writes mail i, but for its encoding.
func (g *Generator) compose(i int) letter {
	rng := rand.New(rand.NewPCG(g.seed, uint64(i))) // #nosec G404 -- the same mails every time is the point
	day := g.Date(i)
	var l letter
	switch g.kind(i) {
	case receiptMail:
		l = receipt(rng, g.vendors[rng.IntN(len(g.vendors))], day)
	case decoyMail:
		l = decoy(rng, day)
	case otherMail:
		l = other(rng, day)
	}
	l.dress(rng)
	return l
}

// mix spreads the bits of n over the whole word (the finaliser of splitmix64).
func mix(n uint64) uint64 {
	n += 0x9e3779b97f4a7c15
	n = (n ^ n>>30) * 0xbf58476d1ce4e5b9
	n = (n ^ n>>27) * 0x94d049bb133111eb
	return n ^ n>>31
}
