// Package page is the embedded web page: sign in, connect Gmail, sync, and the
// receipts, in English and Hebrew. It promises markup without anything inline,
// under a Content-Security-Policy that allows nothing else, and it holds no
// state: what a person sees is read from the API, so that a reload, or a
// restarted API, shows the same.
package page

import (
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"strings"
)

//go:embed assets templates
var files embed.FS

// languages are those that the page speaks, the first one to who asks for
// none of them. A file assets/<language>.json has the words.
func languages() []string { return []string{"en", "he"} }

// languageCookie is set by the page itself, where a person chose a language.
const languageCookie = "receipts_language"

// policy allows what the page's own origin serves, and nothing inline.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// Options are the optional settings of the page.
type Options struct {
	LoginURL string // where a person signs in; without it the page says to ask for a link
}

// Page serves /, /signin and /assets/.
type Page struct{ mux *http.ServeMux }

// New renders the pages, once for each language. An error is a fault of the
// embedded files, which the tests rule out.
func New(opts Options) (*Page, error) {
	assets, err := readAssets()
	if err != nil {
		return nil, err
	}
	p := &Page{mux: http.NewServeMux()}
	for name, asset := range assets {
		p.mux.Handle("GET /assets/"+name, asset)
	}
	for pattern, name := range map[string]string{"GET /{$}": "index.html", "GET /signin": "signin.html"} {
		translated, err := translate(name, assets, opts)
		if err != nil {
			return nil, err
		}
		p.mux.Handle(pattern, translated)
	}
	return p, nil
}

// Has tells whether there is a page or an asset at the request's path.
func (p *Page) Has(r *http.Request) bool {
	_, pattern := p.mux.Handler(r)
	return pattern != ""
}

// ServeHTTP answers with headers that every page and asset has.
func (p *Page) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	p.mux.ServeHTTP(w, r)
}

// file is one answer: what it is, and the hash that tells one version from another.
type file struct {
	body      []byte
	mediaType string
	hash      string
}

func newFile(body []byte, mediaType string) file {
	sum := sha256.Sum256(body)
	return file{body, mediaType, base64.RawURLEncoding.EncodeToString(sum[:12])}
}

func (f file) serve(w http.ResponseWriter, r *http.Request, caching string) {
	h := w.Header()
	h.Set("Content-Type", f.mediaType)
	h.Set("Cache-Control", caching)
	h.Set("ETag", `"`+f.hash+`"`)
	if r.Header.Get("If-None-Match") == `"`+f.hash+`"` {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	_, _ = w.Write(f.body) // a client that went away needs no answer
}

// ServeHTTP keeps an asset for a year where its address names this version.
func (f file) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	caching := "no-cache"
	if r.URL.Query().Get("v") == f.hash {
		caching = "public, max-age=31536000, immutable"
	}
	f.serve(w, r, caching)
}

// assets are the files under /assets/, by name.
type assets map[string]file

func readAssets() (assets, error) {
	entries, err := fs.ReadDir(files, "assets")
	if err != nil {
		return nil, fmt.Errorf("read embedded assets: %w", err)
	}
	types := map[string]string{".js": "text/javascript; charset=utf-8", ".json": "application/json", ".css": "text/css; charset=utf-8", ".svg": "image/svg+xml"}
	all := assets{}
	for _, entry := range entries {
		body, err := files.ReadFile("assets/" + entry.Name())
		if err != nil {
			return nil, fmt.Errorf("read embedded assets: %w", err)
		}
		all[entry.Name()] = newFile(body, types[path.Ext(entry.Name())])
	}
	return all, nil
}

// url is an asset's address, which changes with its content.
func (a assets) url(name string) (string, error) {
	f, ok := a[name]
	if !ok {
		return "", fmt.Errorf("no asset %s", name)
	}
	return "/assets/" + name + "?v=" + f.hash, nil
}

func (t translations) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Vary", "Accept-Language, Cookie")
	t[language(r)].serve(w, r, "no-cache")
}

// language is the one that was chosen, or else the first one of the browser's
// that the page speaks.
func language(r *http.Request) string {
	var asked []string
	if cookie, err := r.Cookie(languageCookie); err == nil {
		asked = append(asked, cookie.Value)
	}
	for tag := range strings.SplitSeq(r.Header.Get("Accept-Language"), ",") {
		tag, _, _ = strings.Cut(tag, ";")
		tag, _, _ = strings.Cut(strings.TrimSpace(tag), "-")
		asked = append(asked, strings.ToLower(tag))
	}
	for _, tag := range asked {
		if tag == "iw" { // what Hebrew was called until 1989, and still is by some browsers
			tag = "he"
		}
		for _, spoken := range languages() {
			if tag == spoken {
				return spoken
			}
		}
	}
	return languages()[0]
}
