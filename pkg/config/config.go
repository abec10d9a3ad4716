// Package config is the only reader of the environment: it turns variables
// into checked settings, once, when a program starts. Every fault is reported
// at once, each naming its variable and what to set instead; a secret may also
// come from the file that NAME_FILE names. It holds no state: a program that
// crashed reads its settings anew.
package config

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"slices"
	"strings"

	"github.com/caarlos0/env/v11"
)

// LoadAPI reads the settings of receipts-api from an environment as
// [os.Environ] gives it. The error joins one fault for each setting that cannot be used.
func LoadAPI(environ []string) (API, error) {
	cfg, l := read[API](environ)
	l.checkCommon(cfg.Common)
	l.checkAPI(cfg)
	cfg.StoreRedisURL = cmp.Or(cfg.StoreRedisURL, cfg.RedisURL)
	return cfg, errors.Join(l.faults...)
}

// LoadWorker reads the settings of receipts-worker, as [LoadAPI] does.
func LoadWorker(environ []string) (Worker, error) {
	cfg, l := read[Worker](environ)
	l.checkCommon(cfg.Common)
	l.checkWorker(cfg)
	cfg.StoreRedisURL = cmp.Or(cfg.StoreRedisURL, cfg.RedisURL)
	return cfg, errors.Join(l.faults...)
}

// LoadRedis reads where Redis is and nothing else: a healthcheck must not fail
// over a setting that it does not use.
func LoadRedis(environ []string) (Redis, error) {
	cfg, l := read[Redis](environ)
	l.checkRedis(cfg)
	return cfg, errors.Join(l.faults...)
}

// LoadListen reads where the API listens and nothing else.
func LoadListen(environ []string) (Listen, error) {
	cfg, l := read[Listen](environ)
	l.checkListen(cfg)
	return cfg, errors.Join(l.faults...)
}

// LoadJWT reads how tokens are signed and verified, and nothing else.
func LoadJWT(environ []string) (JWT, error) {
	cfg, l := read[JWT](environ)
	l.checkJWT(cfg)
	return cfg, errors.Join(l.faults...)
}

// loader holds what the checks need to name a fault well.
type loader struct {
	vars     map[string]string // the environment, with secrets from files put in
	settings []reflect.StructField
	faulty   map[string]bool // one fault a variable: a value that cannot be read is not out of range as well
	faults   []error
}

// read fills a T from the environment. A variable that is set to nothing
// counts as not set: that is how compose passes on what it does not know.
func read[T any](environ []string) (T, *loader) {
	l := &loader{vars: map[string]string{}, settings: fields(reflect.TypeFor[T]()), faulty: map[string]bool{}}
	for _, entry := range environ {
		if name, value, _ := strings.Cut(entry, "="); value != "" {
			l.vars[name] = value
		}
	}
	variables := map[string]string{} // by field: env names only the field
	for _, setting := range l.settings {
		variable := setting.Tag.Get("env")
		variables[setting.Name] = variable
		if isSecret(setting) {
			l.readSecretFile(variable, setting.Tag.Get("want"))
		}
	}

	cfg, err := env.ParseAsWithOptions[T](env.Options{Environment: l.vars})
	if all, ok := errors.AsType[env.AggregateError](err); ok {
		for _, err := range all.Errors {
			if unreadable, ok := errors.AsType[env.ParseError](err); ok {
				l.refuse(variables[unreadable.Name])
			} else {
				l.faults = append(l.faults, err)
			}
		}
	}
	return cfg, l
}

// fields lists the settings of a struct and of those embedded in it, in the
// order in which they are written.
func fields(t reflect.Type) []reflect.StructField {
	var settings []reflect.StructField
	for _, field := range reflect.VisibleFields(t) {
		if field.Tag.Get("env") != "" {
			settings = append(settings, field)
		}
	}
	return settings
}

func isSecret(field reflect.StructField) bool {
	return field.Type == reflect.TypeFor[Secret]() || field.Type == reflect.TypeFor[[]Secret]()
}

const maxSecretFile = 64 << 10 // bytes

// readSecretFile sets variable to what the file that NAME_FILE names holds,
// without the newline that editors and echo leave at its end.
func (l *loader) readSecretFile(variable, want string) {
	path, set := l.vars[variable+"_FILE"]
	if !set {
		return
	}
	if _, both := l.vars[variable]; both {
		l.fault(variable, "and %s_FILE are both set: set one of them", variable)
		return
	}
	content, err := readFile(path)
	value := strings.TrimSuffix(strings.TrimSuffix(string(content), "\n"), "\r")
	switch {
	case err != nil:
		l.fault(variable, "cannot be read from %s_FILE: %w; set it to a file that this user can read", variable, err)
	case value == "":
		l.fault(variable, "is empty in %q, which %s_FILE names; write into it %s", path, variable, want)
	default:
		l.vars[variable] = value
	}
}

func readFile(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }() // opened for reading: nothing is lost
	content, err := io.ReadAll(io.LimitReader(file, maxSecretFile+1))
	if err == nil && len(content) > maxSecretFile {
		err = fmt.Errorf("%s holds more than %d bytes", path, maxSecretFile)
	}
	return content, err
}

// refuse reports a value that the setting's want does not allow.
func (l *loader) refuse(variable string) {
	l.refuseFor(variable, l.setting(variable).Tag.Get("want"))
}

// refuseFor reports a value for what may be set instead.
func (l *loader) refuseFor(variable, want string) {
	value, set := l.vars[variable]
	switch {
	case !set:
		l.fault(variable, "is not set; set %s", want)
	case isSecret(l.setting(variable)):
		l.fault(variable, "cannot be used as it is; set %s", want)
	default:
		l.fault(variable, "cannot be %.80q; set %s", value, want)
	}
}

func (l *loader) setting(variable string) reflect.StructField {
	return l.settings[slices.IndexFunc(l.settings, func(s reflect.StructField) bool { return s.Tag.Get("env") == variable })]
}

// fault reports what is wrong with a variable, unless it has a fault already.
func (l *loader) fault(variable, format string, args ...any) {
	if l.faulty[variable] {
		return
	}
	l.faulty[variable] = true
	l.faults = append(l.faults, fmt.Errorf(variable+" "+format, args...))
}

// LogFormat returns LOG_FORMAT as it is set, for a program that ends before its
// settings were checked.
func LogFormat(environ []string) string {
	format := ""
	for _, entry := range environ {
		if value, found := strings.CutPrefix(entry, "LOG_FORMAT="); found {
			format = value
		}
	}
	return format
}
