//go:build compose

package composetest

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/prosaas/receipts/proto"
)

// breakage is a way to make a deployment that must not stay.
type breakage struct {
	name  string
	plant func(s *stack)
	says  []string // why it is refused
	early bool     // before anything that runs is touched
}

var breakages = []breakage{
	{
		name: "the worker is removed from compose", early: true,
		plant: func(s *stack) {
			of := regexp.MustCompile(`(?s)\n  receipts-worker:\n.*?\n\n`)
			s.write("compose.prod.yaml", of.ReplaceAllString(s.read("compose.prod.yaml"), "\n  receipts-worker: !reset null\n\n"))
		},
		says: []string{"start no receipts-worker"},
	},
	{
		name: "the worker is moved into a profile", early: true,
		plant: func(s *stack) {
			s.edit("compose.prod.yaml", "receipts-worker:\n", "receipts-worker:\n    profiles: [later]\n")
		},
		says: []string{"start no receipts-worker"},
	},
	{
		name: "the worker is not restarted when it ends", early: true,
		plant: func(s *stack) {
			s.edit("compose.prod.yaml", "receipts-worker:\n", "receipts-worker:\n    restart: \"no\"\n")
		},
		says: []string{"✘ the worker is restarted when it ends"},
	},
	{
		name: "the worker listens to other queues", plant: func(s *stack) { s.set("WORKER_QUEUES", "high") },
		says: []string{"receipts-worker is not in the registry", "✘ a live worker on each queue"},
	},
	{
		name: "the worker is on another Redis", early: true, plant: func(s *stack) {
			s.must("docker", "run", "--detach", "--name", s.project+"-other", "--network", s.project+"_redis", "--network-alias", "other",
				redisImage(s.t), "redis-server", "--protected-mode", "no")
			s.t.Cleanup(func() { _, _ = s.run(context.Background(), "docker", "rm", "--force", s.project+"-other") })
			s.write("deploy/secrets/redis_url_worker", "redis://other:6379/0")
		},
		says: []string{"✘ the worker is given the API's Redis"},
	},
	{
		name: "the worker has a wrong password", plant: func(s *stack) {
			s.write("deploy/secrets/redis_url_worker", "redis://worker:wrong@redis:6379/0")
		},
		says: []string{"WRONGPASS", "receipts-worker"},
	},
	{
		name: "the API has a wrong password", plant: func(s *stack) {
			s.write("deploy/secrets/redis_url_api", "redis://api:wrong@redis:6379/0")
		},
		says: []string{"WRONGPASS", "receipts-api"},
	},
	{
		name: "the prefix is not that of the users of Redis", early: true, plant: func(s *stack) { s.set("QUEUE_PREFIX", "{others}") },
		says: []string{"may not reach {others}"},
	},
	{
		name: "the OAuth client's secret is made up", plant: func(s *stack) {
			s.must("rm", "-f", "deploy/secrets/google_client_secret")
			s.must("deploy/init-secrets.sh")
		},
		says: []string{"GOOGLE_CLIENT_SECRET is an example"},
	},
	{
		name: "a secret is missing", early: true, plant: func(s *stack) { s.must("rm", "-f", "deploy/secrets/token_keys") },
		says: []string{"deploy/secrets/token_keys is missing", "init-secrets.sh"},
	},
	{
		name: "a secret cannot be read", early: true, plant: func(s *stack) { s.must("chmod", "0400", "deploy/secrets/token_keys") },
		says: []string{"deploy/secrets/token_keys cannot be read", "chmod"},
	},
	{
		name: "the worker crashes at start", plant: func(s *stack) { s.set("WORKER_CONCURRENCY", "none") },
		says: []string{"a container has exited", "WORKER_CONCURRENCY cannot be"},
	},
	{
		name: "Redis evicts", plant: func(s *stack) { s.edit("deploy/redis/redis.conf", "noeviction", "allkeys-lru") },
		says: []string{"✘ nothing is evicted", "allkeys-lru"},
	},
	{
		name: "the API's image does not start", plant: func(s *stack) { s.change("receipts-api", `ENTRYPOINT ["/nothing"]`) },
		says: []string{"not everything came up", "/nothing"},
	},
	{
		name: "the worker's image starts and ends", plant: func(s *stack) { s.change("receipts-worker", `CMD ["version"]`) },
		says: []string{"a container has exited"},
	},
	{
		name: "an image is not there", early: true, plant: func(s *stack) { s.set("RECEIPTS_VERSION", s.project+"-unbuilt") },
		says: []string{"an image is missing"},
	},
	{
		name: "a setting is missing", early: true, plant: func(s *stack) { s.set("GOOGLE_CLIENT_ID", "") },
		says: []string{"the compose files cannot be used", "OAuth client's id"},
	},
	{
		name: "a name in .env is misspelt", early: true, plant: func(s *stack) {
			s.set("WORKER_CONCURENCY", "3")
			s.set("OTHERS", "3")
		},
		says: []string{".env has names that nothing reads", "WORKER_CONCURENCY: is it WORKER_CONCURRENCY?", "OTHERS\n"},
	},
}

