package httpapi

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/prosaas/receipts/pkg/connection"
	"github.com/prosaas/receipts/pkg/logging"
	"github.com/prosaas/receipts/pkg/queue"
	"github.com/prosaas/receipts/proto"
)

const (
	bindingCookie = "receipts_oauth"
	bindingPath   = "/api/gmail/oauth"

	// connectTimeout bounds the callback, which asks Google twice.
	connectTimeout = 25 * time.Second
)

// gmailProblems tell why Gmail was not connected. The callback gives the page
// the code alone, which has words for it.
var gmailProblems = []struct {
	err error
	problem
}{
	{connection.ErrNoKeys, problem{
		status: http.StatusServiceUnavailable, code: "no_token_keys",
		text: "Connecting Gmail is switched off: there is no key to keep the connection safe", action: "Set TOKEN_KEYS, then connect again",
	}},
	{connection.ErrNoClient, problem{
		status: http.StatusServiceUnavailable, code: "not_configured",
		text: "Connecting Gmail is not set up", action: "Set GOOGLE_CLIENT_ID, GOOGLE_CLIENT_SECRET and GOOGLE_REDIRECT_URL",
	}},
	{connection.ErrState, problem{
		status: http.StatusBadRequest, code: "invalid_state",
		text: "This attempt to connect ran out, was used, or began in another browser", action: "Connect Gmail again",
	}},
	{connection.ErrScope, problem{
		status: http.StatusForbidden, code: "scope_missing",
		text: "The permission to read Gmail was not granted", action: "Connect again, and tick the permission",
	}},
	{connection.ErrNoRefreshToken, problem{
		status: http.StatusBadGateway, code: "no_refresh_token",
		text: "Google gave no lasting permission", action: "Remove the app from the Google account's connections, then connect again",
	}},
	{connection.ErrOtherMailbox, problem{
		status: http.StatusConflict, code: "other_mailbox",
		text: "This is another mailbox than the one before", action: "Choose the one before, or confirm the new one",
	}},
	{connection.ErrClient, problem{
		status: http.StatusBadGateway, code: "client_refused",
		text: "Google refuses this service's client", action: "Correct GOOGLE_CLIENT_ID and GOOGLE_CLIENT_SECRET",
	}},
	{connection.ErrGoogle, problem{
		status: http.StatusBadGateway, code: "google_unavailable",
		text: "Google did not answer", action: "Try again in a moment",
	}},
}

// gmailProblem is the problem that an error of a connection stands for.
func gmailProblem(err error) error {
	for _, row := range gmailProblems {
		if errors.Is(err, row.err) {
			return row.because(err)
		}
	}
	return err
}

// startOAuth answers where at Google the browser goes to allow access, and
// binds what comes back to this browser, so that the callback needs no token.
func (a *API) startOAuth(c echo.Context) error {
	params, err := readQuery(c, "confirm")
	if err != nil {
		return err
	}
	confirm := params["confirm"]
	if confirm != "" && confirm != "new_mailbox" {
		return badField("confirm", "must be new_mailbox, or not be there")
	}
	ctx, cancel := patient(c)
	defer cancel()
	who := caller(c)
	binding := connection.NewBinding()
	authURL, err := a.Connection.Start(ctx, connection.Request{
		Business: who.BusinessID, Subject: who.Subject, Binding: binding, NewMailbox: confirm != "",
	})
	if err != nil {
		return gmailProblem(err)
	}
	a.setBinding(c, binding, int(connection.PendingTTL.Seconds()))
	return c.JSON(http.StatusOK, proto.OAuthStart{Success: true, AuthURL: authURL})
}

// setBinding sets the cookie for so many seconds. A negative age takes it away.
// Lax, since it must come with the browser that Google sends back.
func (a *API) setBinding(c echo.Context, binding string, age int) {
	c.SetCookie(&http.Cookie{ //nolint:gosec // Secure wherever there is TLS to be had
		Name: bindingCookie, Value: binding, Path: bindingPath, MaxAge: age,
		HttpOnly: true, SameSite: http.SameSiteLaxMode, Secure: !onLoopback(c.Request()),
	})
}

