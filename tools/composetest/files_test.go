package composetest

import (
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
	"github.com/google/go-cmp/cmp"

	"github.com/prosaas/receipts/pkg/config"
)

const root = "../.."

var (
	development = []string{"compose.yaml"}
	production  = []string{"compose.yaml", "compose.prod.yaml"}
)

// load reads compose files as docker compose does, with every profile.
func load(t *testing.T, files []string, environ ...string) *types.Project {
	t.Helper()
	var paths []string
	for _, file := range files {
		paths = append(paths, filepath.Join(root, file))
	}
	environ = append([]string{"RECEIPTS_VERSION=v1", "GOOGLE_CLIENT_ID=id", "GOOGLE_REDIRECT_URL=https://receipts.test/api/gmail/oauth/callback"}, environ...)
	options, err := cli.NewProjectOptions(paths, cli.WithEnv(environ), cli.WithProfiles([]string{"*"}))
	if err != nil {
		t.Fatal(err)
	}
	project, err := options.LoadProject(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return project
}

// both is what a developer has, and what production has.
func both(t *testing.T) map[string]*types.Project {
	t.Helper()
	return map[string]*types.Project{"development": load(t, development), "production": load(t, production)}
}

func TestServices(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		files []string
		want  []string
	}{
		{development, []string{"backup", "gmailsim", "receipts-api", "receipts-worker", "redis", "verify"}},
		{production, []string{"backup", "receipts-api", "receipts-worker", "redis", "verify"}},
	} {
		project := load(t, tt.files)
		got := project.ServiceNames()
		slices.Sort(got)
		// Watching comes with a profile of its own, in both.
		got = slices.DeleteFunc(got, func(name string) bool { return slices.Contains(project.AllServices()[name].Profiles, "observability") })
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("services of %q (-want +got):\n%s", tt.files, diff)
		}
	}
}

// hardeningFaults lists what keeps a service from being held tight.
func hardeningFaults(s types.ServiceConfig) []string {
	var faults []string
	fault := func(ok bool, what string) {
		if !ok {
			faults = append(faults, what)
		}
	}
	fault(s.ReadOnly, "its root can be written")
	fault(slices.Equal(s.CapDrop, []string{"ALL"}) && len(s.CapAdd) == 0, "it has capabilities")
	fault(slices.Contains(s.SecurityOpt, "no-new-privileges:true"), "it may gain privileges")
	fault(s.User != "" && !strings.HasPrefix(s.User, "0") && !strings.HasPrefix(s.User, "root"), "it is root")
	fault(!s.Privileged && s.NetworkMode == "" && s.Pid == "" && s.Ipc == "", "it is in the host's namespaces")
	limits := types.Resource{}
	if s.Deploy != nil && s.Deploy.Resources.Limits != nil {
		limits = *s.Deploy.Resources.Limits
	}
	fault(limits.MemoryBytes > 0, "its memory has no limit")
	fault(limits.NanoCPUs > 0, "its cpu has no limit")
	fault(limits.Pids > 0, "its processes have no limit")
	fault(s.Logging != nil && s.Logging.Options["max-size"] != "" && s.Logging.Options["max-file"] != "", "its log is not rotated")
	fault(s.StopGracePeriod != nil && time.Duration(*s.StopGracePeriod) >= 30*time.Second, "it is killed while it stops")
	if !slices.Contains(s.Profiles, "tools") {
		fault(s.Restart == types.RestartPolicyUnlessStopped, "it is not restarted")
	}
	return faults
}

func TestHardening(t *testing.T) {
	t.Parallel()
	for where, project := range both(t) {
		for name, service := range project.Services {
			for _, fault := range hardeningFaults(service) {
				t.Errorf("%s in %s: %s", name, where, fault)
			}
		}
	}
}

func TestHardeningRulesBite(t *testing.T) {
	t.Parallel()
	for name, loosen := range map[string]func(*types.ServiceConfig){
		"a writable root":   func(s *types.ServiceConfig) { s.ReadOnly = false },
		"a capability":      func(s *types.ServiceConfig) { s.CapAdd = []string{"NET_ADMIN"} },
		"all capabilities":  func(s *types.ServiceConfig) { s.CapDrop = nil },
		"new privileges":    func(s *types.ServiceConfig) { s.SecurityOpt = nil },
		"root":              func(s *types.ServiceConfig) { s.User = "0:0" },
		"nobody said":       func(s *types.ServiceConfig) { s.User = "" },
		"the host's net":    func(s *types.ServiceConfig) { s.NetworkMode = "host" },
		"no limits":         func(s *types.ServiceConfig) { s.Deploy = nil },
		"no limit of pids":  func(s *types.ServiceConfig) { s.Deploy.Resources.Limits.Pids = 0 },
		"an endless log":    func(s *types.ServiceConfig) { s.Logging = nil },
		"an impatient stop": func(s *types.ServiceConfig) { s.StopGracePeriod = nil },
		"no restart":        func(s *types.ServiceConfig) { s.Restart = "no" },
	} {
		service := load(t, production).Services["receipts-worker"]
		loosen(&service)
		if len(hardeningFaults(service)) == 0 {
			t.Errorf("%s is not found", name)
		}
	}
}

