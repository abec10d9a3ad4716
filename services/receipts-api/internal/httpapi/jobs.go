package httpapi

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/prosaas/receipts/pkg/auth"
	"github.com/prosaas/receipts/proto"
)

const recentJobs = 50

// namedJob is the job that the path names, where the caller may see it: one of
// the caller's business, and for an operator a noop, which is no business's.
// Any other is not there.
func (a *API) namedJob(c echo.Context) (proto.Job, error) {
	p, err := a.authenticate(c)
	operator := p.Can(auth.RoleSystemAdmin)
	if a.hasDiagnosticKey(c.Request()) {
		operator, err = true, nil
	}
	if err != nil {
		return proto.Job{}, err
	}
	id := c.Param("job_id")
	if !proto.ValidID(id) {
		return proto.Job{}, errNoSuchJob
	}
	ctx, cancel := patient(c)
	defer cancel()
	job, err := a.Queue.AnyJob(ctx, id)
	if err != nil {
		return proto.Job{}, err
	}
	own := job.BusinessID != "" && job.BusinessID == p.BusinessID
	if own || operator && job.Kind == proto.KindNoop {
		return job, nil
	}
	return proto.Job{}, errNoSuchJob
}

// job tells how one job stands, with an ETag, since whoever waits for it asks
// again and again.
func (a *API) job(c echo.Context) error {
	job, err := a.namedJob(c)
	if err != nil {
		return err
	}
	body, err := json.Marshal(proto.JobAnswer{Success: true, Job: job})
	if err != nil {
		return fmt.Errorf("answer job %s: %w", job.JobID, err)
	}
	sum := sha256.Sum256(body)
	etag := `"` + hex.EncodeToString(sum[:16]) + `"`
	c.Response().Header().Set("ETag", etag)
	if matches(c.Request().Header.Get("If-None-Match"), etag) {
		return c.NoContent(http.StatusNotModified)
	}
	return c.JSONBlob(http.StatusOK, body)
}

// matches compares weakly (RFC 9110, 13.1.2).
func matches(ifNoneMatch, etag string) bool {
	for given := range strings.SplitSeq(ifNoneMatch, ",") {
		given = strings.TrimSpace(given)
		if given == "*" || strings.TrimPrefix(given, "W/") == etag {
			return true
		}
	}
	return false
}

func (a *API) latestJob(c echo.Context) error {
	ctx, cancel := patient(c)
	defer cancel()
	job, err := a.Queue.Latest(ctx, caller(c).BusinessID)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, proto.JobAnswer{Success: true, Job: job})
}

func (a *API) listJobs(c echo.Context) error {
	ctx, cancel := patient(c)
	defer cancel()
	jobs, err := a.Queue.Recent(ctx, caller(c).BusinessID, recentJobs)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, proto.List[proto.Job]{Success: true, Items: jobs})
}

// cancelJob ends a job that waits, and asks one that runs to stop: the job that
// it answers is then still started, and canceling.
func (a *API) cancelJob(c echo.Context) error {
	job, err := a.namedJob(c)
	if err != nil {
		return err
	}
	ctx, cancel := patient(c)
	defer cancel()
	if _, err := a.Queue.CancelAny(ctx, job.JobID); err != nil {
		return err
	}
	if job, err = a.Queue.AnyJob(ctx, job.JobID); err != nil {
		return err
	}
	return c.JSON(http.StatusOK, proto.JobAnswer{Success: true, Job: job})
}
