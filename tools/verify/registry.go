package verify

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/prosaas/receipts/pkg/registry"
	"github.com/prosaas/receipts/proto"
)

const hintNoWorker = "docker compose up -d --no-deps receipts-worker; then docker compose logs --tail 50 receipts-worker"

func (d *Deployment) registryChecks() []Check {
	const logs = "docker compose ps receipts-worker; docker compose logs --tail 50 receipts-worker"
	return []Check{
		{Name: "a live worker on each queue", Hint: "docker compose up -d --no-deps receipts-worker; or correct WORKER_QUEUES in .env, then: " + redeploy + "; " + logs, Run: d.liveWorkers},
		{Name: "the newest heartbeat is younger than its time to live", Hint: logs, Run: d.heartbeatFresh},
		{Name: "API and workers have the same version", Hint: "build both from one checkout and deploy them: make images && " + redeploy, Run: d.sameVersion},
		{Name: "API and workers see the same Redis", Hint: "give receipts-api, receipts-worker and verify the same server and database in deploy/secrets/redis_url_*, and the same QUEUE_PREFIX in .env, then: " + redeploy, Run: d.sameRedis},
	}
}

// roll is the registry as this program's own Redis has it.
func (d *Deployment) roll(ctx context.Context) (registry.Roll, error) {
	if err := d.redisReady(ctx); err != nil {
		return registry.Roll{}, err
	}
	return registry.New(d.redis, d.keys).Roll(ctx)
}

func (d *Deployment) liveWorkers(ctx context.Context) (string, error) {
	roll, err := d.roll(ctx)
	if err != nil {
		return "", err
	}
	var counts, empty []string
	for _, queue := range proto.Queues() {
		counts = append(counts, fmt.Sprintf("%s %d", queue, len(roll.Live[queue])))
		if !roll.Listening(queue) {
			empty = append(empty, "'"+queue+"'")
		}
	}
	if len(empty) > 0 {
		return "", fmt.Errorf("nobody listens to %s%s", strings.Join(empty, ", "), departed(roll))
	}
	return strings.Join(counts, ", "), nil
}

// departed tells of the last few workers that are there no more.
func departed(roll registry.Roll) string {
	var gone strings.Builder
	told := 0
	for _, w := range roll.Workers {
		if w.State != proto.WorkerLive && told < 3 {
			told++
			fmt.Fprintf(&gone, "; %s is %s, last seen %s ago", w.Name, w.State, roll.Now.Sub(w.LastHeartbeatAt).Round(time.Second))
		}
	}
	return gone.String()
}

func (d *Deployment) heartbeatFresh(ctx context.Context) (string, error) {
	roll, err := d.roll(ctx)
	if err != nil {
		return "", err
	}
	var newest proto.Worker
	for _, w := range roll.Workers {
		if w.State == proto.WorkerLive && w.LastHeartbeatAt.After(newest.LastHeartbeatAt) {
			newest = w
		}
	}
	if newest.Name == "" {
		return "", fmt.Errorf("no worker's heartbeat counts any more%s", departed(roll))
	}
	age, left := roll.Now.Sub(newest.LastHeartbeatAt), left(roll, newest)
	switch {
	case left <= 0:
		return "", fmt.Errorf("%s beats, and counts on none of its queues", newest.Name)
	case age < 0 || age+left > maxTTL:
		return "", fmt.Errorf("the heartbeat of %s is %s old and counts for %s yet: no time to live is that long", newest.Name, age.Round(time.Second), left.Round(time.Second))
	}
	return fmt.Sprintf("%.1f s old, of %.1f s", age.Seconds(), (age + left).Seconds()), nil
}

// maxTTL is the longest HEARTBEAT_TTL that a worker takes.
const maxTTL = 60 * time.Second

// left is how long a worker's last heartbeat still counts, on the queue where
// that is longest; 0 where it counts on none.
func left(roll registry.Roll, w proto.Worker) time.Duration {
	most := 0
	for _, alive := range roll.Live {
		most = max(most, alive[w.Name])
	}
	return time.Duration(most) * time.Millisecond
}

// timeToLive is the longest that a live worker has: what its last heartbeat has
// lived, and what is left to it. It is 0 where nobody lives.
func timeToLive(roll registry.Roll) (longest time.Duration) {
	for _, w := range roll.Workers {
		if left := left(roll, w); left > 0 {
			longest = max(longest, roll.Now.Sub(w.LastHeartbeatAt)+left)
		}
	}
	return longest
}

func (d *Deployment) sameVersion(ctx context.Context) (string, error) {
	a, err := d.api(ctx, nobody, http.MethodGet, "/version", "")
	if err != nil {
		return "", err
	}
	api, err := read[struct{ Version string }](a, http.StatusOK)
	if err != nil {
		return "", fmt.Errorf("the API's version: %w", err)
	}
	workers, err := d.workersOfTheAPI(ctx)
	if err != nil {
		return "", err
	}
	for _, w := range workers {
		if w.Version != api.Version {
			return "", fmt.Errorf("%s runs %s, the API %s", w.Name, w.Version, api.Version)
		}
	}
	return api.Version, nil
}

// workersOfTheAPI are the live workers that the API knows of: one at least.
func (d *Deployment) workersOfTheAPI(ctx context.Context) ([]proto.Worker, error) {
	diagnostics, err := d.diagnostics(ctx)
	if err != nil {
		return nil, err
	}
	workers := live(diagnostics)
	if len(workers) == 0 {
		return nil, hinted{errors.New("the API knows of no live worker"), hintNoWorker}
	}
	return workers, nil
}

func live(diagnostics proto.Diagnostics) []proto.Worker {
	var workers []proto.Worker
	for _, w := range diagnostics.Workers {
		if w.State == proto.WorkerLive {
			workers = append(workers, w)
		}
	}
	return workers
}

// view is which Redis somebody believes to talk to.
type view struct {
	runID  string
	db     int
	prefix string
}

func (v view) String() string {
	return fmt.Sprintf("run %.12s, database %d, prefix %s", v.runID, v.db, v.prefix)
}

// sameRedis compares what this program, the API and each worker say of the
// Redis that they talk to. A worker on another one is not in the API's registry
// at all; that it beats somewhere, its metrics tell.
func (d *Deployment) sameRedis(ctx context.Context) (string, error) {
	facts, err := d.info(ctx)
	if err != nil {
		return "", err
	}
	own := view{facts["run_id"], d.redis.DB(), d.keys.Prefix()}
	diagnostics, err := d.diagnostics(ctx)
	if err != nil {
		return "", err
	}
	api := view{diagnostics.Redis.RunID, diagnostics.Redis.DB, diagnostics.Redis.Prefix}
	if facts.cluster() {
		// The run of any node. That the API reads this Cluster its workers
		// prove: each tells the run of the node that keeps it registered.
		api.runID = own.runID
	}
	if own != api {
		return "", fmt.Errorf("the API sees %s; verify sees %s", api, own)
	}
	workers := live(diagnostics)
	if len(workers) == 0 {
		pages, err := d.workerPages(ctx)
		if err == nil {
			_, err = oldestBeat(pages, maxTTL)
		}
		if err == nil {
			return "", fmt.Errorf("no live worker in the API's Redis (%s), though one beats: it is on another", api)
		}
		return "", hinted{fmt.Errorf("no live worker in the API's Redis (%s)", api), hintNoWorker}
	}
	for _, w := range workers {
		if theirs := (view{w.RedisRunID, w.RedisDB, w.Prefix}); theirs != api {
			return "", fmt.Errorf("the API sees %s; %s sees %s", api, w.Name, theirs)
		}
	}
	return api.String(), nil
}
