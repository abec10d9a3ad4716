package gmailsync

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/prosaas/receipts/pkg/queue"
	"github.com/prosaas/receipts/pkg/receiptmail"
	"github.com/prosaas/receipts/pkg/receiptstore"
	"github.com/prosaas/receipts/proto"
	"github.com/prosaas/receipts/tools/gmailsim"
	"github.com/prosaas/receipts/tools/gmailsim/mailbox"
)

func TestFullSyncReadsEveryReceiptOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{read: true, gzip: true})
	j, result := w.mustSync(envelope("j1", proto.ModeFull))

	receipts := 0
	for id, truth := range w.box.Expected() {
		outcome := w.hash(w.keys.Outcomes(business))[id]
		if truth.IsReceipt {
			receipts++
		}
		if truth.IsReceipt && (outcome == "" || outcome[0] != 'r') {
			t.Errorf("receipt %s has outcome %q", id, outcome)
		}
	}
	ledger := w.sim.Ledger()
	if receipts == 0 || result.Saved < receipts || result.Scanned != ledger.Reads.Messages || ledger.Reads.Repeated != 0 {
		t.Errorf("%d receipts, result %+v, ledger %+v", receipts, result, ledger)
	}
	if result.Units != ledger.Units || ledger.Calls["profile"] != 1 {
		t.Errorf("counted %d units, want the ledger's %d; %d profiles, want 1", result.Units, ledger.Units, ledger.Calls["profile"])
	}
	if rows := len(w.hash(w.keys.Receipts(business))); rows != result.Saved {
		t.Errorf("%d rows, want saved %d", rows, result.Saved)
	}
	months := 3 // and the next one, if it begins tomorrow: the search reaches so far
	if now := time.Now().In(mustZone(t)); now.AddDate(0, 0, 1).Month() != now.Month() {
		months++
	}
	last := j.told[len(j.told)-1]
	if last.Phase != proto.PhaseDone || last.WindowsDone != months || last.WindowsTotal != months || last.Pending != 0 || last.Scanned != result.Scanned || *last.Percent != 100 {
		t.Errorf("last progress %+v", last)
	}

	// Done again by whoever did not hear of it: the same answer, and no call.
	calls := w.calls.Load()
	if _, again := w.mustSync(envelope("j1", proto.ModeFull)); again != result || w.calls.Load() != calls {
		t.Errorf("repeated: %+v after %d calls, want %+v after none", again, w.calls.Load()-calls, result)
	}
	// Another one lists, and reads nothing.
	if _, again := w.mustSync(envelope("j2", proto.ModeFull)); again.Scanned != 0 || again.Saved != 0 {
		t.Errorf("second full sync %+v, want nothing read", again)
	}
}

func TestIncrementalCosts(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{source: mails(6, 50), read: true})
	w.mustSync(envelope("first", proto.ModeFull))
	rows := []struct {
		name   string
		change func()
		calls  map[string]int
		units  int
		saved  int
	}{
		{"nothing new", func() {}, map[string]int{"history.list": 1}, 2, 0},
		{"one new", func() { w.box.Add(receiptMail("Your receipt", "12.00"), mailbox.AddOptions{}) }, map[string]int{"history.list": 1, "messages.get": 1}, 22, 1},
		{"archived by a filter", func() {
			w.box.Add(receiptMail("Your receipt", "13.00"), mailbox.AddOptions{Labels: []string{"Label_7"}})
		}, map[string]int{"history.list": 1, "messages.get": 1}, 22, 1},
		{"draft, chat, spam, trash", func() {
			for _, label := range []string{"DRAFT", "CHAT", "SPAM", "TRASH"} {
				w.box.Add(receiptMail("Your receipt", "14.00"), mailbox.AddOptions{Labels: []string{label}})
			}
		}, map[string]int{"history.list": 1}, 2, 0},
		{"relabelled", func() {
			all, err := w.box.List(mailbox.ParseQuery(""), mailbox.ListOptions{Limit: 500})
			if err != nil {
				t.Fatal(err)
			}
			for _, id := range all.IDs {
				if err := w.box.Relabel(id, []string{"STARRED"}, []string{"UNREAD", "INBOX"}); err != nil {
					t.Fatal(err)
				}
			}
		}, map[string]int{"history.list": 1}, 2, 0},
		{"out of spam", func() {
			id := w.box.Add(receiptMail("Your receipt", "15.00"), mailbox.AddOptions{Labels: []string{"SPAM"}})
			if err := w.box.Relabel(id, []string{"INBOX"}, []string{"SPAM"}); err != nil {
				t.Fatal(err)
			}
		}, map[string]int{"history.list": 1, "messages.get": 1}, 22, 1},
		{"come and gone", func() {
			id := w.box.Add(receiptMail("Your receipt", "16.00"), mailbox.AddOptions{})
			if err := w.box.Delete(id); err != nil {
				t.Fatal(err)
			}
		}, map[string]int{"history.list": 1}, 2, 0},
	}
	for _, row := range rows {
		row.change()
		w.sim.ResetLedger()
		_, result := w.mustSync(envelope("after-"+row.name, proto.ModeIncremental))
		ledger := w.sim.Ledger()
		if diff := cmp.Diff(row.calls, ledger.Calls); diff != "" || ledger.Units != row.units || result.Units != row.units || result.Saved != row.saved {
			t.Errorf("%s: units %d, counted %d, want %d; saved %d, want %d; calls:\n%s", row.name, ledger.Units, result.Units, row.units, result.Saved, row.saved, diff)
		}
	}
}

