//go:build compose

package composetest

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prosaas/receipts/proto"
)

// edge is Caddy in front of a stack, as deploy/guide/edge.md starts it.
type edge struct {
	*stack // to talk to the API through the edge

	environ []string // what a test has otherwise than the page
	https   string   // where the edge is
}

// The name that the page gives it.
const edgeName = "receipts.internal"

// startEdge puts an edge in front of a stack that is deployed.
func (s *stack) startEdge() *edge {
	s.t.Helper()
	for _, name := range []string{"deploy/edge/compose.yaml", "deploy/edge/Caddyfile"} {
		s.write(name, original(s.t, name))
	}
	through := *s
	e := &edge{stack: &through, https: freeAddress(s.t)}
	e.environ = []string{
		"COMPOSE_PROJECT_NAME=" + s.project + "-edge", "RECEIPTS_PROJECT=" + s.project, "CADDY_IMAGE=" + caddyImage(s.t),
		"EDGE_HTTP=" + freeAddress(s.t), "EDGE_HTTPS=" + e.https,
	}
	s.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if s.t.Failed() {
			out, _ := e.page(ctx, "See what it does")
			s.t.Logf("the edge's log:\n%s", out)
		}
		if out, err := e.compose(ctx, "down", "--volumes", "--timeout", "3"); err != nil {
			s.t.Logf("remove the edge: %v\n%s", err, out)
		}
	})
	for _, heading := range []string{"Tell the API of the edge", "With a certificate of its own"} {
		if out, err := e.page(s.t.Context(), heading); err != nil {
			s.t.Fatalf("%s: %v\n%s", heading, err, out)
		}
	}
	s.mustProdUp()
	s.eventually("the edge has an authority", func() bool {
		_, err := e.page(s.t.Context(), "Copy the certificate of its authority")
		return err == nil
	})
	e.api, e.client = "https://"+edgeName, e.trusting()
	s.eventually("the edge has a certificate", func() bool {
		a, err := e.try(http.MethodGet, "/readyz", "")
		return err == nil && a.status == http.StatusOK
	})
	return e
}

// page runs the shell block below a heading of the page.
func (e *edge) page(ctx context.Context, heading string) (string, error) {
	return e.run(ctx, "env", append(e.environ, "sh", "-euc", guide(e.t, "edge.md", heading))...)
}

func (e *edge) compose(ctx context.Context, args ...string) (string, error) {
	return e.run(ctx, "env", append(append(e.environ, "docker", "compose", "--file", "deploy/edge/compose.yaml"), args...)...)
}

// trusting is a client that trusts the edge's own authority, and nobody else.
func (e *edge) trusting() *http.Client {
	e.t.Helper()
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM([]byte(e.read("deploy/edge/root.crt"))) {
		e.t.Fatal("root.crt holds no certificate")
	}
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "tcp", e.https)
	}
	return &http.Client{Transport: &http.Transport{DialContext: dial, TLSClientConfig: &tls.Config{RootCAs: roots}, ForceAttemptHTTP2: true}}
}

// caddyImage is the image of Caddy that stands in for the registry's.
func caddyImage(t *testing.T) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), filepath.Join(root, "tools/caddy-image.sh")).Output()
	if err != nil {
		t.Fatalf("tools/caddy-image.sh: %v", err)
	}
	return strings.TrimSpace(string(out))
}

// A release of the API under 1,000 requests, and one that is broken and goes
// back: no request is refused, and every job that was accepted is done.
func TestEdgeRefusesNobodyDuringARelease(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	s.mustProdUp()
	e := s.startEdge()
	for _, release := range []struct {
		name, change string
		works        bool
	}{
		{"one that works", "LABEL released=yes", true},
		{"one that is broken", `ENTRYPOINT ["/nothing"]`, false},
	} {
		t.Run(release.name, func(t *testing.T) {
			s, through := s.in(t), e.in(t)
			before := s.of("receipts-api")[0]
			s.change("receipts-api", release.change)
			traffic := through.startTraffic(25 * time.Millisecond)
			if out, err := s.prodUp(); (err == nil) != release.works {
				t.Errorf("prod-up: %v\n%s", err, out)
			}
			traffic.await(1000)
			jobs := traffic.stop()
			if s.of("receipts-api")[0] == before {
				t.Error("the API was not replaced")
			}
			for _, job := range jobs {
				through.awaitState(job, proto.StateFinished)
			}
		})
	}
}

