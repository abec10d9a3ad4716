//go:build compose

package composetest

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/prosaas/receipts/proto"
)

// guided runs a block of deploy/guide/deploy.md in the stack's folder, with this
// test's names in the place of the page's. Pairs are what is replaced.
func (s *stack) guided(heading string, pairs ...string) {
	s.t.Helper()
	pairs = append(pairs, "make ", "make BINARY=prebuilt VERSION="+s.project+" ")
	s.must("env", "--unset=COMPOSE_FILE", "sh", "-ec", strings.NewReplacer(pairs...).Replace(guide(s.t, "deploy.md", heading)))
}

// byName renames a stack as the guide says, in .env, so that docker compose alone
// has another project than make prod-up.
func (s *stack) byName() {
	s.t.Helper()
	s.edit(".env", "COMPOSE_PROJECT_NAME=", "RECEIPTS_PROJECT=")
}

// What one checkout deployed no other one takes over, even where it has deployed
// the same project once; it is moved there on purpose.
func TestProjectBelongsToItsCheckout(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	s.byName()
	checkout(t, s.dir)
	s.mustProdUp()
	folder := lastLine(s.must("deploy/backup.sh"))
	if name := lastLine(s.must("sh", "-ec", "unset COMPOSE_FILE; docker compose config | sed -n 's/^name: //p'")); name != "receipts-dev" {
		t.Errorf("docker compose alone is at work on %s", name)
	}
	want := s.state()

	other := *s
	other.dir = t.TempDir()
	s.must("cp", "-Rp", s.dir+"/.", other.dir)
	for _, args := range [][]string{{"deploy/prod-up.sh"}, {"deploy/restore.sh", folder}, {"deploy/backup.sh"}} {
		out, err := other.run(t.Context(), args[0], args[1:]...)
		if err == nil || !strings.Contains(out, "is deployed from "+s.dir+":") {
			t.Errorf("%q in another checkout: %v\n%s", args, err, out)
		}
	}
	if diff := cmp.Diff(want, s.state()); diff != "" {
		t.Errorf("what is deployed (-want +got):\n%s", diff)
	}
	s.serves()

	job := s.hold(0)
	s.awaitState(job, proto.StateFinished)
	moved := *s
	moved.dir = t.TempDir()
	checkout(t, moved.dir)
	moved.guided("Move a stack to another folder", "/srv/receipts", s.dir)
	moved.awaitState(job, proto.StateFinished) // the volumes are the same
	moved.serves()
	if out, err := s.prodUp(); err == nil || !strings.Contains(out, "is deployed from "+moved.dir+":") {
		t.Errorf("prod-up where it was moved from: %v\n%s", err, out)
	}
}

// make demo-down removes a demo's volumes: production is none.
func TestProductionHasNoDemosName(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	for _, name := range []string{"receipts-dev", "receipts-demo", "receipts-demo-" + s.project} {
		s.set("COMPOSE_PROJECT_NAME", name)
		if out, err := s.prodUp(); err == nil || !strings.Contains(out, name+" is a name of demos") {
			t.Errorf("prod-up of the project %s: %v\n%s", name, err, out)
		}
	}
}

// A second stack runs beside the first, and neither sees the other.
func TestTwoStacksOnOneHost(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	s.byName()
	s.mustProdUp()
	want := s.state()

	t.Run("second", func(t *testing.T) {
		second := newStack(t)
		checkout(t, second.dir)
		second.edit(".env", "COMPOSE_PROJECT_NAME="+second.project+"\n", "")
		second.edit(".env", "API_PUBLISH="+strings.TrimPrefix(second.api, "http://")+"\n", "")
		second.must("rm", "-rf", "deploy/secrets")
		second.guided("A second stack", "receipts-second", second.project, "127.0.0.1:8081", strings.TrimPrefix(second.api, "http://"))
		if diff := cmp.Diff(want, s.state()); diff != "" {
			t.Errorf("the first stack beside the second (-want +got):\n%s", diff)
		}
		job := second.hold(0)
		second.awaitState(job, proto.StateFinished)
		if a, err := s.try(http.MethodGet, "/api/receipts/sync/"+job, ""); err != nil || a.status != http.StatusNotFound {
			t.Errorf("the first stack's answer to the second's job: %d %s, %v", a.status, a.body, err)
		}
		second.must("deploy/backup.sh")
	})
	s.serves()
	s.must("deploy/backup.sh")
}
