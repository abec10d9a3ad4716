package gmailsim

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/api/gmail/v1"

	"github.com/prosaas/receipts/tools/gmailsim/mailbox"
)

// tellings are the changes that a record tells of.
func tellings(h *gmail.History) []string {
	var out []string
	for _, c := range h.MessagesAdded {
		out = append(out, fmt.Sprint("added ", c.Message.Id, c.Message.LabelIds))
	}
	for _, c := range h.LabelsAdded {
		out = append(out, fmt.Sprint("labelled ", c.Message.Id, c.LabelIds))
	}
	for _, c := range h.LabelsRemoved {
		out = append(out, fmt.Sprint("unlabelled ", c.Message.Id, c.LabelIds))
	}
	for _, c := range h.MessagesDeleted {
		out = append(out, fmt.Sprint("deleted ", c.Message.Id))
	}
	return out
}

func (b *bench) history(t *testing.T, start uint64, size int64) (pages []*gmail.ListHistoryResponse) {
	t.Helper()
	err := b.client.Users.History.List("me").StartHistoryId(start).MaxResults(size).Pages(t.Context(), func(page *gmail.ListHistoryResponse) error {
		pages = append(pages, page)
		return nil
	})
	if err != nil {
		t.Fatalf("history from %d: %v", start, err)
	}
	return pages
}

func (b *bench) profile(t *testing.T) *gmail.Profile {
	t.Helper()
	profile, err := b.client.Users.GetProfile("me").Context(t.Context()).Do()
	if err != nil {
		t.Fatal(err)
	}
	return profile
}

// Every change is told, none is made up, and each quirk of history is met: a
// record of several changes to several messages, a message that is announced in
// two records, a page that begins with what the page before ended with.
func TestHistoryIsToldAsGmailTellsIt(t *testing.T) {
	t.Parallel()
	b := newBench(t, 30, Options{})
	before := b.profile(t)
	if before.EmailAddress != ownerAddress || before.MessagesTotal != 30 {
		t.Errorf("profile = %+v", before)
	}
	want := map[string]bool{}
	for i := range 60 {
		id := b.box.Add([]byte("Subject: new\r\n\r\nbody\r\n"), mailbox.AddOptions{})
		want["added "+id+"[INBOX UNREAD]"] = true
		if i%2 == 0 {
			if err := b.box.Relabel(id, []string{"Label_1"}, []string{"INBOX"}); err != nil {
				t.Fatal(err)
			}
			want["labelled "+id+"[Label_1]"], want["unlabelled "+id+"[INBOX]"] = true, true
		}
		if i%5 == 0 {
			if err := b.box.Delete(id); err != nil {
				t.Fatal(err)
			}
			want["deleted "+id] = true
		}
	}
	after := b.profile(t)
	met := map[string]bool{}
	for _, size := range []int64{1, 2, 7, 500} {
		got, announced := map[string]bool{}, map[string]bool{}
		last, lastTold := before.HistoryId, []string(nil)
		for n, page := range b.history(t, before.HistoryId, size) {
			if page.HistoryId != after.HistoryId || int64(len(page.History)) > size {
				t.Errorf("page %d of %d has %d records up to %d, the profile says %d", n, size, len(page.History), page.HistoryId, after.HistoryId)
			}
			for k, record := range page.History {
				told := tellings(record)
				met["a page repeats"] = met["a page repeats"] || (n > 0 && k == 0 && slices.Contains(lastTold, told[0]))
				met["several changes"] = met["several changes"] || (len(record.MessagesAdded) > 0 && len(record.LabelsAdded) > 0)
				met["several messages"] = met["several messages"] || len(record.MessagesAdded) > 1
				if record.Id < last || record.Id > after.HistoryId {
					t.Errorf("record %d after %d", record.Id, last)
				}
				last, lastTold = record.Id, told
				for _, change := range told {
					got[change] = true
				}
				for _, c := range record.MessagesAdded {
					met["announced twice"] = met["announced twice"] || (k > 0 && announced[c.Message.Id])
					announced[c.Message.Id] = true
				}
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("history, %d a page (-want +got):\n%s", size, diff)
		}
	}
	if diff := cmp.Diff(map[string]bool{"a page repeats": true, "several changes": true, "several messages": true, "announced twice": true}, met); diff != "" {
		t.Errorf("quirks (-want +got):\n%s", diff)
	}
	quiet := b.history(t, after.HistoryId, 500)
	if len(quiet) != 1 || len(quiet[0].History) > 0 || quiet[0].HistoryId != after.HistoryId {
		t.Errorf("history from its end = %+v", quiet)
	}
}

func TestHistoryKeepsToWhatIsAskedFor(t *testing.T) {
	t.Parallel()
	b := newBench(t, 6, Options{})
	start := b.profile(t).HistoryId
	id := b.box.Add([]byte("Subject: new\r\n\r\n"), mailbox.AddOptions{Labels: []string{"INBOX"}})
	if err := b.box.Relabel(id, []string{"Label_1"}, []string{"INBOX"}); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		types []string
		label string
		want  []string
	}{
		{[]string{"messageAdded"}, "", []string{"added " + id + "[INBOX]"}},
		{[]string{"labelAdded", "labelRemoved"}, "", []string{"labelled " + id + "[Label_1]", "unlabelled " + id + "[INBOX]"}},
		{nil, "Label_2", nil},
	} {
		call := b.client.Users.History.List("me").StartHistoryId(start).HistoryTypes(tt.types...).LabelId(tt.label)
		page, err := call.Context(t.Context()).Do()
		if err != nil {
			t.Fatal(err)
		}
		got := map[string]bool{}
		for _, record := range page.History {
			for _, change := range tellings(record) {
				got[change] = true
			}
		}
		if diff := cmp.Diff(tt.want, slices.Sorted(maps.Keys(got))); diff != "" {
			t.Errorf("types %v, label %q (-want +got):\n%s", tt.types, tt.label, diff)
		}
	}
	_, err := b.client.Users.History.List("me").StartHistoryId(start).HistoryTypes("messagesAdded").Context(t.Context()).Do()
	if e := apiErr(t, err); e.Code != http.StatusBadRequest {
		t.Errorf("a type that there is not: %v", e)
	}
}

