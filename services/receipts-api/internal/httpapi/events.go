package httpapi

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/prosaas/receipts/proto"
)

const (
	eventStream    = "text/event-stream"
	heartbeatEvery = 15 * time.Second
	// writePatience is how long a reader may take over one event before it is
	// taken for gone.
	writePatience = 10 * time.Second
)

// What a stream says that is no event (a comment, by the HTML standard, 9.2.5).
const (
	stillHere   = ": still here\n\n"
	redisIsAway = ": redis does not answer, trying again\n\n"
)

// jobEvents ⑧ tells how a job stands, and then each change until it ends, as
// server-sent events.
func (a *API) jobEvents(c echo.Context) error {
	job, err := a.namedJob(c)
	if err != nil {
		return err
	}
	first, err := newsOf(job)
	if err != nil {
		return err
	}
	f, err := a.feed.follow(job, first)
	if err != nil {
		return err
	}
	defer a.feed.leave(f)

	h := c.Response().Header()
	h.Set(echo.HeaderContentType, eventStream)
	h.Set("X-Accel-Buffering", "no") // nginx hands on what it gets
	c.Response().WriteHeader(http.StatusOK)
	// Past echo, whose Flush keeps the error of a reader that is too slow.
	if err := stream(c.Request().Context(), c.Response().Writer, f, first); err != nil {
		return fmt.Errorf("stream of job %s: %w", job.JobID, err)
	}
	return nil
}

// news is what a stream says next.
type news struct {
	text string
	last bool // the job has ended, or its record is gone
}

func newsOf(job proto.Job) (news, error) {
	data, err := json.Marshal(job)
	if err != nil {
		return news{}, fmt.Errorf("tell job %s: %w", job.JobID, err)
	}
	return news{"event: job\ndata: " + string(data) + "\n\n", job.Status.Ended()}, nil
}

// stream writes the next news and what follows, until the last, or until the
// reader or the feed has gone. A reader that does not take what it is sent is an
// error.
func stream(ctx context.Context, w http.ResponseWriter, f *follower, next news) error {
	control := http.NewResponseController(w)
	heartbeat := time.NewTicker(heartbeatEvery)
	defer heartbeat.Stop()
	for {
		// In the place of the server's limit, which is that of a short answer.
		if err := control.SetWriteDeadline(time.Now().Add(writePatience)); err != nil {
			return err
		}
		if _, err := io.WriteString(w, next.text); err != nil {
			return err
		}
		if err := control.Flush(); err != nil || next.last {
			return err
		}
		select {
		case next = <-f.news:
		case <-heartbeat.C:
			next = news{text: stillHere}
		case <-f.ended:
			return nil
		case <-ctx.Done():
			return nil
		}
	}
}
