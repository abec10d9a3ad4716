package gmailsim

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"strconv"
	"strings"
)

// answer is what a call is told, before it is written out.
type answer struct {
	status int
	header http.Header
	body   any
}

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
	switch {
	case f.is(kindReset):
		panic(http.ErrAbortHandler)
	case f.is(kindHTML):
		a.status, compress = f.code, false
		h.Set("Content-Type", "text/html; charset=UTF-8")
		body = fmt.Appendf(nil, "<!DOCTYPE html><html><title>Error %d</title><p>The server encountered a temporary error. <b>That's all we know.</b></html>", f.code)
	case f.is(kindType):
		body = []byte(`{"id": 17, "threadId": [], "messages": "none", "history": {}, "emailAddress": 4, "historyId": {}, "resultSizeEstimate": "many", "access_token": 5, "size": "big"}`)
	case f.is(kindGzip):
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
	if f.is(kindCut) {
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
