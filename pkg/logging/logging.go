// Package logging makes the logger that a program hands to all its parts, and
// names the attributes that they share. A line is written whole and at once,
// so that nothing logged before a crash is lost. What identifies a person (a
// mail address, a subject, a token) is never an attribute.
package logging

import (
	"fmt"
	"io"
	"log/slog"
	"os"

	"golang.org/x/term"
)

// The attributes that more than one package logs.
const (
	KeyJobID      = "job_id"
	KeyBusinessID = "business_id"
	KeyQueue      = "queue"
	KeyDuration   = "duration"
	KeyReason     = "reason"
	KeyRequestID  = "request_id"
	KeyVersion    = "version"
	KeyError      = "err"
)

// New logs lines of at least level to w. The format is text or json; where it
// is empty, text on a terminal and json elsewhere.
func New(w io.Writer, level slog.Leveler, format string) *slog.Logger {
	opts := &slog.HandlerOptions{Level: level}
	if format == "text" || format == "" && isTerminal(w) {
		return slog.New(slog.NewTextHandler(w, opts))
	}
	return slog.New(slog.NewJSONHandler(w, opts))
}

// Failure writes why a program ends to w: as a log line where JSON is asked for,
// and else as text, since a person reads it.
func Failure(w io.Writer, format, program string, err error) {
	if format == "json" {
		New(w, slog.LevelError, "json").Error("program ended with an error", "program", program, KeyError, err)
		return
	}
	_, _ = fmt.Fprintf(w, "%s: %v\n", program, err) // there is nowhere else to say it
}

func isTerminal(w io.Writer) bool {
	file, ok := w.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}
