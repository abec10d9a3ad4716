package verify

import (
	"path"
	"strings"
)

// Deployed is the composition that prod-up deployed last.
const Deployed = "deploy/.deployed/compose.yaml"

// redeploy puts a changed file into effect. Hints use it for whatever is not
// repaired by a command on what is deployed.
const redeploy = "make prod-up"

// hint completes a hint for the composition that is looked at, so that no
// command in it acts on another one: each docker compose names its files.
func (c compose) hint(text string) string {
	if text == "" {
		return ""
	}
	var files strings.Builder
	for file := range strings.SplitSeq(c.files, ":") {
		if path.Base(file) == "next.yaml" { // prod-up's next composition becomes the deployed one
			file = path.Join(path.Dir(file), "compose.yaml")
		}
		files.WriteString("-f " + file + " ")
	}
	if path.Base(path.Dir(c.files)) != path.Base(path.Dir(Deployed)) {
		text = strings.ReplaceAll(text, redeploy, "docker compose up -d --wait")
	}
	return strings.ReplaceAll(text, "docker compose ", "docker compose "+files.String())
}
