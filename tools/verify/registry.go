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

const (
	oneRedis    = "API and verify see the same Redis"
	workersLive = "a live worker on each queue"
	sameRedis   = "give receipts-api, receipts-worker and verify the same server and database in deploy/secrets/redis_url_*, and the same QUEUE_PREFIX in .env, then: " + redeploy
)

const hintNoWorker = "docker compose up -d --no-deps receipts-worker; then docker compose logs --tail 50 receipts-worker"

func (d *Deployment) registryChecks() []Check {
	const logs = "docker compose ps receipts-worker; docker compose logs --tail 50 receipts-worker"
	working := []string{workersLive}
	return []Check{
		{Name: oneRedis, Needs: []string{pingAnswered, keyTaken}, Hint: sameRedis, Run: d.apiSeesThisRedis},
		{Name: workersLive, Needs: []string{workerRuns, oneRedis}, Hint: "docker compose up -d --no-deps receipts-worker; or correct WORKER_QUEUES in .env, then: " + redeploy + "; " + logs, Run: d.liveWorkers},
		{Name: "the newest heartbeat is younger than its time to live", Needs: working, Hint: logs, Run: d.heartbeatFresh},
		{Name: "API and workers have the same version", Needs: []string{workersLive, oneVersion}, Hint: "build both from one checkout and deploy them: make images && " + redeploy, Run: d.sameVersion},
		{Name: "API and workers see the same Redis", Needs: working, Hint: sameRedis, Run: d.sameRedis},
		{Name: "diagnostics find nothing wrong", Needs: working, Hint: "do what the status says; docker compose logs --tail 50 receipts-api", Run: d.diagnosticsAreWell},
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
	if len(empty) == len(proto.Queues()) && d.beatsElsewhere(ctx) {
		return "", hinted{fmt.Errorf("no live worker in %s, though one beats: it is on another Redis", d.redisName()), sameRedis}
	}
	if len(empty) > 0 {
		return "", fmt.Errorf("nobody listens to %s%s", strings.Join(empty, ", "), departed(roll))
	}
	return strings.Join(counts, ", "), nil
}

// beatsElsewhere reports whether workers show a fresh heartbeat in their
// metrics: a worker that is not in this registry is then in another.
func (d *Deployment) beatsElsewhere(ctx context.Context) bool {
	pages, err := d.workerPages(ctx)
	if err != nil || len(pages) == 0 {
		return false
	}
	_, err = oldestBeat(pages, maxTTL)
	return err == nil
}

func (d *Deployment) redisName() string {
	return fmt.Sprintf("database %d, prefix %s", d.redis.DB(), d.keys.Prefix())
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

// apiSeesThisRedis compares what this program and the API say of their Redis.
func (d *Deployment) apiSeesThisRedis(ctx context.Context) (string, error) {
	api, own, _, err := d.views(ctx)
	if err != nil {
		return "", err
	}
	if own != api {
		return "", fmt.Errorf("the API sees %s; verify sees %s", api, own)
	}
	return api.String(), nil
}

// views returns which Redis the API sees and which this program sees, and the
// live workers that the API knows of.
func (d *Deployment) views(ctx context.Context) (api, own view, workers []proto.Worker, err error) {
	facts, err := d.info(ctx)
	if err != nil {
		return view{}, view{}, nil, err
	}
	own = view{facts["run_id"], d.redis.DB(), d.keys.Prefix()}
	diagnostics, err := d.diagnostics(ctx)
	if err != nil {
		return view{}, view{}, nil, err
	}
	api = view{diagnostics.Redis.RunID, diagnostics.Redis.DB, diagnostics.Redis.Prefix}
	if facts.cluster() {
		// The run of any node. That the API reads this Cluster its workers
		// prove: each tells the run of the node that keeps it registered.
		api.runID = own.runID
	}
	return api, own, live(diagnostics), nil
}

// sameRedis compares what the API and each of its workers say of their Redis.
func (d *Deployment) sameRedis(ctx context.Context) (string, error) {
	api, _, workers, err := d.views(ctx)
	if err != nil {
		return "", err
	}
	if len(workers) == 0 {
		return "", hinted{fmt.Errorf("no live worker in the API's Redis (%s)", api), hintNoWorker}
	}
	for _, w := range workers {
		if theirs := (view{w.RedisRunID, w.RedisDB, w.Prefix}); theirs != api {
			return "", fmt.Errorf("the API sees %s; %s sees %s", api, w.Name, theirs)
		}
	}
	return api.String(), nil
}
