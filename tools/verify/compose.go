package verify

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"slices"
	"strings"
	"syscall"
	"time"
)

// The services of the compose project.
const (
	serviceAPI    = "receipts-api"
	serviceWorker = "receipts-worker"
	serviceRedis  = "redis"
)

// compose speaks to the compose project of some files through the docker program.
type compose struct {
	docker string
	files  string // as in COMPOSE_FILE
}

// run answers what docker prints.
func (c compose) run(ctx context.Context, args ...string) ([]byte, error) {
	var out, said bytes.Buffer
	if err := c.exec(ctx, &out, &said, args...); err != nil {
		return nil, fmt.Errorf("%w%s", err, lastWords(said.String()))
	}
	return out.Bytes(), nil
}

// exec runs docker with these arguments. It is asked to end with ctx, in a
// group of its own, so that Ctrl-C reaches it through ctx alone: what puts
// things back must not be cut off by the same keystroke.
func (c compose) exec(ctx context.Context, out, said io.Writer, args ...string) error {
	cmd := exec.CommandContext(ctx, c.docker, args...) // #nosec G204 -- the operator's own docker
	cmd.Env = append(os.Environ(), "COMPOSE_FILE="+c.files)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 10 * time.Second
	cmd.Stdout, cmd.Stderr = out, said
	err := cmd.Run()
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		return fmt.Errorf("docker %s: %w", strings.Join(args[:min(len(args), 3)], " "), err)
	}
	return nil
}

// lastWords are the last lines that a program said, after a colon.
func lastWords(said string) string {
	lines := strings.Split(strings.TrimSpace(said), "\n")
	said = strings.Join(lines[max(0, len(lines)-3):], "; ")
	if said == "" {
		return ""
	}
	return fmt.Sprintf(": %.500s", said)
}

// here tells why compose cannot be asked from here.
func (c compose) here(ctx context.Context) error {
	if _, err := exec.LookPath(c.docker); err != nil {
		return errors.New("there is no docker here; on the host: make verify")
	}
	_, err := c.run(ctx, "compose", "version")
	return err
}

// runs tells why there is nothing here that compose started.
func (c compose) runs(ctx context.Context) error {
	if err := c.here(ctx); err != nil {
		return err
	}
	all, err := c.containers(ctx)
	if err == nil && len(all) == 0 {
		err = errors.New("no compose project runs here")
	}
	return err
}

// service is what the compose files say of one service.
type service struct {
	Image       string             `json:"image"`
	Entrypoint  []string           `json:"entrypoint"`
	Command     []string           `json:"command"`
	Profiles    []string           `json:"profiles"`
	Restart     string             `json:"restart"`
	Environment map[string]*string `json:"environment"`
	Healthcheck *struct {
		Test    []string `json:"test"`
		Disable bool     `json:"disable"`
	} `json:"healthcheck"`
	DependsOn map[string]struct {
		Condition string `json:"condition"`
	} `json:"depends_on"`
	Volumes []struct {
		Type     string `json:"type"`
		Source   string `json:"source"`
		Target   string `json:"target"`
		ReadOnly bool   `json:"read_only"`
	} `json:"volumes"`
	Secrets []mount `json:"secrets"`
	Configs []mount `json:"configs"`
	Scale   *int    `json:"scale"`
	Deploy  struct {
		Replicas *int `json:"replicas"`
	} `json:"deploy"`
}

// replicas returns how many containers the service is to have.
func (s service) replicas() int {
	for _, number := range []*int{s.Scale, s.Deploy.Replicas} {
		if number != nil {
			return *number
		}
	}
	return 1
}

// mount is one of the project's secrets or configs in a service.
type mount struct {
	Source string `json:"source"`
	Target string `json:"target"`
}

// target returns where a container has the file; a name alone is in folder.
func target(m mount, folder string) string {
	at := cmp.Or(m.Target, m.Source)
	if !path.IsAbs(at) {
		at = path.Join(folder, at)
	}
	return at
}

type file struct {
	File string `json:"file"`
}

type named struct {
	Name string `json:"name"`
}

// project is what the compose files say, with what they were filled with.
type project struct {
	Services map[string]service `json:"services"`
	Secrets  map[string]file    `json:"secrets"`
	Configs  map[string]file    `json:"configs"`
	Volumes  map[string]named   `json:"volumes"`
	Networks map[string]named   `json:"networks"`
}

