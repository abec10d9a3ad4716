package main

import (
	"fmt"
	"io"

	"github.com/prosaas/receipts/tools/verify"
)

// text shows results to a person, each as it comes.
type text struct {
	out    io.Writer
	colors bool
	group  string // that was written last
	err    error  // the first that writing met
}

const (
	green, red, yellow = 32, 31, 33 // SGR, ECMA-48 8.3.117
)

func (t *text) say(format string, args ...any) {
	if _, err := fmt.Fprintf(t.out, format, args...); err != nil && t.err == nil {
		t.err = err
	}
}

func (t *text) in(color int, s string) string {
	if !t.colors {
		return s
	}
	return fmt.Sprintf("\x1b[%dm%s\x1b[0m", color, s)
}

func (t *text) result(r verify.Result) {
	if r.Group != t.group {
		t.group = r.Group
		t.say("%s\n", r.Group)
	}
	sign := map[verify.Outcome]string{verify.Passed: t.in(green, "✔"), verify.Failed: t.in(red, "✘"), verify.NotChecked: t.in(yellow, "–")}[r.Outcome]
	t.say("  %s %-56s %8.3f s", sign, r.Name, r.Seconds)
	switch r.Outcome {
	case verify.Passed:
		t.say("  %s\n", r.Detail)
	case verify.NotChecked:
		t.say("  not checked: %s\n", r.Detail)
	case verify.Failed:
		t.say("\n      %s\n      → %s\n", t.in(red, r.Detail), r.Hint)
	}
}

func (t *text) summary(report verify.Report) {
	if len(report.Times) > 0 {
		t.say("\n  %-52s %10s\n", "drill", "time")
	}
	for _, timing := range report.Times {
		t.say("  %-52s %8.2f s\n", timing.Step, timing.Seconds)
	}
	t.say("\n%d passed, %d failed, %d not checked in %.1f s\n", report.Passed, report.Failed, report.NotChecked, report.Seconds)
}
