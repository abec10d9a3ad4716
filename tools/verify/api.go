package verify

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
)

const (
	alive    = "/livez answers 200"
	ready    = "/readyz answers 200"
	keyTaken = "diagnostics: 200 with the key"
)

func (d *Deployment) apiChecks() []Check {
	const logs = "docker compose logs --tail 50 receipts-api"
	const diagnosticsPath = "/api/receipts/queue/diagnostics"
	wellAPI := []string{ready}
	return []Check{
		{Name: alive, Needs: []string{apiRuns, allHealthy}, Hint: "docker compose ps receipts-api; " + logs, Run: d.answers(nobody, "/livez", http.StatusOK)},
		{Name: ready, Needs: []string{alive, pingAnswered}, Hint: logs + "; it is not ready without Redis: docker compose ps redis", Run: d.answers(nobody, "/readyz", http.StatusOK)},
		{Name: "401 without a token", Needs: wellAPI, Hint: "nothing in front of the API may add a token of its own", Run: d.answers(nobody, "/api/receipts", http.StatusUnauthorized)},
		{Name: "diagnostics: 403 without the key", Needs: wellAPI, Hint: "nothing in front of the API may add a key of its own", Run: d.answers(nobody, diagnosticsPath, http.StatusForbidden)},
		{Name: keyTaken, Needs: wellAPI, Hint: hintKey, Run: d.answers(d.operator, diagnosticsPath, http.StatusOK)},
		{Name: "each error has its four fields", Needs: []string{keyTaken}, Hint: "is it receipts-api that answers at API_URL? " + logs, Run: d.errorsHaveTheirShape},
	}
}

// answers is a check that a GET is answered with that status.
func (d *Deployment) answers(who as, path string, status int) func(context.Context) (string, error) {
	return func(ctx context.Context) (string, error) {
		a, err := d.api(ctx, who, http.MethodGet, path, "")
		if err != nil {
			return "", err
		}
		return "", a.is(status)
	}
}

func (d *Deployment) diagnosticsAreWell(ctx context.Context) (string, error) {
	diagnostics, err := d.diagnostics(ctx)
	if err != nil {
		return "", err
	}
	if status := diagnostics.CriticalChecks.Status; status != "OK" {
		return "", errors.New(status)
	}
	return fmt.Sprintf("live workers: %d", diagnostics.WorkersCount), nil
}

// errorsHaveTheirShape provokes one error of each kind that changes nothing.
func (d *Deployment) errorsHaveTheirShape(ctx context.Context) (string, error) {
	const verify = "/api/receipts/queue/verify"
	for _, provoke := range []struct {
		who                as
		method, path, body string
		status             int
	}{
		{nobody, http.MethodGet, "/no/such/page", "", http.StatusNotFound},
		{nobody, http.MethodPut, "/livez", "", http.StatusMethodNotAllowed},
		{nobody, http.MethodGet, "/api/receipts", "", http.StatusUnauthorized},
		{nobody, http.MethodPost, verify, "", http.StatusForbidden},
		{d.operator, http.MethodPost, verify, `{"seconds": 31}`, http.StatusBadRequest},
		{d.operator, http.MethodPost, verify, strings.Repeat(" ", 65<<10), http.StatusRequestEntityTooLarge},
	} {
		a, err := d.api(ctx, provoke.who, provoke.method, provoke.path, provoke.body)
		if err == nil {
			err = a.isProblem(provoke.status)
		}
		if err != nil {
			return "", fmt.Errorf("%s %s: %w", provoke.method, provoke.path, err)
		}
	}
	return "404, 405, 401, 403, 400, 413", nil
}

// isProblem wants an error of that status in the one shape that errors have.
func (a answer) isProblem(status int) error {
	if err := a.is(status); err != nil {
		return err
	}
	problem, err := read[map[string]any](a, status)
	if err != nil {
		return err
	}
	names := slices.Sorted(maps.Keys(problem))
	want := []string{"action", "error", "success", "technical_details"}
	names = slices.DeleteFunc(names, func(name string) bool { return !slices.Contains(want, name) })
	if !slices.Equal(names, want) || problem["success"] != false {
		return fmt.Errorf("answered %.300s, want success: false and the fields %s", compact(a.body), strings.Join(want, ", "))
	}
	for _, name := range []string{"action", "error", "technical_details"} {
		if text, ok := problem[name].(string); !ok || text == "" {
			return fmt.Errorf("answered %.300s, where %s says nothing", compact(a.body), name)
		}
	}
	return nil
}

func compact(body []byte) []byte {
	var line bytes.Buffer
	if json.Compact(&line, body) != nil {
		return body
	}
	return line.Bytes()
}
