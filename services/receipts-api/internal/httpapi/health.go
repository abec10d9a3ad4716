package httpapi

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/prosaas/receipts/proto"
)

// livez tells that the process answers.
func (a *API) livez(c echo.Context) error {
	return c.JSON(http.StatusOK, map[string]string{"status": "ok"})
}

// readyz reports whether requests may come: the queue's Redis replies, and the
// process is not stopping. Whether workers live is no matter: somebody must say that
// none does. Nor is the store: without it syncs are still accepted and jobs shown,
// which a proxy would cut off if the API were not ready.
func (a *API) readyz(c echo.Context) error {
	if a.stopping.Load() {
		return errStopping
	}
	ctx, cancel := patient(c)
	defer cancel()
	if err := a.Redis.Ping(ctx); err != nil {
		return err
	}
	return c.JSON(http.StatusOK, map[string]string{"status": "ready"})
}

func (a *API) version(c echo.Context) error {
	return c.JSON(http.StatusOK, map[string]string{"version": a.Version})
}

func (a *API) openAPI(c echo.Context) error {
	return c.Blob(http.StatusOK, "application/yaml", []byte(proto.OpenAPI))
}
