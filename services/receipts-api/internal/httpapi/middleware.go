package httpapi

import (
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"regexp"
	"runtime/debug"
	"time"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"

	"github.com/prosaas/receipts/pkg/logging"
)

// observe gives the request an id, counts it, and logs it, with the cause of
// what failed: the one place that does.
func (a *API) observe(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		began := time.Now()
		r := c.Request()
		c.Response().Header().Set(echo.HeaderXRequestID, requestIDFor(r))
		err := next(c)
		if err != nil {
			a.fail(err, c)
		}

		took := time.Since(began)
		status := c.Response().Status
		a.counts.request(routeOf(c), r.Method, status, took, c.Response().Header().Get(echo.HeaderContentType) == eventStream)
		attrs := []slog.Attr{
			slog.String(logging.KeyRequestID, requestID(c)), slog.String("method", r.Method), slog.String("route", routeOf(c)),
			slog.Int("status", status), slog.String(logging.KeyDuration, took.Round(time.Microsecond).String()), slog.String("remote_ip", c.RealIP()),
		}
		if p, ok := signedIn(c); ok {
			attrs = append(attrs, slog.String(logging.KeyBusinessID, p.BusinessID))
		}
		level := slog.LevelDebug
		switch {
		case status == http.StatusServiceUnavailable: // no fault of this service, and it passes
			level = slog.LevelWarn
		case status >= http.StatusInternalServerError:
			level = slog.LevelError
		}
		if err != nil {
			attrs = append(attrs, slog.Any(logging.KeyError, err))
		}
		a.Logger.LogAttrs(r.Context(), level, "request answered", attrs...)
		return nil
	}
}

var givenID = regexp.MustCompile(`^[A-Za-z0-9_.-]{1,64}$`)

// requestIDFor is the id that a proxy gave the request, or a new one.
func requestIDFor(r *http.Request) string {
	if id := r.Header.Get(echo.HeaderXRequestID); givenID.MatchString(id) {
		return id
	}
	return uuid.NewString()
}

// requestID is the id that the request goes by.
func requestID(c echo.Context) string { return c.Response().Header().Get(echo.HeaderXRequestID) }

// routeOf is the template that the request's path matched.
func routeOf(c echo.Context) string {
	if path := c.Path(); path != "" {
		return path
	}
	return "none"
}

// secure sets the headers of every answer. What belongs to one tenant is kept
// by no cache.
func (a *API) secure(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		h := c.Response().Header()
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Cache-Control", "no-store")
		h.Set("Referrer-Policy", "no-referrer")
		if a.stopping.Load() {
			h.Set(echo.HeaderConnection, "close") // the next request finds another instance, or the next release
		}
		return next(c)
	}
}

// recovered turns a panic into an error like any other.
func recovered(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) (err error) {
		defer func() {
			switch r := recover(); r {
			case nil:
			case http.ErrAbortHandler:
				panic(r)
			default:
				err = fmt.Errorf("panic: %v\n%s", r, debug.Stack())
			}
		}()
		return next(c)
	}
}

// sameOrigin refuses a write that another site's page sent with our cookie. A
// token in a header needs no such check: no other site can set one.
func (a *API) sameOrigin(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		if _, ok := bearer(c.Request()); !ok {
			if err := a.crossOrigin.Check(c.Request()); err != nil {
				return problem{
					status: http.StatusForbidden, code: "cross_origin",
					text: "Refused: the request came from another site", action: "Do this on the page of this service itself",
				}.because(err)
			}
		}
		return next(c)
	}
}

// clientIP tells who calls: the peer itself, or whom the trusted proxies name.
// Echo would trust whoever has a private address.
func clientIP(trusted []netip.Prefix) echo.IPExtractor {
	options := []echo.TrustOption{echo.TrustLoopback(false), echo.TrustLinkLocal(false), echo.TrustPrivateNet(false)}
	for _, p := range trusted {
		options = append(options, echo.TrustIPRange(&net.IPNet{
			IP: p.Masked().Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen()),
		}))
	}
	return echo.ExtractIPFromXFFHeader(options...)
}