func TestHealthchecks(t *testing.T) {
	t.Parallel()
	for where, project := range both(t) {
		want := map[string][]string{
			"receipts-api":    {"CMD", "/receipts-api", "healthcheck"},
			"receipts-worker": {"CMD", "/receipts-worker", "healthcheck"},
			"redis":           {"CMD", "redis-cli", "-e", "--no-auth-warning", "--user", "health", "--pass", "any", "ping"},
		}
		for name, test := range want {
			check := project.Services[name].HealthCheck
			if diff := cmp.Diff(test, []string(check.Test)); diff != "" {
				t.Errorf("health of %s in %s (-want +got):\n%s", name, where, diff)
			}
			if check.Disable || check.Interval == nil || check.Timeout == nil || check.StartPeriod == nil {
				t.Errorf("health of %s in %s leaves times to the engine: %+v", name, where, check)
			}
			if check.StartInterval != nil {
				t.Errorf("health of %s in %s has a start_interval, which engines before 25 refuse", name, where)
			}
		}
	}
}

// Each waits for Redis and for nobody else: that no worker is there is the
// guard's to say, and somebody must run to say it.
func TestNobodyWaitsForAService(t *testing.T) {
	t.Parallel()
	for where, project := range both(t) {
		for _, name := range []string{"receipts-api", "receipts-worker"} {
			want := types.DependsOnConfig{"redis": {Condition: types.ServiceConditionHealthy, Required: true}}
			if diff := cmp.Diff(want, project.Services[name].DependsOn); diff != "" {
				t.Errorf("%s in %s waits for (-want +got):\n%s", name, where, diff)
			}
		}
	}
}

func networks(project *types.Project, service string) []string {
	s := project.Services[service]
	return s.NetworksByPriority()
}

func TestNetworks(t *testing.T) {
	t.Parallel()
	for where, project := range both(t) {
		if !project.Networks["redis"].Internal {
			t.Errorf("the network of Redis leads out in %s", where)
		}
		if diff := cmp.Diff([]string{"redis"}, networks(project, "redis")); diff != "" {
			t.Errorf("networks of Redis in %s (-want +got):\n%s", where, diff)
		}
		for _, name := range []string{"receipts-api", "receipts-worker"} {
			on := networks(project, name)
			out := slices.ContainsFunc(on, func(network string) bool { return !project.Networks[network].Internal })
			if !out || !slices.Contains(on, "redis") {
				t.Errorf("%s in %s is on %q: want Redis's and a way out", name, where, on)
			}
		}
	}
}

func TestOnlyTheAPIIsPublished(t *testing.T) {
	t.Parallel()
	published := func(files []string) map[string][]string {
		ports := map[string][]string{}
		for name, service := range load(t, files).Services {
			for _, port := range service.Ports {
				ports[name] = append(ports[name], port.HostIP+":"+port.Published)
			}
		}
		return ports
	}
	if diff := cmp.Diff(map[string][]string{"receipts-api": {"127.0.0.1:8080"}}, published(production)); diff != "" {
		t.Errorf("published in production (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[string][]string{"receipts-api": {"127.0.0.1:8080"}, "gmailsim": {"127.0.0.1:8025"}}, published(development)); diff != "" {
		t.Errorf("published in development (-want +got):\n%s", diff)
	}
}

// What docker compose does without a file's name is never done to production,
// whose volumes keep their names.
func TestProductionHasAProjectOfItsOwn(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		files   []string
		environ []string
		want    string
	}{
		{development, nil, "receipts-dev"},
		{development, []string{"RECEIPTS_PROJECT=second"}, "receipts-dev"},
		{production, nil, "receipts"},
		{production, []string{"RECEIPTS_PROJECT=second"}, "second"},
	} {
		project := load(t, tt.files, tt.environ...)
		if project.Name != tt.want || project.Volumes["redis"].Name != tt.want+"_redis" || project.Volumes["blobs"].Name != tt.want+"_blobs" {
			t.Errorf("%q with %q: project %s with volume %s, want %s", tt.files, tt.environ, project.Name, project.Volumes["redis"].Name, tt.want)
		}
	}
}