// finishOAuth is where Google sends the browser back to. Whatever came of it,
// a person reads it on the page.
func (a *API) finishOAuth(c echo.Context) error {
	code, err := a.connect(c)
	a.setBinding(c, "", -1)
	if code == "" {
		return c.Redirect(http.StatusFound, "/?connected=true")
	}
	a.Logger.WarnContext(c.Request().Context(), "gmail not connected", logging.KeyRequestID, requestID(c), logging.KeyReason, code, logging.KeyError, err)
	return c.Redirect(http.StatusFound, "/?"+url.Values{"error": {code}}.Encode())
}

// connect answers "" where Gmail is connected, and else a code that says why not.
func (a *API) connect(c echo.Context) (code string, err error) {
	switch refused := c.QueryParam("error"); refused { // RFC 6749, 4.1.2.1
	case "":
	case "access_denied":
		return "denied", nil
	default:
		return "google_unavailable", nil
	}
	binding := ""
	if cookie, err := c.Cookie(bindingCookie); err == nil {
		binding = cookie.Value
	}
	ctx, cancel := context.WithTimeout(c.Request().Context(), connectTimeout)
	defer cancel()
	done, err := a.Connection.Complete(ctx, c.QueryParam("state"), c.QueryParam("code"), binding)
	if err != nil {
		return problemOf(gmailProblem(err)).code, err
	}
	a.firstSync(c, done)
	return "", nil
}

// firstSync asks for the sync that follows a connect: a full one, the same that
// a person would ask for. Where it is refused the connection stands all the
// same, and the business is due at once.
func (a *API) firstSync(c echo.Context, done connection.Completed) {
	log := a.Logger.With(logging.KeyRequestID, requestID(c), logging.KeyBusinessID, done.Business)
	ctx := c.Request().Context()
	request, err := a.syncRequest(c, done.Business, proto.TriggerConnect, proto.ModeFull, proto.Params{MonthsBack: defaultMonthsBack})
	var answer queue.Enqueued
	if err == nil {
		answer, err = a.ask(ctx, request)
	}
	if err != nil {
		log.WarnContext(ctx, "gmail connected, first sync not started", logging.KeyError, err)
		return
	}
	log.LogAttrs(ctx, slog.LevelInfo, "gmail connected", slog.String("first_sync", string(answer.Verdict)), slog.String(logging.KeyJobID, answer.JobID))
}

// connectionStatus tells where the connection stands, and when it last served.
func (a *API) connectionStatus(c echo.Context) error {
	ctx, cancel := patient(c)
	defer cancel()
	answer, err := a.connectionOf(ctx, caller(c).BusinessID)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, answer)
}

func (a *API) connectionOf(ctx context.Context, business string) (proto.ConnectionAnswer, error) {
	answer, err := a.Connection.Status(ctx, business)
	if err != nil {
		return answer, err
	}
	last, err := a.Receipts.LastSync(ctx, business)
	if err != nil {
		return answer, err
	}
	if !last.IsZero() {
		answer.LastSyncAt = &last
	}
	return answer, nil
}

// disconnect gives the connection up and then cancels the sync in flight, which
// can write nothing any more. Asked for twice it is the same.
func (a *API) disconnect(c echo.Context) error {
	business := caller(c).BusinessID
	// What it asks of Google is bounded there, and not given up with the caller.
	if err := a.giveUp(c, business); err != nil {
		return err
	}
	ctx, cancel := patient(c)
	defer cancel()
	if err := a.cancelSync(ctx, business); err != nil {
		return err
	}
	answer, err := a.connectionOf(ctx, business)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, answer)
}

func (a *API) giveUp(c echo.Context, business string) error {
	ctx, cancel := patient(c)
	defer cancel()
	return a.Connection.Disconnect(ctx, business)
}

// cancelSync cancels the business's sync, if one is in flight.
func (a *API) cancelSync(ctx context.Context, business string) error {
	job, err := a.Queue.Latest(ctx, business)
	if errors.Is(err, queue.ErrNotFound) || err == nil && (job.Status.Ended() || job.Kind != proto.KindGmailSync) {
		return nil
	}
	if err != nil {
		return err
	}
	if _, err = a.Queue.Cancel(ctx, business, job.JobID); errors.Is(err, queue.ErrEnded) || errors.Is(err, queue.ErrNotFound) {
		return nil // it ended by itself meanwhile
	}
	return err
}
