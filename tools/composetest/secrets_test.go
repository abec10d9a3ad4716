package composetest

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/prosaas/receipts/pkg/config"
)

// makeSecrets runs init-secrets.sh in a folder of the test's own, and answers
// the one that it made.
func makeSecrets(t *testing.T, dir string, environ ...string) string {
	t.Helper()
	if out, err := initSecrets(t, dir, environ...); err != nil {
		t.Fatalf("init-secrets.sh: %v\n%s", err, out)
	}
	return filepath.Join(dir, "secrets")
}

func initSecrets(t *testing.T, dir string, environ ...string) (string, error) {
	t.Helper()
	script, err := filepath.Abs(filepath.Join(root, "deploy/init-secrets.sh"))
	if err != nil {
		t.Fatal(err)
	}
	here := filepath.Join(dir, "init-secrets.sh")
	if err := os.Symlink(script, here); err != nil && !os.IsExist(err) {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), here)
	cmd.Env = append(os.Environ(), environ...)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// contents are the files of a folder with what they hold.
func contents(t *testing.T, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := fs.WalkDir(os.DirFS(dir), ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := os.ReadFile(filepath.Join(dir, name))
		files[name] = string(content)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func TestSecretsAreMadeOnce(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "secrets"), 0o755); err != nil {
		t.Fatal(err)
	}
	secrets := makeSecrets(t, dir)
	made := contents(t, secrets)
	for name := range load(t, production).Secrets {
		info, err := os.Stat(filepath.Join(secrets, name))
		if err != nil {
			t.Error(err)
		} else if info.Mode().Perm() != 0o444 || info.Size() == 0 {
			t.Errorf("%s has mode %v and %d bytes: every container's user must read it", name, info.Mode(), info.Size())
		}
	}
	if info, err := os.Stat(secrets); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the folder has mode %v (%v): it is what keeps others out", info.Mode(), err)
	}

	makeSecrets(t, dir)
	if diff := cmp.Diff(made, contents(t, secrets)); diff != "" {
		t.Error("a second run changed a secret")
	}
	if err := os.Remove(filepath.Join(secrets, "jwt_secret")); err != nil {
		t.Fatal(err)
	}
	makeSecrets(t, dir)
	again := contents(t, secrets)
	if again["jwt_secret"] == made["jwt_secret"] || again["jwt_secret"] == "" {
		t.Error("a secret that was removed was not made anew")
	}
	again["jwt_secret"] = made["jwt_secret"]
	if diff := cmp.Diff(made, again); diff != "" {
		t.Error("another secret than the one that was removed was made anew")
	}
}

