package verify

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// The checks that others need.
const (
	redisRuns  = "redis runs"
	apiRuns    = "receipts-api runs"
	workerRuns = "receipts-worker runs"
	allHealthy = "every container is healthy"
	oneVersion = "API and worker containers are of one version"
	noneLoops  = "no container is restarting"
)

// essential are the services without which nothing works.
func essential() []string { return []string{serviceRedis, serviceAPI, serviceWorker} }

func (d *Deployment) containerChecks() []Check {
	const (
		up   = "docker compose up -d --wait"
		logs = "docker compose ps --all; docker compose logs --tail 50; then " + up
	)
	return []Check{
		{Name: redisRuns, Hint: up + "; docker compose logs --tail 50 redis", Run: d.ofContainers(runs(serviceRedis))},
		{Name: apiRuns, Hint: up + "; docker compose logs --tail 50 receipts-api", Run: d.ofContainers(runs(serviceAPI))},
		{Name: workerRuns, Hint: up + "; docker compose logs --tail 50 receipts-worker", Run: d.ofContainers(runs(serviceWorker))},
		{Name: "every other service runs and is healthy", Hint: logs, Run: d.ofContainers(othersRun)},
		{Name: "no container was killed for memory", Hint: "raise the service's memory limit (deploy.resources.limits.memory) in compose.prod.yaml, then: " + redeploy, Run: d.ofContainers(enoughMemory)},
		{Name: noneLoops, Hint: logs, Run: d.ofContainers(steady)},
		// A worker without Redis is unhealthy.
		{Name: allHealthy, Needs: []string{redisRuns, noneLoops}, Hint: logs, Run: d.ofContainers(healthy)},
		{Name: oneVersion, Needs: []string{apiRuns, workerRuns, allHealthy}, Hint: "make images && " + redeploy, Run: d.versions},
	}
}

// ofContainers is a check of the containers that each service has.
func (d *Deployment) ofContainers(check func(map[string][]container) (string, error)) func(context.Context) (string, error) {
	return func(ctx context.Context) (string, error) {
		byService, err := d.byService(ctx)
		if err != nil {
			return "", err
		}
		return check(byService)
	}
}

// byService are the containers of each service that the compose files name.
func (d *Deployment) byService(ctx context.Context) (map[string][]container, error) {
	p, err := d.compose.project(ctx)
	if err != nil {
		return nil, err
	}
	all, err := d.compose.containers(ctx)
	if err != nil {
		return nil, err
	}
	if len(all) == 0 {
		return nil, errors.New("the project has no container")
	}
	byService := map[string][]container{}
	for name := range p.Services {
		byService[name] = nil
	}
	for _, one := range all {
		if _, named := byService[one.service()]; named {
			byService[one.service()] = append(byService[one.service()], one)
		}
	}
	return byService, nil
}

// versions asks each container's program for its version.
func (d *Deployment) versions(ctx context.Context) (string, error) {
	byService, err := d.byService(ctx)
	if err != nil {
		return "", err
	}
	var texts, found []string
	for _, name := range []string{serviceAPI, serviceWorker} {
		for _, one := range byService[name] {
			out, err := d.compose.run(ctx, "exec", one.ID, "/"+name, "version")
			if err != nil {
				return "", err
			}
			version := strings.TrimSpace(string(out))
			texts, found = append(texts, one.name()+" "+version), append(found, version)
		}
	}
	slices.Sort(found)
	text := strings.Join(texts, ", ")
	if len(slices.Compact(found)) != 1 {
		return "", fmt.Errorf("versions differ: %s", text)
	}
	return text, nil
}

// faulty joins what is wrong with any container.
func faulty(byService map[string][]container, fault func(container) string) error {
	var all []container
	for _, name := range slices.Sorted(maps.Keys(byService)) {
		all = append(all, byService[name]...)
	}
	return differing(all, fault)
}

