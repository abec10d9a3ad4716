package main

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
)

// rate counts how often one field was right. ExactRate is null where the field
// was noted nowhere.
type rate struct {
	Right     int      `json:"right"`
	Of        int      `json:"of"`
	ExactRate *float64 `json:"exact_rate"`
}

// decision counts verdicts. Precision and recall are null where nothing was
// said, or nothing was there, to be right about.
type decision struct {
	TruePositive  int      `json:"true_positive"`
	FalsePositive int      `json:"false_positive"`
	FalseNegative int      `json:"false_negative"`
	TrueNegative  int      `json:"true_negative"`
	Precision     *float64 `json:"precision"`
	Recall        *float64 `json:"recall"`
}

// figures are the measures of one set of files.
type figures struct {
	Files    int      `json:"files"`
	Totals   rate     `json:"totals"`
	Currency rate     `json:"currency"`
	Tax      rate     `json:"tax"`
	Date     rate     `json:"date"`
	Number   rate     `json:"number"`
	Vendor   rate     `json:"vendor"`
	Decision decision `json:"decision"`
}

// report is everything measured, as JSON has it.
type report struct {
	figures
	BySource    map[string]*figures `json:"by_source"`
	ByLanguage  map[string]*figures `json:"by_language"`
	Calibration calibration         `json:"calibration"`
	Cases       []outcome           `json:"cases"`
}

func (r *report) add(o outcome) {
	if r.BySource == nil {
		r.BySource, r.ByLanguage = map[string]*figures{}, map[string]*figures{}
	}
	r.Cases = append(r.Cases, o)
	r.Calibration.add(o)
	for _, f := range []*figures{&r.figures, entry(r.BySource, o.Source), entry(r.ByLanguage, o.Language)} {
		f.add(o)
	}
}

func entry(m map[string]*figures, key string) *figures {
	if m[key] == nil {
		m[key] = &figures{}
	}
	return m[key]
}

// fields names the measures in the order in which they are printed.
func (f *figures) fields() []struct {
	name string
	rate *rate
} {
	return []struct {
		name string
		rate *rate
	}{{"totals", &f.Totals}, {"currency", &f.Currency}, {"tax", &f.Tax}, {"date", &f.Date}, {"number", &f.Number}, {"vendor", &f.Vendor}}
}

func (f *figures) add(o outcome) {
	f.Files++
	for _, field := range f.fields() {
		right, noted := o.Right[field.name]
		if !noted {
			continue
		}
		field.rate.Of++
		if right {
			field.rate.Right++
		}
	}
	right, judged := o.Right["decision"]
	switch {
	case !judged:
	case right && o.Read.Receipt:
		f.Decision.TruePositive++
	case right:
		f.Decision.TrueNegative++
	case o.Read.Receipt:
		f.Decision.FalsePositive++
	default:
		f.Decision.FalseNegative++
	}
}

// finish works the rates out.
func (r *report) finish() {
	all := []*figures{&r.figures}
	for _, m := range []map[string]*figures{r.BySource, r.ByLanguage} {
		for _, f := range m {
			all = append(all, f)
		}
	}
	for _, f := range all {
		for _, field := range f.fields() {
			field.rate.ExactRate = ratio(field.rate.Right, field.rate.Of)
		}
		d := &f.Decision
		d.Precision = ratio(d.TruePositive, d.TruePositive+d.FalsePositive)
		d.Recall = ratio(d.TruePositive, d.TruePositive+d.FalseNegative)
	}
}

func ratio(n, of int) *float64 {
	if of == 0 {
		return nil
	}
	v := float64(n) / float64(of)
	return &v
}

// print writes the table, then every file that was read wrong.
func (r *report) print(out io.Writer) error {
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "\tfiles\ttotals\tcurrency\ttax\tdate\tnumber\tvendor\tprecision\trecall")
	row := func(name string, f *figures) {
		fmt.Fprintf(t, "%s\t%d", name, f.Files)
		for _, field := range f.fields() {
			if field.rate.Of == 0 {
				fmt.Fprint(t, "\t-")
				continue
			}
			fmt.Fprintf(t, "\t%d/%d %s", field.rate.Right, field.rate.Of, percent(field.rate.ExactRate))
		}
		fmt.Fprintf(t, "\t%s\t%s\n", percent(f.Decision.Precision), percent(f.Decision.Recall))
	}
	row("all", &r.figures)
	for _, group := range []map[string]*figures{r.BySource, r.ByLanguage} {
		for _, name := range sortedKeys(group) {
			row("  "+name, group[name])
		}
	}
	if err := t.Flush(); err != nil {
		return err
	}
	if err := r.Calibration.print(out); err != nil {
		return err
	}
	for _, o := range r.Cases {
		var wrong []string
		for _, name := range sortedKeys(o.Right) {
			if !o.Right[name] {
				wrong = append(wrong, name)
			}
		}
		if len(wrong) == 0 {
			continue
		}
		e, g := o.Expected, o.Read
		_, err := fmt.Fprintf(out, "\n%s: %s\n  expected %s %s %s tax %q date %q number %q vendor %q\n  read     receipt=%t %s %s tax %q date %q number %q vendor %q score %d %s\n",
			e.File, strings.Join(wrong, ", "), e.Type, e.Total, e.Currency, e.Tax, e.Date, e.Number, e.Vendor,
			g.Receipt, strings.Join(g.Totals, ";"), strings.Join(g.Currencies, ";"), strings.Join(g.Taxes, ";"), strings.Join(g.Dates, ";"), strings.Join(g.Numbers, ";"), strings.Join(g.Vendors, ";"), g.Score, strings.Join(g.Why, ","))
		if err != nil {
			return err
		}
	}
	return nil
}

func percent(v *float64) string {
	if v == nil {
		return "-"
	}
	return fmt.Sprintf("%.1f%%", 100**v)
}

func sortedKeys[K cmp.Ordered, V any](m map[K]V) []K {
	keys := make([]K, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
