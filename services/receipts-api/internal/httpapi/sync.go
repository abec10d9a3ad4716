package httpapi

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"

	"github.com/prosaas/receipts/pkg/logging"
	"github.com/prosaas/receipts/pkg/queue"
	"github.com/prosaas/receipts/pkg/redisclient"
	"github.com/prosaas/receipts/proto"
)

const maxIdempotencyKey = 255

// startSync ① asks for a sync. What came of it is decided by the job's enqueue
// script, and told by [verdict].
func (a *API) startSync(c echo.Context) error {
	answer, err := a.trySync(c)
	a.counts.syncs.WithLabelValues(syncResult(answer.Verdict, err)).Inc()
	if err != nil {
		return syncProblem(err)
	}
	a.rateHeaders(c, answer)
	return a.verdict(c, a.settings.SyncQueue, answer)
}

func (a *API) trySync(c echo.Context) (queue.Enqueued, error) {
	var body proto.SyncRequest
	if err := readBody(c, &body); err != nil {
		return queue.Enqueued{}, err
	}
	mode, params, err := plan(body, func() (time.Time, error) {
		zone, err := a.zone(c)
		if err != nil {
			return time.Time{}, err
		}
		return a.now().In(zone), nil
	})
	if err != nil {
		return queue.Enqueued{}, err
	}
	request, err := a.syncRequest(c, caller(c).BusinessID, proto.TriggerUser, mode, params)
	if err != nil {
		return queue.Enqueued{}, err
	}
	if request.IdempotencyKey, request.BodyHash, err = idempotency(c, body); err != nil {
		return queue.Enqueued{}, err
	}
	return a.enqueue(c.Request().Context(), request)
}

// zone is the time zone in which the caller's business counts its days. While the
// store does not reply it is the default: a sync is accepted whenever the queue is
// well, and a range that ends a day early is completed by the next sync.
func (a *API) zone(c echo.Context) (*time.Location, error) {
	ctx, cancel := patient(c)
	defer cancel()
	settings, err := a.Connection.Settings(ctx, caller(c).BusinessID)
	if errors.Is(err, redisclient.ErrStoreUnavailable) {
		return a.settings.DefaultTimeZone, nil
	}
	if err != nil {
		return nil, err
	}
	return settings.Zone(a.settings.DefaultTimeZone)
}

// syncProblem says of a queue's Redis that is not there what it means for a sync.
func syncProblem(err error) error {
	if !errors.Is(err, redisclient.ErrUnavailable) || errors.Is(err, redisclient.ErrStoreUnavailable) {
		return err
	}
	p := errNoRedis.because(err)
	p.text = "Redis not available - receipts sync cannot start"
	return p
}

// syncRequest is the job of a sync, with all that its enqueue is asked.
func (a *API) syncRequest(c echo.Context, business string, trigger proto.Trigger, mode proto.Mode, params proto.Params) (queue.Request, error) {
	r, err := a.request(c, proto.Envelope{Kind: proto.KindGmailSync, BusinessID: business, Mode: mode, Params: params, Trigger: trigger})
	r.RateLimit, r.RateWindow = a.settings.SyncRateLimit.Count, a.settings.SyncRateLimit.Per
	return r, err
}

// request is a new job that does what e says, and how it is enqueued.
func (a *API) request(c echo.Context, e proto.Envelope) (queue.Request, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return queue.Request{}, fmt.Errorf("make a job id: %w", err)
	}
	e.Version, e.JobID, e.Queue, e.EnqueuedAt = proto.EnvelopeVersion, id.String(), a.settings.SyncQueue, a.now().UTC()
	e.Headers = map[string]string{"request_id": requestID(c), "traceparent": traceparent(c.Request())}
	return queue.Request{Envelope: e, Retention: a.settings.JobRetention, DepthLimit: a.settings.QueueDepthLimit}, nil
}

var givenTrace = regexp.MustCompile(`^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$`)

// traceparent is the caller's trace, or a new one (W3C Trace Context, 3.2).
func traceparent(r *http.Request) string {
	if given := r.Header.Get("traceparent"); givenTrace.MatchString(given) {
		return given
	}
	var ids [24]byte
	_, _ = rand.Read(ids[:]) // never fails: crypto/rand ends the program instead
	return "00-" + hex.EncodeToString(ids[:16]) + "-" + hex.EncodeToString(ids[16:]) + "-01"
}

