package page_test

import (
	"encoding/json"
	"io/fs"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/prosaas/receipts/services/receipts-api/internal/page"
)

func get(t *testing.T, url string, header http.Header) *httptest.ResponseRecorder {
	t.Helper()
	p, err := page.New(page.Options{LoginURL: "https://login.example.test/?next=receipts"})
	if err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequest(http.MethodGet, url, nil)
	maps.Copy(r.Header, header)
	w := httptest.NewRecorder()
	p.ServeHTTP(w, r)
	return w
}

func TestHeaders(t *testing.T) {
	t.Parallel()
	tests := []struct {
		url, mediaType string
		status         int
	}{
		{"/", "text/html; charset=utf-8", 200},
		{"/signin", "text/html; charset=utf-8", 200},
		{"/assets/index.js", "text/javascript; charset=utf-8", 200},
		{"/assets/signin.js", "text/javascript; charset=utf-8", 200},
		{"/assets/page.css", "text/css; charset=utf-8", 200},
		{"/assets/en.json", "application/json", 200},
		{"/assets/icon.svg", "image/svg+xml", 200},
	}
	for _, tt := range tests {
		t.Run(tt.url, func(t *testing.T) {
			t.Parallel()
			w := get(t, tt.url, nil)
			if w.Code != tt.status || w.Header().Get("Content-Type") != tt.mediaType {
				t.Errorf("%d %s, want %d %s", w.Code, w.Header().Get("Content-Type"), tt.status, tt.mediaType)
			}
			for name, want := range map[string]string{
				"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer",
				"Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
			} {
				if got := w.Header().Get(name); got != want {
					t.Errorf("%s: %s, want %s", name, got, want)
				}
			}
		})
	}
}

func TestHas(t *testing.T) {
	t.Parallel()
	p, err := page.New(page.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for url, want := range map[string]bool{
		"/": true, "/signin": true, "/assets/index.js": true, "/assets/icon.svg?v=old": true,
		"/assets/none.js": false, "/assets/..%2fpage.go": false, "/assets/": false, "/elsewhere": false,
	} {
		if got := p.Has(httptest.NewRequest(http.MethodGet, url, nil)); got != want {
			t.Errorf("Has %s = %t", url, got)
		}
	}
}

// The receipts come by when their mail came, and the column that shows that says so.
func TestTheDateThatSortsIsShown(t *testing.T) {
	t.Parallel()
	column, _ := words(t, "en")["column.received"].(string)
	header := regexp.MustCompile(`<th[^>]*>([^<]*)</th>`).FindStringSubmatch(get(t, "/", nil).Body.String())
	if column == "" || len(header) != 2 || header[1] != column {
		t.Errorf("the first column is %q, want %q", header, column)
	}
}

func TestCaching(t *testing.T) {
	t.Parallel()
	for _, url := range []string{"/", "/signin", "/assets/index.js"} {
		first := get(t, url, nil)
		if first.Header().Get("Cache-Control") != "no-cache" {
			t.Errorf("%s without its version: %s", url, first.Header().Get("Cache-Control"))
		}
		again := get(t, url, http.Header{"If-None-Match": {first.Header().Get("ETag")}})
		if again.Code != http.StatusNotModified || again.Body.Len() != 0 {
			t.Errorf("%s again: %d with %d bytes", url, again.Code, again.Body.Len())
		}
		other := get(t, url, http.Header{"If-None-Match": {`"another"`}})
		if other.Code != http.StatusOK {
			t.Errorf("%s after a change: %d", url, other.Code)
		}
	}
	// The addresses that the page itself uses may be kept for ever.
	body := get(t, "/", nil).Body.String()
	urls := regexp.MustCompile(`/assets/[^"]+`).FindAllString(body, -1)
	if len(urls) == 0 {
		t.Fatal("the page uses no asset")
	}
	for _, url := range urls {
		w := get(t, url, nil)
		if w.Code != http.StatusOK || w.Header().Get("Cache-Control") != "public, max-age=31536000, immutable" {
			t.Errorf("%s: %d, %s", url, w.Code, w.Header().Get("Cache-Control"))
		}
	}
}

func TestLanguage(t *testing.T) {
	t.Parallel()
	const english, hebrew = `<html lang="en" dir="ltr">`, `<html lang="he" dir="rtl">`
	tests := []struct{ name, accept, cookie, want string }{
		{"none", "", "", english},
		{"hebrew", "he-IL,he;q=0.9,en;q=0.8", "", hebrew},
		{"hebrew by its old code", "iw", "", hebrew},
		{"english before hebrew", "en-GB, he;q=0.5", "", english},
		{"one we do not speak before hebrew", "fr-FR,HE;q=0.5", "", hebrew},
		{"one we do not speak", "fr", "", english},
		{"chosen against the browser's", "en", "he", hebrew},
		{"chosen one we do not speak", "he", "../en", hebrew},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			header := http.Header{"Accept-Language": {tt.accept}}
			if tt.cookie != "" {
				header.Set("Cookie", "receipts_language="+tt.cookie)
			}
			for _, url := range []string{"/", "/signin"} {
				w := get(t, url, header)
				if !strings.Contains(w.Body.String(), tt.want) || w.Header().Get("Vary") != "Accept-Language, Cookie" {
					t.Errorf("%s does not hold %s, or varies by %q", url, tt.want, w.Header().Get("Vary"))
				}
			}
		})
	}
}

