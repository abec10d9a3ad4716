package httpapi

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/prosaas/receipts/pkg/queue"
	"github.com/prosaas/receipts/pkg/receiptstore"
	"github.com/prosaas/receipts/proto"
)

// failureActions is what a person can do about a message that could not be
// read, by the code of its reason.
var failureActions = map[string]string{
	"unreadable":        "Try again; if it fails again, look at the mail in Gmail",
	"too_large":         "Look at the mail in Gmail: it is too large to be read from there",
	"too_many_receipts": "Look at the mail in Gmail: it holds too many receipts to be read at once",
	"crashed_reader":    "Try again after the next update; until then look at the mail in Gmail",
}

var errNotEnded = problem{
	status: http.StatusConflict, code: "in_flight",
	text: "The sync has not ended yet", action: "Wait until it has ended, or cancel it",
}

// listFailures answers one page of what a sync could not read.
func (a *API) listFailures(c echo.Context) error {
	params, err := readQuery(c, "cursor", "limit")
	if err != nil {
		return err
	}
	limit, cursor := defaultLimit, params["cursor"]
	if given := params["limit"]; given != "" {
		var must string
		if limit, must = limitOf(given); must != "" {
			return badField("limit", must)
		}
	}
	if cursor != "" && !proto.ValidID(cursor) {
		return receiptstore.ErrBadCursor
	}
	job, err := a.ownJob(c)
	if err != nil {
		return err
	}
	ctx, cancel := patient(c)
	defer cancel()
	failures, err := a.Receipts.Failures(ctx, job.BusinessID, job.JobID, cursor, limit+1)
	if err != nil {
		return err
	}
	answer := proto.List[proto.SyncFailure]{Success: true, Items: []proto.SyncFailure{}}
	if len(failures) > limit {
		failures = failures[:limit]
		answer.NextCursor = &failures[limit-1].MessageID
	}
	for _, f := range failures {
		answer.Items = append(answer.Items, failureOf(f))
	}
	return c.JSON(http.StatusOK, answer)
}

func failureOf(f receiptstore.Failure) proto.SyncFailure {
	action, known := failureActions[f.Reason.Code]
	if !known { // a worker of another release has more to say
		action = failureActions["unreadable"]
	}
	return proto.SyncFailure{GmailMessageID: f.MessageID, Code: f.Reason.Code, Message: f.Reason.Message, Action: action}
}

// ownJob is the job that the path names, where it is one of the caller's business.
func (a *API) ownJob(c echo.Context) (proto.Job, error) {
	id := c.Param("job_id")
	if !proto.ValidID(id) {
		return proto.Job{}, errNoSuchJob
	}
	ctx, cancel := patient(c)
	defer cancel()
	return a.Queue.Job(ctx, caller(c).BusinessID, id)
}

// retryFailures makes what a sync could not read owed again, and then asks for
// an incremental sync as [API.startSync] does. In this order nothing is lost:
// what is owed the next sync reads, whatever becomes of this one. So how much
// that is stands in a refusal too.
func (a *API) retryFailures(c echo.Context) error {
	retried, answer, err := a.tryRetry(c)
	a.counts.syncs.WithLabelValues(syncResult(answer.Verdict, err)).Inc()
	if err == nil {
		a.rateHeaders(c, answer)
		var accepted proto.SyncAccepted
		if accepted, err = a.judge(c, a.settings.SyncQueue, answer); err == nil {
			accepted.Retried = retried
			return c.JSON(http.StatusAccepted, accepted)
		}
	}
	p := problemOf(syncProblem(err))
	p.retried = retried
	return p
}

// tryRetry answers how many messages it made owed again, nil where it did not
// come to that or does not know.
func (a *API) tryRetry(c echo.Context) (retried *int, answer queue.Enqueued, err error) {
	if err := readBody(c, &struct{}{}); err != nil {
		return nil, queue.Enqueued{}, err
	}
	job, err := a.ownJob(c)
	if err != nil {
		return nil, queue.Enqueued{}, err
	}
	request, err := a.syncRequest(c, job.BusinessID, proto.TriggerUser, proto.ModeIncremental, proto.Params{})
	if err != nil {
		return nil, queue.Enqueued{}, err
	}
	if request.IdempotencyKey, request.BodyHash, err = idempotency(c, job.JobID); err != nil {
		return nil, queue.Enqueued{}, err
	}
	if !job.Status.Ended() { // it would count twice what it fails on again
		p := errNotEnded
		p.jobID = job.JobID
		return nil, queue.Enqueued{}, p
	}
	n, err := a.oweAgain(c, job)
	if err != nil {
		return nil, queue.Enqueued{}, err
	}
	answer, err = a.enqueue(c.Request().Context(), request)
	return &n, answer, err
}

func (a *API) oweAgain(c echo.Context, job proto.Job) (int, error) {
	ctx, cancel := patient(c)
	defer cancel()
	return a.Receipts.RetryFailures(ctx, job.BusinessID, job.JobID)
}
