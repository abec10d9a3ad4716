package verify

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"time"

	"github.com/prosaas/receipts/proto"
)

// drillHold is how many seconds the job holds its slot whose worker is killed:
// long enough to find that worker first.
const drillHold = 10

// guardSlack is how much longer than GUARD_WAIT a 503 may take on a busy machine.
const guardSlack = 20 * time.Second

// drill breaks the deployment on purpose, in steps of which each needs the one
// before, and puts it back.
type drill struct {
	*Deployment
	hold int // seconds

	refused bool        // something failed before
	broken  bool        // a step of its own failed
	found   []container // the workers before it began; none: it has not begun
	given   service     // the API, with the settings that compose gives it
	job     string      // the job whose worker is killed
	times   []Timing
}

func (dr *drill) checks() []Check {
	const logs = "docker compose logs --tail 50 receipts-api receipts-worker"
	return []Check{
		{Name: "the deployment is well before", Hint: "mend what fails first: make verify", Limit: time.Minute, Run: dr.step(dr.begin)},
		{Name: "workers stopped: 503 as agreed, after GUARD_WAIT", Hint: logs, Limit: 3 * time.Minute, Run: dr.step(dr.stop)},
		{Name: "workers started: 202", Hint: logs, Limit: 2 * time.Minute, Run: dr.step(dr.start)},
		{Name: "worker killed in mid-job: another finishes it", Hint: logs, Limit: 3 * time.Minute, Run: dr.step(dr.kill)},
		{Name: "everything is as it was", Hint: "docker compose up -d --wait; docker compose ps", Limit: 3 * time.Minute, Always: true, Run: dr.restore},
	}
}

// step is run only where all before it went well.
func (dr *drill) step(run func(context.Context) (string, error)) func(context.Context) (string, error) {
	return func(ctx context.Context) (string, error) {
		if dr.broken {
			return "", uncheckedError("a step before it failed")
		}
		detail, err := run(ctx)
		dr.broken = err != nil
		return detail, err
	}
}

// since notes how long something took.
func (dr *drill) since(began time.Time, step string) time.Duration {
	took := time.Since(began)
	dr.times = append(dr.times, Timing{step, took.Seconds()})
	return took
}

// begin refuses a deployment that is not well, and notes what must be put back.
func (dr *drill) begin(ctx context.Context) (string, error) {
	if dr.refused {
		return "", errors.New("refused: a check before it failed")
	}
	byService, err := dr.byService(ctx)
	if err != nil {
		return "", err
	}
	for _, check := range []func(map[string][]container) (string, error){runs(serviceRedis), runs(serviceAPI), runs(serviceWorker), healthy, steady} {
		if _, err := check(byService); err != nil {
			return "", fmt.Errorf("refused: %w", err)
		}
	}
	diagnostics, err := dr.diagnostics(ctx)
	if err != nil {
		return "", err
	}
	if status := diagnostics.CriticalChecks.Status; status != "OK" {
		return "", fmt.Errorf("refused: %s", status)
	}
	if workers := len(byService[serviceWorker]); diagnostics.WorkersCount != workers {
		return "", fmt.Errorf("refused: %d workers run here, and the API knows of %d live ones", workers, diagnostics.WorkersCount)
	}
	p, err := dr.compose.project(ctx)
	if err != nil {
		return "", err
	}
	dr.given, dr.found = p.Services[serviceAPI], byService[serviceWorker]
	return fmt.Sprintf("workers: %d", len(dr.found)), nil
}

// setting is one that compose gives the API, or its default.
func (dr *drill) setting(name, byDefault string) string {
	if value := dr.given.variable(name); value != "" {
		return value
	}
	return byDefault
}