// A business that was never synced gets its last thirty days, and a cursor that
// was taken before they were listed.
func TestFirstIncremental(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	var during string
	w.onCall = func(_ int64, method, _ string) {
		if method == "messages.list" && during == "" {
			during = w.box.Add([]byte("From: a@b.example\r\nSubject: hello\r\n\r\nno word that a search finds"), mailbox.AddOptions{})
		}
	}
	if _, first := w.mustSync(envelope("j1", proto.ModeIncremental)); first.Scanned == 0 {
		t.Errorf("first sync %+v, want some read", first)
	}
	oldest := time.Now().AddDate(0, 0, -firstDays-1)
	for id := range w.hash(w.keys.Outcomes(business)) {
		if m, err := w.box.Get(id); err != nil || m.Date.Before(oldest) {
			t.Errorf("read a message of %v (%v), want none before %v", m.Date, err, oldest)
		}
	}
	if _, second := w.mustSync(envelope("j2", proto.ModeIncremental)); second.Scanned != 1 || w.hash(w.keys.Outcomes(business))[during] == "" {
		t.Errorf("second sync %+v, want the one message that came during the first", second)
	}
}

// A first sync that never finished has left a cursor, but not the mail before it.
func TestFirstIncrementalAfterAnAbandonedSync(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	ctx, cancel := context.WithCancelCause(t.Context())
	w.onCall = func(n int64, _, _ string) {
		if n == 3 {
			cancel(errStopped)
		}
	}
	if _, _, err := w.turn(ctx, envelope("j1", proto.ModeFull)); !errors.Is(err, errStopped) {
		t.Fatalf("stopped sync = %v, want %v", err, errStopped)
	}
	w.onCall = nil
	if _, result := w.mustSync(envelope("j2", proto.ModeIncremental)); result.Scanned == 0 {
		t.Errorf("incremental sync %+v, want the last thirty days", result)
	}
}

func TestRange(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{source: mails(120, 50)})
	first, last := time.Now().AddDate(0, 0, -20), time.Now().AddDate(0, 0, -10)
	e := envelope("j1", proto.ModeRange)
	e.Params.FromDate, e.Params.ToDate = first.Format(time.DateOnly), last.Format(time.DateOnly)
	_, result := w.mustSync(e)
	if result.Scanned == 0 {
		t.Error("nothing was read")
	}
	for id := range w.hash(w.keys.Outcomes(business)) {
		m, err := w.box.Get(id)
		if err != nil {
			t.Fatal(err)
		}
		if m.Date.Before(first.AddDate(0, 0, -1)) || m.Date.After(last.AddDate(0, 0, 1)) {
			t.Errorf("read a message of %v, want %s to %s", m.Date, e.Params.FromDate, e.Params.ToDate)
		}
	}
}

