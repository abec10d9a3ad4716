package receiptmail

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jhillyerd/enmime/v2"
)

// BenchmarkRead reads the whole corpus, beside enmime alone taking the same
// mails apart: the ratio of the two is what reading receipts costs.
func BenchmarkRead(b *testing.B) {
	var mails [][]byte
	var size int64
	for _, row := range readExpected(b) {
		raw := readCorpus(b, row.file)
		mails = append(mails, raw)
		size += int64(len(raw))
	}
	received := time.Date(2026, 3, 10, 8, 15, 0, 0, time.UTC)

	readers := map[string]func(raw []byte) error{
		"receiptmail": func(raw []byte) error {
			_, err := reader.Read(b.Context(), raw, received)
			return err
		},
		"enmime_alone": func(raw []byte) error {
			_, err := enmime.NewParser(enmime.DisableTextConversion(true)).ReadEnvelope(bytes.NewReader(raw))
			return err
		},
	}
	for name, read := range readers {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(size)
			var took []time.Duration
			for b.Loop() {
				for _, raw := range mails {
					start := time.Now()
					if err := read(raw); err != nil {
						b.Fatal(err)
					}
					took = append(took, time.Since(start))
				}
			}
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)/2].Microseconds()), "p50-µs/mail")
			b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-µs/mail")
		})
	}
}

// BenchmarkLongLine reads one line of adversarial text; ratio is what a mail of
// 1 MB costs beside one of 60 kB.
func BenchmarkLongLine(b *testing.B) {
	for _, unit := range []string{"1,", "1 000,", "01/01/2026 ", "order no A12345 ", "total 1.00 "} {
		b.Run(unit, func(b *testing.B) {
			small, large := repeated(unit, "text/plain", 60_000), repeated(unit, "text/plain", 1_000_000)
			var times [2]time.Duration
			for b.Loop() {
				for i, raw := range [][]byte{small, large} {
					start := time.Now()
					if _, err := reader.Read(b.Context(), raw, time.Time{}); err != nil {
						b.Fatal(err)
					}
					times[i] += time.Since(start)
				}
			}
			b.ReportMetric(float64(times[1].Milliseconds())/float64(b.N), "ms/MB")
			b.ReportMetric(float64(times[1])/float64(times[0]), "ratio")
		})
	}
}

// BenchmarkManyTotals reads a mail of many different totals, each with a VAT that
// is no other's, and one with eight times as many: the ratio tells how time grows.
func BenchmarkManyTotals(b *testing.B) {
	many := func(n int) []byte {
		var text strings.Builder
		text.WriteString("From: Maple <a@maple.example.co.il>\r\nSubject: Your receipt\r\n\r\n")
		for i := range n {
			fmt.Fprintf(&text, "Total: %d.%02d ILS\nVAT: %d.%02d ILS\nDate: %d.3.2026\n", 100+i, i%100, 10+i, i%100, 1+i%28)
		}
		return []byte(text.String())
	}
	small, large := many(40), many(320)
	var times [2]time.Duration
	for b.Loop() {
		for i, raw := range [][]byte{small, large} {
			start := time.Now()
			if _, err := reader.Read(b.Context(), raw, time.Time{}); err != nil {
				b.Fatal(err)
			}
			times[i] += time.Since(start)
		}
	}
	b.ReportMetric(float64(times[1])/float64(times[0]), "ratio")
}
