package verify

import (
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prosaas/receipts/pkg/config"
	"github.com/prosaas/receipts/pkg/redisclient"
	"github.com/prosaas/receipts/pkg/redistest"
	"github.com/prosaas/receipts/pkg/registry"
	"github.com/prosaas/receipts/proto"
)

// fault is one way in which a check fails.
type fault struct {
	check string
	// breaks makes what is looked at. It begins with a system that nobody else
	// uses where own is set, and else with one that it must not change.
	breaks func(t *testing.T, s *system) config.Verify
	own    func(t *testing.T) *system
	says   string // in the detail
}

// instead changes the settings alone.
func instead(change func(*config.Verify)) func(*testing.T, *system) config.Verify {
	return func(_ *testing.T, s *system) config.Verify {
		settings := s.settings
		change(&settings)
		return settings
	}
}

// throughAPI and those below stand before a listener, and change what it answers.
func throughAPI(path string, change func(*http.Response, string) string) func(*testing.T, *system) config.Verify {
	return through(func(s *config.Verify) *string { return &s.APIURL }, path, change)
}

func throughAPIMetrics(change func(*http.Response, string) string) func(*testing.T, *system) config.Verify {
	return through(func(s *config.Verify) *string { return &s.APIAdminURL }, "/metrics", change)
}

func throughWorkerMetrics(change func(*http.Response, string) string) func(*testing.T, *system) config.Verify {
	return through(func(s *config.Verify) *string { return &s.WorkerAdminURL }, "/metrics", change)
}

func through(at func(*config.Verify) *string, path string, change func(*http.Response, string) string) func(*testing.T, *system) config.Verify {
	return func(t *testing.T, s *system) config.Verify {
		t.Helper()
		settings := s.settings
		*at(&settings) = front(t, *at(&settings), path, change)
		return settings
	}
}

// asItIs changes nothing: what is wrong is the system itself.
func asItIs(_ *testing.T, s *system) config.Verify { return s.settings }

// edit replaces text in what is answered, and keeps the status.
func edit(before, after string) func(*http.Response, string) string {
	return func(_ *http.Response, body string) string { return strings.ReplaceAll(body, before, after) }
}

// older puts a timestamp back by half a minute: longer than a heartbeat counts
// here, and less than it may count anywhere.
func older(at float64) float64 { return at - 30 }

// valued changes the values of a metric.
func valued(name string, change func(float64) float64) func(*http.Response, string) string {
	return func(_ *http.Response, body string) string {
		var aged strings.Builder
		for line := range strings.Lines(body) {
			series, value, _ := strings.Cut(strings.TrimSpace(line), " ")
			if at, err := strconv.ParseFloat(value, 64); err == nil && strings.HasPrefix(series, name) {
				line = series + " " + strconv.FormatFloat(change(at), 'f', 3, 64) + "\n"
			}
			aged.WriteString(line)
		}
		return aged.String()
	}
}

// withWorker is a system whose only worker has these settings.
func withWorker(worker ...string) func(*testing.T) *system {
	return func(t *testing.T) *system {
		t.Helper()
		return newSystem(t, redistest.DB(t), append([]string{}, worker...))
	}
}

// withRedis verifies another Redis than the system has.
func withRedis(args ...string) func(*testing.T, *system) config.Verify {
	return func(t *testing.T, s *system) config.Verify {
		t.Helper()
		settings := s.settings
		settings.RedisURL = config.Secret(durable(t, args...))
		return settings
	}
}

// engineOf changes what docker tells, of a system without any process.
func engineOf(change func(e *engine)) func(*testing.T) *system {
	return func(t *testing.T) *system {
		t.Helper()
		s := &system{t: t, settings: config.Verify{
			Redis: config.Redis{RedisURL: "redis://127.0.0.1:1/0"}, QueuePrefix: proto.DefaultPrefix,
			APIURL: "http://127.0.0.1:1", APIAdminURL: "http://127.0.0.1:1", WorkerAdminURL: "http://127.0.0.1:1",
		}}
		s.engine = newEngine(t, nil)
		s.engine.change(func(e *engine) {
			e.add(serviceWorker, nil)
			change(e)
		})
		return s
	}
}

func failsAt(prefix, why string) func(string) error {
	return func(command string) error {
		if strings.HasPrefix(command, prefix) {
			return errors.New(why)
		}
		return nil
	}
}

const dead = "http://127.0.0.1:1"

