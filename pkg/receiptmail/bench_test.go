package receiptmail

import (
	"bytes"
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

	b.Run("receiptmail", func(b *testing.B) {
		b.SetBytes(size)
		for b.Loop() {
			for _, raw := range mails {
				if _, err := Read(raw, received); err != nil {
					b.Fatal(err)
				}
			}
		}
		b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N*len(mails)), "µs/mail")
	})
	b.Run("enmime_alone", func(b *testing.B) {
		b.SetBytes(size)
		p := enmime.NewParser(enmime.DisableTextConversion(true))
		for b.Loop() {
			for _, raw := range mails {
				if _, err := p.ReadEnvelope(bytes.NewReader(raw)); err != nil {
					b.Fatal(err)
				}
			}
		}
		b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N*len(mails)), "µs/mail")
	})
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
					if _, err := Read(raw, time.Time{}); err != nil {
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
