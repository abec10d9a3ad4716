package config

import (
	"fmt"
	"io"
	"log/slog"
)

// Secret is a value that no log, error or JSON shows: only [Secret.Reveal] does.
// An empty one is a secret that is not set.
type Secret string

const hidden = "[hidden]"

// Reveal is the secret itself.
func (s Secret) Reveal() string { return string(s) }

// String hides the secret.
func (s Secret) String() string { return hidden }

// Format hides the secret from every verb of fmt, those that pass String by too.
func (s Secret) Format(w fmt.State, _ rune) { _, _ = io.WriteString(w, hidden) }

// LogValue hides the secret from slog.
func (s Secret) LogValue() slog.Value { return slog.StringValue(hidden) }

// MarshalJSON hides the secret from encoding/json.
func (s Secret) MarshalJSON() ([]byte, error) { return []byte(`"` + hidden + `"`), nil }
