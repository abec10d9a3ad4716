package gmailsync

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prosaas/receipts/pkg/queue"
	"github.com/prosaas/receipts/pkg/receiptmail"
	"github.com/prosaas/receipts/pkg/receiptstore"
	"github.com/prosaas/receipts/proto"
	"github.com/prosaas/receipts/tools/gmailsim"
	"github.com/prosaas/receipts/tools/gmailsim/mailbox"
)

// Mail that comes, goes, is labelled and comes back, history that expires,
// Gmail that errs, turns that are stopped or die, in any order: in the end each
// message of the mailbox was read, with the receipts that are in it, and none
// was read again once its outcome was written.
func TestAnyInterleaving(t *testing.T) {
	t.Parallel()
	for seed := range uint64(32) {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			t.Parallel()
			rng := rand.New(rand.NewPCG(seed, 5))
			i := &interleaving{world: newWorld(t, options{
				source: alike{4 + rng.IntN(8)},
				box:    mailbox.Options{GetLag: time.Duration(rng.IntN(3)) * 2 * time.Second},
				sim:    gmailsim.Options{EmptyHistoryPages: rng.IntN(2) == 0},
			}), rng: rng, visible: map[string]bool{}}
			i.remember()
			for range 30 {
				i.step()
			}
			i.settle()
			i.check()
		})
	}
}

// interleaving is one history of a mailbox and its syncs.
type interleaving struct {
	*world
	rng     *rand.Rand
	visible map[string]bool // the messages that were ever there, and whether they are to be read
	trashed []string
	added   int
	job     proto.Envelope // that has not ended; none without an id
	jobs    int
}

// remember notes what is in the mailbox from the beginning.
func (i *interleaving) remember() {
	all, err := i.box.List(mailbox.ParseQuery(""), mailbox.ListOptions{Limit: 500})
	if err != nil {
		i.t.Fatal(err)
	}
	for _, id := range all.IDs {
		i.visible[id] = true
	}
}

func (i *interleaving) step() {
	switch i.rng.IntN(10) {
	case 0, 1, 2:
		for range 1 + i.rng.IntN(4) {
			i.added++
			labels := []string{"INBOX"}
			if i.rng.IntN(6) == 0 {
				labels = []string{"SPAM"}
			}
			id := i.box.Add(receiptMail("Your receipt", fmt.Sprintf("%d.00", i.added)), mailbox.AddOptions{Date: i.moved.now(), Labels: labels})
			i.visible[id] = labels[0] == "INBOX"
		}
	case 3:
		i.change()
	case 4:
		for _, id := range i.trashed { // back again
			i.must(i.box.Relabel(id, []string{"INBOX"}, []string{"TRASH"}))
			i.visible[id] = true
		}
		i.trashed = nil
	case 5:
		if i.rng.IntN(2) == 0 {
			i.box.ExpireHistory()
		}
	case 6:
		i.sim.ClearFaults()
		specs := []string{
			"p=0.1,seed=%d,code=503", "method=messages.get,p=0.2,seed=%d,kind=reset", "method=messages.get,p=0.1,seed=%d,code=429,retry_after=2",
			"p=0.1,seed=%d,kind=gzip", "method=history.list,p=0.5,seed=%d,code=500", "method=messages.list,p=0.3,seed=%d,kind=cut",
		}
		i.must(i.sim.AddFault(fmt.Sprintf(specs[i.rng.IntN(len(specs))], i.rng.IntN(1000))))
	default:
		i.turn()
	}
}

// change deletes a message, or puts one into the trash, once.
func (i *interleaving) change() {
	for _, id := range slices.Sorted(maps.Keys(i.visible)) {
		if !i.visible[id] || i.rng.IntN(3) > 0 {
			continue
		}
		i.visible[id] = false
		if i.rng.IntN(2) == 0 {
			i.must(i.box.Delete(id))
			return
		}
		i.must(i.box.Relabel(id, []string{"TRASH"}, []string{"INBOX"}))
		i.trashed = append(i.trashed, id)
		return
	}
}

// turn does one turn of the job in flight, or of a new one; often it is stopped
// or dies somewhere.
func (i *interleaving) turn() {
	if i.job.JobID == "" {
		i.jobs++
		i.job = envelope(fmt.Sprint("j", i.jobs), []proto.Mode{proto.ModeIncremental, proto.ModeIncremental, proto.ModeFull}[i.rng.IntN(3)])
	}
	ctx, stop := context.WithCancelCause(i.t.Context())
	defer stop(nil)
	reads, seen := i.watch()
	onCall, onWrite := seen, func(int64) {}
	ways := cuts()
	if _, st := i.begin(i.job.JobID); len(st.Marked) > 0 {
		ways = ways[:2] // twice dead with the same message in hand is that message's doing
	}
	if way := i.rng.IntN(2 * len(ways)); way < len(ways) {
		i.calls.Store(0)
		i.writes.Store(0)
		cutCall, cutWrite := ways[way].hook(i.world, 1+i.rng.Int64N(30), stop)
		if cutWrite != nil {
			onWrite = cutWrite
		} else {
			onCall = func(n int64, method, id string) {
				seen(n, method, id)
				cutCall(n, method, id)
			}
		}
	}
	i.hook(onCall, onWrite)
	_, _, err := i.world.turn(ctx, i.job)
	i.hook(nil, nil)
	if len(reads.again) > 0 {
		i.t.Errorf("read again although the outcome was written: %v", reads.again)
	}
	var deferred *queue.DeferError
	switch {
	case err == nil:
		i.job = proto.Envelope{}
	case errors.As(err, &deferred):
		_ = i.moved.sleep(i.t.Context(), deferred.After)
	case !errors.Is(err, errStopped) && !errors.Is(err, receiptstore.ErrFenced):
		i.t.Fatalf("turn of %s: %v", i.job.JobID, err)
	}
}

// settle lets the job in flight end, and syncs once more, undisturbed.
func (i *interleaving) settle() {
	i.sim.ClearFaults()
	_ = i.moved.sleep(i.t.Context(), time.Hour)
	if i.job.JobID != "" {
		i.mustSync(i.job)
	}
	i.mustSync(envelope("last", proto.ModeIncremental))
}

// check compares with what is in the mailbox.
func (i *interleaving) check() {
	outcomes, receipts := i.hash(i.keys.Outcomes(business)), i.hash(i.keys.Receipts(business))
	for id, visible := range i.visible {
		outcome := outcomes[id]
		if strings.HasPrefix(outcome, "f") {
			i.t.Errorf("message %s failed", id)
		}
		if !visible {
			continue
		}
		message, err := i.box.Get(id)
		i.must(err)
		found, err := light(i.t.Context(), message.Raw, message.Date)
		i.must(err)
		want := fmt.Sprint("n", receiptmail.Version)
		if len(found.Receipts) > 0 {
			want = fmt.Sprint("r", receiptmail.Version)
		}
		for n := range found.Receipts {
			rid := receiptstore.ID(id, "body", n)
			want += " " + rid
			if receipts[rid] == "" {
				i.t.Errorf("receipt %d of message %s is not there", n, id)
			}
		}
		if outcome != want {
			i.t.Errorf("message %s came to %q, want %q", id, outcome, want)
		}
	}
	if _, st := i.begin("next"); st.Owed != 0 || len(st.Marked) != 0 {
		i.t.Errorf("left behind: %+v", st)
	}
}

func (i *interleaving) must(err error) {
	i.t.Helper()
	if err != nil {
		i.t.Fatal(err)
	}
}
