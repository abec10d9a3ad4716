package httpapi

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/prosaas/receipts/proto"
)

const recentJobs = 50

// job tells how one job stands, with an ETag, since whoever waits for it asks
// again and again.
func (a *API) job(c echo.Context) error {
	id := c.Param("job_id")
	if !proto.ValidID(id) {
		return errNoSuchJob
	}
	ctx, cancel := patient(c)
	defer cancel()
	job, err := a.Queue.Job(ctx, caller(c).BusinessID, id)
	if err != nil {
		return err
	}
	body, err := json.Marshal(proto.JobAnswer{Success: true, Job: job})
	if err != nil {
		return fmt.Errorf("answer job %s: %w", id, err)
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
	id := c.Param("job_id")
	if !proto.ValidID(id) {
		return errNoSuchJob
	}
	ctx, cancel := patient(c)
	defer cancel()
	business := caller(c).BusinessID
	if _, err := a.Queue.Cancel(ctx, business, id); err != nil {
		return err
	}
	job, err := a.Queue.Job(ctx, business, id)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, proto.JobAnswer{Success: true, Job: job})
}
