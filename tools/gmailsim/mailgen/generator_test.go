package mailgen

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jhillyerd/enmime/v2"
)

func end() time.Time { return time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC) }

func TestMailIsAFunctionOfItsNumber(t *testing.T) {
	t.Parallel()
	a, b, other := New(1, 300, end()), New(1, 300, end()), New(2, 300, end())
	differ := 0
	for i := 299; i >= 0; i-- {
		first, _ := a.Raw(i)
		again, _ := b.Raw(i)
		if !bytes.Equal(first, again) {
			t.Fatalf("mail %d is not the same twice", i)
		}
		if elsewhere, _ := other.Raw(i); !bytes.Equal(first, elsewhere) {
			differ++
		}
	}
	if differ != 300 {
		t.Errorf("%d of 300 mails differ under another seed", differ)
	}
	for i := range 300 {
		if truth := a.Expected(i); truth.IsReceipt && truth == other.Expected(i) {
			t.Errorf("mail %d is the same purchase under another seed: %+v", i, truth)
		}
	}
}

func TestShape(t *testing.T) {
	t.Parallel()
	const n = 6000
	g := New(1, n, end())
	receipts, decoys, bytesInAll, long := 0, 0, 0, 0
	last := end().AddDate(-3, 0, 0)
	for i := range n {
		date := g.Date(i)
		if date.Before(last) || !date.Before(end()) {
			t.Fatalf("mail %d is of %v, the one before of %v", i, date, last)
		}
		last = date
		raw, err := g.Raw(i)
		if err != nil {
			t.Fatal(err)
		}
		bytesInAll += len(raw)
		if len(raw) > 20_000 {
			long++
		}
		if len(raw) > 250_000 {
			t.Errorf("mail %d has %d bytes", i, len(raw))
		}
		switch g.kind(i) {
		case receiptMail:
			receipts++
		case decoyMail:
			decoys++
		case otherMail:
		}
	}
	if receipts != n/6 || decoys != n/6 {
		t.Errorf("%d receipts and %d decoys of %d mails, want a sixth each", receipts, decoys, n)
	}
	if mean := bytesInAll / n; mean < 3000 || mean > 6000 {
		t.Errorf("mails have %d bytes on average, want about 4000", mean)
	}
	if long == 0 || long > n/20 {
		t.Errorf("%d of %d mails are long, want a few", long, n)
	}
}

// What a receipt ought to be read as stands in it, in what a MIME reader makes
// of its bytes, and search sees the same words.
func TestTruthStandsInTheMail(t *testing.T) {
	t.Parallel()
	const n = 900
	g := New(1, n, end())
	parser := enmime.NewParser(enmime.DisableTextConversion(true))
	vendors, shapes, charsets := map[string]bool{}, map[string]bool{}, map[string]bool{}
	for i := range n {
		if g.kind(i) == otherMail && i > 60 {
			continue // a MIME reader under the race detector is slow
		}
		raw, _ := g.Raw(i)
		env, err := parser.ReadEnvelope(bytes.NewReader(raw))
		if err != nil {
			t.Fatalf("mail %d: %v", i, err)
		}
		for _, problem := range env.Errors {
			if problem.Severe {
				t.Errorf("mail %d: %v", i, problem)
			}
		}
		text, _ := g.Text(i)
		if got := env.GetHeader("Subject"); got != text.Subject {
			t.Errorf("mail %d: subject %q, search sees %q", i, got, text.Subject)
		}
		if len(env.Attachments) != len(text.Files) {
			t.Errorf("mail %d: %d attachments, search sees %d", i, len(env.Attachments), len(text.Files))
		}
		truth := g.Expected(i)
		if !truth.IsReceipt {
			continue
		}
		vendors[truth.Vendor] = true
		shapes[env.Root.ContentType] = true
		charsets[env.Root.Charset] = true
		body := env.Text + env.HTML
		plain := strings.NewReplacer(",", "", ".", "").Replace(body)
		if total := strings.ReplaceAll(truth.Total, ".", ""); !strings.Contains(plain, total) {
			t.Errorf("mail %d: total %s is not in\n%s", i, truth.Total, body)
		}
		if !strings.Contains(body+env.GetHeader("From")+env.GetHeader("Subject"), truth.Vendor) {
			t.Errorf("mail %d: vendor %q is not in the mail", i, truth.Vendor)
		}
		if !slices.Contains([]string{"ILS", "USD", "EUR", "GBP"}, truth.Currency) {
			t.Errorf("mail %d: currency %q", i, truth.Currency)
		}
	}
	if len(vendors) != len(g.vendors) {
		t.Errorf("%d of %d vendors sent receipts", len(vendors), len(g.vendors))
	}
	for _, shape := range []string{"text/html", "text/plain", "multipart/alternative", "multipart/mixed"} {
		if !shapes[shape] {
			t.Errorf("no receipt is %s", shape)
		}
	}
	if !charsets["windows-1255"] {
		t.Errorf("no receipt is in windows-1255: %v", charsets)
	}
}

// A mail that is neither receipt nor decoy is left alone by every search for
// receipts.
func TestOthersHoldNoReceiptWords(t *testing.T) {
	t.Parallel()
	g := New(1, 3000, end())
	words := []string{"receipt", "invoice", "payment", "order", "total", "paid", "purchase", "subscription", "billing", "חשבונית", "קבלה", "תשלום", "הזמנה", "רכישה", `סה"כ`}
	for i := range g.Len() {
		if g.kind(i) != otherMail {
			continue
		}
		text, _ := g.Text(i)
		all := strings.ToLower(text.From + text.Subject + text.Body)
		for _, w := range words {
			if strings.Contains(all, w) {
				t.Errorf("mail %d holds %q: %s", i, w, all)
			}
		}
		if len(text.Files) > 0 {
			t.Errorf("mail %d has an attachment", i)
		}
	}
}

func TestIsraeliTaxFollowsTheDay(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		day  time.Time
		want int
	}{
		{time.Date(2024, 12, 31, 0, 0, 0, 0, time.UTC), 17},
		{time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC), 18},
	} {
		if got := vatIsrael.percent(tt.day); got != tt.want {
			t.Errorf("VAT on %v = %d %%, want %d", tt.day, got, tt.want)
		}
	}
}

func TestTaxID(t *testing.T) {
	t.Parallel()
	// The company number of Bank Leumi, from the public register.
	if got, want := taxID("52001807"), "520018078"; got != want {
		t.Errorf("taxID = %s, want %s", got, want)
	}
}

func TestMoney(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		m     money
		cents int
		want  string
	}{
		{money{"USD", "$%s", false}, 5, "$0.05"},
		{money{"USD", "US$%s", false}, 123456, "US$1,234.56"},
		{money{"EUR", "%s €", true}, 123456789, "1.234.567,89 €"},
		{money{"ILS", "%s ₪", false}, 99999, "999.99 ₪"},
	} {
		if got := tt.m.write(tt.cents); got != tt.want {
			t.Errorf("write(%d) = %q, want %q", tt.cents, got, tt.want)
		}
	}
}