func faults() []fault {
	unset := func(service, key string) func(*engine) {
		return func(e *engine) { delete(e.service(service), key) }
	}
	return []fault{
		{check: "the compose files are valid", own: engineOf(func(e *engine) { e.asked = failsAt("compose config --quiet", "services.redis must be a mapping") }), says: "must be a mapping"},
		{check: "the worker is defined", own: engineOf(func(e *engine) { delete(e.project["services"].(map[string]any), serviceWorker) }), says: "no service receipts-worker"},
		{check: "the worker is restarted when it ends", own: engineOf(unset(serviceWorker, "restart")), says: `restart is ""`},
		{check: "the worker has a healthcheck", own: engineOf(unset(serviceWorker, "healthcheck")), says: "none"},
		{check: "the worker has a healthcheck", own: engineOf(func(e *engine) { e.service(serviceWorker)["healthcheck"] = map[string]any{"disable": true} }), says: "none"},
		{check: "the worker waits for Redis", own: engineOf(unset(serviceWorker, "depends_on")), says: "without waiting"},
		{check: "the worker waits for Redis", own: engineOf(func(e *engine) {
			e.service(serviceWorker)["depends_on"] = map[string]any{"redis": map[string]any{"condition": "service_started"}}
		}), says: "without waiting"},
		{check: "the worker is given the API's Redis", own: engineOf(func(e *engine) {
			e.service(serviceWorker)["environment"] = map[string]any{"REDIS_URL": "redis://worker:two@redis:6379/1"}
		}), says: "the API is given redis://redis:6379/0, the worker redis://redis:6379/1"},
		{check: "the worker is given the API's Redis", own: engineOf(func(e *engine) {
			e.service(serviceWorker)["environment"] = map[string]any{"REDIS_URL": "redis://redis:6379/0", "QUEUE_PREFIX": "{other}"}
		}), says: "prefix {other}"},
		{check: "the worker is given the API's Redis", own: engineOf(unset(serviceAPI, "secrets")), says: "none of its secrets"},
		{check: "the worker is given the API's Redis", own: engineOf(func(e *engine) {
			e.project["secrets"] = map[string]any{"redis_url_api": map[string]any{"file": "/no/such/file"}}
		}), says: "/no/such/file"},

		{check: redisRuns, own: engineOf(func(e *engine) { e.all[0].State.Status = "paused" }), says: "redis-1 is paused"},
		{check: apiRuns, own: engineOf(func(e *engine) {
			e.all[1].State.Status, e.all[1].State.OOMKilled, e.all[1].State.ExitCode = "exited", true, 137
		}), says: "receipts-api-2 is exited (killed for memory, exit code 137)"},
		{check: "every other service runs and is healthy", own: engineOf(func(e *engine) { e.project["services"].(map[string]any)["edge"] = map[string]any{} }), says: "edge has no container"},
		{check: "every other service runs and is healthy", own: engineOf(func(e *engine) {
			e.project["services"].(map[string]any)["edge"] = map[string]any{}
			e.add("edge", nil).State.Health.Status = "unhealthy"
		}), says: "edge-4 is unhealthy"},
		{check: workerRuns, own: engineOf(func(e *engine) { e.all = e.all[:2] }), says: "receipts-worker has no container"},
		{check: workerRuns, own: engineOf(func(e *engine) { e.all[2].State.Status, e.all[2].State.ExitCode = "exited", 137 }), says: "receipts-worker-3 is exited (exit code 137)"},
		{check: workerRuns, own: engineOf(func(e *engine) { e.all[2].Config.Labels["com.docker.compose.oneoff"] = "True" }), says: "receipts-worker has no container"},
		{check: "every container is healthy", own: engineOf(func(e *engine) {
			e.all[2].State.Health.Status = "unhealthy"
			_ = json.Unmarshal([]byte(`[{"ExitCode": 1, "Output": "WRONGPASS"}, {"ExitCode": 0}]`), &e.all[2].State.Health.Log)
		}), says: "receipts-worker-3 is unhealthy: WRONGPASS"},
		{check: "every container is healthy", own: engineOf(func(e *engine) { e.all[1].State.Health = nil }), says: "receipts-api-2 has no healthcheck"},
		{check: "no container is restarting", own: engineOf(func(e *engine) { e.all[2].RestartCount, e.all[2].State.StartedAt = 3, time.Now().Add(time.Hour) }), says: "restarted 3 times"},
		{check: oneVersion, own: engineOf(func(e *engine) { e.version = func(b *box) string { return "v" + b.ID[63:] } }), says: "versions differ: receipts-receipts-api-2 v2, receipts-receipts-worker-3 v3"},
		{check: "no container is restarting", own: engineOf(func(e *engine) { e.all = nil }), says: "no container"},

		{check: "no container was killed for memory", own: engineOf(func(e *engine) {
			e.all[2].State.OOMKilled, e.all[2].RestartCount = true, 2
		}), says: "receipts-worker-3 was killed for memory (OOMKilled, 2 restarts)"},

		{check: deployedHere, own: engineOf(func(e *engine) {
			e.all[2].Config.Labels["com.docker.compose.project.config_files"] = "/src/compose.yaml"
		}), says: "receipts-worker-3 was started from /src/compose.yaml"},
		{check: "no container is there that the composition does not have", own: engineOf(func(e *engine) { e.add("gmailsim", nil) }), says: "receipts-gmailsim-4 is of a service gmailsim"},
		{check: "no container is there that the composition does not have", own: engineOf(func(e *engine) {
			e.add(serviceWorker, nil).Config.Labels["com.docker.compose.oneoff"] = "True"
		}), says: "receipts-worker-4 runs receipts-worker beside the composition"},
		{check: "each service has its number of containers", own: engineOf(func(e *engine) { e.add(serviceWorker, nil) }), says: "receipts-worker: want 1, see 2"},
		{check: "images are the deployed ones", own: engineOf(func(e *engine) { e.all[2].Image = "sha256:other" }), says: "has the image sha256:other, want sha256:receipts-wor"},
		{check: "commands are the deployed ones", own: engineOf(func(e *engine) { e.all[0].Config.Cmd = []string{"redis-server"} }), says: "has another command, of 1 words where 3 are deployed, from word 2 on"},
		{check: "commands are the deployed ones", own: engineOf(func(e *engine) { e.all[2].Config.Entrypoint = []string{"/bin/sh"} }), says: "has another entrypoint, of 1 words where 1 are deployed, from word 1 on"},
		{check: "environments are the deployed ones", own: engineOf(func(e *engine) {
			e.all[2].Config.Env = append(e.all[2].Config.Env, "WORKER_QUEUES=high")
		}), says: `WORKER_QUEUES is "high", want not set`},
		{check: "environments are the deployed ones", own: engineOf(func(e *engine) {
			e.all[2].Config.Env = append(e.all[2].Config.Env, "REDIS_URL=redis://worker:two@other:6379/0")
		}), says: "REDIS_URL is another (a secret), want another (a secret)"},
		{check: "mounts are the deployed ones", own: engineOf(func(e *engine) { e.all[1].Mounts[0].Source = "/old/redis_url_api" }), says: `/run/secrets/redis_url is "/old/redis_url_api read-only", want "`},
		{check: "mounts are the deployed ones", own: engineOf(func(e *engine) { e.all[0].Mounts[0].Name = "other_redis" }), says: `/data is "other_redis", want "receipts_redis"`},
		{check: "settings are those of production", own: engineOf(func(e *engine) {
			e.service(serviceAPI)["environment"].(map[string]any)["APP_ENV"] = ""
			e.create(e.all[1])
		}), says: `APP_ENV ""`},
		{check: "settings are those of production", own: engineOf(func(e *engine) {
			e.service(serviceWorker)["environment"].(map[string]any)["GMAIL_ENDPOINT"] = "http://gmailsim:8025/"
			e.create(e.all[2])
		}), says: "GMAIL_ENDPOINT \"http://gmailsim:8025/\", which is simulated Gmail"},
		{check: "secrets and redis.conf are the deployed ones", own: engineOf(func(e *engine) {
			_ = os.WriteFile(filepath.Join(e.deploy, "secrets", "redis_url_api"), []byte("redis://api:new@redis:6379/0\n"), 0o600)
		}), says: "deploy/secrets/redis_url_api was edited since it was deployed"},
		{check: "secrets and redis.conf are the deployed ones", own: engineOf(func(e *engine) {
			_ = os.Remove(filepath.Join(e.deploy, "secrets", "redis_url_api"))
		}), says: "deploy/secrets/redis_url_api was removed since it was deployed"},

		{check: "PING is answered", breaks: instead(func(s *config.Verify) { s.RedisURL = "redis://127.0.0.1:1/0" }), says: "connection refused"},
		{check: "PING is answered", breaks: instead(func(s *config.Verify) {
			s.RedisURL = config.Secret(strings.Replace(s.RedisURL.Reveal(), "redis://", "redis://verify:wrong@", 1))
		}), says: "WRONGPASS"},
		{check: "nothing is evicted", breaks: withRedis("--maxmemory-policy", "allkeys-lru"), says: "allkeys-lru"},
		{check: "append-only is on and its last write went well", breaks: withRedis("--appendonly", "no"), says: "is off"},
		{check: "memory is below 80 %", breaks: withRedis("--maxmemory", "1mb"), says: "of 1 MiB (maxmemory)"},

		{check: "a live worker on each queue", own: withWorker("WORKER_QUEUES=high"), breaks: asItIs, says: "nobody listens to 'default', 'low'"},
		{check: "a live worker on each queue", own: withWorker(), breaks: func(_ *testing.T, s *system) config.Verify {
			s.worker.end(15)
			return s.settings
		}, says: "is departed, last seen"},
		{check: "the newest heartbeat is younger than its time to live", own: workerless, breaks: enlisted(`redis.call('HINCRBY', KEYS[1], 'last_heartbeat_at', -30000)`, "w"), says: "no time to live is that long"},
		{check: "the newest heartbeat is younger than its time to live", own: workerless, breaks: enlisted(`if KEYS[1]:sub(-2) == ':w' then for i = 2, 4 do redis.call('ZREM', KEYS[i], 'w') end end`, "other", "w"), says: "counts on none of its queues"},
		{check: "API and workers have the same version", breaks: throughAPI("/version", says(200, `{"version": "v0.0.1"}`)), says: "runs " + version + ", the API v0.0.1"},
		{check: oneRedis, breaks: withRedis(), says: "verify sees run"},
		{check: oneRedis, breaks: instead(func(s *config.Verify) { s.QueuePrefix = "{other}" }), says: "verify sees"},
		{check: workersLive, own: elsewhere, breaks: asItIs, says: "it is on another"},
		{check: workersLive, own: withWorker("QUEUE_PREFIX={other}"), breaks: asItIs, says: "it is on another"},
		{check: "API and workers see the same Redis", breaks: throughAPI("/api/receipts/queue/diagnostics", edit(`"redis_db":0`, `"redis_db":3`)), says: "database 3"},

		{check: "/livez answers 200", breaks: instead(func(s *config.Verify) { s.APIURL = dead }), says: "connection refused"},
		{check: "/readyz answers 200", breaks: throughAPI("/readyz", says(503, "")), says: "answered 503, want 200"},
		{check: "401 without a token", breaks: throughAPI("/api/receipts", says(200, "")), says: "answered 200, want 401"},
		{check: "diagnostics: 403 without the key", breaks: throughAPI("/api/receipts/queue/diagnostics", says(200, "")), says: "answered 200, want 403"},
		{check: "diagnostics: 200 with the key", breaks: instead(func(s *config.Verify) { s.DiagnosticKeys = []config.Secret{"another-key-0123456789-0123456789"} }), says: "answered 403, want 200"},
		{check: "diagnostics: 200 with the key", breaks: instead(func(s *config.Verify) { s.DiagnosticKeys = nil }), says: "no diagnostic key"},
		{check: "diagnostics find nothing wrong", breaks: throughAPI("/api/receipts/queue/diagnostics", edit(`"status":"OK"`, `"status":"ERROR: Redis"`)), says: "ERROR: Redis"},
		{check: "each error has its four fields", breaks: throughAPI("/no/such", says(404, "404 page not found")), says: "what cannot be read"},
		{check: "each error has its four fields", breaks: throughAPI("/no/such", says(404, `{"success": false, "error": "x", "action": "y"}`)), says: "want success: false"},
		{check: "each error has its four fields", breaks: throughAPI("/no/such", says(404, `{"success": false, "error": "x", "action": "", "technical_details": "z"}`)), says: "action says nothing"},

		{check: "a job is accepted", own: withWorker("WORKER_QUEUES=high"), breaks: asItIs, says: "answered 503, want 202"},
		{check: "a job is accepted", breaks: throughAPI("/api/receipts/queue/verify", edit(`"job_id":"`, `"job_id":"x`)), says: "without its job's id and place"},
		{check: "it starts within 10 s", own: withWorker(), breaks: paused, says: `is "queued", not yet started`},
		{check: "it finishes", breaks: throughAPI("/api/receipts/sync/", edit(`"status":"`, `"status":"failed","was":"`)), says: "ended failed"},
		{check: "the worker logs JOB_START", own: wellSystem, breaks: func(t *testing.T, s *system) config.Verify {
			t.Helper()
			silent := launch(t, "receipts-worker", append([]string{"WORKER_ADMIN_ADDR=" + freeAddr(t), "REDIS_URL=" + redistest.DB(t)}, s.common[1:]...))
			s.engine.change(func(e *engine) { e.all[2].process = silent })
			return s.settings
		}, says: "no worker logged JOB_START"},
		{check: "a sync of business b1 finishes", breaks: asItIs, says: "answered 409: Gmail is not connected"},
		{check: "a sync of business b1 finishes", breaks: instead(func(s *config.Verify) { s.JWTSecret = "another-secret-0123456789-0123456789" }), says: "the token is not taken"},
		{check: "a sync of business b1 finishes", breaks: instead(func(s *config.Verify) { s.JWTSecret = "" }), says: "no token"},
		{check: "stored connections can be opened", breaks: throughAPI("/api/receipts/sync/", edit(`"unreadable":0`, `"unreadable":1`)), says: "cannot be opened: TOKEN_KEYS lacks the key"},
		{check: "a sync of business b1 finishes", breaks: throughAPI("/api/session", edit("b1", "b2")), says: `VERIFY_TOKEN is of business "b2"`},

		{check: "the API's can be read, and the names are there", breaks: instead(func(s *config.Verify) { s.APIAdminURL = dead }), says: "connection refused"},
		{check: "the API's can be read, and the names are there", breaks: throughAPIMetrics(edit("receipts_queue_paused", "receipts_queue_stopped")), says: "lacks receipts_queue_paused"},
		{check: "the workers' can be read, and the names are there", breaks: throughWorkerMetrics(edit("receipts_worker_slots", "receipts_worker_places")), says: "lacks receipts_worker_slots"},
		{check: "the workers' can be read, and the names are there", breaks: throughWorkerMetrics(says(200, "<html>\n")), says: "text format parsing error"},
		{check: "the heartbeat is fresh by the API", own: withWorker("WORKER_QUEUES=high"), breaks: asItIs, says: "no live worker on default"},
		{check: "the heartbeat is fresh by the API", breaks: throughAPIMetrics(valued("receipts_queue_heartbeat_timestamp_seconds", older)), says: "the last heartbeat was"},
		{check: "the heartbeat is fresh by the API", breaks: throughAPIMetrics(edit("receipts_registry_scrape_success 1", "receipts_registry_scrape_success 0")), says: "could not read the registry"},
		{check: "the heartbeat is fresh by each worker", breaks: throughWorkerMetrics(valued(metricHeartbeat, older)), says: "the last heartbeat was"},
		{check: "the heartbeat is fresh by each worker", breaks: throughWorkerMetrics(valued(metricHeartbeat, func(float64) float64 { return 0 })), says: "no heartbeat"},
		{check: "the heartbeat is fresh by each worker", breaks: enlisted("", "w", "other"), says: "1 workers show metrics, 2 are in the registry"},
	}
}

