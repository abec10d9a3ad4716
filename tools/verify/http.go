package verify

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/prosaas/receipts/pkg/auth"
	"github.com/prosaas/receipts/proto"
)

const maxAnswer = 8 << 20 // bytes; a metrics page is some 100 KiB

// answer is what came back.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// as is who calls: it sets what proves that on a request.
type as func(*http.Request) error

func nobody(*http.Request) error { return nil }

const (
	hintKey   = "set DIAGNOSTIC_KEY (or DIAGNOSTIC_KEY_FILE) to one of the API's DIAGNOSTIC_KEYS"
	hintToken = "set JWT_SECRET (or JWT_SECRET_FILE) to the API's, or VERIFY_TOKEN to a token of the business" // #nosec G101 -- their names
)

// operator has a diagnostic key.
func (d *Deployment) operator(r *http.Request) error {
	if len(d.settings.DiagnosticKeys) == 0 {
		return hinted{errors.New("no diagnostic key is set"), hintKey}
	}
	r.Header.Set("X-Diagnostic-Key", d.settings.DiagnosticKeys[0].Reveal())
	return nil
}

// member acts for the business that a sync is asked for.
func (d *Deployment) member(r *http.Request) error {
	s := d.settings
	token := s.VerifyToken.Reveal()
	if token == "" && s.JWTSecret == "" {
		return hinted{errors.New("no token and no secret to sign one with is set"), hintToken}
	}
	if token == "" {
		var err error
		token, err = auth.Sign([]byte(s.JWTSecret.Reveal()), auth.Principal{Subject: "verify", BusinessID: d.business, Role: auth.RoleMember},
			10*time.Minute, auth.Options{Issuer: s.JWTIssuer, Audience: s.JWTAudience})
		if err != nil {
			return err
		}
	}
	r.Header.Set("Authorization", "Bearer "+token)
	return nil
}

// api calls the API. Where it is called too often, it waits as it is told.
func (d *Deployment) api(ctx context.Context, who as, method, path, body string) (answer, error) {
	if d.settings.APIURL == "" {
		return answer{}, errors.New("the API's container does not run, or publishes no port")
	}
	for {
		a, err := d.send(ctx, who, method, strings.TrimSuffix(d.settings.APIURL, "/")+path, body)
		after, _ := strconv.Atoi(a.header.Get("Retry-After"))
		if err != nil || a.status != http.StatusTooManyRequests || after == 0 {
			return a, err
		}
		select {
		case <-time.After(time.Duration(after) * time.Second):
		case <-ctx.Done():
			return a, nil
		}
	}
}

func (d *Deployment) send(ctx context.Context, who as, method, url, body string) (answer, error) {
	r, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	if err := who(r); err != nil {
		return answer{}, err
	}
	got, err := d.http.Do(r) // #nosec G704 -- an address of the operator's own
	if err != nil {
		if cause := context.Cause(ctx); cause != nil {
			err = cause
		}
		return answer{}, fmt.Errorf("%s %s: %w", method, url, err)
	}
	defer func() { _ = got.Body.Close() }() // read as far as it is wanted
	content, err := io.ReadAll(io.LimitReader(got.Body, maxAnswer))
	if err != nil {
		return answer{}, fmt.Errorf("%s %s: read the answer: %w", method, url, err)
	}
	return answer{got.StatusCode, got.Header, content}, nil
}

// is wants an answer of that status.
func (a answer) is(status int) error {
	if a.status == status {
		return nil
	}
	return fmt.Errorf("answered %d, want %d: %.300s", a.status, status, bytes.TrimSpace(a.body))
}

// read wants an answer of that status, and reads its JSON.
func read[T any](a answer, status int) (T, error) {
	var into T
	if err := a.is(status); err != nil {
		return into, err
	}
	if err := json.Unmarshal(a.body, &into); err != nil {
		return into, fmt.Errorf("answered %d with what cannot be read: %w", status, err)
	}
	return into, nil
}

func (d *Deployment) diagnostics(ctx context.Context) (proto.Diagnostics, error) {
	a, err := d.api(ctx, d.operator, http.MethodGet, "/api/receipts/queue/diagnostics", "")
	if err != nil {
		return proto.Diagnostics{}, err
	}
	diagnostics, err := read[proto.Diagnostics](a, http.StatusOK)
	if err != nil {
		err = fmt.Errorf("diagnostics: %w", err)
	}
	return diagnostics, err
}

// noop asks for a job that holds its slot for some seconds and does nothing.
func (d *Deployment) noop(ctx context.Context, seconds int) (answer, error) {
	return d.api(ctx, d.operator, http.MethodPost, "/api/receipts/queue/verify", fmt.Sprintf(`{"seconds": %d}`, seconds))
}

func (d *Deployment) job(ctx context.Context, who as, id string) (proto.Job, error) {
	a, err := d.api(ctx, who, http.MethodGet, "/api/receipts/sync/"+id, "")
	if err != nil {
		return proto.Job{}, err
	}
	got, err := read[proto.JobAnswer](a, http.StatusOK)
	if err != nil {
		return proto.Job{}, fmt.Errorf("job %s: %w", id, err)
	}
	return got.Job, nil
}

// awaitJob asks for a job until it is as wanted.
func (d *Deployment) awaitJob(ctx context.Context, who as, id, wanted string, is func(proto.Job) bool) (proto.Job, error) {
	var job proto.Job
	err := poll(ctx, 100*time.Millisecond, func(ctx context.Context) (bool, error) {
		now, err := d.job(ctx, who, id)
		if err == nil {
			job = now
		}
		return is(job), err
	})
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		return job, fmt.Errorf("job %s is %q, not yet %s: %w", id, job.Status, wanted, err)
	}
	return job, nil
}