// change gives the tag of a stack's image to one that was made from it with a
// change, as a build would.
func (s *stack) change(image, change string) {
	s.t.Helper()
	container := s.must("docker", "create", image+":"+built)
	s.must("docker", "commit", "--change", change, "--change", "LABEL receipts.test="+s.project, container, image+":"+s.project)
	s.must("docker", "rm", container)
}

// deployed is what runs: each service's image, what it was told to do, and how it is.
func (s *stack) deployed() []string {
	s.t.Helper()
	lines := s.inspect(`{{index .Config.Labels "com.docker.compose.service"}} {{.Image}} {{.Config.Cmd}} {{.State.Status}}`, s.containers("--filter", "label=com.docker.compose.oneoff=False")...)
	slices.Sort(lines)
	return lines
}

// Whatever is wrong, the deployment is refused with the reason, and what ran
// before goes on: the same images, the same settings, and syncs are accepted.
func TestBrokenDeploymentsAreRefused(t *testing.T) {
	s := newStack(t)
	s.mustProdUp()
	s.serves()
	want := s.deployed()
	kept := map[string]string{}
	for _, name := range []string{".env", "compose.prod.yaml", "deploy/redis/redis.conf", "deploy/secrets/redis_url_api", "deploy/secrets/redis_url_worker", "deploy/secrets/token_keys", "deploy/secrets/google_client_secret"} {
		kept[name] = s.read(name)
	}
	for _, b := range breakages {
		t.Run(b.name, func(t *testing.T) {
			s := s.in(t)
			ids := s.containers()
			b.plant(s)
			out, err := s.prodUp()
			if err == nil {
				t.Errorf("it was deployed")
			}
			for _, reason := range b.says {
				if !strings.Contains(out, reason) {
					t.Errorf("it does not say %q", reason)
				}
			}
			if diff := cmp.Diff(want, s.deployed()); diff != "" {
				t.Errorf("what runs is not what ran before (-want +got):\n%s", diff)
			}
			if b.early && !slices.Equal(ids, s.containers()) {
				t.Error("containers were replaced")
			}
			if copies, err := filepath.Glob(filepath.Join(s.dir, "deploy/.deployed/files-*")); err != nil || len(copies) != 1 {
				t.Errorf("copies of the secrets: %q, %v; want that of what runs", copies, err)
			}
			s.serves()
			if t.Failed() {
				t.Logf("prod-up said:\n%s", out)
			}

			for name, content := range kept {
				s.write(name, content)
			}
			for _, image := range images {
				s.must("docker", "tag", image+":"+built, image+":"+s.project)
			}
		})
	}
	s.mustProdUp() // and what is mended is deployed again
	s.serves()
}

func TestBrokenFirstDeploymentIsTakenDown(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	s.set("WORKER_QUEUES", "high")
	out, err := s.prodUp()
	if err == nil || !strings.Contains(out, "nothing ran before, and nothing runs now") {
		t.Errorf("prod-up: %v\n%s", err, out)
	}
	if left := s.containers("--all"); len(left) > 0 {
		t.Errorf("%d containers are left", len(left))
	}
}

// Whoever stops a deployment halfway, or hangs up, has what ran before.
func TestInterruptedDeploymentGoesBack(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	s.mustProdUp()
	want := s.deployed()
	for _, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGHUP} {
		t.Run(signal.String(), func(t *testing.T) {
			s := s.in(t)
			before := s.of("receipts-worker")
			s.change("receipts-worker", "LABEL halfway="+strconv.Itoa(int(signal)))
			ctx, cancel := context.WithTimeout(t.Context(), 3*patience)
			defer cancel()
			cmd := s.command(ctx, "deploy/prod-up.sh")
			var out bytes.Buffer
			cmd.Stdout, cmd.Stderr = &out, &out
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			s.eventually("the worker is being replaced", func() bool {
				now := s.of("receipts-worker")
				return len(now) == 1 && now[0] != before[0]
			})
			if err := cmd.Process.Signal(signal); err != nil {
				t.Fatal(err)
			}
			if err := cmd.Wait(); err == nil || !strings.Contains(out.String(), "went back to what ran before") {
				t.Errorf("prod-up ended with %v:\n%s", err, out.String())
			}
			if diff := cmp.Diff(want, s.deployed()); diff != "" {
				t.Errorf("what runs is not what ran before (-want +got):\n%s", diff)
			}
			s.serves()
		})
	}
}

