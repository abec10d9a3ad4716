package queue_test

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/prosaas/receipts/pkg/queue"
	"github.com/prosaas/receipts/proto"
)

// TestTableOfStates does each operation of the table in proto/doc.go, and tells
// from the job before and after what its row must say.
func TestTableOfStates(t *testing.T) { everywhere(t, testTableOfStates) }

func testTableOfStates(t *testing.T, newPlane planes) {
	t.Helper()
	rows := tableOfStates(t)
	operations := operations()
	for name := range operations {
		if !slices.ContainsFunc(rows, func(r row) bool { return r.operation == name }) {
			t.Errorf("%q is in no row of the table", name)
		}
	}
	for _, want := range rows {
		t.Run(want.operation, func(t *testing.T) {
			t.Parallel()
			op, ok := operations[want.operation]
			if !ok {
				t.Fatalf("no operation is called %q", want.operation)
			}
			p := newPlane(t)
			p.listen("w")
			p.connect("b")
			act := op.given(p)
			if op.beside {
				p.enqueue(noop("other")) // so that front and back differ
			}
			p.do("DEL", p.keys.Wake("default")) // as the worker that woke took it
			before := p.look()
			act()
			got := before.turnedInto(p.look())
			// Who writes, the record alone cannot tell; TestOldLeaseWritesNothing does.
			got.operation, got.from = want.operation, got.from+strings.TrimPrefix(want.from, strings.SplitN(want.from, ",", 2)[0])
			if diff := cmp.Diff(want, got, cmp.AllowUnexported(row{})); diff != "" {
				t.Errorf("row (-written +done):\n%s", diff)
			}
		})
	}
}

type row struct{ operation, from, to, lists, marker, counts string }

// tableOfStates reads the table of the contract.
func tableOfStates(t *testing.T) (rows []row) {
	t.Helper()
	text, err := os.ReadFile("../../proto/doc.go")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(text), "//\toperation ")
	columns := regexp.MustCompile(` {2,}`)
	for line := range strings.Lines(table) {
		line, ok := strings.CutPrefix(strings.TrimSpace(line), "//\t")
		if !ok {
			if rows != nil {
				break
			}
			continue // the rest of the heading
		}
		c := columns.Split(line, -1)
		if len(c) != 6 {
			t.Fatalf("the table has a row of %d columns: %q", len(c), line)
		}
		rows = append(rows, row{c[0], c[1], c[2], c[3], c[4], c[5]})
	}
	if rows == nil {
		t.Fatal("proto/doc.go has no table of states")
	}
	return rows
}

// operation is one of the table's.
type operation struct {
	beside bool                  // another job waits in the queue
	given  func(p *plane) func() // brings job j of business b to where it starts
}

func operations() map[string]operation {
	j := syncOf("j", "b")
	scheduled := j
	scheduled.Envelope.Trigger = proto.TriggerSchedule
	asked := syncOf("k", "b")

	started := func(p *plane) queue.Claimed {
		p.enqueue(j)
		return p.claimOne("w")
	}
	flagged := func(p *plane) queue.Claimed {
		job := started(p)
		p.cancel()
		return job
	}
	delayed := func(p *plane, r queue.Request, o queue.Outcome, after time.Duration) {
		p.enqueue(r)
		p.settle("w", p.claimOne("w"), queue.Settlement{Outcome: o, After: after, MaxAttempts: 5})
	}
	dead := func(p *plane) { p.settle("w", started(p), queue.Settlement{Outcome: queue.Fail}) }
	settle := func(from func(p *plane) queue.Claimed, s queue.Settlement) operation {
		return operation{beside: true, given: func(p *plane) func() {
			job := from(p)
			return func() { p.settle("w", job, s) }
		}}
	}
	reap := func(from func(p *plane) queue.Claimed, crashes string) operation {
		return operation{beside: true, given: func(p *plane) func() {
			from(p)
			p.do("HSET", p.keys.Job("j"), "crashes", crashes)
			return p.reap
		}}
	}
	retry := queue.Settlement{Outcome: queue.Retry, After: time.Hour, MaxAttempts: 2}
	return map[string]operation{
		"enqueue":              {given: func(p *plane) func() { return func() { p.enqueue(j) } }},
		"claim":                {given: func(p *plane) func() { p.enqueue(j); return func() { p.claimOne("w") } }},
		"finish":               settle(started, queue.Settlement{Outcome: queue.Finish}),
		"finish, flagged":      settle(flagged, queue.Settlement{Outcome: queue.Finish}),
		"fail":                 settle(started, queue.Settlement{Outcome: queue.Fail}),
		"fail, flagged":        settle(flagged, queue.Settlement{Outcome: queue.Fail}),
		"retry, attempts left": settle(started, retry),
		"retry, none left":     settle(started, queue.Settlement{Outcome: queue.Retry, After: time.Hour, MaxAttempts: 1}),
		"retry, flagged":       settle(flagged, retry),
		"release":              settle(started, queue.Settlement{Outcome: queue.Release}),
		"release, flagged":     settle(flagged, queue.Settlement{Outcome: queue.Release}),
		"yield":                settle(started, queue.Settlement{Outcome: queue.Yield}),
		"yield, flagged":       settle(flagged, queue.Settlement{Outcome: queue.Yield}),
		"defer":                settle(started, queue.Settlement{Outcome: queue.Defer, After: time.Hour}),
		"defer, flagged":       settle(flagged, queue.Settlement{Outcome: queue.Defer, After: time.Hour}),
		"promote, due": {beside: true, given: func(p *plane) func() {
			delayed(p, j, queue.Defer, 0)
			return func() { p.listen("v") } // a registration is the first beat
		}},
		"promote, asked again": {beside: true, given: func(p *plane) func() {
			delayed(p, j, queue.Retry, time.Hour)
			return func() { p.enqueue(asked) }
		}},
		"reap":              reap(started, "0"),
		"reap, third crash": reap(started, "2"),
		"reap, flagged":     reap(flagged, "0"),
		"cancel, waiting":   {given: func(p *plane) func() { p.enqueue(j); return p.cancel }},
		"cancel, delayed":   {given: func(p *plane) func() { delayed(p, j, queue.Defer, time.Hour); return p.cancel }},
		"cancel, running":   {given: func(p *plane) func() { started(p); return p.cancel }},
		"supersede, waiting": {given: func(p *plane) func() {
			p.enqueue(scheduled)
			return func() { p.enqueue(asked) }
		}},
		"supersede, delayed": {given: func(p *plane) func() {
			delayed(p, scheduled, queue.Defer, time.Hour)
			return func() { p.enqueue(asked) }
		}},
		"retry of the dead": {given: func(p *plane) func() {
			dead(p)
			return func() {
				if got, err := p.RetryDead(p.t.Context(), "j", "k", asked); err != nil || got.Verdict != queue.Queued {
					p.t.Errorf("retry = %+v, %v", got, err)
				}
			}
		}},
		"delete of the dead": {given: func(p *plane) func() {
			dead(p)
			return func() {
				if err := p.DeleteDead(p.t.Context(), "j"); err != nil {
					p.t.Error(err)
				}
			}
		}},
	}
}