func TestExpiredHistoryListsTheGap(t *testing.T) {
	t.Parallel()
	for _, empty := range []bool{false, true} {
		w := newWorld(t, options{sim: gmailsim.Options{EmptyHistoryPages: empty}})
		w.mustSync(envelope("first", proto.ModeFull))
		before := w.hash(w.keys.Outcomes(business))
		id := w.box.Add([]byte("From: a@b.example\r\nSubject: hello\r\n\r\nno word that a search finds"), mailbox.AddOptions{})
		w.box.ExpireHistory()
		w.sim.ResetLedger()
		_, result := w.mustSync(envelope("j2", proto.ModeIncremental))
		if !result.HistoryExpired || w.hash(w.keys.Outcomes(business))[id] == "" {
			t.Errorf("result %+v, outcome of the message in the gap %q", result, w.hash(w.keys.Outcomes(business))[id])
		}
		for known := range w.hash(w.keys.Outcomes(business)) {
			if m, err := w.box.Get(known); err != nil || (before[known] == "" && m.Date.Before(time.Now().Add(-resyncMargin-time.Hour))) {
				t.Errorf("read a message of %s (%v), which is before the gap", m.Date, err)
			}
		}
		ledger := w.sim.Ledger()
		if want := map[string]int{"history.list": 1, "profile": 1, "messages.list": 1, "messages.get": len(w.hash(w.keys.Outcomes(business))) - len(before)}; cmp.Diff(want, ledger.Calls) != "" {
			t.Errorf("calls %v, want %v", ledger.Calls, want)
		}
		w.sim.ResetLedger()
		if _, result := w.mustSync(envelope("j3", proto.ModeIncremental)); result.HistoryExpired || result.Units != 2 {
			t.Errorf("the next sync %+v, want two units", result)
		}
	}
}

func TestMaxMessages(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{source: mails(120, 20)})
	e := envelope("j1", proto.ModeFull)
	e.Params.MaxMessages = 3
	_, result := w.mustSync(e)
	if !result.StoppedEarly || result.Scanned != 3 || w.sim.Ledger().Calls["messages.get"] != 3 {
		t.Errorf("result %+v, %d reads, want 3 and stopped early", result, w.sim.Ledger().Calls["messages.get"])
	}
	message := w.redis("EXISTS", w.keys.Wanted(business, "j1"))
	if left, _ := message.AsInt64(); left != 0 {
		t.Error("what was not read is still wanted")
	}
	if _, rest := w.mustSync(envelope("j2", proto.ModeFull)); rest.StoppedEarly || rest.Scanned == 0 {
		t.Errorf("the next sync %+v, want the rest", rest)
	}
}

func TestForceReadsAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	_, first := w.mustSync(envelope("j1", proto.ModeFull))
	before := w.state()
	e := envelope("j2", proto.ModeFull)
	e.Params.Force = true
	_, again := w.mustSync(e)
	if again.Scanned != first.Scanned || again.Duplicates != first.Saved || again.Saved != 0 || again.Updated != 0 {
		t.Errorf("forced %+v, want all of %+v again, unchanged", again, first)
	}
	if diff := cmp.Diff(before, w.state()); diff != "" {
		t.Errorf("the same extractor changed something:\n%s", diff)
	}

	// One that finds nothing takes nothing away; every receipt says so.
	w.extract = func(context.Context, []byte, time.Time) (receiptmail.Result, error) { return receiptmail.Result{}, nil }
	e.JobID = "j3"
	w.mustSync(e)
	items, _, err := w.store.List(t.Context(), business, receiptstore.Filter{Limit: 200})
	if err != nil || len(items) != first.Saved {
		t.Errorf("%d receipts listed, %v, want all %d", len(items), err, first.Saved)
	}
	for _, item := range items {
		if r, err := w.store.Get(t.Context(), business, item.ID); err != nil || !r.NoLongerFound {
			t.Errorf("receipt %s does not say that it is no longer found: %v", item.ID, err)
		}
	}
}

// Garbage, an empty message, one that panics the reader: each is listed with its
// reason, and the rest go on.
func TestUnreadableMessages(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{source: mails(6, 50), read: true})
	extract := w.extract
	w.mustSync(envelope("first", proto.ModeFull))
	bad := map[string]bool{
		w.box.Add([]byte("From: a@b.example\r\nSubject: panic\r\n\r\npanic"), mailbox.AddOptions{}): true,
		w.box.Add(nil, mailbox.AddOptions{}): true,
	}
	good := w.box.Add(receiptMail("Your receipt", "12.00"), mailbox.AddOptions{})
	w.extract = panicOn("panic", extract)
	_, result := w.mustSync(envelope("j2", proto.ModeIncremental))
	failures := w.hash(w.keys.Failures(business, "j2"))
	if result.Errors != len(bad) || len(failures) != len(bad) || result.Saved != 1 {
		t.Errorf("result %+v, failures %v, want %d errors and one receipt", result, failures, len(bad))
	}
	for id := range bad {
		if failures[id] == "" {
			t.Errorf("message %s is not in the list of failures", id)
		}
	}
	if outcome := w.hash(w.keys.Outcomes(business))[good]; outcome == "" || outcome[0] != 'r' {
		t.Errorf("the good one has outcome %q", outcome)
	}
}