func TestHistoryBeginsWithAnEmptyPage(t *testing.T) {
	t.Parallel()
	b := newBench(t, 6, Options{EmptyHistoryPages: true})
	start := b.profile(t).HistoryId
	b.box.Add([]byte("Subject: new\r\n\r\n"), mailbox.AddOptions{})
	pages := b.history(t, start, 500)
	if len(pages) != 2 || len(pages[0].History) != 0 || pages[0].NextPageToken == "" || len(pages[1].History) != 1 {
		t.Errorf("pages = %+v", pages)
	}
}

// A cursor is good until history expires, and so is the token of a page.
func TestHistoryExpires(t *testing.T) {
	t.Parallel()
	b := newBench(t, 6, Options{})
	start := b.profile(t).HistoryId
	for range 3 {
		b.box.Add([]byte("Subject: new\r\n\r\n"), mailbox.AddOptions{})
	}
	list := func(from uint64, token string) (*gmail.ListHistoryResponse, error) {
		return b.client.Users.History.List("me").StartHistoryId(from).MaxResults(2).PageToken(token).Context(t.Context()).Do()
	}
	first, err := list(start, "")
	if err != nil {
		t.Fatal(err)
	}
	b.ExpirePageTokens()
	if _, err := list(start, first.NextPageToken); apiErr(t, err).Code != http.StatusBadRequest {
		t.Errorf("a page token that expired: %v", err)
	}
	b.box.ExpireHistory()
	for _, from := range []uint64{start, first.HistoryId} {
		if _, err := list(from, ""); apiErr(t, err).Code != http.StatusNotFound {
			t.Errorf("from %d, which expired: %v", from, err)
		}
	}
	if page, err := list(b.profile(t).HistoryId, ""); err != nil || len(page.History) != 0 {
		t.Errorf("from now: %+v, %v", page, err)
	}
}

