// Package pdf reads what a PDF says: the lines of its text layer in reading
// order, and the files embedded in it.
//
// PDFium does the reading, compiled to WebAssembly and run in a sandbox with an
// empty file system, no network, a memory limit and a time limit. Each document
// has a sandbox of its own, thrown away after it: nothing of one document is
// left for the next, and what breaks it, breaks that document alone. A crash
// leaves nothing behind but the folder of compiled code, which is safe to share
// and to delete.
package pdf

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/klippa-app/go-pdfium"
	"github.com/klippa-app/go-pdfium/webassembly"
	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"
)

// ErrUnreadable says that the bytes are no PDF, or one that is encrypted,
// damaged, or takes more time or memory than a document may.
var ErrUnreadable = errors.New("pdf cannot be read")

const (
	maxTime    = 10 * time.Second // of one document
	maxMemory  = 2048             // pages of 64 kB: 128 MB of one sandbox
	maxAtOnce  = 2                // sandboxes
	maxContent = 32 << 20         // bytes of one document
)

// Engine runs the sandboxes. It is safe for concurrent use: two documents are
// read at a time, others wait.
type Engine struct {
	cacheDir string
	start    sync.Once
	started  chan struct{}
	rooms    chan *room // set when started is closed, as is err
	cache    wazero.CompilationCache
	err      error
}

// room has place for one sandbox at a time, and can end what runs in it.
type room struct {
	pool pdfium.Pool // nil: it is made when it is needed
	end  context.CancelFunc
}

// New makes an engine, which starts with the first document it reads. That
// compiles PDFium, for some 3 s and 300 MB; cacheDir, where it is not empty,
// keeps the compiled code, so that the next start takes a tenth of a second.
func New(cacheDir string) *Engine {
	return &Engine{cacheDir: cacheDir, started: make(chan struct{})}
}

// run starts the engine. A folder that cannot be used costs time, not the start.
func (e *Engine) run() {
	defer close(e.started)
	e.cache = wazero.NewCompilationCache()
	if e.cacheDir != "" {
		if onDisk, err := wazero.NewCompilationCacheWithDir(e.cacheDir); err == nil {
			e.cache = onDisk
		}
	}
	first := &room{}
	if e.err = first.open(e.cache); e.err != nil {
		return
	}
	e.rooms = make(chan *room, maxAtOnce)
	e.rooms <- first
	for range maxAtOnce - 1 {
		e.rooms <- &room{}
	}
}

func (r *room) open(cache wazero.CompilationCache) (err error) {
	ctx, end := context.WithCancel(context.Background())
	r.pool, err = webassembly.Init(webassembly.Config{
		Context:  ctx, // killing a sandbox by itself races with what runs in it
		MaxTotal: 1,
		FSConfig: wazero.NewFSConfig(), // else the host's / is mounted
		Stdout:   io.Discard,
		Stderr:   io.Discard,
		RuntimeConfig: wazero.NewRuntimeConfig().
			WithCoreFeatures(api.CoreFeaturesV2 | experimental.CoreFeaturesExceptionHandling).
			WithCloseOnContextDone(true).
			WithMemoryLimitPages(maxMemory).
			WithCompilationCache(cache),
	})
	r.end = end
	if err != nil {
		end()
		r.pool = nil
	}
	return err
}

// close empties a room for good, or until it is opened again.
func (r *room) close() error {
	if r.pool == nil {
		return nil
	}
	r.end()
	err := r.pool.Close()
	r.pool = nil
	return err
}

// Close ends the engine, once the documents in hand are read. One that is still
// starting is left to the end of the process: who shuts down has no seconds to wait.
func (e *Engine) Close(ctx context.Context) error {
	e.start.Do(func() { close(e.started) }) // never started, it never will be
	select {
	case <-e.started:
	default:
		return nil
	}
	if e.rooms == nil {
		return nil
	}
	var errs []error
	for range maxAtOnce {
		select {
		case r := <-e.rooms:
			errs = append(errs, r.close())
		case <-ctx.Done():
			return fmt.Errorf("close the pdf engine: %w", ctx.Err())
		}
	}
	close(e.rooms)
	if err := errors.Join(append(errs, e.cache.Close(ctx))...); err != nil {
		return fmt.Errorf("close the pdf engine: %w", err)
	}
	return nil
}

// Read reads one document. It fails with [ErrUnreadable], or with ctx's cause,
// or because the engine does not start.
func (e *Engine) Read(ctx context.Context, content []byte) (Document, error) {
	if len(content) > maxContent {
		return Document{}, fmt.Errorf("%w: %d bytes", ErrUnreadable, len(content))
	}
	e.start.Do(func() { go e.run() })
	select {
	case <-ctx.Done():
		return Document{}, context.Cause(ctx)
	case <-e.started:
	}
	if e.rooms == nil {
		return Document{}, fmt.Errorf("start the pdf engine: %w", errors.Join(e.err, errNotRunning))
	}
	select {
	case <-ctx.Done():
		return Document{}, context.Cause(ctx)
	case r := <-e.rooms:
		if r == nil {
			return Document{}, fmt.Errorf("start the pdf engine: %w", errNotRunning)
		}
		defer func() { e.rooms <- r }()
		return e.readIn(ctx, r, content)
	}
}

func (e *Engine) readIn(ctx context.Context, r *room, content []byte) (Document, error) {
	if r.pool == nil {
		if err := r.open(e.cache); err != nil {
			return Document{}, fmt.Errorf("open a pdf sandbox: %w", err)
		}
	}
	sandbox, err := r.pool.GetInstanceWithContext(ctx)
	if err != nil {
		if ctx.Err() != nil {
			return Document{}, context.Cause(ctx)
		}
		return Document{}, fmt.Errorf("open a pdf sandbox: %w", err)
	}
	limited, cancel := context.WithTimeout(ctx, maxTime)
	defer cancel()
	spared := context.AfterFunc(limited, r.end) // what runs in it ends with an error
	doc, err := readDocument(sandbox, content)
	if spared() {
		_ = sandbox.Close() // it is thrown away, whatever state it is in
	} else {
		_ = r.close()
		err = errors.Join(ErrUnreadable, err)
	}
	if ctx.Err() != nil {
		return Document{}, context.Cause(ctx)
	}
	return doc, err
}

var errNotRunning = errors.New("it is not running")