// What keeps the reader from its work is no message's fault: the job stops, and
// nothing is given up.
func TestReaderThatCannotReadFailsNoMessage(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{source: alike{2}})
	w.extract = func(context.Context, []byte, time.Time) (receiptmail.Result, error) {
		return receiptmail.Result{}, errors.New("no sandbox")
	}
	if _, _, err := w.turn(t.Context(), envelope("j1", proto.ModeFull)); err == nil {
		t.Error("the sync went on")
	}
	if outcomes, failures := w.hash(w.keys.Outcomes(business)), w.hash(w.keys.Failures(business, "j1")); len(outcomes)+len(failures) > 0 {
		t.Errorf("outcomes %v, failures %v, want none", outcomes, failures)
	}
}

// A message is marked before Gmail is asked for it: the answer may be what kills.
func TestMarkedBeforeItIsAskedFor(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{source: alike{1}})
	var marks map[string]string
	calls := w.nth("messages.get", 1, func() { marks = w.hash(w.keys.Marks(business)) })
	w.mustSync(envelope("j1", proto.ModeFull))
	if calls.Load() != 1 || len(marks) != 1 {
		t.Errorf("%d messages asked for, marked by then: %v", calls.Load(), marks)
	}
}

// Whoever asks for failed messages to be read again while a sync is in flight is
// told that this one does it.
func TestFailuresRetriedDuringASyncAreReadByIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{source: alike{1}})
	w.mustSync(envelope("first", proto.ModeIncremental))
	id := w.box.Add(receiptMail("Your receipt", "12.00"), mailbox.AddOptions{Date: w.arrival(0)})
	extract := w.extract
	w.extract = func(context.Context, []byte, time.Time) (receiptmail.Result, error) { panic("the test's") }
	w.mustSync(envelope("failed", proto.ModeIncremental))
	w.extract = extract
	w.nth("messages.list", 1, func() {
		if n, err := w.store.RetryFailures(t.Context(), business, "failed"); n != 1 || err != nil {
			t.Errorf("retried %d failures, %v", n, err)
		}
	})
	_, result := w.mustSync(envelope("j2", proto.ModeFull))
	if outcome := w.hash(w.keys.Outcomes(business))[id]; !strings.HasPrefix(outcome, "r") || result.Errors != 0 {
		t.Errorf("outcome %q, result %+v, want a receipt", outcome, result)
	}
}

// A job that goes on in the middle of a window finds by the next search what an
// earlier one chose: read again by force, or unreadable, it is read once a job
// all the same, and counted once.
func TestWindowLeftHalfListedIsReadOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{source: alike{1}})
	w.mustSync(envelope("first", proto.ModeIncremental))
	w.sim.ResetLedger()
	forced := envelope("forced", proto.ModeFull)
	forced.Params.Force = true
	ctx, stop := context.WithCancelCause(t.Context())
	defer stop(nil)
	w.nth("messages.list", 3, func() { stop(errStopped) }) // the second search found it, and so does the fourth
	if _, _, err := w.turn(ctx, forced); !errors.Is(err, errStopped) {
		t.Fatalf("sync = %v", err)
	}
	if _, result := w.mustSync(forced); result.Scanned != 1 || w.sim.Ledger().Calls["messages.get"] != 1 {
		t.Errorf("forced: %+v after %d reads, want one", result, w.sim.Ledger().Calls["messages.get"])
	}
}

// What history announced and the job could not read is listed by its windows
// too: it is tried once a job, and counted once.
func TestUnreadableMessageIsTriedOnceAJob(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{source: alike{1}})
	w.mustSync(envelope("first", proto.ModeIncremental))
	w.box.Add(receiptMail("Your receipt", "12.00"), mailbox.AddOptions{Date: w.arrival(0)})
	w.extract = func(context.Context, []byte, time.Time) (receiptmail.Result, error) { panic("the test's") }
	for _, id := range []string{"j1", "j2"} {
		w.sim.ResetLedger()
		if _, result := w.mustSync(envelope(id, proto.ModeFull)); result.Errors != 1 || w.sim.Ledger().Calls["messages.get"] != 1 {
			t.Errorf("%s: %+v after %d reads, want one error after one", id, result, w.sim.Ledger().Calls["messages.get"])
		}
	}
}

