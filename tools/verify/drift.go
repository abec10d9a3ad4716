package verify

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

const (
	deployedHere = "every container was started from this composition"
	nothingElse  = "no container is there that the composition does not have"
)

// driftChecks compare what runs with the composition: each thing that somebody
// may have changed by hand.
func (d *Deployment) driftChecks() []Check {
	const again = "put back what was deployed: docker compose up -d --wait --remove-orphans; a change that is meant to stay belongs into compose.prod.yaml or .env, then: " + redeploy
	checks := []Check{
		{Name: deployedHere, Hint: "deploy this checkout over it: " + redeploy, Run: d.ofDrift(startedFromHere)},
		{Name: nothingElse, Hint: "stop what is named, docker stop NAME; to run more workers set WORKER_REPLICAS in .env, then: " + redeploy, Run: d.nothingBeside},
		{Name: "each service has its number of containers", Hint: again, Run: d.ofDrift(replicas)},
		{Name: "images are the deployed ones", Hint: again, Run: d.ofDrift(eachContainer(imageDrift))},
		{Name: "commands are the deployed ones", Hint: again, Run: d.ofDrift(eachContainer(commandDrift))},
		{Name: "environments are the deployed ones", Hint: again, Run: d.ofDrift(eachContainer(environmentDrift))},
		{Name: "mounts are the deployed ones", Hint: again, Run: d.ofDrift(eachContainer(mountDrift))},
		{Name: "settings are those of production", Hint: "compare .env and compose.prod.yaml with the release's, then: " + redeploy, Run: d.ofDrift(productionSettings)},
		{Name: "secrets and redis.conf are the deployed ones", Hint: "deploy what was edited: " + redeploy, Run: d.ofDrift(filesDrift)},
	}
	for i := range checks[1:] {
		checks[i+1].Needs = []string{deployedHere}
	}
	return checks
}

// drift is what should run and what runs.
type drift struct {
	compose

	project    project
	containers []container
	images     map[string]image // by id, and by the name in the composition
}

// image is what an image brings into its containers.
type image struct {
	ID     string `json:"Id"` //nolint:tagliatelle // the engine's spelling
	Config struct {
		Env, Cmd, Entrypoint []string
		Volumes              map[string]any
	}
}

// ofDrift is a check of what runs against the composition.
func (d *Deployment) ofDrift(check func(drift) (string, error)) func(context.Context) (string, error) {
	return func(ctx context.Context) (string, error) {
		found, err := d.compose.drift(ctx)
		if err != nil {
			return "", err
		}
		return check(found)
	}
}

func (c compose) drift(ctx context.Context) (drift, error) {
	p, err := c.project(ctx, "*")
	if err != nil {
		return drift{}, err
	}
	all, err := c.containers(ctx)
	if err != nil {
		return drift{}, err
	}
	found := drift{compose: c, project: p, containers: all, images: map[string]image{}}
	for _, one := range all {
		name := p.Services[one.service()].Image
		if name == "" || found.images[name].ID != "" {
			continue
		}
		out, err := c.run(ctx, "image", "inspect", name)
		if err != nil {
			return drift{}, err
		}
		var images []image
		if err := json.Unmarshal(out, &images); err != nil || len(images) != 1 {
			return drift{}, fmt.Errorf("read docker image inspect %s: %d images, %w", name, len(images), err)
		}
		found.images[name] = images[0]
	}
	return found, nil
}

// startedFromHere compares the files that compose noted in each container's
// labels. Development files leave their own names there.
func startedFromHere(found drift) (string, error) {
	wanted := origin(found.files)
	return wanted, differing(found.containers, func(one container) string {
		if seen := origin(one.Config.Labels["com.docker.compose.project.config_files"]); seen != wanted {
			return fmt.Sprintf("was started from %s, want %s", seen, wanted)
		}
		return ""
	})
}

