package config

import (
	"errors"
	"strconv"
	"strings"
	"time"
)

// Rate is at most Count of something in each Per. The zero Rate is no limit.
type Rate struct {
	Count int
	Per   time.Duration
}

var errRate = errors.New("want a count and a unit, as 6/m, or 0")

// UnmarshalText reads "6/s", "6/m", "6/h" and "0".
func (r *Rate) UnmarshalText(text []byte) error {
	if string(text) == "0" {
		*r = Rate{}
		return nil
	}
	count, unit, _ := strings.Cut(string(text), "/")
	n, err := strconv.ParseUint(count, 10, 16)
	if err != nil || n == 0 {
		return errRate
	}
	per, ok := map[string]time.Duration{"s": time.Second, "m": time.Minute, "h": time.Hour}[unit]
	if !ok {
		return errRate
	}
	*r = Rate{Count: int(n), Per: per}
	return nil
}