func words(t *testing.T, language string) map[string]any {
	t.Helper()
	var all map[string]any
	if err := json.Unmarshal(get(t, "/assets/"+language+".json", nil).Body.Bytes(), &all); err != nil {
		t.Fatalf("%s: %v", language, err)
	}
	return all
}

// shape is what must be the same in every language: the values that a text
// takes in, and whether it counts.
func shape(t *testing.T, key string, text any) string {
	t.Helper()
	switch text := text.(type) {
	case string:
		values := regexp.MustCompile(`\{\w+\}`).FindAllString(text, -1)
		slices.Sort(values)
		return strings.Join(values, "")
	case map[string]any:
		if _, ok := text["other"]; !ok {
			t.Errorf("%s has no plural for other", key)
		}
		return "plural"
	default:
		t.Errorf("%s is %T", key, text)
		return ""
	}
}

func TestLanguagesAgree(t *testing.T) {
	t.Parallel()
	shapes := map[string]map[string]string{}
	for _, language := range []string{"en", "he"} {
		shapes[language] = map[string]string{}
		for key, text := range words(t, language) {
			if language != "en" && strings.HasPrefix(key, "problem.") {
				continue // the server says these itself, in English
			}
			shapes[language][key] = shape(t, key, text)
		}
	}
	if diff := cmp.Diff(shapes["en"], shapes["he"]); diff != "" {
		t.Errorf("words of English and Hebrew (-en +he):\n%s", diff)
	}
	he := regexp.MustCompile(`\p{Hebrew}`)
	for key, text := range words(t, "he") {
		if text, ok := text.(string); ok && !he.MatchString(text) && !slices.Contains([]string{"dir", "other_language", "other_language_code", "gmail.title"}, key) {
			t.Errorf("%s is not in Hebrew: %s", key, text)
		}
	}
}

// Every word that the page says is there, and every word that is there is said.
func TestWordsAreUsed(t *testing.T) {
	t.Parallel()
	literal := regexp.MustCompile(`["](\w[\w.]*)["]`)
	made := regexp.MustCompile("[`]([a-z]+\\.)\\$\\{") // say(`type.${…}`): every word under type
	said := map[string]bool{}
	var prefixes []string
	all := words(t, "en")
	for _, folder := range []string{"assets", "templates"} {
		entries, err := os.ReadDir(folder)
		if err != nil {
			t.Fatal(err)
		}
		for _, entry := range entries {
			if strings.HasSuffix(entry.Name(), ".json") {
				continue
			}
			text, err := os.ReadFile(folder + "/" + entry.Name())
			if err != nil {
				t.Fatal(err)
			}
			for _, match := range literal.FindAllStringSubmatch(string(text), -1) {
				said[match[1]] = true
			}
			for _, match := range made.FindAllStringSubmatch(string(text), -1) {
				prefixes = append(prefixes, match[1])
			}
			for _, match := range regexp.MustCompile(`say\(\s*"([^"]+)"|\{\{say ([^}]+)\}\}`).FindAllStringSubmatch(string(text), -1) {
				key := match[1] + match[2]
				said[key] = true
				if _, ok := all[key]; !ok {
					t.Errorf("%s says %q, which no language has", entry.Name(), key)
				}
			}
		}
	}
	for key := range all {
		if !said[key] && !slices.ContainsFunc(prefixes, func(prefix string) bool { return strings.HasPrefix(key, prefix) }) {
			t.Errorf("nothing says %q", key)
		}
	}
}

// The policy would refuse what is inline or from elsewhere, and a page that is
// mirrored for Hebrew may not name left and right.
func TestNothingForbidden(t *testing.T) {
	t.Parallel()
	forbidden := map[string]*regexp.Regexp{
		"an inline script":     regexp.MustCompile(`(?i)<script(?:\s[^>]*)?>[^<]`),
		"an inline style":      regexp.MustCompile(`(?i)<style|\sstyle=|setAttribute\("style"`),
		"an inline handler":    regexp.MustCompile(`(?i)<[^>]+\son\w+=`),
		"markup from text":     regexp.MustCompile(`innerHTML|insertAdjacentHTML|document\.write|\beval\(`),
		"another origin":       regexp.MustCompile(`(?i)(?:src|href|url|import|fetch)\s*[=(]\s*["'` + "`" + `]?(?:https?:)?//`),
		"a physical direction": regexp.MustCompile(`(?m)(?:^|[\s;{-])(?:left|right)\s*:|text-align:\s*(?:left|right)|(?:margin|padding|border)-(?:left|right|top|bottom)|[\s;{](?:width|height|max-width|min-height)\s*:`),
	}
	err := fs.WalkDir(os.DirFS("."), ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || strings.HasSuffix(path, ".go") {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for what, pattern := range forbidden {
			if found := pattern.FindString(string(text)); found != "" {
				t.Errorf("%s has %s: %q", path, what, found)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestLoginURL(t *testing.T) {
	t.Parallel()
	const link = `href="https://login.example.test/?next=receipts"`
	for url, want := range map[string]int{"/": 1, "/signin": 2} { // wherever one is told to sign in
		if got := strings.Count(get(t, url, nil).Body.String(), link); got != want {
			t.Errorf("%s points %d times to where one signs in, want %d", url, got, want)
		}
	}
}
