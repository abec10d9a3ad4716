package page

import (
	"io/fs"
	"regexp"
	"strings"
	"testing"
)

func TestFill(t *testing.T) {
	t.Parallel()
	f := filling{
		words:  map[string]any{"title": `"R&D" <b>`, "many": map[string]any{"other": "{n}"}},
		assets: assets{"icon.svg": newFile([]byte("<svg/>"), "image/svg+xml")},
		names:  map[string]string{"script": "none.js"},
		values: map[string]string{"login_url": `https://l.test/?a=1&b="><script>{{say title}}`},
		parts:  map[string]string{"login": "login.html"},
	}
	for _, row := range []struct{ what, name, want, fault string }{
		{"say", "title", "&#34;R&amp;D&#34; &lt;b&gt;", ""},
		{"login_url", "", "https://l.test/?a=1&amp;b=&#34;&gt;&lt;script&gt;{{say title}}", ""}, // and is not filled itself
		{"asset", "icon.svg", "/assets/icon.svg?v=" + f.assets["icon.svg"].hash, ""},
		{"say", "nothing", "", `no text "nothing"`},
		{"say", "many", "", `no text "many"`},
		{"asset", "none.svg", "", "no asset none.svg"},
		{"script", "", "", "no asset none.js"},
		{"nothing", "", "", `no slot "nothing"`},
		{"login", "", "", `no text "sign_in"`},
	} {
		got, err := f.fill(row.what, row.name)
		if row.fault == "" && (err != nil || got != row.want) {
			t.Errorf("{{%s %s}} = %s, %v; want %s", row.what, row.name, got, err, row.want)
		}
		if row.fault != "" && (err == nil || err.Error() != row.fault) {
			t.Errorf("{{%s %s}}: %v, want %s", row.what, row.name, err, row.fault)
		}
	}
}

// A slot anywhere but in text or between double quotes would need more than
// escaping, and braces that are no slot would be seen.
func TestSlotsStandWhereEscapingIsEnough(t *testing.T) {
	t.Parallel()
	names, err := fs.Glob(files, "templates/*.html")
	if err != nil || len(names) == 0 {
		t.Fatal(names, err)
	}
	quoted := regexp.MustCompile(`"[^"]*"`)
	tag := regexp.MustCompile(`<[^>]*>`)
	for _, name := range names {
		source, err := files.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if found := regexp.MustCompile(`(?i)<(script|style)[^>]*>[^<]`).Find(source); found != nil {
			t.Errorf("%s has content of its own in %s", name, found)
		}
		for _, found := range tag.FindAllString(string(source), -1) {
			if bare := quoted.ReplaceAllString(found, ""); strings.Contains(bare, "{{") {
				t.Errorf("%s: a slot outside of quotes in %s", name, found)
			}
		}
		if rest := slot.ReplaceAllString(string(source), ""); strings.Contains(rest, "{{") || strings.Contains(rest, "}}") {
			t.Errorf("%s has braces that are no slot", name)
		}
	}
}
