package page

import (
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"regexp"
	"strings"
)

// translations are one page in each language.
type translations map[string]file

func translate(name string, all assets, opts Options) (translations, error) {
	login := "login.html"
	if opts.LoginURL == "" {
		login = "no_login.html"
	}
	pages := translations{}
	for _, language := range languages() {
		f := filling{
			assets: all,
			names:  map[string]string{"words": language + ".json", "script": strings.TrimSuffix(name, ".html") + ".js"},
			values: map[string]string{"language": language, "login_url": opts.LoginURL},
			parts:  map[string]string{"content": name, "login": login},
		}
		if err := json.Unmarshal(all[language+".json"].body, &f.words); err != nil {
			return nil, fmt.Errorf("read the words of %s: %w", language, err)
		}
		body, err := f.render("layout.html")
		if err != nil {
			return nil, fmt.Errorf("render %s in %s: %w", name, language, err)
		}
		pages[language] = newFile([]byte(body), "text/html; charset=utf-8")
	}
	return pages, nil
}

// slot is where a template takes something in: {{say key}} the words of a key,
// {{asset name}} an asset's address, {{name}} what the page has by that name.
// Slots stand in text and between quotes, where an escaped value is safe.
// html/template, which knows every other place too, doubles the program: it
// calls methods by names, so that the linker must keep them all.
var slot = regexp.MustCompile(`\{\{(\w+)(?: ([\w.]+))?\}\}`)

// filling is what the slots of one page in one language take in.
type filling struct {
	words  map[string]any
	assets assets
	names  map[string]string // of this page's own assets
	values map[string]string
	parts  map[string]string // other templates
}

// render fills a template. What was filled in is not looked at again.
func (f filling) render(name string) (string, error) {
	source, err := files.ReadFile("templates/" + name)
	if err != nil {
		return "", err
	}
	var faults []error
	text := slot.ReplaceAllStringFunc(string(source), func(found string) string {
		match := slot.FindStringSubmatch(found)
		text, err := f.fill(match[1], match[2])
		faults = append(faults, err)
		return text
	})
	return text, errors.Join(faults...)
}

func (f filling) fill(what, name string) (string, error) {
	if asset, ok := f.names[what]; ok {
		what, name = "asset", asset
	}
	switch what {
	case "say":
		text, ok := f.words[name].(string)
		if !ok {
			return "", fmt.Errorf("no text %q", name)
		}
		return html.EscapeString(text), nil
	case "asset":
		url, err := f.assets.url(name)
		return html.EscapeString(url), err
	}
	if part, ok := f.parts[what]; ok {
		return f.render(part)
	}
	value, ok := f.values[what]
	if !ok {
		return "", fmt.Errorf("no slot %q", what)
	}
	return html.EscapeString(value), nil
}
