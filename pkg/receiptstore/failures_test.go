package receiptstore_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/prosaas/receipts/pkg/receiptstore"
)

// A mark that stays counts against its message: those that were saved, taken
// back, or made again by the same lease do not.
func TestMarks(t *testing.T) {
	t.Parallel()
	b := open(t)
	mark := func(w *receiptstore.Writer, ids ...string) {
		t.Helper()
		for _, id := range ids {
			if err := w.Mark(t.Context(), id); err != nil {
				t.Fatal(err)
			}
		}
	}
	crashed, _ := b.begin("j1", 1)
	b.owe(crashed, []string{id(1), id(2), id(3)}, "5")
	mark(crashed, id(1), id(2), id(2), id(3))
	b.save(crashed, read(id(3)))

	left, st := b.begin("j1", 2)
	if diff := cmp.Diff(map[string]int{id(1): 1, id(2): 1}, st.Marked); diff != "" {
		t.Errorf("after a crash:\n%s", diff)
	}
	mark(left, id(1), id(4))
	for range 2 {
		if err := left.Leave(t.Context(), false); err != nil {
			t.Fatal(err)
		}
	}

	again, st := b.begin("j2", 3)
	if diff := cmp.Diff(map[string]int{id(1): 1, id(2): 1}, st.Marked); diff != "" {
		t.Errorf("after a turn that gave its marks back:\n%s", diff)
	}
	mark(again, id(2))
	if n, err := again.Want(t.Context(), []string{id(7), id(8)}, nil, false); err != nil || n != 2 {
		t.Fatalf("want = %d, %v", n, err)
	}
	mark(again, id(7), id(9))
	last, st := b.begin("j2", 4)
	if diff := cmp.Diff(map[string]int{id(1): 1, id(2): 2, id(7): 1, id(9): 1}, st.Marked); diff != "" {
		t.Errorf("after another crash:\n%s", diff)
	}
	if diff := cmp.Diff([]string{id(7), id(2), id(1)}, st.Suspects); diff != "" {
		t.Errorf("still to read:\n%s", diff)
	}
	if _, st := b.begin("j3", 4); !slices.Equal(st.Suspects, []string{id(2), id(1)}) {
		t.Errorf("another job is told to read %v", st.Suspects)
	}
	b.save(last, read(id(2)))
	if _, st := b.begin("j2", 5); len(st.Marked) != 3 || st.Owed != 1 {
		t.Errorf("state %+v, want three messages marked, one of them owed", st)
	}
}

// What a job wanted that was canceled while it waited goes when the next begins,
// not while the job itself goes on.
func TestNextJobDropsWhatWasWanted(t *testing.T) {
	t.Parallel()
	b := open(t)
	w, _ := b.begin("j1", 1)
	if _, err := w.Want(t.Context(), []string{id(1)}, nil, false); err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		job  string
		want int64
	}{{"j1", 1}, {"j2", 0}} {
		b.begin(step.job, 2)
		message := b.do("EXISTS", b.keys.Wanted(business, "j1"))
		if left, err := message.AsInt64(); err != nil || left != step.want {
			t.Errorf("after %s began: %d keys of what j1 wanted, %v, want %d", step.job, left, err, step.want)
		}
	}
}

func TestLeaveDropsWhatIsWanted(t *testing.T) {
	t.Parallel()
	for _, drop := range []bool{false, true} {
		b := open(t)
		w, _ := b.begin("j1", 1)
		b.owe(w, []string{id(1)}, "5")
		if _, err := w.Want(t.Context(), []string{id(2)}, []byte("{}"), false); err != nil {
			t.Fatal(err)
		}
		if err := w.Leave(t.Context(), drop); err != nil {
			t.Fatal(err)
		}
		if _, st := b.begin("j1", 2); st.Owed != 1 || (st.Wanted == 0) != drop {
			t.Errorf("drop %v: %d owed and %d wanted", drop, st.Owed, st.Wanted)
		}
	}
}

// What a job fails on twice, asked for again while it runs, is one failure.
func TestFailedAgainIsOneFailure(t *testing.T) {
	t.Parallel()
	b := open(t)
	w, _ := b.begin("j1", 1)
	b.owe(w, []string{id(1)}, "5")
	for range 2 {
		if _, err := b.RetryFailures(t.Context(), business, "j1"); err != nil {
			t.Fatal(err)
		}
		b.save(w, receiptstore.Message{ID: id(1), Outcome: receiptstore.OutcomeFailed, Reason: receiptstore.Reason{Code: "unreadable"}})
	}
	rows, err := b.Failures(t.Context(), business, "j1", "", 10)
	if counts := b.counts(w); err != nil || len(rows) != 1 || counts.Errors != 1 || counts.Scanned != 2 {
		t.Errorf("%d rows, %v, counts %+v, want one failure of two readings", len(rows), err, counts)
	}
}

func TestFailuresAreListedAndRetried(t *testing.T) {
	t.Parallel()
	b := open(t)
	w, _ := b.begin("j1", 1)
	b.owe(w, []string{id(1), id(2), id(3), id(4)}, "5")
	reason := receiptstore.Reason{Code: "unreadable", Message: "The mail could not be read"}
	fail := func(w *receiptstore.Writer, ids ...string) {
		for _, one := range ids {
			m := read(one)
			m.Outcome, m.Reason = receiptstore.OutcomeFailed, reason
			b.save(w, m)
		}
	}
	fail(w, id(1), id(2), id(3))
	b.save(w, read(id(4), receipt("1.00", at(1))))

	list := func(below string, n int) []receiptstore.Failure {
		t.Helper()
		failures, err := b.Failures(t.Context(), business, "j1", below, n)
		if err != nil {
			t.Fatal(err)
		}
		return failures
	}
	all := []receiptstore.Failure{{MessageID: id(3), Reason: reason}, {MessageID: id(2), Reason: reason}, {MessageID: id(1), Reason: reason}}
	for _, page := range []struct {
		below string
		n     int
		want  []receiptstore.Failure
	}{{"", 10, all}, {"", 2, all[:2]}, {id(2), 2, all[2:]}, {id(1), 2, nil}} {
		if diff := cmp.Diff(page.want, list(page.below, page.n)); diff != "" {
			t.Errorf("%d below %q:\n%s", page.n, page.below, diff)
		}
	}
	if none, err := b.Failures(t.Context(), "b2", "j1", "", 10); err != nil || len(none) != 0 {
		t.Errorf("another business is shown %v (%v)", none, err)
	}

	// One of them was read by another job meanwhile: its outcome stands.
	other, _ := b.begin("j2", 2)
	b.owe(other, []string{id(2)}, "")
	b.save(other, read(id(2)))
	for i, want := range []int{2, 0} {
		if n, err := b.RetryFailures(t.Context(), business, "j1"); err != nil || n != want {
			t.Errorf("retry %d makes %d owed (%v), want %d", i, n, err, want)
		}
	}
	again, st := b.begin("j3", 3)
	if owed, err := again.Owed(t.Context(), "", 10); err != nil || cmp.Diff([]string{id(3), id(1)}, owed) != "" {
		t.Errorf("owed %v (%v), state %+v", owed, err, st)
	}
	if len(list("", 10)) != 3 {
		t.Error("the list of the job that failed on them has changed")
	}
	// What fails again is tried as often as anything new.
	for i := range 3 {
		fail(again, id(3))
		if n := b.owe(again, []string{id(3)}, ""); (n == 1) != (i < 2) {
			t.Errorf("after %d failures %d owed", i+1, n)
		}
	}
}
