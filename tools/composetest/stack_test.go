//go:build compose

package composetest

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

const patience = 2 * time.Minute // whatever is waited for

// built is the tag of the images that make test-compose built. Projects are named
// after it too, so that two checkouts can be tested on one engine.
var built = os.Getenv("TESTED")

// stack is a deployment of a test's own: a folder with a copy of the compose
// files and of deploy, a project, images under a tag of its own.
type stack struct {
	t       *testing.T
	dir     string
	project string
	api     string // its address
	gmail   string // that of simulated Gmail
	client  *http.Client
	files   []string
}

// newStack makes a stack that is not up yet. What is left of it when the test
// ends is removed, and where the test failed its logs are shown first.
func newStack(t *testing.T) *stack {
	t.Helper()
	s := &stack{
		t: t, dir: t.TempDir(), api: "http://" + freeAddress(t), client: http.DefaultClient, files: production,
		project: built + "-" + strings.ToLower(regexp.MustCompile(`[^A-Za-z0-9]+`).ReplaceAllString(t.Name(), "-")),
	}
	for _, pattern := range []string{"compose*.yaml", ".env.example", "deploy/env.*", "deploy/*.sh", "deploy/redis/redis.conf"} {
		names, err := fs.Glob(os.DirFS(root), pattern)
		if err != nil || len(names) == 0 {
			t.Fatalf("%s: %v, %v", pattern, names, err)
		}
		for _, name := range names {
			s.write(name, original(t, name))
		}
	}
	s.set("COMPOSE_PROJECT_NAME", s.project)
	s.set("RECEIPTS_VERSION", s.project)
	s.set("REDIS_IMAGE", redisImage(t))
	s.set("API_PUBLISH", strings.TrimPrefix(s.api, "http://"))
	s.set("GOOGLE_CLIENT_ID", "tests")
	s.set("GOOGLE_REDIRECT_URL", s.api+"/api/gmail/oauth/callback")
	for _, image := range images {
		s.must("docker", "tag", image+":"+built, image+":"+s.project)
	}
	s.must("env", "GOOGLE_CLIENT_SECRET=tests", "deploy/init-secrets.sh")
	t.Cleanup(s.remove)
	return s
}

// freeAddress is one on this machine that nothing listens on.
func freeAddress(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	return listener.Addr().String()
}

// in is the same stack for a part of the test.
func (s *stack) in(t *testing.T) *stack {
	t.Helper()
	part := *s
	part.t = t
	return &part
}

var images = []string{"receipts-api", "receipts-worker", "receipts-verify", "receipts-gmailsim", "receipts-backup"}

// redisImage is what make test-compose says, or what runs where it says nothing.
func redisImage(t *testing.T) string {
	t.Helper()
	image := os.Getenv("REDIS_IMAGE")
	if image == "" {
		t.Fatal("REDIS_IMAGE is not set: these tests are run by make test-compose")
	}
	return image
}

func (s *stack) remove() {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if s.t.Failed() {
		out, _ := s.run(ctx, "docker", "compose", "logs", "--tail", "40", "--no-color")
		s.t.Logf("the stack's logs:\n%s", out)
	}
	for _, container := range s.containers("--all") {
		_, _ = s.run(ctx, "docker", "unpause", container) // most are not paused
	}
	args := []string{"compose", "--project-name", s.project, "down", "--volumes", "--remove-orphans", "--timeout", "3"}
	if out, err := s.run(ctx, "docker", args...); err != nil {
		s.t.Logf("remove %s: %v\n%s", s.project, err, out) // engine 20.10 may keep the network of many containers that ended at once
	}
	for _, image := range images {
		_, _ = s.run(ctx, "docker", "image", "rm", "--force", image+":"+s.project) // a test may have removed it
	}
	deployed, _ := s.run(ctx, "docker", "image", "ls", "--format", "{{.Repository}}:{{.Tag}}", "--filter", "reference=*:"+s.project+"-*")
	_, _ = s.run(ctx, "docker", append([]string{"image", "rm"}, strings.Fields(deployed)...)...)
	_, _ = s.run(ctx, "docker", "image", "prune", "--force", "--filter", "label=receipts.test="+s.project)
	_ = os.Remove(s.lock()) // a test may have changed nothing
}

// lock is what whoever changes the project holds, the same in every checkout.
func (s *stack) lock() string { return filepath.Join("/tmp", s.project+".lock") }

// command is a program to run in the stack's folder, with nothing of our
// environment but what it takes to find the engine.
func (s *stack) command(ctx context.Context, name string, args ...string) *exec.Cmd {
	if strings.Contains(name, "/") {
		name = filepath.Join(s.dir, name)
	}
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = s.dir
	for _, entry := range os.Environ() {
		if variable, _, _ := strings.Cut(entry, "="); slices.Contains([]string{"PATH", "HOME", "DOCKER_HOST", "DOCKER_CONFIG"}, variable) {
			cmd.Env = append(cmd.Env, entry)
		}
	}
	cmd.Env = append(cmd.Env, "COMPOSE_FILE="+strings.Join(s.files, ":"))
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
	cmd.WaitDelay = 10 * time.Second
	return cmd
}