// origin returns absolute names of a composition's files, separated by commas.
// What prod-up deploys is next.yaml until it is proven.
func origin(files string) string {
	var names []string
	for _, file := range strings.FieldsFunc(files, func(r rune) bool { return r == ':' || r == ',' }) {
		if absolute, err := filepath.Abs(file); err == nil {
			file = absolute
		}
		if folder, err := filepath.EvalSymlinks(filepath.Dir(file)); err == nil {
			file = filepath.Join(folder, filepath.Base(file))
		}
		if filepath.Base(file) == "next.yaml" {
			file = filepath.Join(filepath.Dir(file), "compose.yaml")
		}
		names = append(names, file)
	}
	return strings.Join(names, ",")
}

// differing joins the faults of all containers into one error.
func differing(all []container, fault func(container) string) error {
	var texts []string
	for _, one := range all {
		if text := fault(one); text != "" {
			texts = append(texts, one.name()+" "+text)
		}
	}
	if len(texts) == 0 {
		return nil
	}
	return errors.New(strings.Join(texts, "; "))
}

// nothingBeside looks for containers of services that the composition does not
// have, and for workers and APIs that were started beside it: by docker compose
// run, or by docker run on one of its networks.
func (d *Deployment) nothingBeside(ctx context.Context) (string, error) {
	found, err := d.compose.drift(ctx)
	if err != nil {
		return "", err
	}
	var strays []string
	for _, one := range found.containers {
		if _, ok := found.project.Services[one.service()]; !ok {
			strays = append(strays, fmt.Sprintf("%s is of a service %s, which the composition does not have", one.name(), one.service()))
		}
	}
	args := []string{"ps", "--quiet", "--no-trunc"}
	for _, network := range found.project.Networks {
		args = append(args, "--filter", "network="+network.Name)
	}
	near, err := d.compose.inspect(ctx, args...)
	if err != nil {
		return "", err
	}
	for _, one := range near {
		ours := slices.ContainsFunc(found.containers, func(other container) bool { return other.ID == one.ID })
		program := filepath.Base(one.program())
		if !ours && slices.Contains([]string{serviceAPI, serviceWorker}, program) {
			strays = append(strays, fmt.Sprintf("%s runs %s beside the composition", one.name(), program))
		}
	}
	if len(strays) > 0 {
		return "", errors.New(strings.Join(strays, "; "))
	}
	return fmt.Sprintf("containers: %d", len(found.containers)), nil
}

// replicas compares how many containers each service has. Services of a profile
// need not run.
func replicas(found drift) (string, error) {
	counts := map[string]int{}
	for _, one := range found.containers {
		counts[one.service()]++
	}
	var texts []string
	for _, name := range slices.Sorted(maps.Keys(found.project.Services)) {
		s := found.project.Services[name]
		if wanted, seen := s.replicas(), counts[name]; wanted != seen && (seen > 0 || len(s.Profiles) == 0) {
			texts = append(texts, fmt.Sprintf("%s: want %d, see %d", name, wanted, seen))
		}
	}
	if len(texts) > 0 {
		return "", errors.New(strings.Join(texts, "; "))
	}
	return "", nil
}

// eachContainer compares each container with its service.
func eachContainer(fault func(found drift, s service, one container) string) func(drift) (string, error) {
	return func(found drift) (string, error) {
		return "", differing(found.containers, func(one container) string {
			s, ok := found.project.Services[one.service()]
			if !ok {
				return ""
			}
			return fault(found, s, one)
		})
	}
}

func imageDrift(found drift, s service, one container) string {
	if wanted := found.images[s.Image].ID; one.Image != wanted {
		return fmt.Sprintf("has the image %.19s, want %.19s", one.Image, wanted)
	}
	return ""
}

