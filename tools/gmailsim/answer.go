package gmailsim

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// answer is what a call is told, before it is written out.
type answer struct {
	status int
	header http.Header
	body   any
}

// wait holds a call up as its fault says. It is false if the caller went away.
func (f *fault) wait(ctx context.Context) bool {
	if f == nil || f.delay == 0 {
		return true
	}
	timer := time.NewTimer(f.delay)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// intact tells whether a fault leaves the answer as it is.
func (f *fault) intact() bool { return f == nil || f.kind == kindSlow }

// write sends the answer, spoilt as the fault says.
func (a answer) write(w http.ResponseWriter, r *http.Request, f *fault) {
	body, err := json.Marshal(a.body)
	if err != nil {
		http.Error(w, "simulator: "+err.Error(), http.StatusInternalServerError)
		return
	}
	h := w.Header()
	maps.Copy(h, a.header)
	h.Set("Content-Type", "application/json; charset=UTF-8")
	compress := strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") && strings.Contains(r.UserAgent(), "gzip")
	kind := ""
	if f != nil {
		kind = f.kind
	}
	switch kind {
	case kindReset:
		panic(http.ErrAbortHandler)
	case kindHTML:
		a.status, compress = f.code, false
		h.Set("Content-Type", "text/html; charset=UTF-8")
		body = []byte("<!DOCTYPE html><html><title>Error " + strconv.Itoa(f.code) + "</title><p>The server encountered a temporary error. <b>That's all we know.</b></html>")
	case kindType:
		body = []byte(`{"id": 17, "threadId": [], "messages": "none", "history": {}, "historyId": {}, "emailAddress": 4, "resultSizeEstimate": "many", "access_token": 5, "size": "big"}`)
	case kindGzip:
		body = gzipped(body)
		body, compress = body[:len(body)-min(len(body)/2, 12)], false
		h.Set("Content-Encoding", "gzip")
	}
	if compress {
		h.Set("Content-Encoding", "gzip")
		body = gzipped(body)
	}
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(a.status)
	if kind == kindCut {
		_, _ = w.Write(body[:len(body)/2])
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}
	_, _ = w.Write(body) // a caller that went away is its own affair
}

func gzipped(body []byte) []byte {
	var b bytes.Buffer
	z, _ := gzip.NewWriterLevel(&b, gzip.BestSpeed) // the level is a known one
	_, _ = z.Write(body)
	_ = z.Close()
	return b.Bytes()
}

// spoil makes garbage of a message, if the fault says so.
func (f *fault) spoil(body any) {
	message, ok := body.(*wireMessage)
	if f == nil || f.kind != kindGarbage || !ok {
		return
	}
	garbage := bytes.Repeat([]byte{0x00, 0xff, '\r', '=', '?', 0x80, ':', '\n', 0x1b, '-', '-'}, 200)
	message.Raw = base64.URLEncoding.EncodeToString(garbage)
	message.Payload = nil
}
