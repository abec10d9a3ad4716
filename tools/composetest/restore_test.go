//go:build compose

package composetest

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/prosaas/receipts/pkg/auth"
	"github.com/prosaas/receipts/proto"
)

// simulator deploys for production, with simulated Gmail on the networks of both
// services, under a name that production takes.
func (s *stack) simulator() {
	s.t.Helper()
	for _, setting := range []string{"GMAIL_ENDPOINT=http://gmail:8025/", "OAUTH_AUTH_URL=http://gmail:8025/o/oauth2/v2/auth", "OAUTH_TOKEN_URL=http://gmail:8025/token", "OAUTH_REVOKE_URL=http://gmail:8025/revoke"} {
		name, value, _ := strings.Cut(setting, "=")
		s.set(name, value)
	}
	s.mustProdUp()
	name := s.project + "-gmail"
	s.must("docker", "run", "--detach", "--name", name, "--network", s.project+"_api", "--network-alias", "gmail", "receipts-gmailsim:"+s.project,
		"--addr", ":8025", "--mailbox", "seed:60", "--quota", "off", "--auto-consent")
	s.t.Cleanup(func() { _, _ = s.run(context.Background(), "docker", "rm", "--force", name) })
	s.must("docker", "network", "connect", "--alias", "gmail", s.project+"_worker", name)
	s.gmail = s.inspect(`{{(index .NetworkSettings.Networks "`+s.project+`_api").IPAddress}}`, name)[0] + ":8025"
}

// bearer is the header of a business's owner.
func (s *stack) bearer(business string) []string {
	s.t.Helper()
	token, err := auth.Sign([]byte(s.read("deploy/secrets/jwt_secret")), auth.Principal{Subject: "test", BusinessID: business, Role: auth.RoleOwner}, time.Hour, auth.Options{})
	if err != nil {
		s.t.Fatal(err)
	}
	return []string{"Authorization", "Bearer " + token}
}

// connect connects a business to Gmail, and waits for the sync that this starts.
func (s *stack) connect(business string) {
	s.t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		s.t.Fatal(err)
	}
	// A browser would find Gmail by its name; here only its address leads to it.
	transport := &http.Transport{DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
		if address == "gmail:8025" {
			address = s.gmail
		}
		return (&net.Dialer{}).DialContext(ctx, network, address)
	}}
	defer transport.CloseIdleConnections()
	client := &http.Client{Jar: jar, Timeout: time.Minute, Transport: transport}
	r, err := http.NewRequestWithContext(s.t.Context(), http.MethodGet, s.api+"/api/gmail/oauth/start", nil)
	if err != nil {
		s.t.Fatal(err)
	}
	r.Header.Set("Authorization", s.bearer(business)[1])
	response, err := client.Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	var start proto.OAuthStart
	err = json.NewDecoder(response.Body).Decode(&start)
	_ = response.Body.Close()
	if err != nil || start.AuthURL == "" {
		s.t.Fatalf("start of connecting: %s, %v", response.Status, err)
	}
	response, err = client.Get(start.AuthURL + "&login_hint=" + url.QueryEscape("owner@example.com"))
	if err != nil {
		s.t.Fatal(err)
	}
	_ = response.Body.Close()
	if response.Request.URL.Query().Get("connected") != "true" {
		s.t.Fatalf("connecting ended at %s", response.Request.URL.Path)
	}
	s.eventually("the first sync finishes", func() bool {
		var told proto.JobAnswer
		a, err := s.try(http.MethodGet, "/api/receipts/sync/latest", "", s.bearer(business)...)
		return err == nil && json.Unmarshal(a.body, &told) == nil && told.Job.Status == proto.StateFinished
	})
}

// receipts are the ids of a business's receipts.
func (s *stack) receipts(business string) []string {
	s.t.Helper()
	a, err := s.try(http.MethodGet, "/api/receipts?limit=200", "", s.bearer(business)...)
	var ids []string
	for _, receipt := range decode[proto.List[struct{ ID string }]](s.t, a, err, http.StatusOK).Items {
		ids = append(ids, receipt.ID)
	}
	return ids
}

// sync syncs a business, and answers how many receipts were saved.
func (s *stack) sync(business string) int {
	s.t.Helper()
	a, err := s.try(http.MethodPost, "/api/receipts/sync", "", s.bearer(business)...)
	id := decode[proto.SyncAccepted](s.t, a, err, http.StatusAccepted).JobID
	var told proto.JobAnswer
	s.eventually("a sync finishes", func() bool {
		a, err := s.try(http.MethodGet, "/api/receipts/sync/"+id, "", s.bearer(business)...)
		return err == nil && json.Unmarshal(a.body, &told) == nil && told.Job.Status == proto.StateFinished
	})
	return told.Job.Progress.Saved
}

