//go:build compose

package composetest

import (
	"bytes"
	"context"
	"encoding/json"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/prosaas/receipts/proto"
)

// checkout copies the files of this checkout, as a clone of it has them.
func checkout(t *testing.T, dir string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "sh", "-ec",
		`git ls-files -z --cached --others --exclude-standard | tar --create --null --files-from - | tar --extract --directory "$1"`, "sh", dir)
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("copy the checkout: %v\n%s", err, out)
	}
}

// make runs make as a person does, whose shell sets nothing.
func (s *stack) make(args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(s.t.Context(), 5*time.Minute)
	defer cancel()
	cmd := s.command(ctx, "make", append(args, "BINARY=prebuilt")...)
	cmd.Env = slices.DeleteFunc(cmd.Env, func(entry string) bool { return strings.HasPrefix(entry, "COMPOSE_FILE=") })
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func (s *stack) mustMake(args ...string) string {
	s.t.Helper()
	out, err := s.make(args...)
	if err != nil {
		s.t.Fatalf("make %q: %v\n%s", args, err, out)
	}
	return out
}

// state is all that another command must leave alone: the containers with the
// time of their start, the volumes, and the files of the folder that
// are an operator's own.
func (s *stack) state() map[string]string {
	s.t.Helper()
	state := map[string]string{".env": s.read(".env")}
	for _, line := range s.inspect("{{.Name}} {{.Id}} started at {{.State.StartedAt}}, restarted {{.RestartCount}} times", s.containers("--all")...) {
		name, what, _ := strings.Cut(line, " ")
		state["container "+name] = what
	}
	label := "label=com.docker.compose.project=" + s.project
	for volume := range strings.FieldsSeq(s.must("docker", "volume", "ls", "--quiet", "--filter", label)) {
		state["volume "+volume] = s.must("docker", "volume", "inspect", volume)
	}
	for _, folder := range []string{"deploy/secrets", "deploy/.deployed"} {
		for name, content := range contents(s.t, filepath.Join(s.dir, folder)) {
			state[folder+"/"+name] = content
		}
	}
	return state
}

// taken sees to it that something listens on a port.
func taken(t *testing.T, port string) {
	t.Helper()
	if listener, err := net.Listen("tcp", "127.0.0.1:"+port); err == nil { // else somebody else's program does
		t.Cleanup(func() { _ = listener.Close() })
	}
}

var demoLink = regexp.MustCompile(`(http://127\.0\.0\.1:\d+)(/signin)#token=(\S+)`)

// demo is a running demo, and who is signed in by its link.
type demo struct {
	stack
	token string
}

// demoAt reads what make demo printed.
func (s *stack) demoAt(project, printed string) *demo {
	s.t.Helper()
	link := demoLink.FindStringSubmatch(printed)
	if link == nil {
		s.t.Fatalf("make demo printed no link:\n%s", printed)
	}
	d := &demo{stack: *s, token: link[3]}
	d.project, d.api = project, link[1]
	if a, err := d.try(http.MethodGet, link[2], ""); err != nil || a.status != http.StatusOK || !bytes.Contains(a.body, []byte("<html")) {
		s.t.Errorf("%s is answered %d, %v", link[0], a.status, err)
	}
	d.receipts()
	return d
}

// receipts counts the receipts that who is signed in sees.
func (d *demo) receipts() int {
	d.t.Helper()
	a, err := d.try(http.MethodGet, "/api/receipts?limit=200", "", "Authorization", "Bearer "+d.token)
	return len(decode[proto.List[struct{ ID string }]](d.t, a, err, http.StatusOK).Items)
}

// connect allows access in the simulator's page, as a person does in a browser.
func (d *demo) connect() {
	d.t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		d.t.Fatal(err)
	}
	client := &http.Client{Jar: jar, Timeout: time.Minute}
	r, err := http.NewRequestWithContext(d.t.Context(), http.MethodGet, d.api+"/api/gmail/oauth/start", nil)
	if err != nil {
		d.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+d.token)
	response, err := client.Do(r)
	if err != nil {
		d.t.Fatal(err)
	}
	var start proto.OAuthStart
	err = json.NewDecoder(response.Body).Decode(&start)
	_ = response.Body.Close()
	if err != nil {
		d.t.Fatalf("start of connecting: %s, %v", response.Status, err)
	}
	page, err := client.Get(start.AuthURL)
	if err != nil {
		d.t.Fatal(err)
	}
	var form bytes.Buffer
	_, err = form.ReadFrom(page.Body)
	_ = page.Body.Close()
	account := regexp.MustCompile(`name="account" value="([^"]+)" checked`).FindSubmatch(form.Bytes())
	scope := regexp.MustCompile(`name="scope" value="([^"]+)"`).FindSubmatch(form.Bytes())
	if err != nil || account == nil || scope == nil {
		d.t.Fatalf("the page where access is allowed: %s, %v\n%s", page.Status, err, form.Bytes())
	}
	back, err := client.PostForm(start.AuthURL, url.Values{"account": {string(account[1])}, "scope": {string(scope[1])}, "answer": {"allow"}})
	if err != nil {
		d.t.Fatal(err)
	}
	_ = back.Body.Close()
	if back.Request.URL.Query().Get("connected") != "true" {
		d.t.Fatalf("connecting ended at %s", back.Request.URL)
	}
}

