// Package verify checks a running deployment: that its parts are there, that
// they meet in one Redis, and that a job goes all the way. Each check says what
// it saw, and where it failed what to run to mend it.
//
// It only looks, with two exceptions. Group flow sends jobs that do nothing
// through the queue (and a sync, where a business is named). Group drill stops
// and kills workers, and puts everything back as it found it, also where it
// fails or is interrupted; only a drill that is itself killed leaves a worker
// stopped or one too many, and `docker compose up -d` of the deployed
// composition mends both.
package verify

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/prosaas/receipts/pkg/config"
	"github.com/prosaas/receipts/pkg/redisclient"
	"github.com/prosaas/receipts/proto"
)

// Check is one thing that must hold.
type Check struct {
	Group string
	Name  string
	Hint  string // what to run to mend it
	// Needs names checks without which this one means nothing: where one of them
	// failed in the same run, this one is not checked.
	Needs []string
	Limit time.Duration // how long it may take; 0 is [usualLimit]
	// Always has it run even where those before were interrupted: it cleans up.
	Always bool
	// Run answers what it saw. An error is a failure, unless it is an [uncheckedError].
	Run func(ctx context.Context) (detail string, err error)

	inside bool // it is checked by the container verify
}

const usualLimit = 15 * time.Second

// Group is what is checked together.
type Group struct {
	Name string
	// Here tells why the group cannot be checked from here at all, and Runs
	// why there is nothing here to check; nil where any place will do.
	Here, Runs func(context.Context) error
	// Inside says that a deployment's networks must be seen for it.
	Inside bool
	Checks []Check
}

// The groups, in the order in which they are checked.
const (
	GroupConfig     = "config"
	GroupContainers = "containers"
	GroupDrift      = "drift"
	GroupRedis      = "redis"
	GroupAPI        = "api"
	GroupRegistry   = "registry"
	GroupMetrics    = "metrics"
	GroupFlow       = "flow"
	GroupDrill      = "drill"
)

// uncheckedError is why something was not looked at, which is no pass and no
// failure: whatever keeps it from being looked at is told by somebody else.
type uncheckedError string

func (n uncheckedError) Error() string { return string(n) }

// hinted is a failure with a way to mend it other than the check's usual one.
type hinted struct {
	error
	hint string
}

func (h hinted) Unwrap() error { return h.error }

// Options are what one run wants besides its settings. The zero value is well.
type Options struct {
	Business string // whose sync group flow asks for; empty: nobody's
	Docker   string // the docker program; empty: the one on PATH
	// Deployed takes the settings from what is deployed here, and has groups that
	// see it from inside checked by its container verify.
	Deployed bool
	Files    string // the composition, as in COMPOSE_FILE; empty: [Deployed]
}

// Deployment is what is looked at.
type Deployment struct {
	settings config.Verify
	keys     proto.Keys
	http     *http.Client
	redis    *redisclient.Client
	trouble  *trouble // of redis
	compose  compose
	business string
	drill    *drill
	deployed bool
	inside   inside
}

// Open prepares to look at a deployment, and connects to its Redis in the
// background. It fails only over settings.
func Open(settings config.Verify, opts Options) (*Deployment, error) {
	keys, err := proto.NewKeys(settings.QueuePrefix)
	if err != nil {
		return nil, err
	}
	trouble := newTrouble()
	redis, err := redisclient.Open(settings.RedisURL.Reveal(), redisclient.Options{Logger: slog.New(trouble)})
	if err != nil {
		return nil, err
	}
	d := &Deployment{
		settings: settings, keys: keys, redis: redis, trouble: trouble,
		http:    &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }},
		compose: compose{docker: cmp.Or(opts.Docker, "docker"), files: cmp.Or(opts.Files, Deployed)}, business: opts.Business, deployed: opts.Deployed,
	}
	d.drill = &drill{Deployment: d, hold: drillHold}
	return d, nil
}

// Close ends every connection.
func (d *Deployment) Close() {
	d.redis.Close()
	d.http.CloseIdleConnections()
}

// Groups are all that can be checked.
func (d *Deployment) Groups() []Group {
	groups := []Group{
		{Name: GroupConfig, Here: d.compose.here, Runs: d.compose.runs, Checks: d.configChecks()},
		{Name: GroupContainers, Here: d.compose.here, Runs: d.compose.runs, Checks: d.containerChecks()},
		{Name: GroupDrift, Here: d.compose.here, Runs: d.compose.runs, Checks: d.driftChecks()},
		{Name: GroupRedis, Inside: true, Checks: d.redisChecks()},
		{Name: GroupAPI, Inside: true, Checks: d.apiChecks()},
		{Name: GroupRegistry, Inside: true, Checks: d.registryChecks()},
		{Name: GroupMetrics, Inside: true, Checks: d.metricsChecks()},
		{Name: GroupFlow, Checks: d.flowChecks()},
		{Name: GroupDrill, Here: d.compose.here, Runs: d.compose.runs, Checks: d.drill.checks()},
	}
	for _, group := range groups {
		for i := range group.Checks {
			group.Checks[i].Group, group.Checks[i].inside = group.Name, group.Inside && d.deployed
		}
	}
	return groups
}

// poll asks every interval until it is answered true or an error.
func poll(ctx context.Context, every time.Duration, done func(context.Context) (bool, error)) error {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		ok, err := done(ctx)
		if ok || err != nil {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// errLimit is the cause of a check's end by its limit.
var errLimit = errors.New("it took too long")

func limited(ctx context.Context, limit time.Duration) (context.Context, context.CancelFunc) {
	if limit == 0 {
		limit = usualLimit
	}
	return context.WithTimeoutCause(ctx, limit, fmt.Errorf("%w: more than %s", errLimit, limit))
}
