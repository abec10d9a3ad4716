package httpapi

import (
	"context"
	"fmt"
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/prosaas/receipts/pkg/queue"
	"github.com/prosaas/receipts/proto"
)

const maxNoopSeconds = 30

// verifyQueue sends a job that does nothing through the real queue, so that an
// operator sees that one goes all the way. It is answered as a sync is.
func (a *API) verifyQueue(c echo.Context) error {
	if err := a.admitOperator(c); err != nil {
		return err
	}
	var body proto.VerifyRequest
	if err := readBody(c, &body); err != nil {
		return err
	}
	var params proto.Params
	if body.Seconds != nil {
		params.Seconds = *body.Seconds
	}
	if params.Seconds < 0 || params.Seconds > maxNoopSeconds {
		return badField("seconds", fmt.Sprintf("must be 0 to %d", maxNoopSeconds))
	}
	request, err := a.request(c, proto.Envelope{Kind: proto.KindNoop, Params: params, Trigger: proto.TriggerVerify})
	if err != nil {
		return err
	}
	answer, err := a.enqueue(c.Request().Context(), request)
	if err != nil {
		return syncProblem(err)
	}
	return a.verdict(c, request.Envelope.Queue, answer)
}

// anyJob tells how one job stands, whosever it is.
func (a *API) anyJob(c echo.Context) error {
	job, err := a.readAnyJob(c)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, proto.JobAnswer{Success: true, Job: job})
}

func (a *API) readAnyJob(c echo.Context) (proto.Job, error) {
	id := c.Param("job_id")
	if !proto.ValidID(id) {
		return proto.Job{}, errNoSuchJob
	}
	ctx, cancel := patient(c)
	defer cancel()
	return a.Queue.AnyJob(ctx, id)
}

// retryJob makes a new job of a dead one, on the dead one's queue. It is
// answered as a sync is, and does not count to the business's limit: it is not
// the business that asks.
func (a *API) retryJob(c echo.Context) error {
	dead, err := a.readAnyJob(c)
	if err != nil {
		return err
	}
	request, err := a.request(c, proto.Envelope{})
	if err != nil {
		return err
	}
	answer, err := a.pursue(c.Request().Context(), wish{dead.Queue, dead.BusinessID, func(ctx context.Context) (queue.Enqueued, error) {
		ctx, cancel := context.WithTimeout(ctx, redisPatience)
		defer cancel()
		return a.Queue.RetryDead(ctx, dead.JobID, request.Envelope.JobID, request)
	}})
	if err != nil {
		return syncProblem(err)
	}
	return a.verdict(c, dead.Queue, answer)
}
