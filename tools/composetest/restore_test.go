//go:build compose

package composetest

import (
	"encoding/json"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/prosaas/receipts/pkg/auth"
	"github.com/prosaas/receipts/proto"
)

// simulator puts simulated Gmail beside what is deployed, under an address that
// this machine and the containers share.
func (s *stack) simulator() {
	s.t.Helper()
	s.files = append(development, "test.yaml")
	s.write("test.yaml", `
services:
  gmailsim: {ports: !reset [], command: [--addr, ":8025", --mailbox, "seed:60", --quota, "off", --auto-consent]}
`)
	s.set("COMPOSE_PROFILES", "demo")
	s.must("docker", "compose", "up", "--detach", "--wait", "--wait-timeout", "90")
	// The address that a browser would be sent to is that of the container.
	address := s.inspect(`{{range $name, $network := .NetworkSettings.Networks}}{{$network.IPAddress}} {{end}}`, s.of("gmailsim")[0])[0]
	s.set("OAUTH_AUTH_URL", "http://"+strings.Fields(address)[0]+":8025/o/oauth2/v2/auth")
	s.must("docker", "compose", "up", "--detach", "--wait", "--wait-timeout", "90")
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
	client := &http.Client{Jar: jar, Timeout: time.Minute}
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

// blobs runs a command in the volume of the blobs.
func (s *stack) blobs(script string) string {
	s.t.Helper()
	return s.must("docker", "run", "--rm", "--user", "65532:65532", "--volume", s.project+"_blobs:/blobs", "--entrypoint", "sh", redisImage(s.t), "-ec", script)
}

// A copy is made while a job runs. What comes after it is lost with a restore,
// and nothing else: receipts, files and connections are those of the copy, the
// job that ran is taken up, and leases are newer than any that was given.
func TestRestoredSystemGoesOn(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	s.simulator()
	s.connect("before")
	s.blobs("mkdir -p /blobs/one && echo kept >/blobs/one/file")
	want := s.receipts("before")
	if len(want) == 0 {
		t.Fatal("the mailbox has no receipts: there is nothing to restore")
	}
	running := s.hold(20)
	s.awaitState(running, proto.StateStarted)
	folder := lastLine(s.must("deploy/backup.sh"))

	s.awaitState(running, proto.StateFinished)
	s.connect("after")
	s.blobs("rm /blobs/one/file; echo late >/blobs/late")
	lease := s.redis("get", proto.MustKeys(proto.DefaultPrefix).Lease())

	s.must("deploy/restore.sh", folder)
	if diff := cmp.Diff(want, s.receipts("before")); diff != "" {
		t.Errorf("receipts (-want +got):\n%s", diff)
	}
	if got := s.receipts("after"); len(got) > 0 {
		t.Errorf("%d receipts came after the copy, and are there", len(got))
	}
	if diff := cmp.Diff("kept\none", s.blobs("cat /blobs/one/file; ls /blobs")); diff != "" {
		t.Errorf("blobs (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff("late", s.blobs("cat /blobs/.replaced-*/late")); diff != "" {
		t.Errorf("what was there before is not kept (-want +got):\n%s", diff)
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
		{"no archive", "head -c 2000 /dev/urandom >blobs.tar && sha256sum redis.rdb blobs.tar >SHA256SUMS"},
	} {
		s.must("sh", "-ec", "rm -rf broken && cp -R "+folder+" broken && cd broken && "+tt.plant)
		if out, err := s.run(t.Context(), "deploy/restore.sh", "broken"); err == nil || !strings.Contains(out, "nothing was touched") {
			t.Errorf("%s: %v\n%s", tt.name, err, out)
		}
	}
	if diff := cmp.Diff(before, s.inspect("{{.State.StartedAt}}", s.containers()...)); diff != "" {
		t.Errorf("containers were started (-want +got):\n%s", diff)
	}
	s.serves()
}

func lastLine(out string) string {
	lines := strings.Split(out, "\n")
	return lines[len(lines)-1]
}