// cancel asks job j to stop.
func (p *plane) cancel() {
	if _, err := p.Cancel(p.t.Context(), "b", "j"); err != nil {
		p.t.Error(err)
	}
}

// reap has worker w run out, and another find it, while Redis was never away.
func (p *plane) reap() {
	p.runOut("w", -time.Second)
	now := fmt.Sprint(p.now().UnixMilli())
	p.do("HSET", p.keys.Beat(), "last", now, "hold", now)
	if _, reaped, err := p.Registry.Reap(p.t.Context(), "w", 10*time.Second); err != nil || !reaped {
		p.t.Errorf("reap = %t, %v", reaped, err)
	}
}

// sight is job j, and where it is.
type sight struct {
	state, place, marker string
	front, token, cancel bool
	attempts, crashes    int
}

func (p *plane) look() sight {
	p.t.Helper()
	s := sight{state: "-"}
	list := func(kind string, ids []string) {
		if slices.Contains(ids, "j") {
			s.place += kind
		}
	}
	waiting := p.strings("LRANGE", p.keys.Queue("default"), "0", "-1")
	list("queue", waiting)
	s.front = len(waiting) > 0 && waiting[len(waiting)-1] == "j"
	list("claimed", p.strings("LRANGE", p.keys.Claimed("w"), "0", "-1"))
	list("delayed", p.strings("ZRANGE", p.keys.Delayed(), "0", "-1"))
	list("dead", p.strings("ZRANGE", p.keys.Dead(), "0", "-1"))
	s.token = len(p.strings("LRANGE", p.keys.Wake("default"), "0", "-1")) == 1
	s.marker, _ = p.do("GET", p.keys.Inflight("b")).ToString()
	job, err := p.AnyJob(p.t.Context(), "j")
	switch {
	case errors.Is(err, queue.ErrNotFound):
		return s
	case err != nil:
		p.t.Fatal(err)
	}
	h, err := p.do("HGETALL", p.keys.Job("j")).AsStrMap()
	if err != nil {
		p.t.Fatal(err)
	}
	s.state, s.cancel = string(job.Status), h["cancel"] == "1"
	if _, err := fmt.Sscan(h["attempts"]+" "+h["crashes"], &s.attempts, &s.crashes); err != nil {
		p.t.Fatal(err)
	}
	return s
}

// turnedInto is the row of what led from s to after.
func (s sight) turnedInto(after sight) row {
	r := row{from: s.state, to: after.state, lists: "-", marker: "-", counts: "-"}
	place := after.place
	if place == "queue" && s.place != "" {
		place = "queue's back"
		if after.front {
			place = "queue's front"
		}
	}
	switch {
	case s.place == "" && place != "":
		r.lists = "+ " + place
	case s.place != "" && place == "":
		r.lists = "- " + s.place
	case s.place != after.place:
		r.lists = s.place + " to " + place
	case !s.cancel && after.cancel:
		r.lists = "flagged"
	}
	if after.token && after.place == "queue" {
		r.lists += ", token"
	}
	switch {
	case s.marker == after.marker:
	case after.marker == "":
		r.marker = "cleared"
	case after.marker == "j":
		r.marker = "set"
	default:
		r.marker = "the new one"
	}
	switch {
	case after.state == "-":
		r.to = "gone"
	case s.state == "-":
	case after.attempts != s.attempts:
		r.counts = fmt.Sprintf("attempts %+d", after.attempts-s.attempts)
	case after.crashes != s.crashes:
		r.counts = fmt.Sprintf("crashes %+d", after.crashes-s.crashes)
	}
	r.counts = strings.NewReplacer("+", "+ ", " -", " - ").Replace(r.counts)
	return r
}
