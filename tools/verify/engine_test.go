package verify

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// engine is the docker of a test: testdata/docker hands it what it is asked. Its workers are processes, so that what a drill does to
// containers really happens to workers.
type engine struct {
	docker string          // the program
	worker func() *process // starts one

	mu      sync.Mutex
	project map[string]any             // what the compose files say
	deploy  string                     // the folder with the secrets
	inside  func(args []string) string // what the container verify prints
	version func(b *box) string        // what its program prints; nil: [version]
	made    int
	all     []*box
	// asked is told of each command before it is done; an error is what docker
	// fails with.
	asked func(command string) error
}

// box is a container.
type box struct {
	container

	process *process // a worker's
}

// reply is what docker is to print and to exit with.
type reply struct {
	Out, Err string
	Code     int
}

// newEngine has one container of each service, all well.
func newEngine(t *testing.T, worker func() *process) *engine {
	t.Helper()
	dir, err := os.MkdirTemp("", "engine-") //nolint:usetesting // a socket's path must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	e := &engine{docker: filepath.Join(dir, "docker"), worker: worker, asked: func(string) error { return nil }}
	if err := os.Symlink(filepath.Join(programs, "docker"), e.docker); err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("unix", filepath.Join(dir, "engine"))
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	serving.Go(func() { e.serve(listener, &serving) })
	t.Cleanup(func() {
		_ = listener.Close()
		serving.Wait()
	})
	e.deploy = filepath.Join(dir, "deploy")
	secret := filepath.Join(e.deploy, ".deployed", "files-1", "secrets", "redis_url_api")
	for _, file := range []string{secret, filepath.Join(e.deploy, "secrets", "redis_url_api")} { // the copy, and what it was made of
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte("redis://api:one@redis:6379/0\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	project := map[string]any{
		"services": map[string]any{
			serviceRedis: map[string]any{
				"image": "redis:7", "command": []any{"redis-server", "--requirepass", "a$$b"},
				"volumes": []any{map[string]any{"type": "volume", "source": "redis", "target": "/data"}},
			},
			serviceAPI: map[string]any{
				"image":       "receipts-api:" + version,
				"environment": map[string]any{"APP_ENV": "production", "REDIS_URL_FILE": "/run/secrets/redis_url", "GUARD_WAIT": guardWait.String(), "SYNC_QUEUE": ""},
				"secrets":     []any{map[string]any{"source": "redis_url_api", "target": "redis_url"}},
			},
			serviceWorker: map[string]any{
				"image":       "receipts-worker:" + version,
				"restart":     "unless-stopped",
				"environment": map[string]any{"APP_ENV": "production", "REDIS_URL": "redis://worker:two@redis:6379/0", "QUEUE_PREFIX": nil},
				"healthcheck": map[string]any{"test": []any{"CMD", "/receipts-worker", "healthcheck"}},
				"depends_on":  map[string]any{"redis": map[string]any{"condition": "service_healthy"}},
			},
		},
		"secrets":  map[string]any{"redis_url_api": map[string]any{"file": secret}},
		"volumes":  map[string]any{"redis": map[string]any{"name": "receipts_redis"}},
		"networks": map[string]any{"redis": map[string]any{"name": "receipts_redis"}},
	}
	e.change(func(e *engine) {
		e.project = project
		e.add(serviceRedis, nil)
		e.add(serviceAPI, nil)
	})
	return e
}

// add puts a healthy container there.
func (e *engine) add(service string, p *process) *box {
	e.made++
	b := &box{process: p}
	b.ID, b.Name = fmt.Sprintf("%064d", e.made), fmt.Sprintf("/receipts-%s-%d", service, e.made)
	deployed, _ := filepath.Abs(Deployed)
	b.Config.Labels = map[string]string{"com.docker.compose.service": service, "com.docker.compose.project.config_files": deployed}
	e.create(b)
	b.run(p)
	e.all = append(e.all, b)
	return b
}

// create gives a container what the composition says.
func (e *engine) create(b *box) {
	text, _ := encoded(e.project)
	var p project
	if json.Unmarshal([]byte(text), &p) != nil {
		return
	}
	s := p.Services[b.service()]
	b.Image, b.Config.Entrypoint, b.Config.Cmd = "sha256:"+s.Image, []string{"/" + b.service()}, unescaped(s.Command)
	b.Config.Env = []string{"PATH=/bin"}
	for name, value := range s.Environment {
		if value != nil {
			b.Config.Env = append(b.Config.Env, name+"="+*value)
		}
	}
	for _, m := range s.Secrets {
		b.mount("bind", "", p.Secrets[m.Source].File, target(m, "/run/secrets"), false)
	}
	for _, v := range s.Volumes {
		b.mount(v.Type, p.Volumes[v.Source].Name, "/var/lib/docker/volumes/x", v.Target, true)
	}
}

func (b *box) mount(kind, name, source, at string, writable bool) {
	b.Mounts = append(b.Mounts, struct {
		Type, Name, Source, Destination string
		RW                              bool
	}{kind, name, source, at, writable})
}

func (b *box) run(p *process) {
	b.process, b.State.Status, b.State.StartedAt = p, "running", time.Now().Add(-time.Hour)
	b.State.Health = &health{Status: "healthy"}
}

func (b *box) end(signal syscall.Signal) {
	if b.State.Status == "running" {
		b.process.end(signal)
		b.State.Status, b.State.Health = "exited", nil
	}
}

// change is how a test changes anything.
func (e *engine) change(change func(*engine)) {
	e.mu.Lock()
	defer e.mu.Unlock()
	change(e)
}

// service is what the compose files say of a service.
func (e *engine) service(name string) map[string]any {
	return e.project["services"].(map[string]any)[name].(map[string]any)
}

// workers are the states of the worker's containers, by id.
func (e *engine) workers() map[string]string {
	e.mu.Lock()
	defer e.mu.Unlock()
	states := map[string]string{}
	for _, b := range e.all {
		if b.service() == serviceWorker {
			states[b.ID] = b.State.Status
		}
	}
	return states
}

func (e *engine) serve(listener net.Listener, serving *sync.WaitGroup) {
	for {
		conn, err := listener.Accept()
		if err != nil {
			return // the test is over
		}
		serving.Go(func() {
			defer func() { _ = conn.Close() }()
			var args []string
			if json.NewDecoder(conn).Decode(&args) != nil {
				return
			}
			_ = json.NewEncoder(conn).Encode(e.answer(args)) // it may have been ended meanwhile
		})
	}
}

func (e *engine) answer(args []string) reply {
	command := strings.Join(args, " ")
	e.mu.Lock()
	asked := e.asked
	e.mu.Unlock()
	if err := asked(command); err != nil {
		return reply{Err: err.Error() + "\n", Code: 1}
	}
	e.mu.Lock()
	if strings.HasPrefix(command, "compose run ") {
		inside := e.inside
		e.mu.Unlock()
		return reply{Out: inside(args)}
	}
	defer e.mu.Unlock()
	out, err := e.do(command, args)
	if err != nil {
		return reply{Err: err.Error() + "\n", Code: 1}
	}
	return reply{Out: out}
}

// do does what the real one does, as far as verify asks for it.
func (e *engine) do(command string, args []string) (string, error) {
	last := args[len(args)-1]
	switch {
	case command == "compose version", command == "compose config --quiet":
		return "", nil
	case command == "compose config --format json", command == "compose --profile * config --format json":
		return encoded(e.project)
	case args[0] == "image":
		of := image{ID: "sha256:" + last}
		of.Config.Env, of.Config.Entrypoint = []string{"PATH=/bin"}, []string{"/" + strings.Split(last, ":")[0]}
		return encoded([]image{of})
	case command == "compose ps --all --quiet", command == "ps --quiet --no-trunc --filter network=receipts_redis":
		ids := ""
		for _, b := range e.all {
			ids += b.ID + "\n"
		}
		return ids, nil
	case args[0] == "inspect":
		return encoded(e.named(args[3:]))
	case args[0] == "exec":
		if b := e.named(args[1:2])[0]; e.version != nil {
			return e.version(b), nil
		}
		return version + "\n", nil
	case args[0] == "logs":
		return e.named([]string{last})[0].process.logged(), nil
	case command == "compose stop "+serviceWorker:
		return "", e.each(e.ids(serviceWorker), func(b *box) { b.end(syscall.SIGTERM) })
	case command == "compose start "+serviceWorker:
		return "", e.each(e.ids(serviceWorker), e.start)
	case args[0] == "start":
		return "", e.each(args[1:], e.start)
	case args[0] == "stop":
		return "", e.each(args[1:], func(b *box) { b.end(syscall.SIGTERM) })
	case strings.HasPrefix(command, "kill --signal KILL "):
		return "", e.each([]string{last}, func(b *box) { b.end(syscall.SIGKILL) })
	case strings.HasPrefix(command, "rm --force "):
		e.all = slices.DeleteFunc(e.all, func(b *box) bool { return b.ID == last })
		return "", nil
	case command == "compose up --detach --no-deps --no-recreate --no-build --pull never --scale receipts-worker=2 receipts-worker":
		e.add(serviceWorker, e.worker())
		return "", nil
	default:
		return "", errors.New("docker of this test does not know: " + command)
	}
}

func (e *engine) start(b *box) {
	if b.State.Status != "running" {
		b.run(e.worker())
	}
}

func (e *engine) named(ids []string) []*box {
	var named []*box
	for _, b := range e.all {
		if slices.Contains(ids, b.ID) {
			named = append(named, b)
		}
	}
	return named
}

func (e *engine) ids(service string) []string {
	var ids []string
	for _, b := range e.all {
		if b.service() == service {
			ids = append(ids, b.ID)
		}
	}
	return ids
}

func (e *engine) each(ids []string, do func(*box)) error {
	named := e.named(ids)
	if len(named) != len(ids) {
		return fmt.Errorf("no such container among %q", ids)
	}
	for _, b := range named {
		do(b)
	}
	return nil
}

func encoded(v any) (string, error) {
	text, err := json.Marshal(v)
	return string(text), err
}
