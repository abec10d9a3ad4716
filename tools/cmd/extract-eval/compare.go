package main

import (
	"context"
	"errors"
	"path"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"github.com/shopspring/decimal"

	"github.com/prosaas/receipts/pkg/receiptmail"
)

// reading is what the extractor said of one file.
type reading struct {
	Receipt    bool      `json:"receipt"`
	Unreadable string    `json:"unreadable,omitempty"` // why nothing could be read
	Types      []string  `json:"types"`
	Totals     []string  `json:"totals"`
	Currencies []string  `json:"currencies"`
	Taxes      []string  `json:"taxes"`
	Dates      []string  `json:"dates"`
	Numbers    []string  `json:"numbers"` // numbers and order ids
	Vendors    []string  `json:"vendors"`
	Sender     string    `json:"sender_rule"`       // whose rule was used, if any
	Sure       []float64 `json:"total_confidences"` // one a receipt, 0 without a total
	Approved   bool      `json:"approved"`          // it is a receipt, and nobody is asked to look
	Review     []string  `json:"review_reasons"`
	Score      int       `json:"score"`
	Why        []string  `json:"why"`
}

// outcome is one file measured. Right holds a verdict for each field that was
// noted; of rows of type unsure, none for the decision.
type outcome struct {
	Source   string          `json:"source"`
	Language string          `json:"language"`
	Expected expectation     `json:"expected"`
	Read     reading         `json:"read"`
	Right    map[string]bool `json:"right"`
}

// errNoRule says that the sender of a mail has no rule that could be left out.
var errNoRule = errors.New("no rule")

// measure reads one file. With leaveOut it is read as if its sender had no rule.
func measure(ctx context.Context, reader *receiptmail.Reader, dir string, row expectation, leaveOut bool) (outcome, error) {
	raw, received, err := readMail(dir, row.File)
	if err != nil {
		return outcome{}, err
	}
	result, err := reader.Read(ctx, raw, received)
	if leaveOut {
		if result.Sender == "" {
			return outcome{}, errNoRule
		}
		result, err = reader.Without(result.Sender).Read(ctx, raw, received)
	}
	var unreadable *receiptmail.UnreadableError
	if err != nil && !errors.As(err, &unreadable) {
		return outcome{}, err
	}
	o := outcome{Source: path.Dir(row.File), Language: language(raw), Expected: row, Read: readingOf(result)}
	if unreadable != nil {
		o.Read.Unreadable = unreadable.Reason
	}
	o.Right = judge(row, o.Read)
	return o, nil
}

func readingOf(result receiptmail.Result) reading {
	r := reading{Receipt: len(result.Receipts) > 0, Sender: result.Sender, Score: result.Decision.Score, Why: result.Decision.Reasons}
	r.Approved = r.Receipt
	for _, rc := range result.Receipts {
		r.Approved = r.Approved && !rc.NeedsReview
		r.Sure = append(r.Sure, rc.Fields["total"].Confidence)
		r.Types = append(r.Types, string(rc.Type))
		r.Totals = appendTold(r.Totals, rc.Total)
		r.Currencies = appendTold(r.Currencies, rc.Currency)
		r.Taxes = appendTold(r.Taxes, rc.Tax)
		r.Dates = appendTold(r.Dates, rc.IssuedOn)
		r.Numbers = appendTold(appendTold(r.Numbers, rc.Number), rc.OrderID)
		r.Vendors = appendTold(r.Vendors, &rc.Vendor.Name)
		r.Review = append(r.Review, rc.ReviewReasons...)
	}
	return r
}

func appendTold(values []string, value *string) []string {
	if value == nil || *value == "" {
		return values
	}
	return append(values, *value)
}

const typeUnsure = "unsure"

// judge compares what was noted with what was read.
func judge(want expectation, got reading) map[string]bool {
	right := map[string]bool{}
	if want.Type != typeUnsure {
		right["decision"] = got.Receipt == (want.Type != "not_receipt")
	}
	if want.Total != "" {
		right["totals"] = sameAmounts(strings.Split(want.Total, ";"), got.Totals)
	}
	if want.Currency != "" {
		right["currency"] = len(got.Currencies) > 0 && !slices.ContainsFunc(got.Currencies, func(c string) bool { return c != want.Currency })
	}
	if want.Tax != "" {
		right["tax"] = sameAmounts(strings.Split(want.Tax, ";"), got.Taxes)
	}
	if want.Date != "" {
		right["date"] = slices.Contains(got.Dates, want.Date)
	}
	if want.Number != "" {
		right["number"] = slices.Contains(got.Numbers, want.Number)
	}
	if want.Vendor != "" && (got.Receipt || want.Type != "not_receipt" && want.Type != typeUnsure) { // of no receipt, no vendor is told
		right["vendor"] = slices.ContainsFunc(got.Vendors, func(v string) bool { return foldName(v) == foldName(want.Vendor) })
	}
	return right
}

// sameAmounts compares as decimals and as sets: order says nothing.
func sameAmounts(want, got []string) bool {
	if len(want) != len(got) {
		return false
	}
	left := slices.Clone(got)
	for _, w := range want {
		wd, err := decimal.NewFromString(strings.TrimSpace(w))
		if err != nil {
			return false
		}
		i := slices.IndexFunc(left, func(g string) bool { gd, err := decimal.NewFromString(g); return err == nil && gd.Equal(wd) })
		if i < 0 {
			return false
		}
		left = slices.Delete(left, i, i+1)
	}
	return true
}

var legalForm = regexp.MustCompile(`(?i)[\s,.]+(?:inc|llc|ltd|limited|gmbh|ag|b\.?v|s\.?a|s\.?r\.?l|corp|co|plc|pty|בע"מ)\.?$|\.(?:com|co|io|net|org|co\.uk|co\.il|de|it|fr)$`)

// foldName makes one of the ways to write a company: its case, punctuation,
// legal form and the ".com" behind it do not count.
func foldName(name string) string {
	for legalForm.MatchString(name) {
		name = legalForm.ReplaceAllString(name, "")
	}
	return strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) || unicode.IsDigit(r) {
			return unicode.ToLower(r)
		}
		return -1
	}, name)
}
