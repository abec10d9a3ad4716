package redistest

import (
	"strconv"
	"strings"
)

// LimitMemory sets maxmemory, in bytes. One byte makes the server full at once;
// 0 takes the limit away.
func (s *Server) LimitMemory(bytes int) {
	s.tb.Helper()
	if said := ask(s.tb, s.Addr, "CONFIG SET maxmemory "+strconv.Itoa(bytes)); !strings.HasPrefix(said, "+OK") {
		s.tb.Fatalf("limit the memory of redis-server: %s", said)
	}
}
