package receiptmail

import (
	"strings"
	"testing"
)

// TestSendersHaveTheirSamples: each rule is used on its sample, whose fields
// TestCorpus holds.
func TestSendersHaveTheirSamples(t *testing.T) {
	t.Parallel()
	rules := senderRules()
	if len(rules) < 25 {
		t.Errorf("%d rules, want at least 25", len(rules))
	}
	for _, rule := range rules {
		raw := readCorpus(t, "mail/sender-"+rule.name+".eml")
		result, err := reader.Read(t.Context(), raw, dateOf(t, raw))
		if err != nil || result.Sender != rule.name || len(result.Receipts) == 0 {
			t.Errorf("%s: read by %q, %d receipts, %v", rule.name, result.Sender, len(result.Receipts), err)
		}
	}
}

// TestSendersUnmet: what a mail's sender has a rule for, is read without it too.
func TestSendersUnmet(t *testing.T) {
	t.Parallel()
	const floor = 0.95 // of totals; senders that nobody has met are most
	right, of := 0, 0
	for _, want := range readExpected(t) {
		if !strings.HasPrefix(want.file, "mail/sender-") {
			continue
		}
		raw := readCorpus(t, want.file)
		received := dateOf(t, raw)
		result, err := reader.Read(t.Context(), raw, received)
		if err != nil {
			t.Fatal(err)
		}
		if result.Sender == "" || want.total == "" {
			continue
		}
		without, err := reader.Without(result.Sender).Read(t.Context(), raw, received)
		if err != nil || without.Sender == result.Sender {
			t.Fatalf("%s: read by %q, %v", want.file, without.Sender, err)
		}
		of++
		if len(without.Receipts) == 1 && without.Receipts[0].Total != nil && amountOf(*without.Receipts[0].Total).Equal(amountOf(want.total)) {
			right++
		} else {
			t.Logf("%s: %d receipts without the rule", want.file, len(without.Receipts))
		}
	}
	if of < 25 || float64(right) < floor*float64(of) {
		t.Errorf("%d of %d totals without their sender's rule, want %.0f %%", right, of, 100*floor)
	}
}

func TestParseSenderRule(t *testing.T) {
	t.Parallel()
	rule, err := parseSenderRule("shop", "# a shop\ndomain: shop.example\nvendor: Shop: the one\n\ntotal: Grand Total:\nnumber: No (\\d+)\n")
	if err != nil || rule.vendor != "Shop: the one" || rule.totals[0] != "grand total" || len(rule.numbers) != 1 || rule.domains[0] != "shop.example" {
		t.Errorf("%+v, %v", rule, err)
	}
	for name, row := range map[string]struct{ text, says string }{
		"no domain":   {"vendor: Shop", "no domain"},
		"no value":    {"domain: a.example\nvendor:", "line 2: no value"},
		"unknown key": {"domain: a.example\ncolour: red", `line 2: no key "colour"`},
		"no pattern":  {"domain: a.example\nnumber: (", "line 2"},
		"no group":    {"domain: a.example\norder: \\d+", "line 2: 0 groups, want 1"},
		"a group":     {"domain: a.example\nnot_receipt: (a)", "line 2: 1 groups, want 0"},
	} {
		if _, err := parseSenderRule("shop", row.text); err == nil || !strings.Contains(err.Error(), row.says) {
			t.Errorf("%s: %v, want it to say %q", name, err, row.says)
		}
	}
}

func TestSenderRuleOf(t *testing.T) {
	t.Parallel()
	rules := senderRules()
	for from, want := range map[string]string{
		"Amazon.com <auto-confirm@amazon.com>":          "amazon",
		"Amazon Web Services <no-reply-aws@amazon.com>": "aws",
		"Apple <no_reply@email.apple.com>":              "apple",
		"Somebody <a@notamazon.com>":                    "",
		"amazon.com <a@phish.example>":                  "",
		"iCount <no-reply@mail.icount.co.il>":           "icount",
	} {
		rule, ok := senderRuleOf(rules, &message{from: parseSender(from)})
		if rule.name != want || ok != (want != "") {
			t.Errorf("%s: rule %q, want %q", from, rule.name, want)
		}
	}
}