// project reads the composition, with the services of these profiles.
func (c compose) project(ctx context.Context, profiles ...string) (project, error) {
	args := []string{"compose"}
	for _, profile := range profiles {
		args = append(args, "--profile", profile)
	}
	out, err := c.run(ctx, append(args, "config", "--format", "json")...)
	if err != nil {
		return project{}, err
	}
	var p project
	if err := json.Unmarshal(out, &p); err != nil {
		return project{}, fmt.Errorf("read docker compose config: %w", err)
	}
	return p, nil
}

// container is one container of the project, as the engine has it.
type container struct {
	ID           string `json:"Id"` //nolint:tagliatelle // the engine's spelling
	Name         string
	RestartCount int
	State        struct {
		Status    string // created, running, paused, restarting, removing, exited, dead
		ExitCode  int
		OOMKilled bool
		StartedAt time.Time
		Health    *health
	}
	Image  string
	Config struct {
		Labels               map[string]string
		Env, Cmd, Entrypoint []string
	}
	NetworkSettings struct {
		Ports map[string][]struct{ HostIp, HostPort string } //nolint:revive // the engine's spelling
	}
	Mounts []struct {
		Type, Name, Source, Destination string
		RW                              bool
	}
}

// health is what the healthchecks found.
type health struct {
	Status string
	Log    []struct {
		ExitCode int
		Output   string
	}
}

// program returns what the container runs.
func (c container) program() string {
	if words := slices.Concat(c.Config.Entrypoint, c.Config.Cmd); len(words) > 0 {
		return words[0]
	}
	return ""
}

func (c container) service() string { return c.Config.Labels["com.docker.compose.service"] }

func (c container) health() string {
	if c.State.Health == nil {
		return ""
	}
	return c.State.Health.Status
}

// complaint returns what the last healthcheck that failed wrote.
func (c container) complaint() string {
	if c.State.Health == nil {
		return ""
	}
	for _, check := range slices.Backward(c.State.Health.Log) {
		if check.ExitCode != 0 {
			return lastWords(check.Output)
		}
	}
	return ""
}

// name is the container's, without the slash that the engine puts before it.
func (c container) name() string { return strings.TrimPrefix(c.Name, "/") }

// containers are those of the project, stopped ones too; those of `docker
// compose run` are not among them.
func (c compose) containers(ctx context.Context) ([]container, error) {
	all, err := c.inspect(ctx, "compose", "ps", "--all", "--quiet")
	return slices.DeleteFunc(all, func(one container) bool { return one.Config.Labels["com.docker.compose.oneoff"] == "True" }), err
}

// inspect inspects the containers whose ids a docker command prints.
func (c compose) inspect(ctx context.Context, list ...string) ([]container, error) {
	out, err := c.run(ctx, list...)
	if err != nil {
		return nil, err
	}
	ids := strings.Fields(string(out))
	if len(ids) == 0 {
		return nil, nil
	}
	if out, err = c.run(ctx, append([]string{"inspect", "--type", "container"}, ids...)...); err != nil {
		return nil, err
	}
	var all []container
	if err := json.Unmarshal(out, &all); err != nil {
		return nil, fmt.Errorf("read docker inspect: %w", err)
	}
	return all, nil
}

// workers are the containers of the worker.
func (c compose) workers(ctx context.Context) ([]container, error) {
	all, err := c.containers(ctx)
	return slices.DeleteFunc(all, func(one container) bool { return one.service() != serviceWorker }), err
}

// logTail is how many lines of a worker's log are searched, the newest.
const logTail = "1000"

// starters are the workers that logged the start of a job.
func (c compose) starters(ctx context.Context, job string) ([]container, error) {
	workers, err := c.workers(ctx)
	if err != nil {
		return nil, err
	}
	var starters []container
	for _, worker := range workers {
		log, err := c.logs(ctx, worker.ID)
		if err != nil {
			return nil, err
		}
		for line := range strings.Lines(log) {
			if strings.Contains(line, "JOB_START") && strings.Contains(line, job) {
				starters = append(starters, worker)
				break
			}
		}
	}
	return starters, nil
}

// logs are the newest lines that a container wrote, to either stream.
func (c compose) logs(ctx context.Context, id string) (string, error) {
	var both bytes.Buffer
	err := c.exec(ctx, &both, &both, "logs", "--tail", logTail, id)
	return both.String(), err
}