// A demo's secrets are made in a folder of its own, and no others are touched.
func TestSecretsInAnotherFolder(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	script, err := filepath.Abs(filepath.Join(root, "deploy/init-secrets.sh"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(script, filepath.Join(dir, "init-secrets.sh")); err != nil {
		t.Fatal(err)
	}
	other := filepath.Join(dir, "demo/secrets")
	if out, err := exec.CommandContext(t.Context(), filepath.Join(dir, "init-secrets.sh"), other).CombinedOutput(); err != nil {
		t.Fatalf("init-secrets.sh: %v\n%s", err, out)
	}
	for name := range load(t, production).Secrets {
		if _, err := os.Stat(filepath.Join(other, name)); err != nil {
			t.Error(err)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "secrets")); !os.IsNotExist(err) {
		t.Errorf("the folder without an argument: %v", err)
	}
}

// The services start in production with what is made for them.
func TestSecretsAreGoodEnough(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	secrets := makeSecrets(t, dir, "GOOGLE_CLIENT_SECRET=that-of-the-client")
	environ := func(redis string, more ...string) []string {
		return append([]string{
			"APP_ENV=production", "GOOGLE_CLIENT_ID=id", "GOOGLE_CLIENT_SECRET_FILE=" + secrets + "/google_client_secret",
			"TOKEN_KEYS_FILE=" + secrets + "/token_keys", "REDIS_URL_FILE=" + secrets + "/" + redis,
		}, more...)
	}
	if _, err := config.LoadWorker(environ("redis_url_worker")); err != nil {
		t.Errorf("the worker: %v", err)
	}
	if _, err := config.LoadAPI(environ("redis_url_api", "JWT_SECRET_FILE="+secrets+"/jwt_secret", "DIAGNOSTIC_KEYS_FILE="+secrets+"/diagnostic_keys",
		"GOOGLE_REDIRECT_URL=https://receipts.test/api/gmail/oauth/callback")); err != nil {
		t.Errorf("the API: %v", err)
	}

	// One that is not what was given, or that was made up, is not taken for good.
	if out, err := initSecrets(t, dir, "GOOGLE_CLIENT_SECRET=another"); err == nil || !strings.Contains(out, "google_client_secret holds another one") {
		t.Errorf("with another secret of the OAuth client: %v, %s", err, out)
	}
	secrets = makeSecrets(t, t.TempDir())
	if _, err := config.LoadWorker(environ("redis_url_worker")); err == nil || !strings.Contains(err.Error(), "GOOGLE_CLIENT_SECRET") {
		t.Errorf("the worker with a made up secret of the OAuth client: %v", err)
	}
}

// server is a redis-server with the users that were made, on a socket of its own.
type server struct {
	t       *testing.T
	dir     string
	secrets map[string]string
	process *exec.Cmd
}

func startRedis(t *testing.T) *server {
	t.Helper()
	dir, err := os.MkdirTemp("", "users-") //nolint:usetesting // a socket's path has to be short
	if err != nil {
		t.Fatal(err)
	}
	s := &server{t: t, dir: dir, secrets: contents(t, makeSecrets(t, dir))}
	t.Cleanup(func() {
		s.kill()
		_ = os.RemoveAll(dir)
	})
	s.start()
	return s
}

func (s *server) start() {
	s.t.Helper()
	s.process = exec.Command("redis-server", "--port", "0", "--unixsocket", s.dir+"/socket", "--dir", s.dir, "--save", "",
		"--appendonly", "yes", "--appendfsync", "always", "--aclfile", s.dir+"/secrets/redis_acl")
	if err := s.process.Start(); err != nil {
		s.t.Fatal(err)
	}
	limit, tick := time.After(time.Minute), time.NewTicker(20*time.Millisecond)
	defer tick.Stop()
	for s.as("health", "any", "ping") != "PONG" {
		select {
		case <-tick.C:
		case <-limit:
			s.t.Fatal("redis-server does not answer")
		}
	}
}

func (s *server) kill() {
	_ = s.process.Process.Kill()
	_ = s.process.Wait() // it was killed
}

// as runs a command as a user, and answers what Redis said.
func (s *server) as(user, password string, command ...string) string {
	out, _ := exec.CommandContext(s.t.Context(), "redis-cli", append([]string{"-s", s.dir + "/socket", "--no-auth-warning", "--user", user, "--pass", password}, command...)...).CombinedOutput()
	return strings.TrimSpace(string(out))
}

// password is that of one of the users who have a URL.
func (s *server) password(user string) string {
	credentials, _, _ := strings.Cut(strings.TrimPrefix(s.secrets["redis_url_"+user], "redis://"+user+":"), "@")
	return credentials
}

func TestRedisUsersMayDoTheirWorkAndNoMore(t *testing.T) {
	t.Parallel()
	s := startRedis(t)
	write := []string{"eval", "return redis.call('SET', KEYS[1] .. ':x', '1')", "1", "{receipts}"}
	read := []string{"eval", "return redis.call('LLEN', KEYS[1] .. ':queue:default')", "1", "{receipts}"}
	for _, tt := range []struct {
		user    string
		command []string
		may     bool
	}{
		{"api", write, true},
		{"api", []string{"hset", "receipts:{b:1}:connection", "a", "b"}, true},
		{"api", []string{"info", "server"}, true},
		{"api", []string{"config", "get", "appendfsync"}, true},
		{"api", []string{"set", "others:x", "1"}, false},
		{"api", []string{"blpop", "{receipts}:wake:default", "0.01"}, false},
		{"api", []string{"flushall"}, false},
		{"api", []string{"keys", "*"}, false},
		{"api", []string{"config", "set", "appendonly", "no"}, false},
		{"api", []string{"acl", "list"}, false},
		{"worker", write, true},
		{"worker", []string{"blpop", "{receipts}:wake:default", "0.01"}, true},
		{"worker", []string{"flushdb"}, false},
		{"worker", []string{"shutdown", "nosave"}, false},
		{"worker", []string{"set", "others:x", "1"}, false},
		{"verify", read, true},
		{"verify", []string{"hgetall", "{receipts}:worker:x"}, true},
		{"verify", write, false},
		{"verify", []string{"del", "{receipts}:workers"}, false},
		{"verify", []string{"hgetall", "receipts:{b:1}:connection"}, false},
	} {
		said := s.as(tt.user, s.password(tt.user), tt.command...)
		if refused := strings.Contains(said, "NOPERM") || strings.Contains(said, "can't run this command"); refused == tt.may {
			t.Errorf("%s: %q is answered %q", tt.user, tt.command, said)
		}
	}
	for user, command := range map[string][]string{"health": {"get", "{receipts}:x"}, "default": {"ping"}, "api": {"ping"}} {
		if said := s.as(user, "any", command...); !strings.Contains(said, "NOPERM") && !strings.Contains(said, "WRONGPASS") {
			t.Errorf("with any password %s: %q is answered %q", user, command, said)
		}
	}
	out, err := exec.CommandContext(t.Context(), "redis-cli", "-s", s.dir+"/socket", "ping").CombinedOutput()
	if err != nil || !strings.Contains(string(out), "NOAUTH") {
		t.Errorf("nobody's ping is answered %q, %v", out, err)
	}
}

// What a script writes is in the append-only file as one transaction, which
// Redis 7.0 reads with the rights of the user default.
func TestUsersDoNotCostDataAtARestart(t *testing.T) {
	t.Parallel()
	s := startRedis(t)
	s.as("api", s.password("api"), "eval", "redis.call('SET', KEYS[1] .. ':a', 'one') redis.call('SET', KEYS[1] .. ':b', 'two')", "1", "{receipts}")
	s.kill()
	s.start()
	if diff := cmp.Diff("one\ntwo", s.as("api", s.password("api"), "mget", "{receipts}:a", "{receipts}:b")); diff != "" {
		t.Errorf("after a restart (-want +got):\n%s", diff)
	}
}
