package mailbox

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

// shelf is a Source of texts, a day apart.
type shelf struct {
	start  time.Time
	texts  []Text
	labels map[int][]string
}

func (s shelf) Len() int                 { return len(s.texts) }
func (s shelf) Date(i int) time.Time     { return s.start.AddDate(0, 0, i) }
func (s shelf) Labels(i int) []string    { return s.labels[i] }
func (s shelf) Text(i int) (Text, error) { return s.texts[i], nil }
func (s shelf) Raw(i int) ([]byte, error) {
	return fmt.Appendf(nil, "Subject: %s\r\n\r\n", s.texts[i].Subject), nil
}

// listed is the indexes that a query finds, in order.
func listed(t *testing.T, m *Mailbox, q string, opts ListOptions) []int {
	t.Helper()
	if opts.Limit == 0 {
		opts.Limit = 500
	}
	found := []int{}
	for {
		page, err := m.List(ParseQuery(q), opts)
		if err != nil {
			t.Fatalf("list %q: %v", q, err)
		}
		if len(page.IDs) > opts.Limit {
			t.Fatalf("list %q: a page of %d, limit %d", q, len(page.IDs), opts.Limit)
		}
		for _, id := range page.IDs {
			i, ok := m.index(id)
			if !ok {
				t.Fatalf("list %q gave the unknown id %s", q, id)
			}
			found = append(found, i)
		}
		if page.Next == 0 {
			slices.Sort(found)
			return found
		}
		opts.Position = page.Next
	}
}

func TestQuery(t *testing.T) {
	t.Parallel()
	day := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	m := New("owner@example.com", shelf{
		start: day,
		texts: []Text{
			{From: "Glide <receipts@glide.example>", Subject: "Your receipt", Body: "Total: $12.30. It's done", Files: []string{"Receipt-7.PDF"}},
			{From: "Noa <noa@mail.example>", To: "owner@example.com", Subject: "Lunch?", Body: "no receipts here, an invoice neither"},
			{From: "טלקום", Subject: "חשבונית מס/קבלה 60004", Body: `סה״כ לתשלום 117.00 ש"ח`},
			{From: "Shop <news@shop.example>", Subject: "Sale", Body: "order now, order total is low", Files: []string{"photo.jpg"}},
			{From: "Glide <receipts@glide.example>", Subject: "Your receipt", Body: "in the bin"},
			{From: "Bank", Subject: "Statement", Body: "spam receipt"},
		},
		labels: map[int][]string{
			0: {"INBOX", "CATEGORY_UPDATES"}, 1: {"INBOX", "CATEGORY_PERSONAL", "UNREAD"}, 2: {"Label_1"},
			3: {"INBOX", "CATEGORY_PROMOTIONS"}, 4: {"TRASH"}, 5: {"SPAM"},
		},
	}, Options{})
	tests := []struct {
		q    string
		want []int
	}{
		{"", []int{0, 1, 2, 3}},
		{"receipt", []int{0}},
		{"RECEIPT total", []int{0}},
		{"receipt OR lunch", []int{0, 1}},
		{"receipt OR lunch total", []int{0}},
		{"{receipt lunch sale}", []int{0, 1, 3}},
		{"(receipt total) OR (order low)", []int{0, 3}},
		{"{(receipt low) lunch}", []int{1}},
		{"-receipt", []int{1, 2, 3}},
		{"-{receipt sale}", []int{1, 2}},
		{`"order total"`, []int{3}},
		{`"total order"`, []int{}},
		{`"your receipt" -"order total"`, []int{0}},
		{`סה"כ`, []int{2}},
		{`סה״כ`, []int{2}},
		{"קבלה", []int{2}},
		{"its", []int{0}},
		{"from:glide", []int{0}},
		{"from:receipts@glide.example", []int{0}},
		{"from:(noa OR glide)", []int{0, 1}},
		{"from:{noa shop}", []int{1, 3}},
		{"to:owner", []int{1}},
		{"subject:receipt", []int{0}},
		{`subject:("מס/קבלה" OR sale)`, []int{2, 3}},
		{"subject:total", []int{}},
		{"has:attachment", []int{0, 3}},
		{"has:attachment -filename:pdf", []int{3}},
		{"filename:pdf", []int{0}},
		{"filename:receipt-7.pdf", []int{0}},
		{"category:promotions", []int{3}},
		{"category:primary", []int{1}},
		{"-category:promotions has:attachment", []int{0}},
		{"label:Label_1", []int{2}},
		{"in:inbox", []int{0, 1, 3}},
		{"is:unread", []int{1}},
		{"is:read in:inbox", []int{0, 3}},
		{"in:trash", []int{4}},
		{"in:anywhere receipt", []int{0, 4, 5}},
		{"-in:trash receipt", []int{0}},
		{fmt.Sprintf("after:%d", day.AddDate(0, 0, 2).Unix()), []int{2, 3}},
		{fmt.Sprintf("before:%d", day.AddDate(0, 0, 2).Unix()), []int{0, 1}},
		{fmt.Sprintf("after:%d before:%d", day.Unix(), day.AddDate(0, 0, 1).Unix()), []int{0}},
		{"after:2026/03/02 before:2026-3-4", []int{1, 2}},
		{"{before:2026/03/02 sale}", []int{0, 3}},
		{fmt.Sprintf("{before:%d sale}", day.AddDate(0, 0, 1).Unix()), []int{0, 3}},
		{fmt.Sprintf("{after:%d receipt}", day.AddDate(0, 0, 3).Unix()), []int{0, 3}},
		{"receipt )", []int{0}},
		{"(receipt", []int{0}},
		{"unknown:receipt", []int{}},
	}
	for _, tt := range tests {
		t.Run(tt.q, func(t *testing.T) {
			t.Parallel()
			if got := listed(t, m, tt.q, ListOptions{}); !slices.Equal(got, tt.want) {
				t.Errorf("%q finds %v, want %v", tt.q, got, tt.want)
			}
			if got := listed(t, m, tt.q, ListOptions{Limit: 1}); !slices.Equal(got, tt.want) {
				t.Errorf("%q finds %v one a page, want %v", tt.q, got, tt.want)
			}
		})
	}
}

