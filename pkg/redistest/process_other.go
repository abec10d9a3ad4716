//go:build !linux

package redistest

import (
	"syscall"
	"testing"
)

func attributes() *syscall.SysProcAttr { return nil }

// preload has the server load libfaketime.
func preload(tb testing.TB) []string {
	tb.Helper()
	lib := library(tb, "/opt/homebrew/lib/faketime/libfaketime.1.dylib", "/usr/local/lib/faketime/libfaketime.1.dylib")
	return []string{"DYLD_INSERT_LIBRARIES=" + lib, "DYLD_FORCE_FLAT_NAMESPACE=1"}
}
