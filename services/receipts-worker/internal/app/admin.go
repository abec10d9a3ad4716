package app

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/prosaas/receipts/pkg/lifecycle"
)

// listen serves the metrics and /livez, on an address of their own.
func (a *App) listen(ctx context.Context, addr string, stack *lifecycle.Stack) error {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", addr)
	if err != nil {
		return fmt.Errorf("listen for metrics: %w; set WORKER_ADMIN_ADDR to a free address", err)
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", a.metrics.Handler(a.log))
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ok\n")) })
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second, WriteTimeout: 30 * time.Second}
	served := make(chan struct{})
	go func() {
		defer close(served)
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			a.log.ErrorContext(ctx, "metrics listener ended", "err", err)
		}
	}()
	stack.OnStop("metrics listener", func(ctx context.Context) error {
		defer func() { <-served }()
		return server.Shutdown(ctx)
	})
	return nil
}