// A demo runs beside production, from its folder or from another, and production
// does not notice: the demo has ports, volumes and secrets of its own.
func TestDemoBesideProduction(t *testing.T) {
	t.Parallel()
	taken(t, "8080")
	taken(t, "8025")
	s := newStack(t)
	checkout(t, s.dir)
	s.mustProdUp()
	finished := s.hold(0)
	s.awaitState(finished, proto.StateFinished)
	running := s.hold(30)
	s.awaitState(running, proto.StateStarted)
	job := s.job(finished)
	want := s.state()
	untouched := func(when string) {
		t.Helper()
		if diff := cmp.Diff(want, s.state()); diff != "" {
			t.Errorf("production after %s (-want +got):\n%s", when, diff)
		}
	}

	version := s.project + "-demo"
	name, project := version, "receipts-demo-"+version
	t.Cleanup(func() { // what the test has not ended itself
		_, _ = s.run(context.Background(), "docker", "compose", "--project-name", project, "down", "--volumes", "--remove-orphans")
		for _, image := range images {
			_, _ = s.run(context.Background(), "docker", "image", "rm", "--force", image+":"+version)
		}
		_ = os.Remove(filepath.Join("/tmp", project+".lock"))
	})
	command := strings.Fields(guide(t, "deploy.md", "A demo beside production"))
	// A setting of the shell, too, is production's and not the demo's.
	printed := s.mustMake(append(command[1:], "DEMO="+name, "VERSION="+version, "GMAIL_ENDPOINT=http://127.0.0.1:1/")...)
	untouched("make demo")
	d := s.demoAt(project, printed)
	if strings.HasSuffix(d.api, ":8080") || d.api == s.api {
		t.Errorf("the demo is said to be at %s, where something else is", d.api)
	}
	d.connect()
	d.eventually("the demo has receipts", func() bool { return d.receipts() > 0 })
	before := d.containers()

	t.Run("again", func(t *testing.T) {
		s := s.in(t)
		again := s.demoAt(project, s.mustMake("demo", "DEMO="+name, "VERSION="+version))
		if again.api != d.api || again.receipts() == 0 || !slices.Equal(before, d.containers()) {
			t.Errorf("a second make demo moved it from %s to %s, or replaced it", d.api, again.api)
		}
	})

	elsewhere := *s
	elsewhere.dir = t.TempDir()
	checkout(t, elsewhere.dir)
	elsewhere.set("REDIS_IMAGE", redisImage(t))
	t.Run("while another checkout's runs", func(t *testing.T) {
		for _, target := range []string{"demo", "demo-down"} {
			// The images are those of the first.
			out, err := elsewhere.in(t).make("--old-file=images", target, "DEMO="+name, "VERSION="+version)
			if err == nil || !strings.Contains(out, "another checkout's demo is there") || !strings.Contains(out, s.dir) {
				t.Errorf("make %s: %v\n%s", target, err, out)
			}
		}
		if diff := cmp.Diff(before, d.containers()); diff != "" {
			t.Errorf("the demo's containers (-want +got):\n%s", diff)
		}
		d.receipts()
	})

	s.mustMake("demo-down", "DEMO="+name)
	if left := append(d.containers("--all"), strings.Fields(s.must("docker", "volume", "ls", "--quiet", "--filter", "label=com.docker.compose.project="+project))...); len(left) > 0 {
		t.Errorf("the demo left %q", left)
	}
	untouched("make demo-down")
	s.demoAt(project, elsewhere.mustMake("--old-file=images", "demo", "DEMO="+name, "VERSION="+version))
	elsewhere.mustMake("demo-down", "DEMO="+name)
	untouched("a demo in another checkout")
	if diff := cmp.Diff(job, s.job(finished)); diff != "" {
		t.Errorf("a job of production (-want +got):\n%s", diff)
	}
	s.awaitState(running, proto.StateFinished)
	if attempts := s.job(running).Attempt; attempts != 1 {
		t.Errorf("production's job took %d attempts", attempts)
	}
	s.serves()
}
