package verify

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// simulator is the host name of simulated Gmail.
const simulator = "gmailsim"

// productionSettings refuses development settings in what prod-up deploys.
func productionSettings(found drift) (string, error) {
	if filepath.Base(filepath.Dir(found.files)) != filepath.Base(filepath.Dir(Deployed)) {
		return "", uncheckedError("this composition was not deployed by prod-up")
	}
	return "APP_ENV production", differing(found.containers, func(one container) string {
		if !slices.Contains([]string{serviceAPI, serviceWorker}, one.service()) {
			return ""
		}
		values := variables(one.Config.Env)
		if env := values["APP_ENV"]; env != "production" {
			return fmt.Sprintf("has APP_ENV %q, want %q", env, "production")
		}
		for _, name := range slices.Sorted(maps.Keys(values)) {
			if strings.Contains(values[name], simulator) {
				return fmt.Sprintf("has %s %s, which is simulated Gmail", name, shown(name, values[name], true))
			}
		}
		return ""
	})
}

// filesDrift compares the copies that prod-up made of secrets and settings with
// the files that they were made of. It names a file, never its content.
func filesDrift(found drift) (string, error) {
	var files, texts []string
	for _, of := range []map[string]file{found.project.Secrets, found.project.Configs} {
		for _, f := range of {
			files = append(files, f.File)
		}
	}
	slices.Sort(files)
	compared := 0
	for _, copied := range slices.Compact(files) {
		state, rest, ok := strings.Cut(filepath.ToSlash(copied), "/.deployed/files-")
		_, name, inFolder := strings.Cut(rest, "/")
		if !ok || !inFolder {
			continue // it is mounted itself
		}
		compared++
		name = filepath.Base(state) + "/" + name
		deployed, err := os.ReadFile(copied) // #nosec G304 -- the composition names it
		if err != nil {
			return "", fmt.Errorf("the deployed copy of %s: %w", name, err)
		}
		now, err := os.ReadFile(filepath.Join(filepath.Dir(state), name)) // #nosec G304 -- as above
		switch {
		case errors.Is(err, os.ErrNotExist):
			texts = append(texts, name+" was removed since it was deployed")
		case err != nil:
			return "", err
		case !bytes.Equal(deployed, now):
			texts = append(texts, name+" was edited since it was deployed")
		}
	}
	if len(texts) > 0 {
		return "", errors.New(strings.Join(texts, "; "))
	}
	return fmt.Sprintf("files: %d", compared), nil
}
