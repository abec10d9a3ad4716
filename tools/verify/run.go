package verify

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Plan is which groups are checked, and how patiently.
type Plan struct {
	// Only names groups. One of them that cannot be checked from here is
	// [ErrNotHere]. With none, all groups but drill are checked, each where it can be.
	Only []string
	// Wait is how long, from the start, checks that fail are tried again.
	Wait time.Duration
	// Failed names checks that failed elsewhere, which those here may need.
	Failed []string
}

// ErrNotHere says that a group that was asked for cannot be checked from here.
var ErrNotHere = errors.New("cannot be checked from here")

// Outcome is how a check came out.
type Outcome string

// The outcomes. What was not checked has not passed.
const (
	Passed     Outcome = "passed"
	Failed     Outcome = "failed"
	NotChecked Outcome = "not_checked"
)

// Result is what became of one check, as JSON shows it.
type Result struct {
	Group   string  `json:"group"`
	Name    string  `json:"name"`
	Outcome Outcome `json:"outcome"`
	Detail  string  `json:"detail"`         // what was seen, or what is wrong, or why it was not checked
	Hint    string  `json:"hint,omitempty"` // of a failure: what to run to mend it
	Seconds float64 `json:"seconds"`
	// Needs names the failed check because of which this one was not checked.
	Needs string `json:"needs,omitempty"`
	// TimedOut tells of a failure that time ran out: that of Plan.Wait, or the check's own.
	TimedOut bool `json:"timed_out,omitempty"`
}

// Report is what a run found, as JSON shows it.
type Report struct {
	OK         bool     `json:"ok"` // nothing failed and nothing cut it short
	Passed     int      `json:"passed"`
	Failed     int      `json:"failed"`
	TimedOut   int      `json:"timed_out"` // of those that failed
	NotChecked int      `json:"not_checked"`
	Seconds    float64  `json:"seconds"`
	Checks     []Result `json:"checks"`
	Error      string   `json:"error,omitempty"` // why nothing was checked, or not all
	Times      []Timing `json:"times,omitempty"` // of the drill
}

// Timing is how long one step of the drill took.
type Timing struct {
	Step    string  `json:"step"`
	Seconds float64 `json:"seconds"`
}

// retryEvery is the pause before a check that failed is tried again.
const retryEvery = 500 * time.Millisecond

// Run checks what plan names, and tells each result as it comes. Where ctx ends
// it goes on only with what cleans up. The only errors are [ErrNotHere] and
// [ErrNothingDeployed], before anything is checked, and ctx's, with a report of what came before.
func (d *Deployment) Run(ctx context.Context, plan Plan, tell func(Result)) (Report, error) {
	began := time.Now()
	if d.deployed {
		if err := d.adopt(ctx); err != nil {
			return Report{}, err
		}
	}
	checks, err := d.choose(ctx, plan)
	if err != nil {
		return Report{}, err
	}
	report := Report{Checks: []Result{}}
	var deadline time.Time
	if plan.Wait > 0 {
		deadline = began.Add(plan.Wait)
	}
	failed := map[string]string{} // checks that failed, or need one that did: the one that did
	for _, name := range plan.Failed {
		failed[name] = name
	}
	for _, check := range checks {
		var result Result
		if cause := check.blocked(failed); cause != "" {
			result = check.needs(cause)
		} else {
			result = d.result(ctx, check, checks, plan, deadline, failed)
		}
		if result.Outcome == Failed {
			failed[check.Name] = check.Name
		} else if result.Needs != "" {
			failed[check.Name] = result.Needs
		}
		report.add(result)
		tell(result)
		d.drill.refused = report.Failed > 0
	}
	report.OK = report.Failed == 0 && ctx.Err() == nil
	report.Times, report.Seconds = d.drill.times, time.Since(began).Seconds()
	if ctx.Err() != nil {
		return report, fmt.Errorf("interrupted: %w", ctx.Err())
	}
	return report, nil
}