// stop stops every worker, and wants the answer that api.md fixes.
func (dr *drill) stop(ctx context.Context) (string, error) {
	guardWait, err := time.ParseDuration(dr.setting("GUARD_WAIT", "10s"))
	if err != nil {
		return "", fmt.Errorf("GUARD_WAIT of %s: %w", serviceAPI, err)
	}
	began := time.Now()
	if _, err := dr.compose.run(ctx, "compose", "stop", serviceWorker); err != nil {
		return "", err
	}
	dr.since(began, "docker compose stop, until every worker is gone")

	asked := time.Now()
	a, err := dr.noop(ctx, 0)
	if err != nil {
		return "", err
	}
	waited := dr.since(asked, "POST without a worker, until 503")
	if err := a.isNoWorker(dr.setting("SYNC_QUEUE", proto.QueueDefault)); err != nil {
		return "", err
	}
	if waited < guardWait {
		return "", fmt.Errorf("503 after %s, without waiting GUARD_WAIT (%s) for a worker to come back", waited.Round(time.Millisecond), guardWait)
	}
	if waited > guardWait+guardSlack {
		return "", fmt.Errorf("503 only after %s, want it after GUARD_WAIT (%s)", waited.Round(time.Millisecond), guardWait)
	}
	return fmt.Sprintf("after %.1f s", waited.Seconds()), nil
}

// isNoWorker wants the 503 of api.md, to the letter.
func (a answer) isNoWorker(queue string) error {
	if err := a.is(http.StatusServiceUnavailable); err != nil {
		return err
	}
	var got map[string]any
	if err := json.Unmarshal(a.body, &got); err != nil {
		return fmt.Errorf("answered 503 with what cannot be read: %w", err)
	}
	want := map[string]any{
		"success":           false,
		"error":             "Worker not running - receipts sync cannot start",
		"action":            "Deploy receipts-worker service listening to '" + queue + "' queue",
		"technical_details": "No active workers found listening to '" + queue + "' queue",
	}
	if !reflect.DeepEqual(got, want) {
		return fmt.Errorf("answered %.400s, which is not the agreed body", compact(a.body))
	}
	if after, _ := strconv.Atoi(a.header.Get("Retry-After")); after != 10 {
		return fmt.Errorf("Retry-After is %q, want 10", a.header.Get("Retry-After"))
	}
	return nil
}

// start starts the workers again, and wants a job taken and done. The guard
// waits for them; where they were gone for long it refuses until one is back.
func (dr *drill) start(ctx context.Context) (string, error) {
	began := time.Now()
	if _, err := dr.compose.run(ctx, "compose", "start", serviceWorker); err != nil {
		return "", err
	}
	var accepted answer
	err := poll(ctx, retryEvery, func(ctx context.Context) (bool, error) {
		var err error
		accepted, err = dr.noop(ctx, 0)
		return accepted.status != http.StatusServiceUnavailable, err
	})
	if err != nil {
		return "", fmt.Errorf("no job was accepted again: %w", err)
	}
	took := dr.since(began, "docker compose start, until 202")
	job, err := read[proto.SyncAccepted](accepted, http.StatusAccepted)
	if err != nil {
		return "", err
	}
	if err := dr.awaitFinish(ctx, dr.operator, job.JobID); err != nil {
		return "", err
	}
	return fmt.Sprintf("after %.1f s, and the job is done", took.Seconds()), dr.awaitWorkers(ctx, len(dr.found))
}