// roughly tells whether an estimate is near the number, but is not it.
func roughly(estimate int64, number int) bool {
	off := estimate - int64(number)
	return off != 0 && max(off, -off) <= int64(number)/3+7
}

func TestListsAreRough(t *testing.T) {
	t.Parallel()
	b := newBench(t, 400, Options{})
	for range 400 {
		b.box.Add([]byte("Subject: new\r\n\r\nnewcomer\r\n"), mailbox.AddOptions{})
	}
	for q, total := range map[string]int{"": 800, "newcomer": 400} {
		var ids []string
		estimates := map[int64]bool{}
		err := b.client.Users.Messages.List("me").Q(q).Pages(t.Context(), func(page *gmail.ListMessagesResponse) error {
			for _, m := range page.Messages {
				ids = append(ids, m.Id)
			}
			if page.ResultSizeEstimate <= 0 || page.ResultSizeEstimate == int64(total) {
				t.Errorf("%q: an estimate of %d, of %d", q, page.ResultSizeEstimate, total)
			}
			estimates[page.ResultSizeEstimate] = true
			return nil
		})
		if err != nil || len(ids) != total || len(estimates) < 2 {
			t.Errorf("%q lists %d, %v, estimates %v; want %d and several", q, len(ids), err, estimates, total)
		}
		if slices.IsSortedFunc(ids, func(a, b string) int { return strings.Compare(b, a) }) {
			t.Errorf("%q lists newest first without one exception", q)
		}
		slices.Sort(ids)
		if distinct := len(slices.Compact(ids)); distinct != total {
			t.Errorf("%q lists %d messages, want %d", q, distinct, total)
		}
	}
	few, err := b.client.Users.Messages.List("me").Q("subject:new").MaxResults(500).Context(t.Context()).Do()
	if err != nil || !roughly(few.ResultSizeEstimate, len(few.Messages)) {
		t.Errorf("an estimate of %d for the %d on the only page, %v", few.ResultSizeEstimate, len(few.Messages), err)
	}
	none, err := b.client.Users.Messages.List("me").Q("nothinghasthisword").Context(t.Context()).Do()
	if err != nil || none.Messages != nil || none.NextPageToken != "" || none.ResultSizeEstimate != 0 {
		t.Errorf("an empty list = %+v, %v", none, err)
	}
}

// A mail is announced before it can be read, and read before a search finds it.
func TestMailLagsBehindItsAnnouncement(t *testing.T) {
	t.Parallel()
	b := newBenchOf(t, 6, Options{}, mailbox.Options{GetLag: 3 * time.Second, SearchLag: time.Minute})
	start := b.profile(t).HistoryId
	id := b.box.Add([]byte("Subject: new\r\n\r\n"), mailbox.AddOptions{})
	for _, tt := range []struct {
		wait         time.Duration
		found, known bool
	}{{0, false, false}, {3 * time.Second, true, false}, {57 * time.Second, true, true}} {
		b.clock.advance(tt.wait)
		if pages := b.history(t, start, 500); tellings(pages[0].History[0])[0] != "added "+id+"[INBOX UNREAD]" {
			t.Errorf("%v later it is not announced", tt.wait)
		}
		_, err := b.client.Users.Messages.Get("me", id).Context(t.Context()).Do()
		if (err == nil) != tt.found || (err != nil && apiErr(t, err).Code != http.StatusNotFound) {
			t.Errorf("%v later: get = %v, want found %v", tt.wait, err, tt.found)
		}
		if known := slices.Contains(b.listAll(t, "subject:new"), id); known != tt.known {
			t.Errorf("%v later a search finds it: %v, want %v", tt.wait, known, tt.known)
		}
	}
}
