package runner_test

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/redis/rueidis"

	"github.com/prosaas/receipts/pkg/connection"
	"github.com/prosaas/receipts/pkg/queue"
	"github.com/prosaas/receipts/pkg/receiptmail"
	"github.com/prosaas/receipts/pkg/receiptstore"
	"github.com/prosaas/receipts/pkg/redisclient"
	"github.com/prosaas/receipts/pkg/redistest"
	"github.com/prosaas/receipts/pkg/registry"
	"github.com/prosaas/receipts/proto"
	"github.com/prosaas/receipts/services/receipts-worker/internal/gmailsync"
	"github.com/prosaas/receipts/services/receipts-worker/internal/runner"
)

const tokenKeys = `{"keys":[{"kty":"oct","kid":"test","alg":"A256GCMKW","k":"dGVzdC1vbmx5LXRva2VuLWtleS0wMTIzNDU2Nzg5MDE"}]}`

// lines is a log that a test reads line by line.
type lines chan string

func (l lines) Write(line []byte) (int, error) {
	l <- string(line)
	return len(line), nil
}

// await reads on until a line has all of words.
func (l lines) await(ctx context.Context, t *testing.T, words ...string) {
	t.Helper()
	for {
		select {
		case line := <-l:
			missing := false
			for _, word := range words {
				missing = missing || !strings.Contains(line, word)
			}
			if !missing {
				return
			}
		case <-ctx.Done():
			t.Fatalf("the log never said %q", words)
		}
	}
}

// Each kind of job through the real queue and consumer.
func TestJobs(t *testing.T) {
	t.Parallel()
	noop := func(seconds int) proto.Envelope {
		return proto.Envelope{Kind: proto.KindNoop, Params: proto.Params{Seconds: seconds}}
	}
	sync := proto.Envelope{Kind: proto.KindGmailSync, BusinessID: "b1", Mode: proto.ModeIncremental}
	other := func(context.Context, string) (gmailsync.Mailbox, error) {
		return gmailsync.Mailbox{Epoch: 5, Zone: time.UTC}, nil
	}
	rows := []struct {
		name string
		job  proto.Envelope
		open func(context.Context, string) (gmailsync.Mailbox, error) // the connection's, where it is nil
		stop string                                                   // the line at which the worker is stopped
		says []string
	}{
		{name: "noop", job: noop(0), says: []string{"JOB_DONE"}},
		{name: "noop, stopped", job: noop(30), stop: "JOB_START: No operation", says: []string{"JOB_RELEASED", "reason=shutdown"}},
		{name: "sync of a business that is not connected", job: sync, says: []string{"JOB_FAIL", "code=not_connected"}},
		{name: "sync of a connection that is no more", job: sync, open: other, says: []string{"JOB_RELEASED", "reason=lost"}},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			client, err := redisclient.Open(redistest.DB(t), redisclient.Options{})
			if err != nil {
				t.Fatal(err)
			}
			defer client.Close()
			<-client.Ready()
			keys := proto.MustKeys(proto.DefaultPrefix)
			sealer, err := connection.NewSealer(tokenKeys)
			if err != nil {
				t.Fatal(err)
			}
			keeper := connection.New(client, client, keys, connection.OAuth{}, sealer, connection.Options{})
			if row.open == nil {
				row.open = runner.Mailboxes(keeper, time.UTC)
			}
			syncer, err := gmailsync.New(receiptstore.New(client, keys, receiptstore.Options{}), connection.NewMeters(client, keys), row.open, receiptmail.NewReader(""), gmailsync.Options{})
			if err != nil {
				t.Fatal(err)
			}
			defer syncer.Close()

			log := make(lines, 1000)
			q := queue.New(client, keys)
			works := map[proto.Kind]queue.Work{proto.KindNoop: runner.Noop(keeper), proto.KindGmailSync: runner.GmailSync(syncer)}
			consumer := queue.NewConsumer(q, registry.New(client, keys), registry.NewName, works, queue.ConsumerOptions{
				Host: "test", Logger: slog.New(slog.NewTextHandler(log, nil)),
			})
			fetch, stop := context.WithCancel(ctx)
			ran := make(chan error, 1)
			go func() { ran <- consumer.Run(fetch) }()
			log.await(ctx, t, "WORKER_START")

			row.job.Version, row.job.JobID, row.job.Queue, row.job.Trigger = proto.EnvelopeVersion, "j1", proto.QueueDefault, proto.TriggerUser
			if _, err := client.Do(ctx, func(b rueidis.Builder) rueidis.Completed {
				return b.Zadd().Key(keys.Businesses()).ScoreMember().ScoreMember(0, "b1").Build()
			}); err != nil {
				t.Fatal(err)
			}
			enqueued, err := q.Enqueue(ctx, queue.Request{Envelope: row.job, Retention: time.Hour})
			if err != nil || enqueued.Verdict != queue.Queued {
				t.Fatalf("enqueue = %+v, %v", enqueued, err)
			}
			if row.stop != "" {
				log.await(ctx, t, row.stop)
				stop()
			}
			log.await(ctx, t, row.says...)
			stop()
			if err := <-ran; err != nil {
				t.Errorf("Run = %v", err)
			}
		})
	}
}
