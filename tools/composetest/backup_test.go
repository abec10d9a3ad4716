//go:build compose

package composetest

import (
	"bytes"
	"net"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"filippo.io/age"
	"github.com/google/go-cmp/cmp"
	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"
)

// s3 starts an S3 server with a bucket, where containers reach it.
func (s *stack) s3(bucket string) *s3mem.Backend {
	s.t.Helper()
	backend := s3mem.New()
	if err := backend.CreateBucket(bucket); err != nil {
		s.t.Fatal(err)
	}
	bridge, err := net.InterfaceByName("docker0")
	if err != nil {
		s.t.Fatal(err)
	}
	addresses, err := bridge.Addrs()
	if err != nil || len(addresses) == 0 {
		s.t.Fatalf("docker0 has the addresses %v, %v", addresses, err)
	}
	host, _, _ := strings.Cut(addresses[0].String(), "/")
	listener, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		s.t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(gofakes3.New(backend).Server())
	_ = server.Listener.Close()
	server.Listener = listener
	server.Start()
	s.t.Cleanup(server.Close)
	s.set("BACKUP_S3_ENDPOINT", server.URL)
	s.set("BACKUP_S3_REGION", "us-east-1")
	s.set("AWS_ACCESS_KEY_ID", "tests")
	s.set("AWS_SECRET_ACCESS_KEY", "tests")
	return backend
}

// objects lists what a bucket holds below a prefix.
func objects(t *testing.T, backend *s3mem.Backend, bucket string) []string {
	t.Helper()
	list, err := backend.ListBucket(bucket, &gofakes3.Prefix{}, gofakes3.ListBucketPage{})
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, object := range list.Contents {
		names = append(names, object.Key)
	}
	return names
}

// A sealed copy goes to S3, and a new machine with the secrets and the identity
// is restored from there. Nothing leaves in clear.
func TestNewMachineFromS3(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	s.simulator()
	s.connect("before")
	want := s.receipts("before")
	bucket := s.s3("copies")

	s.set("BACKUP_URL", "s3://copies/receipts")
	if out, err := s.run(t.Context(), "deploy/backup.sh"); err == nil || !strings.Contains(out, "nothing leaves this machine in clear") {
		t.Errorf("without a recipient: %v\n%s", err, out)
	}
	identity, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	s.set("BACKUP_RECIPIENT", identity.Recipient().String())
	s.write("identity", identity.String()+"\n")
	s.set("BACKUP_KEEP", "1")
	if _, err := bucket.PutObject("copies", "receipts/of-somebody-else.tar.age", nil, strings.NewReader("kept"), 4, nil); err != nil {
		t.Fatal(err)
	}
	s.must("deploy/backup.sh")
	name := lastLine(s.must("deploy/backup.sh"))
	if diff := cmp.Diff([]string{"receipts/" + filepath.Base(name), "receipts/of-somebody-else.tar.age"}, objects(t, bucket, "copies")); diff != "" {
		t.Errorf("in S3 (-want +got):\n%s", diff)
	}
	if left, err := filepath.Glob(filepath.Join(s.dir, "backups", "*")); err != nil || len(left) != 1 {
		t.Errorf("in backups: %q, %v; want the newest", left, err)
	}
	sealed, err := os.ReadFile(filepath.Join(s.dir, name))
	if err != nil || !bytes.HasPrefix(sealed, []byte("age-encryption.org/v1\n")) || bytes.Contains(sealed, []byte("REDIS00")) {
		t.Errorf("the copy is not sealed: %v", err)
	}

	s.set("BACKUP_IDENTITY_FILE", filepath.Join(s.dir, "identity"))
	before := s.inspect("{{.State.StartedAt}}", s.containers()...)
	if out := s.must("deploy/restore-check.sh"); !strings.Contains(out, "s3://copies/receipts/"+filepath.Base(name)+" loads: ") {
		t.Errorf("restore-check says:\n%s", out)
	}
	if diff := cmp.Diff(before, s.inspect("{{.State.StartedAt}}", s.containers()...)); diff != "" {
		t.Errorf("restore-check touched what runs (-want +got):\n%s", diff)
	}

	s.must("docker", "rm", "--force", s.project+"-gmail")
	s.must("docker", "compose", "--project-name", s.project, "down", "--volumes")
	s.must("rm", "-r", "deploy/.deployed", "backups")
	s.mustProdUp()
	s.must("deploy/restore.sh", "s3://copies/receipts/"+strings.TrimSuffix(filepath.Base(name), ".tar.age"))
	if diff := cmp.Diff(want, s.receipts("before")); diff != "" {
		t.Errorf("receipts on the new machine (-want +got):\n%s", diff)
	}
}

// A copy of a system with one Redis is split over two.
func TestOneRedisBecomesTwo(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	s.simulator()
	s.connect("before")
	folder := lastLine(s.must("deploy/backup.sh"))
	if !strings.Contains(s.read("compose.prod.yaml"), "\n  redis-store:\n") {
		s.edit("compose.prod.yaml", "\nservices:\n", `
volumes: {redis-store: {}}
services:
  redis-store:
    extends: {file: compose.yaml, service: redis}
    volumes: !override ["redis-store:/data"]
`)
	}
	s.mustProdUp()
	out := s.must("deploy/restore.sh", folder)
	if !strings.Contains(out, "redis loads: ") || !strings.Contains(out, ", 0 receipts") {
		t.Errorf("the queue's Redis got receipts:\n%s", out)
	}
	if keys := s.redis("--scan"); strings.Contains(keys, "receipts:{b:") || !strings.Contains(keys, "{receipts}:") {
		t.Errorf("the queue's Redis holds:\n%s", keys)
	}
	again := lastLine(s.must("deploy/backup.sh"))
	for name, want := range map[string]string{"redis.rdb": "{receipts}:", "redis-store.rdb": "receipts:{b:before}:by_date"} {
		if !strings.Contains(s.read(again+"/"+name), want) {
			t.Errorf("%s of a copy of two has no %s", name, want)
		}
	}
}