func TestEdge(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	s.set("LOG_LEVEL", "debug")
	s.mustProdUp()
	e := s.startEdge()

	t.Run("metrics and what is internal cannot be reached", func(t *testing.T) {
		e := e.in(t)
		for _, path := range []string{"/metrics", "/config/", "/debug/pprof/"} {
			if a, err := e.try(http.MethodGet, path, ""); err != nil || a.status != http.StatusNotFound {
				t.Errorf("GET %s: %d %s, %v", path, a.status, a.body, err)
			}
		}
	})
	t.Run("the API sees who calls", func(t *testing.T) {
		e := e.in(t)
		if _, err := e.try(http.MethodGet, "/livez", "", "X-Forwarded-For", "192.0.2.1", "X-Request-Id", "through-the-edge"); err != nil {
			t.Fatal(err)
		}
		// Engines hand a connection from this machine on from the network's gateway.
		want := s.inspect(`{{(index .NetworkSettings.Networks "`+s.project+`-edge_front").Gateway}}`, e.caddy())[0]
		var got struct {
			RemoteIP string `json:"remote_ip"`
		}
		e.eventually("the API has logged the request", func() bool {
			for line := range strings.Lines(e.must("docker", "logs", e.of("receipts-api")[0])) {
				if strings.Contains(line, `"request_id":"through-the-edge"`) {
					return json.Unmarshal([]byte(line), &got) == nil
				}
			}
			return false
		})
		if got.RemoteIP != want {
			t.Errorf("the API logged %q, want %q", got.RemoteIP, want)
		}
	})
	t.Run("events are not held back", func(t *testing.T) {
		e := e.in(t)
		job := e.hold(20)
		first := e.firstEvent(job)
		if now := e.job(job).Status; !strings.Contains(first, "event: job") || now == proto.StateFinished {
			t.Errorf("the job is %s when its first event comes: %q", now, first)
		}
	})
	t.Run("it is held tight", func(t *testing.T) {
		e := e.in(t)
		got := e.inspect("{{.HostConfig.ReadonlyRootfs}} {{.HostConfig.CapDrop}} {{.HostConfig.SecurityOpt}} {{.HostConfig.Memory}}", e.caddy())[0]
		if got != "true [ALL] [no-new-privileges:true] 268435456" {
			t.Errorf("it runs with %s", got)
		}
		if out, err := e.compose(t.Context(), "exec", "-T", "caddy", "caddy", "reload", "--config", "/etc/caddy/Caddyfile"); err == nil {
			t.Errorf("its admin interface answers:\n%s", out)
		}
	})
	t.Run("a public name", func(t *testing.T) {
		e := e.in(t)
		// All of the block but that it asks Let's Encrypt.
		block := strings.Replace(guide(t, "edge.md", "With a public name"), "up --detach --wait",
			"run --rm --no-TTY caddy caddy validate --config /etc/caddy/Caddyfile --adapter caddyfile", 1)
		if out := e.must("env", append(e.environ, "sh", "-euc", block)...); !strings.Contains(out, "Valid configuration") {
			t.Errorf("caddy says:\n%s", out)
		}
	})
	t.Run("removed", func(t *testing.T) {
		e := e.in(t)
		if out, err := e.page(t.Context(), "Remove it"); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
		s.in(t).serves()
	})
}

func (e *edge) in(t *testing.T) *edge {
	t.Helper()
	part := *e
	part.stack = e.stack.in(t)
	return &part
}

// caddy is the id of the edge's container.
func (e *edge) caddy() string {
	e.t.Helper()
	return e.must("docker", "ps", "--quiet", "--no-trunc", "--filter", "label=com.docker.compose.project="+e.project+"-edge")
}

// firstEvent reads the first line of a job's events.
func (e *edge) firstEvent(job string) string {
	e.t.Helper()
	r, err := e.request(e.t.Context(), http.MethodGet, "/api/receipts/sync/"+job+"/events", "")
	if err != nil {
		e.t.Fatal(err)
	}
	response, err := e.client.Do(r)
	if err != nil {
		e.t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	line, err := bufio.NewReader(response.Body).ReadString('\n')
	if err != nil {
		e.t.Fatalf("answered %s, and read %q: %v", response.Status, line, err)
	}
	return line
}