// The new API fails while the old worker is being stopped at its job: what the
// engine began is not taken for what ran before.
func TestGoingBackWaitsForWhatWasBegun(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	s.mustProdUp()
	want := s.deployed()
	job := s.hold(20)
	s.awaitState(job, proto.StateStarted)
	s.change("receipts-api", `CMD ["version"]`)
	s.change("receipts-worker", "LABEL begun=yes")
	if out, err := s.prodUp(); err == nil || !strings.Contains(out, "went back to what ran before") {
		t.Errorf("prod-up ended with %v:\n%s", err, out)
	}
	s.awaitState(job, proto.StateFinished)
	if diff := cmp.Diff(want, s.deployed()); diff != "" {
		t.Errorf("what runs is not what ran before (-want +got):\n%s", diff)
	}
}

// What crashes again and again can be mended by a deployment.
func TestDeployingOverALoopingWorker(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	s.mustProdUp()
	mounted, err := filepath.Glob(filepath.Join(s.dir, "deploy/.deployed/files-*/secrets/token_keys"))
	if err != nil || len(mounted) != 1 {
		t.Fatalf("deployed copies of token_keys: %q, %v", mounted, err)
	}
	if err := os.WriteFile(mounted[0], []byte("broken"), 0o444); err != nil {
		t.Fatal(err)
	}
	worker := s.of("receipts-worker")[0]
	s.must("docker", "restart", worker)
	s.eventually("the worker crashes again and again", func() bool { return s.inspect("{{.RestartCount}}", worker)[0] >= "2" })
	s.must("rm", "-f", "deploy/secrets/diagnostic_keys")
	s.must("deploy/init-secrets.sh")
	s.mustProdUp()
	s.serves()
}

// Nothing that is deployed waits for a terminal that it may not read.
func TestDeployingFromATerminal(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	s.must("script", "--quiet", "--return", "--command", "deploy/prod-up.sh", "/dev/null")
	s.serves()
}

// What was deployed and is stopped is what a failing deployment goes back to.
func TestStoppedStackIsGoneBackTo(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	s.mustProdUp()
	want := s.deployed()
	s.must("docker", append([]string{"stop"}, s.containers()...)...)
	s.set("WORKER_CONCURRENCY", "none")
	if out, err := s.prodUp(); err == nil || !strings.Contains(out, "went back to what ran before") {
		t.Errorf("prod-up ended with %v:\n%s", err, out)
	}
	if diff := cmp.Diff(want, s.deployed()); diff != "" {
		t.Errorf("what runs is not what was proven (-want +got):\n%s", diff)
	}
}

func TestProdUpLeavesOthersAlone(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	s.must("docker", "compose", "up", "--detach", "--wait", "--wait-timeout", "60")
	before := s.containers()
	out, err := s.prodUp()
	if err == nil || !strings.Contains(out, "was not started by prod-up") {
		t.Errorf("prod-up over what it did not start: %v\n%s", err, out)
	}
	if diff := cmp.Diff(before, s.containers()); diff != "" {
		t.Errorf("containers (-want +got):\n%s", diff)
	}
	hint := regexp.MustCompile(`docker compose --project-name \S+ down`).FindString(out)
	s.must("sh", "-ec", "unset COMPOSE_FILE; "+hint) // as it is printed, in a shell that sets nothing
	s.mustProdUp()
	s.serves()
}

// Whatever changes what runs keeps off while another does, from whichever checkout.
func TestOneAtATime(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	lock, err := os.Create(s.lock())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = lock.Close() }()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	s.write("backups/copy/SHA256SUMS", s.must("sha256sum", "compose.yaml")+"\n")
	s.write("backups/copy/compose.yaml", s.read("compose.yaml"))
	for _, args := range [][]string{{"deploy/prod-up.sh"}, {"deploy/backup.sh"}, {"deploy/restore.sh", "backups/copy"}} {
		if out, err := s.run(t.Context(), args[0], args[1:]...); err == nil || !strings.Contains(out, "another one is at work") {
			t.Errorf("%q beside another: %v\n%s", args, err, out)
		}
	}
}

// A deployment that changes nothing replaces nothing.
func TestDeployingAgainTouchesNothing(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	s.mustProdUp()
	before := s.containers()
	s.mustProdUp()
	if diff := cmp.Diff(before, s.containers()); diff != "" {
		t.Errorf("containers (-want +got):\n%s", diff)
	}
	// A secret that changed is a change, which compose alone does not see.
	s.must("rm", "-f", "deploy/secrets/diagnostic_keys")
	s.must("deploy/init-secrets.sh")
	s.mustProdUp()
	s.serves() // with the new key
}