// Date words mean midnight in Los Angeles (Gmail API, guides/filtering).
func TestQueryDayBeginsInLosAngeles(t *testing.T) {
	t.Parallel()
	q := ParseQuery("after:2014/01/01")
	if want := time.Date(2014, 1, 1, 8, 0, 0, 0, time.UTC).Unix(); q.after != want {
		t.Errorf("after:2014/01/01 = %d, want %d", q.after, want)
	}
}

func TestListLabelsAndSpam(t *testing.T) {
	t.Parallel()
	m := New("a@example.com", shelf{texts: make([]Text, 3), labels: map[int][]string{
		0: {"INBOX", "UNREAD"}, 1: {"INBOX"}, 2: {"INBOX", "SPAM"},
	}}, Options{})
	tests := []struct {
		opts ListOptions
		want []int
	}{
		{ListOptions{Labels: []string{"INBOX"}}, []int{0, 1}},
		{ListOptions{Labels: []string{"INBOX", "UNREAD"}}, []int{0}},
		{ListOptions{Labels: []string{"INBOX"}, IncludeSpamTrash: true}, []int{0, 1, 2}},
	}
	for _, tt := range tests {
		if got := listed(t, m, "", tt.opts); !slices.Equal(got, tt.want) {
			t.Errorf("list %+v = %v, want %v", tt.opts, got, tt.want)
		}
	}
}

func FuzzParseQuery(f *testing.F) {
	for _, q := range []string{`a (b OR {c -d}) "e f"`, `from:(a OR "b`, "-", "-(", "after:x before:9", ")(}{", `from:-"x"`, "OR OR a"} {
		f.Add(q)
	}
	m := New("a@example.com", shelf{texts: []Text{{Subject: "a b c"}}}, Options{})
	f.Fuzz(func(t *testing.T, q string) {
		if got := listed(t, m, q, ListOptions{}); len(got) > 1 {
			t.Errorf("%q finds %v in a mailbox of one", q, got)
		}
	})
}
