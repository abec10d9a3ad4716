package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestLeaveOut reports on the mails whose sender has a rule, read without it.
func TestLeaveOut(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, content := range map[string]string{
		"known.eml":    "From: Uber <noreply@uber.com>\r\nSubject: Your trip\r\n\r\nThanks for riding\r\nTotal charged: 9.00 EUR\r\n",
		"unknown.eml":  "From: Corner Shop <orders@corner.example.org>\r\nSubject: Your receipt\r\n\r\nTotal charged: 9.00 EUR\r\n",
		"expected.tsv": "file\ttype\ttotal\tcurrency\tvendor\nknown.eml\treceipt\t9\tEUR\tUber\nunknown.eml\treceipt\t8\tEUR\t\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	files := func(args arguments) map[string]string {
		var out bytes.Buffer
		if err := run(t.Context(), args, &out); err != nil {
			t.Fatal(err)
		}
		var got struct {
			Cases []struct {
				Expected struct {
					File string `json:"file"`
				} `json:"expected"`
				Read struct {
					Sender string `json:"sender_rule"`
				} `json:"read"`
			} `json:"cases"`
		}
		if err := json.Unmarshal(out.Bytes(), &got); err != nil {
			t.Fatal(err)
		}
		rules := map[string]string{}
		for _, c := range got.Cases {
			rules[c.Expected.File] = c.Read.Sender
		}
		return rules
	}
	if diff := cmp.Diff(map[string]string{"known.eml": "uber", "unknown.eml": ""}, files(arguments{Output: "json", Dir: dir})); diff != "" {
		t.Errorf("with the rules: %s", diff)
	}
	if diff := cmp.Diff(map[string]string{"known.eml": ""}, files(arguments{Output: "json", LeaveOut: true, Dir: dir})); diff != "" {
		t.Errorf("without: %s", diff)
	}
}

// TestCalibration counts totals by how sure they were, and names what was
// approved and wrong.
func TestCalibration(t *testing.T) {
	t.Parallel()
	total := func(file string, right, approved bool, sure ...float64) outcome {
		return outcome{Expected: expectation{File: file, Type: "receipt"}, Read: reading{Receipt: true, Approved: approved, Sure: sure}, Right: map[string]bool{"totals": right}}
	}
	var c calibration
	for _, o := range []outcome{
		total("sure", true, true, 0.96),
		total("surely wrong", false, true, 0.97),
		total("unsure and wrong", false, false, 0.55),
		total("as sure as its least", true, false, 0.99, 0.4),
		{Expected: expectation{File: "right, in a wrong currency", Type: "receipt"}, Read: reading{Receipt: true, Approved: true, Sure: []float64{0.8}}, Right: map[string]bool{"totals": true, "currency": false}},
		{Expected: expectation{File: "no receipt at all", Type: "not_receipt"}, Read: reading{Receipt: true, Approved: true, Sure: []float64{0.9}}, Right: map[string]bool{"decision": false}},
		{Expected: expectation{File: "nothing read", Type: "receipt"}, Right: map[string]bool{"totals": false}},
	} {
		c.add(o)
	}
	want := calibration{
		Buckets: []bucket{
			{From: 0, Files: 1, Right: 1},
			{From: 0.5, Files: 1},
			{From: 0.6},
			{From: 0.7},
			{From: 0.8, Files: 1, Right: 1, Approved: 1},
			{From: 0.9},
			{From: 0.95, Files: 2, Right: 1, Approved: 2},
		},
		ApprovedWrong: []string{"surely wrong", "right, in a wrong currency", "no receipt at all"},
	}
	if diff := cmp.Diff(want, c); diff != "" {
		t.Error(diff)
	}
}