// elsewhere has its worker on another database than its API.
func elsewhere(t *testing.T) *system {
	t.Helper()
	return newSystem(t, redistest.DB(t), []string{"REDIS_URL=" + redistest.DB(t)})
}

// workerless has an API and no worker.
func workerless(t *testing.T) *system {
	t.Helper()
	return newSystem(t, redistest.DB(t), nil)
}

// enlisted verifies a Redis where workers are registered that do not run; a
// script then changes each one's hash, KEYS[1], or its queues' sets, the others.
func enlisted(script string, names ...string) func(*testing.T, *system) config.Verify {
	return func(t *testing.T, s *system) config.Verify {
		t.Helper()
		settings := s.settings
		if s.worker != nil { // whose own registration would be there as well
			settings.RedisURL = config.Secret(redistest.DB(t))
		}
		client, keys := connect(t, settings), proto.MustKeys(proto.DefaultPrefix)
		for _, name := range names {
			w := proto.Worker{Name: name, Queues: proto.Queues()}
			if err := registry.New(client, keys).Register(t.Context(), w, maxTTL); err != nil {
				t.Fatal(err)
			}
			of := []string{keys.Worker(name)}
			for _, queue := range w.Queues {
				of = append(of, keys.QueueWorkers(queue))
			}
			if _, err := client.Run(t.Context(), redisclient.NewScript(script+"\nreturn 1"), of); err != nil {
				t.Fatal(err)
			}
		}
		return settings
	}
}

// connect is a client of the Redis that is verified.
func connect(t *testing.T, settings config.Verify) *redisclient.Client {
	t.Helper()
	client, err := redisclient.Open(settings.RedisURL.Reveal(), redisclient.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	<-client.Ready()
	return client
}

// paused has the default queue hand out nothing.
func paused(t *testing.T, s *system) config.Verify {
	t.Helper()
	client := connect(t, s.settings)
	pause := redisclient.NewScript(`return redis.call('SADD', KEYS[1], 'default')`)
	if _, err := client.Run(t.Context(), pause, []string{proto.MustKeys(proto.DefaultPrefix).Paused()}); err != nil {
		t.Fatal(err)
	}
	return s.settings
}