// Production runs images by the version that was asked for, builds none, and
// loses no write.
func TestProduction(t *testing.T) {
	t.Parallel()
	project := load(t, production)
	for name, service := range project.Services {
		if service.Build != nil {
			t.Errorf("%s is built where it is deployed", name)
		}
		if name != "redis" && strings.HasPrefix(service.Image, "receipts-") && !strings.HasSuffix(service.Image, ":v1") {
			t.Errorf("%s runs %s", name, service.Image)
		}
		if value := service.Environment["APP_ENV"]; strings.HasPrefix(name, "receipts-") && (value == nil || *value != config.Production) {
			t.Errorf("%s is not told that this is production", name)
		}
		for setting, value := range service.Environment {
			if value != nil && strings.Contains(*value, "gmailsim") {
				t.Errorf("%s has the simulator for its %s", name, setting)
			}
		}
	}
	if diff := cmp.Diff(types.ShellCommand{"redis-server", "/etc/redis/redis.conf", "--appendfsync", "always"}, project.Services["redis"].Command); diff != "" {
		t.Errorf("Redis is started otherwise (-want +got):\n%s", diff)
	}
}

func TestRedisKeepsEverything(t *testing.T) {
	t.Parallel()
	content, err := os.ReadFile(filepath.Join(root, "deploy/redis/redis.conf"))
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(content), "\n")
	for _, want := range []string{"appendonly yes", "appendfsync everysec", "maxmemory-policy noeviction", "aclfile /run/secrets/redis_acl"} {
		if !slices.Contains(lines, want) {
			t.Errorf("redis.conf lacks %q", want)
		}
	}
}

// What a service can be told, compose can tell it; a secret comes from a file.
func TestEverySettingCanBeSet(t *testing.T) {
	t.Parallel()
	for where, project := range both(t) {
		sections := map[string][]string{
			"# ---- Both services": {"receipts-api", "receipts-worker"}, "# ---- receipts-api": {"receipts-api"}, "# ---- receipts-worker": {"receipts-worker"},
		}
		var services []string
		settings := 0
		for block := range strings.SplitSeq(config.EnvExample(), "\n\n") {
			lines := strings.Split(strings.TrimSpace(block), "\n")
			if of, ok := sections[lines[0]]; ok {
				services = of
				continue
			}
			if services == nil {
				continue // the head of the file
			}
			setting, _, _ := strings.Cut(strings.TrimPrefix(lines[len(lines)-1], "#"), "=")
			if strings.HasSuffix(lines[0], "(secret)") {
				setting += "_FILE"
			}
			settings++
			for _, service := range services {
				if _, ok := project.Services[service].Environment[setting]; !ok {
					t.Errorf("%s in %s cannot be told its %s", service, where, setting)
				}
			}
		}
		if settings < 30 {
			t.Errorf("only %d settings of .env.example were looked for in %s", settings, where)
		}
	}
}

// No secret is in the environment, whose values docker inspect shows.
func TestSecretsAreFiles(t *testing.T) {
	t.Parallel()
	secret := map[string]bool{}
	for _, settings := range []reflect.Type{reflect.TypeFor[config.API](), reflect.TypeFor[config.Worker](), reflect.TypeFor[config.Verify]()} {
		for _, field := range reflect.VisibleFields(settings) {
			if field.Type == reflect.TypeFor[config.Secret]() || field.Type == reflect.TypeFor[[]config.Secret]() {
				secret[field.Tag.Get("env")] = true
			}
		}
	}
	if !secret["REDIS_URL"] || !secret["VERIFY_TOKEN"] {
		t.Fatalf("secret settings: %v", secret)
	}
	for where, project := range both(t) {
		for name, service := range project.Services {
			for setting, value := range service.Environment {
				if secret[setting] {
					t.Errorf("%s in %s has its %s in the environment", name, where, setting)
				}
				if setting == "STORE_REDIS_URL_FILE" && value != nil && *value == "" {
					continue // one Redis
				}
				if strings.HasSuffix(setting, "_FILE") && (value == nil || !strings.HasPrefix(*value, "/run/secrets/")) {
					t.Errorf("%s in %s reads its %s from elsewhere than /run/secrets", name, where, setting)
				}
			}
		}
		for name, secret := range project.Secrets {
			if want, err := filepath.Abs(filepath.Join(root, "deploy/secrets", name)); err != nil || secret.File != want {
				t.Errorf("secret %s in %s comes from %q, want %q", name, where, secret.File, want)
			}
		}
	}
}

// The edge runs Caddy at the version that its tests build.
func TestEdgeRunsTheTestedCaddy(t *testing.T) {
	t.Parallel()
	pinned, err := os.ReadFile(filepath.Join(root, "tools/caddy/go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	_, version, _ := strings.Cut(string(pinned), "github.com/caddyserver/caddy/v2 v")
	version, _, _ = strings.Cut(version, " ")
	image := load(t, []string{"deploy/edge/compose.yaml"}, "EDGE_ADDRESS=receipts.test", "EDGE_TLS=internal").Services["caddy"].Image
	if want := "caddy:" + version; image != want {
		t.Errorf("the edge runs %s, and its tests build %s", image, want)
	}
}
