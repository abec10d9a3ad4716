package verify

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
)

func (d *Deployment) configChecks() []Check {
	const compose = "correct compose.yaml or compose.prod.yaml, then: " + redeploy
	return []Check{
		{Name: "the compose files are valid", Hint: "docker compose config shows the fault; " + compose, Run: d.composeValid},
		{Name: "the worker is defined", Hint: compose, Run: d.inProject(workerDefined)},
		{Name: "the worker is restarted when it ends", Hint: "give receipts-worker restart: unless-stopped; " + compose, Run: d.ofWorker(workerRestarts)},
		{Name: "the worker has a healthcheck", Hint: `give receipts-worker healthcheck: test: ["CMD", "/receipts-worker", "healthcheck"]; ` + compose, Run: d.ofWorker(workerHasHealthcheck)},
		{Name: "the worker waits for Redis", Hint: "give receipts-worker depends_on: redis: condition: service_healthy; " + compose, Run: d.ofWorker(workerDependsOnRedis)},
		{Name: "the worker is given the API's Redis", Hint: "give both the same server and database in REDIS_URL, and the same QUEUE_PREFIX, then: " + redeploy, Run: d.inProject(sameRedisGiven)},
	}
}

func (d *Deployment) composeValid(ctx context.Context) (string, error) {
	_, err := d.compose.run(ctx, "compose", "config", "--quiet")
	return "", err
}

// inProject is a check of what the compose files say.
func (d *Deployment) inProject(check func(project) (string, error)) func(context.Context) (string, error) {
	return func(ctx context.Context) (string, error) {
		p, err := d.compose.project(ctx)
		if err != nil {
			return "", err
		}
		return check(p)
	}
}

func (d *Deployment) ofWorker(check func(service) (string, error)) func(context.Context) (string, error) {
	return d.inProject(func(p project) (string, error) {
		if _, err := workerDefined(p); err != nil {
			return "", err
		}
		return check(p.Services[serviceWorker])
	})
}

func workerDefined(p project) (string, error) {
	if _, ok := p.Services[serviceWorker]; !ok {
		return "", fmt.Errorf("there is no service %s: nobody would do the jobs", serviceWorker)
	}
	return "", nil
}

func workerRestarts(worker service) (string, error) {
	if !slices.Contains([]string{"always", "unless-stopped"}, worker.Restart) {
		return "", fmt.Errorf("its restart is %q", worker.Restart)
	}
	return worker.Restart, nil
}

func workerHasHealthcheck(worker service) (string, error) {
	check := worker.Healthcheck
	if check == nil || check.Disable || len(check.Test) == 0 || check.Test[0] == "NONE" {
		return "", errors.New("it has none")
	}
	return strings.Join(check.Test, " "), nil
}

func workerDependsOnRedis(worker service) (string, error) {
	redis, ok := worker.DependsOn[serviceRedis]
	if !ok || redis.Condition != "service_healthy" {
		return "", errors.New("it starts without waiting until Redis is healthy")
	}
	return "", nil
}

// sameRedisGiven compares where the two services look for each other. Their
// users differ, and are not shown.
func sameRedisGiven(p project) (string, error) {
	api, err := p.meetingPlace(serviceAPI)
	if err != nil {
		return "", err
	}
	worker, err := p.meetingPlace(serviceWorker)
	if err != nil {
		return "", err
	}
	if api != worker {
		return "", fmt.Errorf("the API is given %s, the worker %s", api, worker)
	}
	return api, nil
}

// meetingPlace is the Redis and the prefix that a service is given, without a
// user or password.
func (p project) meetingPlace(name string) (string, error) {
	s, ok := p.Services[name]
	if !ok {
		return "", fmt.Errorf("there is no service %s", name)
	}
	url, err := p.secret(s, "REDIS_URL")
	if err != nil {
		return "", fmt.Errorf("%s: %w", name, err)
	}
	scheme, rest, ok := strings.Cut(url, "://")
	if !ok {
		return "", fmt.Errorf("%s: REDIS_URL is not given, or is no address", name)
	}
	place := scheme + "://" + rest[strings.LastIndex(rest, "@")+1:]
	if prefix := s.variable("QUEUE_PREFIX"); prefix != "" {
		place += " with the prefix " + prefix
	}
	return place, nil
}

// variable is what a service is given, "" where that is nothing.
func (s service) variable(name string) string {
	if value := s.Environment[name]; value != nil {
		return *value
	}
	return ""
}

// secret is what a service finds in a variable, or in the file that NAME_FILE
// names, which is one of the project's secrets.
func (p project) secret(s service, name string) (string, error) {
	at := s.variable(name + "_FILE")
	if at == "" {
		return s.variable(name), nil
	}
	for _, m := range s.Secrets {
		if target(m, "/run/secrets") == at {
			content, err := os.ReadFile(p.Secrets[m.Source].File)
			return strings.TrimSpace(string(content)), err
		}
	}
	return "", fmt.Errorf("%s_FILE is %s, which is none of its secrets", name, at)
}