// kill ends the worker of a job with SIGKILL, and wants another to finish the
// job. An engine does not restart a container that was killed by hand, so that
// where there is one worker alone a second is started before.
func (dr *drill) kill(ctx context.Context) (string, error) {
	if len(dr.found) == 1 {
		_, err := dr.compose.run(ctx, "compose", "up", "--detach", "--no-deps", "--no-recreate", "--no-build", "--pull", "never", "--scale", serviceWorker+"=2", serviceWorker)
		if err != nil {
			return "", err
		}
		if err := dr.awaitWorkers(ctx, 2); err != nil {
			return "", err
		}
	}
	a, err := dr.noop(ctx, dr.hold)
	if err != nil {
		return "", err
	}
	accepted, err := read[proto.SyncAccepted](a, http.StatusAccepted)
	if err != nil {
		return "", err
	}
	dr.job = accepted.JobID
	holders, err := dr.starters(ctx, dr.job)
	if err != nil {
		return "", err
	}
	victim := holders[0]
	killed := time.Now()
	if _, err := dr.compose.run(ctx, "kill", "--signal", "KILL", victim.ID); err != nil {
		return "", err
	}
	taken := func(job proto.Job) bool {
		return job.Status.Ended() || job.Crashes > 0 && job.Status == proto.StateStarted
	}
	job, err := dr.awaitJob(ctx, dr.operator, dr.job, "taken up by another worker", taken)
	if err != nil {
		return "", err
	}
	if job.Crashes == 0 {
		return "", fmt.Errorf("job %s is %s, and its worker was not missed: it ended before it was killed", dr.job, job.Status)
	}
	dr.since(killed, "kill -9, until another worker has the job")
	if err := dr.awaitFinish(ctx, dr.operator, dr.job); err != nil {
		return "", err
	}
	took := dr.since(killed, "kill -9, until the job is finished")
	workers, err := dr.starters(ctx, dr.job)
	if err != nil {
		return "", err
	}
	heir := slices.IndexFunc(workers, func(one container) bool { return one.ID != victim.ID })
	if heir < 0 {
		return "", fmt.Errorf("job %s finished, but no worker other than %s logged its start", dr.job, victim.name())
	}
	return fmt.Sprintf("%s killed; finished by %s after %.1f s", victim.name(), workers[heir].name(), took.Seconds()), nil
}

// awaitWorkers waits until the API knows of that many live workers at least.
func (dr *drill) awaitWorkers(ctx context.Context, want int) error {
	count := 0
	err := poll(ctx, retryEvery, func(ctx context.Context) (bool, error) {
		diagnostics, err := dr.diagnostics(ctx)
		count = diagnostics.WorkersCount
		return count >= want, err
	})
	if err != nil {
		return fmt.Errorf("%d live workers, want %d: %w", count, want, err)
	}
	return nil
}

// restore puts back what begin noted: its containers and no others, running,
// healthy and registered. It is the engine that is asked, not compose: compose
// would choose itself which worker is one too many.
func (dr *drill) restore(ctx context.Context) (string, error) {
	if dr.found == nil {
		return "", uncheckedError("nothing was changed")
	}
	if err := poll(ctx, retryEvery, dr.restored); err != nil {
		return "", fmt.Errorf("not all of %d workers are back: %w", len(dr.found), err)
	}
	return fmt.Sprintf("workers: %d", len(dr.found)), dr.dropJob(ctx)
}

// restored mends what it finds amiss, and tells whether that was nothing. Once
// is not enough: an engine goes on with what a client that is gone asked for,
// so that a worker that runs, and seems well, may be about to end. It is out of
// the registry by then.
func (dr *drill) restored(ctx context.Context) (bool, error) {
	now, err := dr.compose.workers(ctx)
	if err != nil {
		return false, err
	}
	well := 0
	for _, one := range now {
		switch {
		case !slices.ContainsFunc(dr.found, func(before container) bool { return before.ID == one.ID }):
			err = dr.remove(ctx, one.ID)
		case one.State.Status != "running":
			_, err = dr.compose.run(ctx, "start", one.ID)
		case one.health() == "healthy":
			well++
		}
		if err != nil {
			return false, err
		}
	}
	if well < len(dr.found) {
		return false, nil
	}
	diagnostics, err := dr.diagnostics(ctx)
	return diagnostics.WorkersCount >= len(dr.found), err
}

// dropJob ends the job that was to be finished, where it was not.
func (dr *drill) dropJob(ctx context.Context) error {
	if dr.job == "" {
		return nil
	}
	a, err := dr.api(ctx, dr.operator, http.MethodPost, "/api/receipts/sync/"+dr.job+"/cancel", "")
	if err != nil || a.status == http.StatusConflict { // it has ended
		return err
	}
	return a.is(http.StatusOK)
}

// remove stops a worker in order, so that it hands its jobs back, and removes it.
func (dr *drill) remove(ctx context.Context, id string) error {
	if _, err := dr.compose.run(ctx, "stop", id); err != nil {
		return err
	}
	_, err := dr.compose.run(ctx, "rm", "--force", id)
	return err
}
