package httpapi

import (
	"net"
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/prosaas/receipts/pkg/auth"
	"github.com/prosaas/receipts/proto"
)

const (
	sessionCookie = "receipts_session"
	// maxCookieToken is how long a token may be to fit into a cookie: browsers
	// drop one of more than 4,096 bytes without a word (RFC 6265, 6.1).
	maxCookieToken = 3900

	keyPrincipal = "principal" // in the echo context
)

// admit lets those through who can do what need names. The tenant is the
// token's: no path, query or body names one.
func (a *API) admit(need auth.Role, handle echo.HandlerFunc) echo.HandlerFunc {
	if need == "" {
		return handle
	}
	return func(c echo.Context) error {
		p, err := a.authenticate(c)
		if err != nil {
			return err
		}
		if !p.Can(need) {
			return errForbidden
		}
		return handle(c)
	}
}

// authenticate tells who calls, by a token in the header, or else in the cookie.
func (a *API) authenticate(c echo.Context) (auth.Principal, error) {
	token, ok := bearer(c.Request())
	if cookie, err := c.Cookie(sessionCookie); !ok && err == nil {
		token = cookie.Value
	}
	return a.verify(c, token)
}

func (a *API) verify(c echo.Context, token string) (auth.Principal, error) {
	p, err := a.Verifier.Verify(c.Request().Context(), token)
	if err == nil {
		c.Set(keyPrincipal, p)
	}
	return p, err
}

// bearer is the token of the Authorization header, if it has one (RFC 6750).
func bearer(r *http.Request) (string, bool) {
	scheme, token, ok := strings.Cut(r.Header.Get("Authorization"), " ")
	if !ok || !strings.EqualFold(scheme, "Bearer") {
		return "", false
	}
	return strings.TrimSpace(token), true
}

// signedIn is who calls, once that was asked.
func signedIn(c echo.Context) (auth.Principal, bool) {
	p, ok := c.Get(keyPrincipal).(auth.Principal)
	return p, ok
}

// caller is who calls a route that needs a role.
func caller(c echo.Context) auth.Principal {
	p, _ := signedIn(c)
	return p
}

// signIn puts the token of the header into the cookie, for the pages.
func (a *API) signIn(c echo.Context) error {
	token, _ := bearer(c.Request())
	p, err := a.verify(c, token)
	if err != nil {
		return err
	}
	if len(token) > maxCookieToken {
		return problem{
			status: http.StatusBadRequest, code: "token_too_long",
			text: "The token is too long for a cookie", action: "Issue tokens with fewer claims, of at most 3900 bytes",
		}
	}
	a.setSession(c, token, 0)
	return c.JSON(http.StatusOK, sessionOf(p))
}

// session tells a page who is signed in.
func (a *API) session(c echo.Context) error {
	p, err := a.authenticate(c)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, sessionOf(p))
}

// signOut takes the cookie away, whether the token in it is good or not.
func (a *API) signOut(c echo.Context) error {
	a.setSession(c, "", -1)
	return c.NoContent(http.StatusNoContent)
}

// setSession sets the cookie until the browser is closed; the token in it may
// end before. A negative age takes it away.
func (a *API) setSession(c echo.Context, token string, age int) {
	c.SetCookie(&http.Cookie{ //nolint:gosec // on loopback there may be no TLS
		Name: sessionCookie, Value: token, Path: "/", MaxAge: age,
		HttpOnly: true, SameSite: http.SameSiteLaxMode, Secure: !onLoopback(c.Request()),
	})
}

func sessionOf(p auth.Principal) proto.SessionAnswer {
	return proto.SessionAnswer{Success: true, Subject: p.Subject, BusinessID: p.BusinessID, Role: string(p.Role)}
}

// onLoopback tells whether the browser came by a name of this very machine,
// where there may be no TLS.
func onLoopback(r *http.Request) bool {
	host := r.Host
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	ip := net.ParseIP(strings.Trim(host, "[]"))
	return host == "localhost" || strings.HasSuffix(host, ".localhost") || ip != nil && ip.IsLoopback()
}