// A copy is made while a job runs. What comes after it is lost with a restore,
// and nothing else: receipts, files and connections are those of the copy, the
// job that ran is taken up, and leases are newer than any that was given.
func TestRestoredSystemGoesOn(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	s.simulator()
	s.connect("before")
	want := s.receipts("before")
	if len(want) == 0 {
		t.Fatal("the mailbox has no receipts: there is nothing to restore")
	}
	running := s.hold(20)
	s.awaitState(running, proto.StateStarted)
	folder := lastLine(s.must("deploy/backup.sh"))

	s.awaitState(running, proto.StateFinished)
	s.connect("after")
	lease := s.redis("get", proto.MustKeys(proto.DefaultPrefix).Lease())

	s.must("deploy/restore.sh", folder)
	if diff := cmp.Diff(want, s.receipts("before")); diff != "" {
		t.Errorf("receipts (-want +got):\n%s", diff)
	}
	if got := s.receipts("after"); len(got) > 0 {
		t.Errorf("%d receipts came after the copy, and are there", len(got))
	}
	s.awaitState(running, proto.StateFinished) // by a worker that is newer than the copy
	if saved := s.sync("before"); saved != 0 {
		t.Errorf("a sync after the restore saved %d receipts that were there", saved)
	}
	if got := s.redis("get", proto.MustKeys(proto.DefaultPrefix).Lease()); len(got) < len(lease) || got <= lease {
		t.Errorf("the lease went back from %s to %s", lease, got)
	}
	s.connect("after")
}

// A copy that is not whole is refused before anything is touched.
func TestBrokenCopyIsRefused(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	s.mustProdUp()
	folder := lastLine(s.must("deploy/backup.sh"))
	before := s.inspect("{{.State.StartedAt}}", s.containers()...)
	for _, tt := range []struct{ name, plant string }{
		{"cut", "truncate -s 100 redis.rdb"},
		{"missing", "rm blobs.tar"},
		{"not listed", "sha256sum redis.rdb >SHA256SUMS"},
		{"too new", "printf REDIS0099 | dd of=redis.rdb conv=notrunc status=none && sed -i 's/redis-ver\\(.\\)7/redis-ver\\18/' redis.rdb && sha256sum redis.rdb blobs.tar >SHA256SUMS"},
		{"no archive", "head -c 2000 /dev/urandom >blobs.tar && sha256sum redis.rdb blobs.tar >SHA256SUMS"},
	} {
		s.must("sh", "-ec", "rm -rf broken && cp -R "+folder+" broken && cd broken && "+tt.plant)
		if out, err := s.run(t.Context(), "deploy/restore.sh", "broken"); err == nil || !strings.Contains(out, "Nothing was touched") || tt.name == "too new" && !strings.Contains(out, "was made by Redis 8.") {
			t.Errorf("%s: %v\n%s", tt.name, err, out)
		}
	}
	if diff := cmp.Diff(before, s.inspect("{{.State.StartedAt}}", s.containers()...)); diff != "" {
		t.Errorf("containers were started (-want +got):\n%s", diff)
	}
	s.serves()
}

// What fails after the system was stopped brings back what was there, by itself.
func TestFailedRestoreGoesBack(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	s.simulator()
	folder := lastLine(s.must("deploy/backup.sh"))
	s.connect("after")
	want := s.receipts("after")

	// No service is healthy within nothing: its health is asked every 5 s.
	out, err := s.run(t.Context(), "env", "RESTORE_WAIT=0", "deploy/restore.sh", folder)
	if err == nil || !strings.Contains(out, "what was there before is back, and runs") {
		t.Fatalf("unhealthy services: %v\n%s", err, out)
	}
	if diff := cmp.Diff(want, s.receipts("after")); diff != "" {
		t.Errorf("receipts after going back (-want +got):\n%s", diff)
	}

	for _, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		s.interruptRestore(folder, signal)
		if signal == syscall.SIGKILL {
			// A command that the killed one started may still hold the lock.
			s.eventually("the next restore finishes the way back", func() bool {
				out, err := s.run(t.Context(), "deploy/restore.sh")
				return err == nil && strings.Contains(out, "the last restore was killed")
			})
		}
		if diff := cmp.Diff(want, s.receipts("after")); diff != "" {
			t.Errorf("receipts after %s (-want +got):\n%s", signal, diff)
		}
	}
	s.must("deploy/restore.sh", folder)
	if got := s.receipts("after"); len(got) != 0 {
		t.Errorf("the copy is not restored: %d receipts came after it", len(got))
	}
}

// interruptRestore starts a restore, and sends it a signal once the queue's Redis
// is stopped.
func (s *stack) interruptRestore(folder string, signal syscall.Signal) {
	s.t.Helper()
	cmd := s.command(s.t.Context(), "deploy/restore.sh", folder)
	out, err := os.Create(filepath.Join(s.dir, "interrupted"))
	if err != nil {
		s.t.Fatal(err)
	}
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.eventually("the restore writes its mark", func() bool {
		_, err := s.run(s.t.Context(), "docker", "run", "--rm", "--mount", "type=volume,source="+s.project+"_redis,target=/volume,volume-nocopy",
			"--entrypoint", "sh", redisImage(s.t), "-c", "[ -e /volume/.restore ]")
		return err == nil
	})
	if err := cmd.Process.Signal(signal); err != nil {
		s.t.Fatal(err)
	}
	if err := cmd.Wait(); err == nil {
		s.t.Errorf("a restore that got %s succeeded:\n%s", signal, s.read("interrupted"))
	}
}

func lastLine(out string) string {
	lines := strings.Split(out, "\n")
	return lines[len(lines)-1]
}
