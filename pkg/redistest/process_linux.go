package redistest

import (
	"syscall"
	"testing"
)

// attributes has the kernel end the server with the test binary, even one that panics.
func attributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }

// preload has the server load libfaketime, and libc's allocator before the one
// it brings: jemalloc asks for the time before libfaketime can tell it, and waits
// for itself for ever.
func preload(tb testing.TB) []string {
	tb.Helper()
	return []string{"LD_PRELOAD=" + library(tb, "/usr/lib/*/faketime/libfaketime.so.1") + " libc.so.6"}
}
