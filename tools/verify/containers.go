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

func (d *Deployment) containerChecks() []Check {
	const logs = "docker compose ps --all; docker compose logs --tail 50; then docker compose up -d --wait"
	return []Check{
		{Name: "every service runs", Hint: logs, Run: d.ofContainers(running)},
		{Name: "every container is healthy", Hint: logs, Run: d.ofContainers(healthy)},
		{Name: "no container is restarting", Hint: logs, Run: d.ofContainers(steady)},
		{Name: "no container was killed for memory", Hint: "raise the service's memory limit (deploy.resources.limits.memory) in compose.prod.yaml, then: " + redeploy, Run: d.ofContainers(enoughMemory)},
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

// faulty joins what is wrong with any container.
func faulty(byService map[string][]container, fault func(container) string) error {
	var faults []string
	for _, name := range slices.Sorted(maps.Keys(byService)) {
		for _, one := range byService[name] {
			if text := fault(one); text != "" {
				faults = append(faults, one.name()+" "+text)
			}
		}
	}
	if len(faults) > 0 {
		return errors.New(strings.Join(faults, "; "))
	}
	return nil
}

func running(byService map[string][]container) (string, error) {
	var counts []string
	for _, name := range slices.Sorted(maps.Keys(byService)) {
		if len(byService[name]) == 0 {
			return "", fmt.Errorf("%s has no container", name)
		}
		counts = append(counts, fmt.Sprintf("%s %d", name, len(byService[name])))
	}
	return strings.Join(counts, ", "), faulty(byService, func(one container) string {
		if one.State.Status == "running" {
			return ""
		}
		return fmt.Sprintf("is %s (exit code %d)", one.State.Status, one.State.ExitCode)
	})
}

func healthy(byService map[string][]container) (string, error) {
	for _, name := range []string{serviceAPI, serviceWorker, serviceRedis} {
		if len(byService[name]) == 0 {
			return "", fmt.Errorf("%s has no container", name)
		}
	}
	return "", faulty(byService, func(one container) string {
		ours := slices.Contains([]string{serviceAPI, serviceWorker, serviceRedis}, one.service())
		switch health := one.health(); {
		case health == "healthy", health == "" && !ours && one.State.Status == "running":
			return ""
		case health == "":
			return "is " + one.State.Status + ", and tells nothing of its health"
		default:
			return "is " + health
		}
	})
}

// steadyAfter is how long a container must run after a restart to be no longer
// taken for one that ends at its start again and again: so the engine counts.
const steadyAfter = 10 * time.Second

func steady(byService map[string][]container) (string, error) {
	return "", faulty(byService, func(one container) string {
		up := time.Since(one.State.StartedAt)
		if one.State.Status == "restarting" || one.RestartCount > 0 && up < steadyAfter {
			return fmt.Sprintf("was restarted %d times, last %s ago, after exit code %d", one.RestartCount, up.Round(time.Second), one.State.ExitCode)
		}
		return ""
	})
}

// enoughMemory returns an error naming each container whose process the kernel
// killed for memory, with its restarts.
func enoughMemory(byService map[string][]container) (string, error) {
	return "", faulty(byService, func(one container) string {
		if !one.State.OOMKilled {
			return ""
		}
		return fmt.Sprintf("was killed for memory (OOMKilled, exit code %d, %d restarts)", one.State.ExitCode, one.RestartCount)
	})
}
