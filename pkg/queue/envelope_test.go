package queue_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"testing"

	"github.com/prosaas/receipts/pkg/queue"
	"github.com/prosaas/receipts/proto"
)

// Within one version of the envelope a later release may add fields and headers:
// a worker does the job all the same.
func TestFieldsItDoesNotKnowAreTaken(t *testing.T) {
	everywhere(t, testFieldsItDoesNotKnowAreTaken)
}

func testFieldsItDoesNotKnowAreTaken(t *testing.T, newPlane planes) {
	t.Helper()
	p := newPlane(t)
	got := make(chan proto.Envelope, 1)
	log, _ := p.work(func(ctx context.Context, job *queue.Job) (slog.LogValuer, error) {
		got <- job.Envelope()
		return done(ctx, job)
	})
	log.await("WORKER_START")
	if err := p.Pause(t.Context(), "default"); err != nil { // so that nobody is quicker than the other release's pen
		t.Fatal(err)
	}
	r := noop("j")
	p.enqueue(r)
	written, err := r.Envelope.Encode()
	if err != nil {
		t.Fatal(err)
	}
	var envelope map[string]any
	if err := json.Unmarshal(written, &envelope); err != nil {
		t.Fatal(err)
	}
	envelope["later"] = map[string]any{"deep": []int{1}}
	envelope["headers"] = map[string]string{"x-later": "yes"}
	envelope["params"] = map[string]any{"seconds": 3, "later": true}
	if written, err = json.Marshal(envelope); err != nil {
		t.Fatal(err)
	}
	p.do("HSET", p.keys.Job("j"), "envelope", string(written))
	if err := p.Resume(t.Context(), "default"); err != nil {
		t.Fatal(err)
	}
	log.await("JOB_DONE", "job_id=j")
	if e := <-got; e.Params.Seconds != 3 || e.Headers["x-later"] != "yes" {
		t.Errorf("the worker read %+v", e)
	}
}
