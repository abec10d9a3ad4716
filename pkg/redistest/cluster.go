package redistest

import (
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"
)

// masters of a cluster: one master alone accepts scripts over several slots,
// two do not, and a real one has three.
const masters = 3

var cluster struct {
	sync.Mutex
	nodes []*Server
	dir   string
	users int
}

// Cluster answers the URL of a Redis Cluster of three masters on loopback, one
// a test binary: tests keep apart by their prefixes.
func Cluster(tb testing.TB) string {
	tb.Helper()
	cluster.Lock()
	defer cluster.Unlock()
	if cluster.users == 0 {
		form(tb)
	}
	cluster.users++
	tb.Cleanup(func() {
		cluster.Lock()
		defer cluster.Unlock()
		if cluster.users--; cluster.users == 0 {
			disband()
		}
	})
	var addrs []string
	for _, node := range cluster.nodes {
		addrs = append(addrs, node.Addr)
	}
	return "redis://" + strings.Join(addrs, ",") + "/0"
}

func disband() {
	for _, node := range cluster.nodes {
		node.Kill()
	}
	cluster.nodes = nil
	_ = os.RemoveAll(cluster.dir)
}

// form starts the masters, gives each a third of the slots, and waits until all
// know each other.
func form(tb testing.TB) {
	tb.Helper()
	const slots = 16384
	dir, err := os.MkdirTemp("", "redistest-cluster-") //nolint:usetesting // outlives the test that starts it
	if err != nil {
		tb.Fatal(err)
	}
	cluster.dir = dir
	for i := range masters {
		node := launch(tb, dir, "", nil, "--cluster-enabled", "yes", "--cluster-config-file", fmt.Sprintf("nodes%d.conf", i))
		cluster.nodes = append(cluster.nodes, node)
		ask(tb, node.Addr, fmt.Sprintf("CLUSTER ADDSLOTSRANGE %d %d", i*slots/masters, (i+1)*slots/masters-1))
		if i > 0 {
			host, port, _ := net.SplitHostPort(cluster.nodes[0].Addr)
			ask(tb, node.Addr, "CLUSTER MEET "+host+" "+port)
		}
	}
	deadline := time.Now().Add(30 * time.Second)
	for _, node := range cluster.nodes {
		for {
			info := ask(tb, node.Addr, "CLUSTER INFO")
			if strings.Contains(info, "cluster_state:ok") && strings.Contains(info, fmt.Sprintf("cluster_known_nodes:%d", masters)) {
				break
			}
			if time.Now().After(deadline) {
				tb.Fatalf("cluster did not form:\n%s", info)
			}
			<-time.After(10 * time.Millisecond)
		}
	}
}

// ask sends one command to a server and answers what comes back, at most 4 kB.
func ask(tb testing.TB, addr, command string) string {
	tb.Helper()
	dialer := net.Dialer{Timeout: time.Second}
	conn, err := dialer.DialContext(tb.Context(), "tcp", addr)
	if err != nil {
		tb.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if _, err := conn.Write([]byte(command + "\r\n")); err != nil {
		tb.Fatal(err)
	}
	if err := conn.SetReadDeadline(time.Now().Add(5 * time.Second)); err != nil {
		tb.Fatal(err)
	}
	buffer := make([]byte, 4096)
	n, err := conn.Read(buffer)
	if err != nil {
		tb.Fatal(err)
	}
	return string(buffer[:n])
}
