package httpapi

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/prosaas/receipts/pkg/auth"
	"github.com/prosaas/receipts/pkg/queue"
	"github.com/prosaas/receipts/pkg/receiptstore"
	"github.com/prosaas/receipts/pkg/redisclient"
	"github.com/prosaas/receipts/proto"
)

// problem is an answer that is no success, as a person is told it, with the
// cause that only the log is told.
type problem struct {
	status     int
	code       string // stable
	text       string // what happened
	action     string // what to do about it
	details    string // technical_details where they are fixed: such a body has the first four fields alone
	field      string // the field, parameter or header that is wrong
	jobID      string // the job that is in the way
	retried    *int   // of a retry: the messages that are owed again all the same
	retryAfter time.Duration
	cause      error
}

func (p problem) Error() string {
	if p.cause != nil {
		return p.code + ": " + p.cause.Error()
	}
	return p.code + ": " + p.text
}

func (p problem) Unwrap() error { return p.cause }

// because is p with its cause.
func (p problem) because(err error) problem {
	p.cause = err
	return p
}

// What more than one handler answers.
var (
	errInternal = problem{
		status: http.StatusInternalServerError, code: "internal",
		text: "Something went wrong on our side", action: "Try again; if it happens again, tell support the request id",
	}
	errNoRedis = problem{
		status: http.StatusServiceUnavailable, code: "redis_unavailable", retryAfter: 5 * time.Second,
		text: "Redis not available", action: "Try again in a moment; if it goes on, start Redis or correct REDIS_URL",
	}
	errForbidden = problem{
		status: http.StatusForbidden, code: "forbidden",
		text: "Forbidden", action: "Ask somebody who may do this, or sign in as somebody else",
	}
	errNoSuchJob = problem{
		status: http.StatusNotFound, code: "job_not_found",
		text: "No such sync", action: "Start a sync, or look at the list of syncs",
	}
	errStopping = problem{
		status: http.StatusServiceUnavailable, code: "stopping", retryAfter: 5 * time.Second,
		text: "The service is stopping", action: "Try again in a moment",
	}
	errNoSuchReceipt = problem{
		status: http.StatusNotFound, code: "receipt_not_found",
		text: "No such receipt", action: "Look at the list of receipts",
	}
)

// table turns what the packages below answer into problems. The first row that
// matches counts; what is in no row is [errInternal].
var table = []struct {
	err error
	problem
}{
	{context.Canceled, problem{
		status: 499, code: "client_gone", // nobody reads it: for log and metrics
		text: "The request was given up", action: "Send it again",
	}},
	// Those of the store come first: they match what follows too.
	{redisclient.ErrStoreFull, problem{
		status: http.StatusServiceUnavailable, code: "store_full", retryAfter: 30 * time.Second,
		text: "The store of receipts has no memory left", action: "Give the store more memory (maxmemory), or remove old data",
	}},
	{redisclient.ErrStoreUnavailable, problem{
		status: http.StatusServiceUnavailable, code: "store_unavailable", retryAfter: 5 * time.Second,
		text: "The store of receipts is not available", action: "Try again in a moment; if it goes on, start the store or correct STORE_REDIS_URL",
	}},
	{redisclient.ErrFull, problem{
		status: http.StatusServiceUnavailable, code: "redis_full", retryAfter: 30 * time.Second,
		text: "Redis has no memory left", action: "Give Redis more memory (maxmemory), or remove old data",
	}},
	{redisclient.ErrUnavailable, errNoRedis},
	{queue.ErrNotFound, errNoSuchJob},
	{queue.ErrEnded, problem{
		status: http.StatusConflict, code: "job_ended",
		text: "The sync has ended already", action: "Look at its result; start another one if you want one",
	}},
	{proto.ErrNewerVersion, problem{
		status: http.StatusConflict, code: "newer_version",
		text: "The job was written by a newer release", action: "Deploy that release, then try again",
	}},
	{receiptstore.ErrNotFound, errNoSuchReceipt},
	{receiptstore.ErrBadCursor, badField("cursor", "must be the next_cursor of the page before")},
	{auth.ErrMissing, problem{
		status: http.StatusUnauthorized, code: "not_signed_in",
		text: "Not signed in", action: "Sign in",
	}},
	{auth.ErrExpired, problem{
		status: http.StatusUnauthorized, code: "token_expired",
		text: "The session has expired", action: "Sign in again",
	}},
	{auth.ErrInvalid, problem{
		status: http.StatusUnauthorized, code: "token_invalid",
		text: "The session is not valid", action: "Sign in again",
	}},
	{auth.ErrKeysUnavailable, problem{
		status: http.StatusServiceUnavailable, code: "token_keys_unavailable", retryAfter: 5 * time.Second,
		text: "Sessions cannot be checked right now", action: "Try again in a moment; if it goes on, correct JWKS_URL",
	}},
	{echo.ErrNotFound, problem{
		status: http.StatusNotFound, code: "not_found",
		text: "There is nothing here", action: "Check the address; /openapi.yaml lists every route",
	}},
	{echo.ErrMethodNotAllowed, problem{
		status: http.StatusMethodNotAllowed, code: "method_not_allowed",
		text: "This address does not take that method", action: "Use one of those in the Allow header",
	}},
}

// problemOf is the problem that err stands for.
func problemOf(err error) problem {
	if p, ok := errors.AsType[problem](err); ok {
		return p
	}
	for _, row := range table {
		if errors.Is(err, row.err) {
			return row.because(err)
		}
	}
	return errInternal.because(err)
}

// badField is a 400 that names the field. must is the rest of the sentence.
func badField(name, must string) problem {
	return problem{
		status: http.StatusBadRequest, code: "invalid_field", field: name,
		text: "Field '" + name + "' " + must, action: "Correct '" + name + "' and send the request again",
	}
}

// fail answers with the problem that err stands for, unless the handler has
// answered: then err is but the cause, for the log. It is the only place that
// writes a problem.
func (a *API) fail(err error, c echo.Context) {
	if c.Response().Committed {
		return
	}
	p := problemOf(err)
	body := proto.Problem{Error: p.text, Action: p.action, TechnicalDetails: p.details, JobID: p.jobID, Retried: p.retried}
	if body.TechnicalDetails == "" {
		body.TechnicalDetails = p.code + "; request_id=" + requestID(c)
		body.Code, body.RequestID, body.Field = p.code, requestID(c), p.field
	}
	header := c.Response().Header()
	header.Set("X-Error-Code", p.code)
	if p.retryAfter > 0 {
		header.Set("Retry-After", seconds(p.retryAfter))
	}
	if p.status == http.StatusUnauthorized {
		header.Set("WWW-Authenticate", "Bearer")
	}
	_ = c.JSON(p.status, body) // fails only where the client has gone
}

// seconds is d in whole seconds, rounded up: never before its time.
func seconds(d time.Duration) string {
	return strconv.FormatInt(int64((d+time.Second-1)/time.Second), 10)
}
