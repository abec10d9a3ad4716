package verify

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/prosaas/receipts/proto"
)

// startWithin is how long a job may wait for an idle worker.
const startWithin = 10 * time.Second

const (
	jobAccepted = "a job is accepted"
	jobStarts   = "it starts within 10 s"
	jobFinishes = "it finishes"
)

// flow follows one job that does nothing through the real queue.
type flow struct {
	*Deployment
	id     string          // of the job that was accepted
	result json.RawMessage // of the job that finished
}

func (d *Deployment) flowChecks() []Check {
	f := &flow{Deployment: d}
	const (
		logs   = "docker compose logs --tail 50 receipts-worker receipts-api"
		sealed = "put the key that sealed them back into deploy/secrets/token_keys, behind the new one, then make prod-up; if it is lost, TOKEN_KEYS_LOST=yes make prod-up deploys all the same, and those businesses connect Gmail again"
		jam    = "look at workers[].busy and queues in the diagnostics: is every slot taken, or the queue paused? " + logs
	)
	checks := []Check{
		{Name: jobAccepted, Needs: []string{apiRuns, workerRuns, allHealthy, keyTaken, workersLive}, Hint: logs, Limit: 90 * time.Second, Run: f.accepted}, // the API may wait GUARD_WAIT
		{Name: jobStarts, Needs: []string{jobAccepted}, Hint: jam, Run: f.started},
		{Name: jobFinishes, Needs: []string{jobStarts}, Hint: jam, Limit: 30 * time.Second, Run: f.finished},
		{Name: "stored connections can be opened", Needs: []string{jobFinishes}, Hint: sealed, Run: f.opened},
		{Name: "the worker logs JOB_START", Needs: []string{jobStarts}, Hint: logs, Run: f.logged},
	}
	if d.business != "" {
		checks = append(checks, Check{Name: "a sync of business " + d.business + " finishes", Needs: []string{jobStarts}, Hint: "connect Gmail on the business's page; " + logs, Limit: 10 * time.Minute, Run: d.syncs})
	}
	return checks
}

func (f *flow) accepted(ctx context.Context) (string, error) {
	a, err := f.noop(ctx, 0)
	if err != nil {
		return "", err
	}
	job, err := read[proto.SyncAccepted](a, http.StatusAccepted)
	if err != nil {
		return "", err
	}
	if want := "/api/receipts/sync/" + job.JobID; job.JobID == "" || a.header.Get("Location") != want {
		return "", fmt.Errorf("accepted without its job's id and place: %.300s", a.body)
	}
	f.id = job.JobID
	return f.id, nil
}

func (f *flow) started(ctx context.Context) (string, error) {
	ctx, cancel := limited(ctx, startWithin)
	defer cancel()
	began := time.Now()
	_, err := f.awaitJob(ctx, f.operator, f.id, "started", func(job proto.Job) bool { return job.StartedAt != nil })
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("seen after %d ms", time.Since(began).Milliseconds()), nil
}

func (f *flow) finished(ctx context.Context) (string, error) {
	job, err := f.awaitFinish(ctx, f.operator, f.id)
	f.result = job.Result
	return "", err
}

// opened reads from the job's result whether the worker can open connections that
// are stored: one with other token keys would fail every sync.
func (f *flow) opened(context.Context) (string, error) {
	if f.settings.TokenKeysLost != "" {
		return "", uncheckedError("TOKEN_KEYS_LOST=yes")
	}
	var result proto.NoopResult
	if err := json.Unmarshal(f.result, &result); err != nil || result.Connections == nil {
		return "", uncheckedError("the worker reports none: it is of an older release, or its store does not reply")
	}
	tried, unreadable := result.Connections.Tried, result.Connections.Unreadable
	if unreadable > 0 {
		return "", fmt.Errorf("%d of %d cannot be opened: TOKEN_KEYS lacks the key that sealed them", unreadable, tried)
	}
	return fmt.Sprintf("%d tried", tried), nil
}

// awaitFinish waits until a job has ended, and well.
func (d *Deployment) awaitFinish(ctx context.Context, who as, id string) (proto.Job, error) {
	job, err := d.awaitJob(ctx, who, id, "ended", func(job proto.Job) bool { return job.Status.Ended() })
	if err != nil {
		return job, err
	}
	if job.Status != proto.StateFinished {
		err = fmt.Errorf("job %s ended %s", id, job.Status)
		if job.Error != nil {
			err = hinted{fmt.Errorf("%w: %s", err, job.Error.Message), job.Error.Action}
		}
	}
	return job, err
}

func (f *flow) logged(ctx context.Context) (string, error) {
	if err := f.compose.runs(ctx); err != nil {
		return "", uncheckedError(err.Error())
	}
	workers, err := f.starters(ctx, f.id)
	if err != nil {
		return "", err
	}
	return "by " + workers[0].name(), nil
}

// starters waits until a worker has logged that it started the job. A worker
// logs it at once, and the engine shows it a moment later.
func (d *Deployment) starters(ctx context.Context, job string) (workers []container, err error) {
	ctx, cancel := limited(ctx, startWithin)
	defer cancel()
	err = poll(ctx, 100*time.Millisecond, func(ctx context.Context) (bool, error) {
		workers, err = d.compose.starters(ctx, job)
		return len(workers) > 0, err
	})
	if err != nil {
		return nil, fmt.Errorf("no worker logged JOB_START of job %s: %w", job, err)
	}
	return workers, nil
}

// syncs asks for a real sync of the business, and waits for its end.
func (d *Deployment) syncs(ctx context.Context) (string, error) {
	a, err := d.api(ctx, d.member, http.MethodGet, "/api/session", "")
	if err != nil {
		return "", err
	}
	session, err := read[proto.SessionAnswer](a, http.StatusOK)
	if err != nil {
		return "", hinted{fmt.Errorf("the token is not taken: %w", err), hintToken}
	}
	if session.BusinessID != d.business {
		return "", hinted{fmt.Errorf("VERIFY_TOKEN is of business %q, not %q", session.BusinessID, d.business), hintToken}
	}
	a, err = d.api(ctx, d.member, http.MethodPost, "/api/receipts/sync", "")
	if err != nil {
		return "", err
	}
	accepted, err := read[proto.SyncAccepted](a, http.StatusAccepted)
	if err != nil {
		return "", refused(a, err)
	}
	_, err = d.awaitFinish(ctx, d.member, accepted.JobID)
	return accepted.JobID, err
}

// refused is err with what the API itself says to do about it.
func refused(a answer, err error) error {
	problem, unreadable := read[proto.Problem](a, a.status)
	if unreadable != nil || problem.Action == "" {
		return err
	}
	return hinted{errors.New(strings.Join([]string{fmt.Sprintf("answered %d", a.status), problem.Error, problem.TechnicalDetails}, ": ")), problem.Action}
}