// Gmail announces some seconds before it shows; what it never shows is gone.
func TestAnnouncedButNotThere(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{source: mails(6, 50), read: true, box: mailbox.Options{GetLag: 10 * time.Second}})
	w.mustSync(envelope("first", proto.ModeFull))
	late := w.box.Add(receiptMail("Your receipt", "12.00"), mailbox.AddOptions{})
	j, result := w.mustSync(envelope("j2", proto.ModeIncremental))
	if outcome := w.hash(w.keys.Outcomes(business))[late]; outcome == "" || outcome[0] != 'r' || result.Gone != 0 {
		t.Errorf("shown late: outcome %q, result %+v", outcome, result)
	}
	inGap := w.box.Add(receiptMail("Your receipt", "12.50"), mailbox.AddOptions{})
	w.box.ExpireHistory()
	if _, result := w.mustSync(envelope("gap", proto.ModeIncremental)); !result.HistoryExpired || result.Gone != 0 || result.Saved != 1 {
		t.Errorf("listed in a gap and shown late: %+v, outcome %q", result, w.hash(w.keys.Outcomes(business))[inGap])
	}
	waited := false
	for _, p := range j.told {
		waited = waited || (p.WaitingReason != nil && *p.WaitingReason == "just_announced" && p.WaitingUntil != nil)
	}
	if !waited {
		t.Error("no progress tells of the wait")
	}

	w.box.Add(receiptMail("Your receipt", "13.00"), mailbox.AddOptions{})
	if err := w.sim.AddFault("method=messages.get,code=404"); err != nil {
		t.Fatal(err)
	}
	w.sim.ResetLedger()
	if _, result := w.mustSync(envelope("j3", proto.ModeIncremental)); result.Gone != 1 || result.Scanned != 0 || w.sim.Ledger().Calls["messages.get"] != 3 {
		t.Errorf("never shown: %+v after %d reads, want gone after three", result, w.sim.Ledger().Calls["messages.get"])
	}
}

func TestFencedJobWritesNothing(t *testing.T) {
	t.Parallel()
	rows := map[string]func(w *world){
		"newer lease":   func(w *world) { w.redis("HSET", w.keys.Sync(business), "fence", "1000") },
		"reconnected":   func(w *world) { w.connect(epoch + 1) },
		"no connection": func(w *world) { w.redis("DEL", w.keys.Connection(business)) },
	}
	for name, overtake := range rows {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, options{})
			gets := 0
			var before map[string]string
			w.sim.ResetLedger()
			w.onCall = func(_ int64, method, _ string) {
				if method != "messages.get" {
					return
				}
				w.moved.mu.Lock()
				defer w.moved.mu.Unlock()
				if gets++; gets == 1 {
					overtake(w)
					before = w.state()
				}
			}
			_, _, err := w.turn(t.Context(), envelope("j1", proto.ModeFull))
			if !errors.Is(err, receiptstore.ErrFenced) {
				t.Fatalf("sync = %v, want %v", err, receiptstore.ErrFenced)
			}
			if diff := cmp.Diff(before, w.state()); diff != "" {
				t.Errorf("written after the fence:\n%s", diff)
			}
		})
	}
}

func TestGivesWay(t *testing.T) {
	t.Parallel()
	rows := []struct {
		name   string
		others bool
		passes time.Duration // at each checkpoint
		yields bool
	}{
		{"others wait", true, 4 * time.Second, true},
		{"others wait, but not for long", true, 10 * time.Millisecond, false},
		{"alone", false, 4 * time.Second, false},
		{"alone, past half of the timeout", false, 20 * time.Minute, true},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, options{})
			w.lease = 1
			j := &job{envelope: envelope("j1", proto.ModeFull), lease: 1, others: row.others}
			j.onTold = func(proto.Progress) { _ = w.moved.sleep(t.Context(), row.passes) }
			_, err := w.Sync(t.Context(), j)
			if errors.Is(err, queue.ErrYield) != row.yields || (err != nil && !row.yields) {
				t.Fatalf("sync = %v, want a yield: %v", err, row.yields)
			}
			if _, result := w.mustSync(envelope("j1", proto.ModeFull)); result.Scanned == 0 || w.sim.Ledger().Reads.Repeated != 0 {
				t.Errorf("gone on: %+v, ledger %+v", result, w.sim.Ledger())
			}
		})
	}
}
