package receiptmail

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// reader is every test's: one PDF sandbox a test binary.
var reader *Reader

func TestMain(m *testing.M) {
	cache, err := os.UserCacheDir()
	if err != nil {
		fmt.Fprintln(os.Stderr, "find the cache of compiled code:", err)
		os.Exit(1)
	}
	reader = NewReader(filepath.Join(cache, "receipts", "pdf"))
	code := m.Run()
	if err := reader.Close(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(code)
}