// runs is a check that each container of a service runs.
func runs(service string) func(map[string][]container) (string, error) {
	return func(byService map[string][]container) (string, error) {
		all := byService[service]
		if len(all) == 0 {
			return "", fmt.Errorf("%s has no container", service)
		}
		if err := differing(all, notRunning); err != nil {
			for _, one := range all {
				if one.State.Status == "paused" {
					err = hinted{err, "docker unpause " + one.name()}
				}
			}
			return "", err
		}
		return fmt.Sprintf("containers: %d", len(all)), nil
	}
}

// notRunning says how a container is that does not run. One that restarts again
// and again has a check of its own.
func notRunning(one container) string {
	switch {
	case one.State.Status == "running", one.State.Status == "restarting":
		return ""
	case one.State.OOMKilled:
		return fmt.Sprintf("is %s (killed for memory, exit code %d)", one.State.Status, one.State.ExitCode)
	case one.State.Status == "paused":
		return "is paused"
	default:
		return fmt.Sprintf("is %s (exit code %d)", one.State.Status, one.State.ExitCode)
	}
}

func othersRun(byService map[string][]container) (string, error) {
	others := maps.Clone(byService)
	maps.DeleteFunc(others, func(name string, _ []container) bool { return slices.Contains(essential(), name) })
	for _, name := range slices.Sorted(maps.Keys(others)) {
		if len(others[name]) == 0 {
			return "", fmt.Errorf("%s has no container", name)
		}
	}
	return fmt.Sprintf("services: %d", len(others)), faulty(others, func(one container) string {
		if text := notRunning(one); text != "" {
			return text
		}
		if health := one.health(); health != "healthy" && health != "" {
			return "is " + health + one.complaint()
		}
		return ""
	})
}

// healthy looks at the health of containers that run.
func healthy(byService map[string][]container) (string, error) {
	ours := maps.Clone(byService)
	maps.DeleteFunc(ours, func(name string, _ []container) bool { return !slices.Contains(essential(), name) })
	return "", faulty(ours, func(one container) string {
		switch health := one.health(); {
		case health == "healthy", one.State.Status != "running":
			return ""
		case health == "":
			return "has no healthcheck"
		default:
			return "is " + health + one.complaint()
		}
	})
}

// steadyAfter is how long a container must run after a restart to be no longer
// taken for one that ends at its start again and again: so the engine counts.
const steadyAfter = 10 * time.Second

// steady reports earlier restarts too: engines note that a process was killed for
// memory only of its last end, so a later end of another kind hides it.
func steady(byService map[string][]container) (string, error) {
	var restarted []string
	for _, all := range byService {
		for _, one := range all {
			if one.RestartCount > 0 {
				restarted = append(restarted, fmt.Sprintf("%s was restarted %d times, last %s ago", one.name(), one.RestartCount, time.Since(one.State.StartedAt).Round(time.Second)))
			}
		}
	}
	slices.Sort(restarted)
	return strings.Join(restarted, "; "), faulty(byService, func(one container) string {
		up := time.Since(one.State.StartedAt)
		if one.State.OOMKilled { // which has a check of its own
			return ""
		}
		if one.State.Status == "restarting" || one.RestartCount > 0 && up < steadyAfter {
			return fmt.Sprintf("was restarted %d times, last %s ago, after exit code %d", one.RestartCount, up.Round(time.Second), one.State.ExitCode)
		}
		return ""
	})
}

// enoughMemory returns an error naming each container whose process the kernel
// killed for memory when it last ended, with its restarts. Engine 20.10 keeps
// OOMKilled when it restarts a container by itself; the exit code is 0 by then.
func enoughMemory(byService map[string][]container) (string, error) {
	return "", faulty(byService, func(one container) string {
		if !one.State.OOMKilled {
			return ""
		}
		return fmt.Sprintf("was killed for memory (OOMKilled, %d restarts)", one.RestartCount)
	})
}
