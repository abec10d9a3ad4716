package e2e

import (
	"bytes"
	"context"
	"fmt"
	"image/png"
	"iter"
	"os"
	"path/filepath"
	"regexp"
	"syscall"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/prosaas/receipts/pkg/auth"
)

// pictures is where the README's pictures lie.
const pictures = "../../deploy/pictures"

// The size of a window, and of a picture.
const windowWidth, windowHeight = 1280, 880

// person is somebody before a browser.
type person struct {
	t       *testing.T
	ctx     context.Context //nolint:containedctx // chromedp keeps the browser in it
	console iter.Seq2[chromedp.ConsoleMessage, error]
}

func newPerson(t *testing.T) *person {
	t.Helper()
	flags := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.NoSandbox, chromedp.DisableGPU, chromedp.UserDataDir(t.TempDir()), chromedp.WindowSize(windowWidth, windowHeight),
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true), chromedp.Flag("force-prefers-reduced-motion", true),
		chromedp.Flag("accept-lang", "en-US"), chromedp.Flag("lang", "en-US"),
	)
	allocator, stop := chromedp.NewExecAllocator(context.Background(), flags...)
	t.Cleanup(stop)
	ctx, leave := chromedp.NewContext(allocator)
	t.Cleanup(leave)
	p := &person{t: t, ctx: ctx, console: chromedp.Console(ctx)}
	p.does(chromedp.EmulateViewport(windowWidth, windowHeight))
	return p
}

// in runs an action that must come to its end in time.
func in[T any](p *person, action chromedp.Action[T]) T {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	value, err := chromedp.Run(ctx, action)
	if err != nil {
		p.t.Fatalf("in the browser: %v; the page says:\n%s", err, p.says("body"))
	}
	return value
}

func (p *person) does(actions ...chromedp.Action[chromedp.Void]) {
	p.t.Helper()
	in(p, chromedp.Steps(actions...))
}

// sees waits until something is on the screen.
func (p *person) sees(selector chromedp.CSS) {
	p.t.Helper()
	p.does(chromedp.WaitVisible(selector))
}

func (p *person) presses(selector chromedp.CSS) {
	p.t.Helper()
	p.does(chromedp.Click(selector, chromedp.NodeVisible))
}

// says is the text that stands there, "" where nothing does.
func (p *person) says(selector string) string {
	text, _ := chromedp.Run(p.ctx, chromedp.Evaluate[string](fmt.Sprintf("document.querySelector(%q)?.innerText ?? ''", selector))) // between two pages nothing stands anywhere
	return text
}

func (p *person) counts(selector chromedp.CSS) int {
	p.t.Helper()
	return in(p, chromedp.Evaluate[int](fmt.Sprintf("document.querySelectorAll(%q).length", selector)))
}

// shows takes a picture, which must be one, and keeps it for the README with -update.
func (p *person) shows(name string) {
	p.t.Helper()
	p.does(chromedp.ScrollIntoView(chromedp.CSS("header")))
	picture := in(p, chromedp.CaptureScreenshot())
	size, err := png.DecodeConfig(bytes.NewReader(picture))
	if err != nil || size.Width != windowWidth || size.Height != windowHeight {
		p.t.Errorf("picture %s: %d by %d, %v", name, size.Width, size.Height, err)
	}
	if !*update {
		return
	}
	if err := os.MkdirAll(pictures, 0o755); err != nil {
		p.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(pictures, name), picture, 0o644); err != nil {
		p.t.Fatal(err)
	}
}

// troubles are what the browser had to complain of: errors of the page's script,
// and what its policy refused. An answer that is no success is none.
func (p *person) troubles() []string {
	p.t.Helper()
	const end = "that is all"
	in(p, chromedp.Evaluate[any](fmt.Sprintf("console.log(%q)", end)))
	var found []string
	for message, err := range p.console {
		if err != nil {
			p.t.Fatal(err)
		}
		if message.Text == end {
			break
		}
		if (message.Type == chromedp.ConsoleError || message.IsException()) && message.Source != "network" {
			found = append(found, message.String())
		}
	}
	return found
}

const (
	idle = `#sync:not([aria-disabled])`
	done = `#sync-state[data-tone="good"]`
	rows = `#rows tr`
)

var hebrew = regexp.MustCompile(`\p{Hebrew}`)

func TestAPersonInABrowser(t *testing.T) {
	t.Parallel()
	s := newSystem(t, options{mails: 600, consent: true})
	worker, api := s.startWorker(), s.startAPI("GUARD_WAIT=1s")
	worker.registered()
	p := newPerson(t)

	// Signing in and connecting Gmail, for the first time. A reload finds the
	// sync that this starts.
	held := s.hold("messages.get", 100)
	p.does(chromedp.Navigate(api.url + "/signin#token=" + token(t, "demo", auth.RoleOwner)))
	p.presses("#connect")
	p.presses(`button[value="allow"]`)
	held.await(t)
	p.sees("#sync-bar")
	p.sees("#sync[aria-disabled]")
	if url := in(p, chromedp.Location()); url != api.url+"/" {
		t.Errorf("the address bar says %s", url)
	}
	p.does(chromedp.Reload())
	p.sees("#sync-bar")
	p.sees("#sync[aria-disabled]")
	held.release()
	p.sees(done)
	p.sees(idle)
	p.presses("#more")
	eventually(t, "every receipt on the page", func() bool { return p.counts(rows) == len(s.truth(owner)) })
	p.shows("page.png")

	// Without a worker the page says so in the words of api.md; with one it works.
	worker.end(syscall.SIGTERM, patience)
	p.presses("#sync")
	p.sees(`#sync-state[data-tone="bad"]`)
	if said := [2]string{p.says("#sync-detail"), p.says("#sync-action")}; said != [2]string{noWorker["error"].(string), noWorker["action"].(string)} {
		t.Errorf("without a worker the page says %q", said)
	}
	s.startWorker().registered()
	p.sees(idle) // Retry-After has been counted down
	p.presses(`input[value="full"]`)
	p.presses("#sync")
	p.sees(done)
	p.sees(idle)

	// The same in Hebrew.
	p.presses("#language")
	p.sees(`html[lang="he"][dir="rtl"]`)
	p.sees(done)
	p.sees(rows)
	for _, place := range []string{"#sync", "#sync-state", "#gmail-state", "thead", "#receipts-title"} {
		if text := p.says(place); !hebrew.MatchString(text) {
			t.Errorf("%s says %q in Hebrew", place, text)
		}
	}
	p.shows("page-he.png")

	for _, trouble := range p.troubles() {
		t.Errorf("the browser complains: %s", trouble)
	}
}
