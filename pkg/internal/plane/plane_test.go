package plane

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/prosaas/receipts/pkg/redisclient"
	"github.com/prosaas/receipts/pkg/redistest"
	"github.com/prosaas/receipts/proto"
)

func TestScriptsNameTheKeysThatGoNames(t *testing.T) {
	t.Parallel()
	client, err := redisclient.Open(redistest.DB(t), redisclient.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	<-client.Ready()
	k := proto.MustKeys("a{tag}b")
	want := []string{
		k.Queue("x"), k.Wake("x"), k.Claimed("x"), k.QueueWorkers("x"), k.Workers(), k.Worker("x"), k.Left("x"), k.Beat(), k.Businesses(), k.Rate("x"),
		k.Idempotency("x", "y"), k.Departed(), k.Job("x"), k.Delayed(), k.Dead(), k.Inflight("x"), k.Recent("x"), k.Paused(), k.Lease(), k.Turn(),
	}
	script := redisclient.NewScript(proto.Lua + `
return {key.queue('x'), key.wake('x'), key.claimed('x'), key.queue_workers('x'), key.workers, key.worker('x'), key.left('x'), key.beat, key.businesses, key.rate('x'),
  key.idempotency('x', 'y'), key.departed, key.job('x'), key.delayed, key.dead, key.inflight('x'), key.recent('x'), key.paused, key.lease, key.turn}`)
	reply, err := client.Run(t.Context(), script, []string{k.Prefix()})
	if err != nil {
		t.Fatal(err)
	}
	got, err := reply.AsStrSlice()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("keys (-go +lua):\n%s", diff)
	}
}
