//go:build compose

package composetest

import (
	"strings"
	"testing"
)

// Five changes made by hand on a deployed stack are each found by make verify,
// and make prod-up, or what the hint says, puts them right.
func TestDrift(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	s.mustProdUp()
	s.wantWell()
	for _, tt := range []struct {
		name    string
		change  func(s *stack)
		says    string
		want    []string
		workers int // live ones after the change; 0: one
		mend    func(s *stack)
	}{
		{
			name: "development files over production",
			change: func(s *stack) {
				s.must("env", "COMPOSE_FILE=compose.yaml", "docker", "compose", "up", "--detach", "--no-build", "receipts-worker")
			},
			says: "was started from " + s.dir + "/compose.yaml",
			want: []string{"every container was started from this composition"},
		},
		{
			name: "another image",
			change: func(s *stack) {
				s.change("receipts-worker", "LABEL by=hand")
				id := s.must("docker", "image", "inspect", "--format", "{{.Id}}", "receipts-worker:"+built)
				s.tamper("receipts-worker:"+s.project+"-"+strings.TrimPrefix(id, "sha256:")[:12], "receipts-worker:"+s.project)
				s.must("docker", "tag", "receipts-worker:"+built, "receipts-worker:"+s.project)
			},
			says: "has the image sha256:",
			want: []string{"images are the deployed ones"},
		},
		{
			name:   "an environment variable",
			change: func(s *stack) { s.tamper(`HEARTBEAT_TTL: ""`, `HEARTBEAT_TTL: 10s`) },
			says:   `HEARTBEAT_TTL is "10s", want ""`,
			want:   []string{"environments are the deployed ones"},
		},
		{
			name: "a replica on another queue", workers: 2,
			change: func(s *stack) {
				s.must("docker", "compose", "--file", "deploy/.deployed/compose.yaml", "run", "--detach", "--env", "WORKER_QUEUES=high", "receipts-worker")
			},
			says: "runs receipts-worker beside the composition",
			want: []string{"no container is there that the composition does not have"},
			mend: func(s *stack) {
				for _, one := range s.containers("--filter", "label=com.docker.compose.oneoff=True") {
					s.must("docker", "rm", "--force", one)
				}
			},
		},
		{
			name:   "an old secret",
			change: func(s *stack) { s.write("deploy/secrets/jwt_secret", "another-secret-0123456789-0123456789-0123") },
			says:   "deploy/secrets/jwt_secret was edited since it was deployed",
			want:   []string{"secrets and redis.conf are the deployed ones"},
		},
		{
			name:   "redis.conf edited",
			change: func(s *stack) { s.edit("deploy/redis/redis.conf", "tcp-keepalive 60", "tcp-keepalive 61") },
			says:   "deploy/redis/redis.conf was edited since it was deployed",
			want:   []string{"secrets and redis.conf are the deployed ones"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := s.in(t)
			tt.change(s)
			s.awaitWorkers(max(1, tt.workers))
			s.wantFailed(tt.says, tt.want...)
			if tt.mend == nil {
				tt.mend = func(s *stack) { s.mustProdUp() }
			}
			tt.mend(s)
			s.wantWell()
		})
	}
}

// tamper starts what runs with a change to the deployed composition, and undoes
// the change in the file alone.
func (s *stack) tamper(from, to string) {
	s.t.Helper()
	const deployed = "deploy/.deployed/compose.yaml"
	before := s.read(deployed)
	s.edit(deployed, from, to)
	s.must("docker", "compose", "--file", deployed, "up", "--detach", "--no-build", "--wait")
	s.write(deployed, before)
}