func commandDrift(found drift, s service, one container) string {
	brought := found.images[s.Image].Config
	for _, part := range []struct {
		name                   string
		deployed, image, found []string
	}{
		{"entrypoint", s.Entrypoint, brought.Entrypoint, one.Config.Entrypoint},
		{"command", s.Command, brought.Cmd, one.Config.Cmd},
	} {
		wanted := part.image
		if len(part.deployed) > 0 {
			wanted = unescaped(part.deployed)
		}
		if !slices.Equal(wanted, part.found) {
			at := 0 // the words themselves may hold a password
			for at < min(len(wanted), len(part.found)) && wanted[at] == part.found[at] {
				at++
			}
			return fmt.Sprintf("has another %s, of %d words where %d are deployed, from word %d on", part.name, len(part.found), len(wanted), at+1)
		}
	}
	return ""
}

// unescaped undoes what docker compose config does to a $.
func unescaped(words []string) []string {
	plain := slices.Clone(words)
	for i := range plain {
		plain[i] = strings.ReplaceAll(plain[i], "$$", "$")
	}
	return plain
}

func environmentDrift(found drift, s service, one container) string {
	wanted, seen := variables(found.images[s.Image].Config.Env), variables(one.Config.Env)
	for name, value := range s.Environment {
		if value != nil {
			wanted[name] = strings.ReplaceAll(*value, "$$", "$")
		}
	}
	var texts []string
	names := maps.Clone(wanted)
	maps.Copy(names, seen)
	for _, name := range slices.Sorted(maps.Keys(names)) {
		value, ok := wanted[name]
		other, there := seen[name]
		if value != other || ok != there {
			texts = append(texts, fmt.Sprintf("%s is %s, want %s", name, shown(name, other, there), shown(name, value, ok)))
		}
	}
	if len(texts) == 0 {
		return ""
	}
	return "has another environment: " + strings.Join(texts, ", ")
}

func variables(environ []string) map[string]string {
	values := map[string]string{}
	for _, entry := range environ {
		name, value, _ := strings.Cut(entry, "=")
		values[name] = value
	}
	return values
}

var secretName = regexp.MustCompile(`(?i)KEY|SECRET|TOKEN|PASS|PWD|AUTH|CREDENTIAL|DSN|REDIS_URL`)

// shown returns a value for people. What may be a secret is not shown.
func shown(name, value string, set bool) string {
	switch {
	case !set:
		return "not set"
	case secretName.MatchString(name) && !strings.HasSuffix(name, "_FILE") && !strings.HasSuffix(name, "TOKEN_URL") || strings.Contains(value, "@"):
		return "another (a secret)"
	default:
		return fmt.Sprintf("%q", value)
	}
}

// mountDrift compares what is mounted where, and whether it may be written to.
func mountDrift(found drift, s service, one container) string {
	wanted, seen := map[string]string{}, map[string]string{}
	text := func(source string, writable bool) string {
		if writable {
			return source
		}
		return source + " read-only"
	}
	for _, v := range s.Volumes {
		source := v.Source
		if named, ok := found.project.Volumes[source]; ok && v.Type == "volume" {
			source = named.Name
		}
		wanted[v.Target] = text(source, !v.ReadOnly)
	}
	for _, m := range s.Secrets {
		wanted[target(m, "/run/secrets")] = text(found.project.Secrets[m.Source].File, false)
	}
	for _, m := range s.Configs {
		wanted[target(m, "/")] = text(found.project.Configs[m.Source].File, false)
	}
	for _, m := range one.Mounts {
		source := m.Source
		if m.Type == "volume" {
			source = m.Name
		}
		_, brought := found.images[s.Image].Config.Volumes[m.Destination]
		if _, ok := wanted[m.Destination]; ok || !brought {
			seen[m.Destination] = text(source, m.RW)
		}
	}
	names := maps.Clone(wanted)
	maps.Copy(names, seen)
	var texts []string
	for _, at := range slices.Sorted(maps.Keys(names)) {
		if wanted[at] != seen[at] {
			texts = append(texts, fmt.Sprintf("%s is %q, want %q", at, seen[at], wanted[at]))
		}
	}
	if len(texts) == 0 {
		return ""
	}
	return "has other mounts: " + strings.Join(texts, ", ")
}