// idempotency is the hash of the route and the Idempotency-Key, "" without one,
// and that of the body. Bodies are equal if their fields are.
func idempotency(c echo.Context, body any) (key, bodyHash string, err error) {
	given := c.Request().Header.Get("Idempotency-Key")
	if given == "" {
		return "", "", nil
	}
	if len(given) > maxIdempotencyKey {
		return "", "", badField("Idempotency-Key", fmt.Sprintf("must be at most %d characters", maxIdempotencyKey))
	}
	canonical, err := json.Marshal(body)
	if err != nil {
		return "", "", fmt.Errorf("hash the body: %w", err)
	}
	return hash(c.Path() + "\n" + given), hash(string(canonical)), nil
}

func hash(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}

// refusals are the verdicts that made no job and name none that does what was asked.
var refusals = map[queue.Verdict]problem{
	queue.NoWorker: {
		status: http.StatusServiceUnavailable, code: "no_worker", retryAfter: 10 * time.Second,
		text:    "Worker not running - receipts sync cannot start",
		action:  "Deploy receipts-worker service listening to '{queue}' queue",
		details: "No active workers found listening to '{queue}' queue",
	},
	queue.NotConnected: {
		status: http.StatusConflict, code: "not_connected",
		text: "Gmail is not connected", action: "Connect Gmail, then start the sync",
	},
	queue.Conflict: {
		status: http.StatusConflict, code: "in_flight",
		text: "Another sync is in progress", action: "Wait until it has ended, or cancel it",
	},
	queue.Canceling: {
		status: http.StatusConflict, code: "canceling", retryAfter: 2 * time.Second,
		text: "The sync before is still being canceled", action: "Try again in a moment",
	},
	queue.Full: {
		status: http.StatusServiceUnavailable, code: "queue_full", retryAfter: 30 * time.Second,
		text: "Too many syncs are waiting", action: "Try again in a while; if it goes on, start more workers",
	},
	queue.Limited: {
		status: http.StatusTooManyRequests, code: "rate_limited",
		text: "Too many syncs in a short time", action: "Wait before you start the next one",
	},
	queue.Mismatch: {
		status: http.StatusUnprocessableEntity, code: "idempotency_mismatch",
		text: "The Idempotency-Key was used with another body", action: "Use a new key for a new request",
	},
	queue.NotDead: {
		status: http.StatusNotFound, code: "job_not_dead",
		text: "No such failed job", action: "Look at the job: only one that failed, and was not retried yet, can be retried",
	},
}

// verdict answers what became of a request for a job on a queue.
func (a *API) verdict(c echo.Context, name string, e queue.Enqueued) error {
	accepted, err := a.judge(c, name, e)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusAccepted, accepted)
}

// judge is the answer 202 to a request for a job on a queue, with its headers,
// or the problem that there is instead. It logs who asked for each accepted job.
func (a *API) judge(c echo.Context, name string, e queue.Enqueued) (proto.SyncAccepted, error) {
	if p, refused := refusals[e.Verdict]; refused {
		named := strings.NewReplacer("{queue}", name)
		p.action, p.details = named.Replace(p.action), named.Replace(p.details)
		p.jobID = e.JobID
		if e.Verdict == queue.Limited {
			p.retryAfter = max(e.RetryAfter, time.Second)
		}
		return proto.SyncAccepted{}, p
	}
	who := caller(c)
	a.Logger.InfoContext(c.Request().Context(), "job accepted", logging.KeyJobID, e.JobID, logging.KeyBusinessID, who.BusinessID, "role", string(who.Role),
		logging.KeyQueue, name, "status", string(e.State), "deduplicated", e.Verdict == queue.InFlight, logging.KeyRequestID, requestID(c))
	header := c.Response().Header()
	header.Set("Location", "/api/receipts/sync/"+e.JobID)
	header.Set("Retry-After", "1")
	return proto.SyncAccepted{
		Success: true, Message: "Sync job queued for processing", JobID: e.JobID, Status: e.State, Deduplicated: e.Verdict == queue.InFlight,
	}, nil
}

// rateHeaders tell the business's limit, and what is left of it, where it was
// looked at (draft-ietf-httpapi-ratelimit-headers).
func (a *API) rateHeaders(c echo.Context, e queue.Enqueued) {
	limit := a.settings.SyncRateLimit
	if limit.Count == 0 || e.Verdict != queue.Queued && e.Verdict != queue.Limited {
		return
	}
	header := c.Response().Header()
	header.Set("RateLimit-Policy", fmt.Sprintf(`"sync";q=%d;w=%s`, limit.Count, seconds(limit.Per)))
	left := fmt.Sprintf(`"sync";r=%d`, e.Remaining)
	if e.Verdict == queue.Limited {
		left += ";t=" + seconds(max(e.RetryAfter, time.Second))
	}
	header.Set("RateLimit", left)
}