// result runs one check, here or inside.
func (d *Deployment) result(ctx context.Context, check Check, all []Check, plan Plan, deadline time.Time, failed map[string]string) Result {
	if !check.inside {
		result := attempt(ctx, check, deadline)
		result.Hint = d.compose.hint(result.Hint)
		return result
	}
	if !d.inside.began {
		var groups []string
		for _, other := range all {
			if other.inside && !slices.Contains(groups, other.Group) {
				groups = append(groups, other.Group)
			}
		}
		d.lookInside(ctx, groups, plan.Wait, failed)
	}
	if ctx.Err() != nil {
		return Result{Group: check.Group, Name: check.Name, Outcome: NotChecked, Detail: errInterrupted.Error()}
	}
	return d.fromInside(check)
}

// needs returns the result of a check that is not checked because another failed.
func (c Check) needs(failed string) Result {
	return Result{Group: c.Group, Name: c.Name, Outcome: NotChecked, Detail: "needs " + failed, Needs: failed}
}

// blocked returns the failed check without which this one means nothing.
func (c Check) blocked(failed map[string]string) string {
	for _, need := range c.Needs {
		if cause := failed[need]; cause != "" {
			return cause
		}
	}
	return ""
}

func (r *Report) add(result Result) {
	r.Checks = append(r.Checks, result)
	switch result.Outcome {
	case Passed:
		r.Passed++
	case Failed:
		r.Failed++
		if result.TimedOut {
			r.TimedOut++
		}
	case NotChecked:
		r.NotChecked++
	}
}

// choose lists the checks of the groups that plan names.
func (d *Deployment) choose(ctx context.Context, plan Plan) ([]Check, error) {
	ctx, cancel := limited(ctx, 0)
	defer cancel()
	var checks []Check
	for _, group := range d.Groups() {
		asked := slices.Contains(plan.Only, group.Name)
		if !asked && (len(plan.Only) > 0 || group.Name == GroupDrill) {
			continue
		}
		away := group.Runs
		if asked {
			away = group.Here
		}
		var reason error
		if away != nil {
			reason = away(ctx)
		}
		if reason != nil && asked {
			return nil, fmt.Errorf("group %s: %w: %w", group.Name, ErrNotHere, reason)
		}
		for _, check := range group.Checks {
			if reason != nil {
				check.Run = func(context.Context) (string, error) { return "", uncheckedError(reason.Error()) }
			}
			checks = append(checks, check)
		}
	}
	return checks, nil
}

// attempt runs a check, again and again until deadline while it fails; without
// a deadline once, and a step of the drill once.
func attempt(ctx context.Context, check Check, deadline time.Time) Result {
	began := time.Now()
	if check.Always {
		ctx = context.WithoutCancel(ctx)
	}
	again := !deadline.IsZero() && check.Group != GroupDrill
	detail, ranOut, err := once(ctx, check)
	for again && failed(err) && time.Now().Before(deadline) {
		select {
		case <-time.After(retryEvery):
			detail, ranOut, err = once(ctx, check)
		case <-ctx.Done():
			err = errInterrupted
		}
	}
	result := Result{Group: check.Group, Name: check.Name, Outcome: Passed, Detail: detail, Seconds: time.Since(began).Seconds()}
	switch {
	case failed(err):
		result.Outcome, result.Detail, result.Hint, result.TimedOut = Failed, err.Error(), check.Hint, again || ranOut
		if other, ok := errors.AsType[hinted](err); ok {
			result.Hint = other.hint
		}
	case err != nil:
		result.Outcome, result.Detail = NotChecked, err.Error()
	}
	return result
}

const errInterrupted = uncheckedError("interrupted")

// once runs a check, and tells whether its limit ended it.
func once(ctx context.Context, check Check) (detail string, ranOut bool, err error) {
	if ctx.Err() != nil {
		return "", false, errInterrupted
	}
	limit, cancel := limited(ctx, check.Limit)
	defer cancel()
	detail, err = check.Run(limit)
	if err != nil && ctx.Err() != nil {
		err = errInterrupted
	}
	return detail, limit.Err() != nil, err
}

func failed(err error) bool {
	_, skipped := errors.AsType[uncheckedError](err)
	return err != nil && !skipped
}