// run runs a program, and answers all that it said.
func (s *stack) run(ctx context.Context, name string, args ...string) (string, error) {
	out, err := s.command(ctx, name, args...).CombinedOutput()
	if ctx.Err() != nil {
		err = fmt.Errorf("%s takes too long: %w", name, ctx.Err())
	}
	return string(out), err
}

// must runs a program that has to succeed, and answers what it said.
func (s *stack) must(name string, args ...string) string {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	out, err := s.run(ctx, name, args...)
	if err != nil {
		s.t.Fatalf("%s %q: %v\n%s", name, args, err, out)
	}
	return strings.TrimSpace(out)
}

// prodUp deploys, and answers what was said.
func (s *stack) prodUp() (string, error) {
	ctx, cancel := context.WithTimeout(s.t.Context(), 3*patience)
	defer cancel()
	return s.run(ctx, "deploy/prod-up.sh")
}

func (s *stack) mustProdUp() {
	s.t.Helper()
	if out, err := s.prodUp(); err != nil {
		s.t.Fatalf("prod-up: %v\n%s", err, out)
	}
}

// containers lists the ids of the project's containers, as docker ps does.
func (s *stack) containers(args ...string) []string {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	args = append([]string{"ps", "--quiet", "--no-trunc", "--filter", "label=com.docker.compose.project=" + s.project}, args...)
	out, err := s.run(ctx, "docker", args...)
	if err != nil {
		s.t.Errorf("docker %q: %v\n%s", args, err, out)
	}
	return strings.Fields(out)
}

// of lists the ids of a service's containers that run.
func (s *stack) of(service string) []string {
	s.t.Helper()
	return s.containers("--filter", "label=com.docker.compose.service="+service)
}

// inspect answers what a template of docker inspect makes of containers, a line each.
func (s *stack) inspect(template string, containers ...string) []string {
	s.t.Helper()
	return strings.Split(s.must("docker", append([]string{"inspect", "--format", template}, containers...)...), "\n")
}

// redis runs a command in the stack's Redis, as the worker may.
func (s *stack) redis(args ...string) string {
	s.t.Helper()
	url := strings.Replace(s.read("deploy/secrets/redis_url_worker"), "@redis:", "@127.0.0.1:", 1)
	return s.must("docker", append([]string{"exec", s.of("redis")[0], "redis-cli", "-e", "--no-auth-warning", "-u", url}, args...)...)
}

// original returns a file of this checkout.
func original(t *testing.T, name string) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(root, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

func (s *stack) read(name string) string {
	s.t.Helper()
	content, err := os.ReadFile(filepath.Join(s.dir, name))
	if err != nil {
		s.t.Fatal(err)
	}
	return string(content)
}

// write replaces a file, whatever its mode, in the way of an editor.
func (s *stack) write(name, content string) {
	s.t.Helper()
	path, mode := filepath.Join(s.dir, name), os.FileMode(0o644)
	if strings.HasSuffix(name, ".sh") {
		mode = 0o755
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		s.t.Fatal(err)
	}
	if err := os.WriteFile(path+".new", []byte(content), mode); err != nil {
		s.t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		s.t.Fatal(err)
	}
}

// edit replaces one thing in a file, which must be there.
func (s *stack) edit(name, from, to string) {
	s.t.Helper()
	content := s.read(name)
	if !strings.Contains(content, from) {
		s.t.Fatalf("%s has no %q", name, from)
	}
	s.write(name, strings.Replace(content, from, to, 1))
}

// set sets a variable of .env.
func (s *stack) set(variable, value string) {
	s.t.Helper()
	content, err := os.ReadFile(filepath.Join(s.dir, ".env"))
	if err != nil && !os.IsNotExist(err) {
		s.t.Fatal(err)
	}
	s.write(".env", string(content)+variable+"="+value+"\n")
}

// eventually waits until something holds.
func (s *stack) eventually(what string, holds func() bool) {
	s.t.Helper()
	limit, tick := time.After(patience), time.NewTicker(200*time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-limit:
			s.t.Fatalf("%s: not after %s", what, patience)
		}
	}
}

// answer is what the API said.
type answer struct {
	status int
	body   []byte
}

// try calls the API with the diagnostic key. Headers are pairs.
func (s *stack) try(method, path, body string, headers ...string) (answer, error) {
	ctx, cancel := context.WithTimeout(s.t.Context(), time.Minute)
	defer cancel()
	r, err := s.request(ctx, method, path, body, headers...)
	if err != nil {
		return answer{}, err
	}
	response, err := s.client.Do(r)
	if err != nil {
		return answer{}, err
	}
	defer func() { _ = response.Body.Close() }()
	read, err := io.ReadAll(response.Body)
	return answer{response.StatusCode, read}, err
}

// request is one with the diagnostic key.
func (s *stack) request(ctx context.Context, method, path, body string, headers ...string) (*http.Request, error) {
	r, err := http.NewRequestWithContext(ctx, method, s.api+path, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	r.Header.Set("X-Diagnostic-Key", s.read("deploy/secrets/diagnostic_keys"))
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	return r, nil
}
