package verify

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"github.com/prosaas/receipts/pkg/config"
)

// ErrNothingDeployed says that there is nothing to check.
var ErrNothingDeployed = errors.New("nothing is deployed here: " + redeploy)

// adopt takes the settings of what is deployed. The diagnostic key and the
// token's secret are those of the deployed API, and they are sent to nothing but
// the port that its own running container publishes.
func (d *Deployment) adopt(ctx context.Context) error {
	ctx, cancel := limited(ctx, 0)
	defer cancel()
	if err := d.compose.here(ctx); err != nil {
		return fmt.Errorf("%w: %w", ErrNotHere, err)
	}
	for name := range strings.SplitSeq(d.compose.files, ":") {
		if _, err := os.Stat(name); err != nil {
			return ErrNothingDeployed
		}
	}
	all, err := d.compose.containers(ctx)
	if err == nil && len(all) == 0 {
		err = ErrNothingDeployed
	}
	if err != nil {
		return err
	}
	d.settings.APIURL = published(all)
	p, err := d.compose.project(ctx)
	if err != nil {
		return err
	}
	api := p.Services[serviceAPI]
	keys, err := p.secret(api, "DIAGNOSTIC_KEYS")
	if err != nil {
		return err
	}
	first, _, _ := strings.Cut(keys, ",")
	d.settings.DiagnosticKeys = []config.Secret{config.Secret(strings.TrimSpace(first))}
	secret, err := p.secret(api, "JWT_SECRET")
	if err != nil {
		return err
	}
	d.settings.JWTSecret = config.Secret(secret)
	d.settings.JWTIssuer, d.settings.JWTAudience = api.variable("JWT_ISSUER"), api.variable("JWT_AUDIENCE")
	return nil
}

// apiPort is where the API listens inside its container.
const apiPort = "8080/tcp"

// published returns the address that the API's container publishes, "" where
// it does not run or publishes none.
func published(all []container) string {
	for _, one := range all {
		if one.service() != serviceAPI || one.State.Status != "running" {
			continue
		}
		for _, port := range one.NetworkSettings.Ports[apiPort] {
			host := port.HostIp
			if ip := net.ParseIP(host); ip == nil || ip.IsUnspecified() {
				host = "127.0.0.1"
			}
			return "http://" + net.JoinHostPort(host, port.HostPort)
		}
	}
	return ""
}

// inside is what the container verify found, which sees what the host does not.
type inside struct {
	began   bool
	results map[string]Result
	err     error
	lacks   string // the first check that has no result
}

// insidePatience is how long the checks inside may take, beside Plan.Wait.
const insidePatience = 2 * time.Minute

// look runs the container once for all of its groups. It is given the names of
// checks that failed on the host, because its own may need them.
func (d *Deployment) lookInside(ctx context.Context, groups []string, wait time.Duration, failed map[string]string) {
	d.inside.began = true
	ctx, cancel := limited(ctx, insidePatience+wait)
	defer cancel()
	args := []string{"compose", "run", "--rm", "--no-TTY", "--env", "COMPOSE_FILE", "verify", "--output", "json", "--wait", wait.String()}
	for _, group := range groups {
		args = append(args, "--only", group)
	}
	for name := range failed {
		args = append(args, "--failed", name)
	}
	var out, said bytes.Buffer
	err := d.compose.exec(ctx, &out, &said, args...)
	var report Report
	if json.Unmarshal(out.Bytes(), &report) != nil || len(report.Checks) == 0 {
		d.inside.err = fmt.Errorf("the checks inside did not run: %w%s", err, lastWords(said.String()+report.Error))
		return
	}
	d.inside.results = map[string]Result{}
	for _, result := range report.Checks {
		d.inside.results[result.Name] = result
	}
}

// fromInside returns what the container found of a check. Where the container
// did not run that is one failure, which all others need.
func (d *Deployment) fromInside(check Check) Result {
	if result, ok := d.inside.results[check.Name]; ok {
		return result
	}
	if d.inside.lacks != "" {
		return check.needs(d.inside.lacks)
	}
	d.inside.lacks = check.Name
	result := Result{Group: check.Group, Name: check.Name, Outcome: Failed, Detail: "the image of verify does not know this check", Hint: d.compose.hint("make images && " + redeploy)}
	if d.inside.err != nil {
		result.Detail, result.Hint = d.inside.err.Error(), d.compose.hint("docker compose ps --all; docker compose up -d --wait")
	}
	return result
}
