package httpapi

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/prosaas/receipts/pkg/auth"
)

// route is one line of the table of contents. Whoever calls must be able to do
// what need names; where it is empty, the handler itself tells who may.
type route struct {
	method, path string
	need         auth.Role
	handle       echo.HandlerFunc
}

func (a *API) routes() []route {
	return []route{
		{http.MethodPost, "/api/receipts/sync", auth.RoleMember, a.startSync},
		{http.MethodGet, "/api/receipts/sync", auth.RoleMember, a.listJobs},
		{http.MethodGet, "/api/receipts/sync/latest", auth.RoleMember, a.latestJob},
		{http.MethodGet, "/api/receipts/sync/:job_id", "", a.job},
		{http.MethodGet, "/api/receipts/sync/:job_id/events", "", a.jobEvents},
		{http.MethodPost, "/api/receipts/sync/:job_id/cancel", "", a.cancelJob},
		{http.MethodGet, "/api/receipts/sync/:job_id/errors", auth.RoleMember, a.listFailures},
		{http.MethodPost, "/api/receipts/sync/:job_id/errors/retry", auth.RoleMember, a.retryFailures},

		{http.MethodGet, "/api/receipts", auth.RoleMember, a.listReceipts},
		{http.MethodGet, "/api/receipts/:id", auth.RoleMember, a.receipt},

		{http.MethodGet, "/api/receipts/queue/diagnostics", "", a.diagnostics},
		{http.MethodPost, "/api/receipts/queue/verify", "", a.verifyQueue},
		{http.MethodGet, "/api/receipts/queue/jobs/:job_id", auth.RoleSystemAdmin, a.anyJob},
		{http.MethodPost, "/api/receipts/queue/jobs/:job_id/retry", auth.RoleSystemAdmin, a.retryJob},

		{http.MethodGet, "/api/gmail/oauth/start", auth.RoleOwner, a.startOAuth},
		{http.MethodGet, "/api/gmail/oauth/callback", "", a.finishOAuth},
		{http.MethodGet, "/api/gmail/oauth/status", auth.RoleMember, a.connectionStatus},
		{http.MethodDelete, "/api/gmail/oauth/disconnect", auth.RoleOwner, a.disconnect},

		{http.MethodPost, "/api/session", "", a.signIn},
		{http.MethodGet, "/api/session", "", a.session},
		{http.MethodDelete, "/api/session", "", a.signOut},

		{http.MethodGet, "/livez", "", a.livez},
		{http.MethodGet, "/readyz", "", a.readyz},
		{http.MethodGet, "/version", "", a.version},
		{http.MethodGet, "/openapi.yaml", "", a.openAPI},
	}
}

// router puts the routes behind what every request goes through.
func (a *API) router() http.Handler {
	e := echo.New()
	e.HTTPErrorHandler = a.fail
	e.IPExtractor = clientIP(a.settings.TrustedProxies)
	e.Use(a.observe, a.secure, recovered, a.sameOrigin)
	for _, r := range a.routes() {
		handle := a.admit(r.need, r.handle)
		e.Add(r.method, r.path, handle)
		if r.isRead() {
			e.HEAD(r.path, handle)
		}
	}
	for _, path := range []string{"/", "/signin", "/assets/:name"} {
		e.Match([]string{http.MethodGet, http.MethodHead}, path, a.page)
	}
	return e
}

// isRead tells whether HEAD may go the way of GET. Connecting changes what is
// kept, and a stream would go on where nobody reads it.
func (r route) isRead() bool {
	switch r.path {
	case "/api/gmail/oauth/start", "/api/gmail/oauth/callback", "/api/receipts/sync/:job_id/events":
		return false
	}
	return r.method == http.MethodGet
}

func (a *API) page(c echo.Context) error {
	if !a.Page.Has(c.Request()) {
		return echo.ErrNotFound
	}
	a.Page.ServeHTTP(c.Response(), c.Request())
	return nil
}
