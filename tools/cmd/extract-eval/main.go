// Command extract-eval measures the extractor on a folder of mails with known
// answers: precision and recall of the decision, and how often total, currency,
// tax, date, number and vendor are read exactly. It only reads; stopped half
// way it leaves nothing behind.
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"

	"github.com/alecthomas/kong"
)

type arguments struct {
	Output string `short:"o" enum:"text,json" default:"text" help:"Form of the report: text or json."`
	Dir    string `arg:"" type:"existingdir" help:"Folder with expected.tsv and the mails it names."`
}

func main() {
	var args arguments
	kong.Parse(&args, kong.Name("extract-eval"), kong.Description("Measure the extractor on mails with known answers."))
	if err := run(args, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "extract-eval:", err)
		os.Exit(1)
	}
}

func run(args arguments, out io.Writer) error {
	rows, err := readExpected(args.Dir)
	if err != nil {
		return err
	}
	report := report{}
	for _, row := range rows {
		c, err := measure(args.Dir, row)
		if err != nil {
			return err
		}
		report.add(c)
	}
	report.finish()
	if args.Output == "json" {
		enc := json.NewEncoder(out)
		enc.SetIndent("", "  ")
		enc.SetEscapeHTML(false)
		return enc.Encode(report)
	}
	return report.print(out)
}
