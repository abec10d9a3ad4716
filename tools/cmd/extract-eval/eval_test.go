package main

import (
	"bytes"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// writeCorpus makes a folder with one file of each kind that is read.
func writeCorpus(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	receipt := "From: Corner Shop <orders@corner.example.org>\r\nSubject: Your receipt\r\nDate: Tue, 10 Mar 2026 10:15:00 +0000\r\n\r\nReceipt number: CS-1001\r\nSubtotal 10.00 EUR\r\nVAT 2.00 EUR\r\nTotal 12.00 EUR\r\n"
	files := map[string]string{
		"mail/right.eml":   receipt,
		"mail/wrong.eml":   receipt,
		"mail/notice.eml":  "From: Post <post@post.example.org>\r\nSubject: Your parcel is on its way\r\n\r\nTracking number 12345\r\n",
		"mail/unsure.eml":  "From: Post <post@post.example.org>\r\nSubject: hello\r\n\r\nhello\r\n",
		"mail/garbage.eml": "\x00\x01",
		"html/two.html":    "<html><head><title>Order confirmation</title></head><body><p>Order number: A-100</p><p>Total: £7.00</p><p>Order number: A-200</p><p>Total: £5.00</p><p>Total charged: £12.00</p></body></html>",
		"txt/he.txt":       "חשבונית מס 5501\nסה\"כ לתשלום 118.00 ₪\n",
		"pdf/only.pdf":     "%PDF-1.4\n",
		"expected.tsv": strings.Join([]string{
			"file\ttype\ttotal\tcurrency\ttax\tdate\tnumber\tvendor\tnote",
			"mail/right.eml\treceipt\t12\tEUR\t2\t\tCS-1001\tCorner Shop Ltd.\t",
			"mail/wrong.eml\treceipt\t13\tUSD\t2\t2026-03-09\tCS-1001\tCorner Shop\t",
			"mail/notice.eml\tnot_receipt\t\t\t\t\t\t\t",
			"mail/unsure.eml\tunsure\t\t\t\t\t\t\t",
			"mail/garbage.eml\treceipt\t1\t\t\t\t\t\t",
			"html/two.html\treceipt\t5.00;7.00\tGBP\t\t\t\t\t",
			"txt/he.txt\tinvoice\t118\tILS\t\t\t5501\t\t",
			"pdf/only.pdf\tinvoice\t\t\t\t\t\t\t",
		}, "\n") + "\n",
	}
	for name, content := range files {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// TestReport holds the keys that scripts read, and the counting.
func TestReport(t *testing.T) {
	var out bytes.Buffer
	if err := run(t.Context(), arguments{Output: "json", Dir: writeCorpus(t)}, &out); err != nil {
		t.Fatal(err)
	}
	type exact struct {
		ExactRate *float64 `json:"exact_rate"`
	}
	var got struct {
		Totals   exact `json:"totals"`
		Currency exact `json:"currency"`
		Tax      exact `json:"tax"`
		Date     exact `json:"date"`
		Number   exact `json:"number"`
		Vendor   exact `json:"vendor"`
		Decision struct {
			Precision *float64 `json:"precision"`
			Recall    *float64 `json:"recall"`
		} `json:"decision"`
		Cases []struct {
			Source   string `json:"source"`
			Language string `json:"language"`
			Expected struct {
				File string `json:"file"`
			} `json:"expected"`
			Read struct {
				Totals     []string `json:"totals"`
				Unreadable string   `json:"unreadable"`
			} `json:"read"`
		} `json:"cases"`
	}
	if err := json.Unmarshal(out.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	for name, rate := range map[string]struct {
		got  *float64
		want float64
	}{
		"totals":    {got.Totals.ExactRate, 3.0 / 5},
		"currency":  {got.Currency.ExactRate, 3.0 / 4},
		"tax":       {got.Tax.ExactRate, 1},
		"date":      {got.Date.ExactRate, 0},
		"number":    {got.Number.ExactRate, 1},
		"vendor":    {got.Vendor.ExactRate, 1},
		"precision": {got.Decision.Precision, 1},
		"recall":    {got.Decision.Recall, 5.0 / 6},
	} {
		if rate.got == nil || math.Abs(*rate.got-rate.want) > 1e-9 {
			t.Errorf("%s: %v, want %v", name, rate.got, rate.want)
		}
	}
	if len(got.Cases) != 8 {
		t.Fatalf("%d cases, want 8", len(got.Cases))
	}
	for _, c := range got.Cases {
		switch c.Expected.File {
		case "html/two.html":
			if len(c.Read.Totals) != 2 || c.Source != "html" || c.Language != "other" {
				t.Errorf("case %+v", c)
			}
		case "txt/he.txt":
			if c.Language != "hebrew" {
				t.Errorf("case %+v", c)
			}
		case "mail/garbage.eml":
			if c.Read.Unreadable != "no_header" {
				t.Errorf("case %+v", c)
			}
		}
	}
}

func TestReportAsText(t *testing.T) {
	var out bytes.Buffer
	if err := run(t.Context(), arguments{Output: "text", Dir: writeCorpus(t)}, &out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"precision", "3/5 60.0%", "hebrew", "mail/wrong.eml: currency, date, totals"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in:\n%s", want, out.String())
		}
	}
	if strings.Contains(out.String(), "mail/right.eml") {
		t.Error("a file read right is listed among the wrong ones")
	}
}

func TestRunSaysWhatIsMissing(t *testing.T) {
	t.Parallel()
	for name, content := range map[string]string{
		"no file named":    "file\ttype\ttotal\tcurrency\nmail/none.eml\treceipt\t1\tEUR\n",
		"unknown kind":     "file\ttype\ttotal\tcurrency\nexpected.tsv\treceipt\t1\tEUR\n",
		"no column":        "file\ttype\n",
		"no rows":          "file\ttype\ttotal\tcurrency\n",
		"nothing expected": "",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			if content != "" {
				if err := os.WriteFile(filepath.Join(dir, "expected.tsv"), []byte(content), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			var out bytes.Buffer
			if err := run(t.Context(), arguments{Output: "json", Dir: dir}, &out); err == nil {
				t.Errorf("no error; printed %q", out.String())
			}
		})
	}
}

func TestSameAmounts(t *testing.T) {
	t.Parallel()
	tests := []struct {
		want, got []string
		same      bool
	}{
		{[]string{"12"}, []string{"12.00"}, true},
		{[]string{"8.49", "7.99"}, []string{"7.99", "8.49"}, true},
		{[]string{"5", "5"}, []string{"5", "6"}, false},
		{[]string{"5"}, []string{"5", "5"}, false},
		{[]string{"5"}, nil, false},
		{[]string{"x"}, []string{"x"}, false},
	}
	for _, tt := range tests {
		if got := sameAmounts(tt.want, tt.got); got != tt.same {
			t.Errorf("%q and %q same %t, want %t", tt.want, tt.got, got, tt.same)
		}
	}
}

func TestFoldName(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{"Booking.com": "booking", "Acme Cloud, Inc.": "acmecloud", `נגריית האלון בע"מ`: "נגרייתהאלון", "Amazon.co.uk": "amazon", "Costco": "costco"} {
		if got := foldName(name); got != want {
			t.Errorf("%q folded to %q, want %q", name, got, want)
		}
	}
}

func TestHTMLTitleBecomesTheSubject(t *testing.T) {
	t.Parallel()
	dir := writeCorpus(t)
	raw, _, err := readMail(dir, "html/two.html")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(raw, []byte("Subject: Order confirmation\r\n")) {
		t.Errorf("mail begins %q", raw[:200])
	}
}
