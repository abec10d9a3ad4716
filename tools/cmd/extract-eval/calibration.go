package main

import (
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
)

// calibration tells whether confidence keeps its word: of totals read with so
// much of it, how many were right.
type calibration struct {
	Buckets       []bucket `json:"buckets"`        // the surest last; of files with a total noted
	ApprovedWrong []string `json:"approved_wrong"` // files whose wrong total or currency nobody would look at
}

// bucket counts files whose least sure total has a confidence of at least From,
// and below the next one's.
type bucket struct {
	From     float64 `json:"from"`
	Files    int     `json:"files"`
	Right    int     `json:"right"`
	Approved int     `json:"approved"`
}

func (c *calibration) add(o outcome) {
	if c.Buckets == nil {
		c.Buckets, c.ApprovedWrong = []bucket{{From: 0}, {From: 0.5}, {From: 0.6}, {From: 0.7}, {From: 0.8}, {From: 0.9}, {From: 0.95}}, []string{}
	}
	right, noted := o.Right["totals"]
	currency, named := o.Right["currency"]
	if o.Read.Approved && (noted && !right || named && !currency || o.Expected.Type == "not_receipt") {
		c.ApprovedWrong = append(c.ApprovedWrong, o.Expected.File)
	}
	if !noted || len(o.Read.Sure) == 0 {
		return
	}
	least := slices.Min(o.Read.Sure)
	i := len(c.Buckets) - 1
	for least < c.Buckets[i].From {
		i--
	}
	b := &c.Buckets[i]
	b.Files++
	if right {
		b.Right++
	}
	if o.Read.Approved {
		b.Approved++
	}
}

func (c *calibration) print(out io.Writer) error {
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "\nconfidence\tfiles\tright\tapproved")
	for _, b := range c.Buckets {
		fmt.Fprintf(t, "from %.2f\t%d\t%s\t%d\n", b.From, b.Files, percent(ratio(b.Right, b.Files)), b.Approved)
	}
	fmt.Fprintf(t, "approved though wrong\t%d\t\t\n", len(c.ApprovedWrong))
	for _, file := range c.ApprovedWrong {
		fmt.Fprintf(t, "  %s\t\t\t\n", file)
	}
	return t.Flush()
}
