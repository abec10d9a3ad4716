package gmailsync

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"time"
)

// Sizes of an answer, as it crosses the wire: base64 in JSON. Gmail takes mails
// of up to 50 MB.
const (
	largeAnswer = 8 << 20 * 4 / 3
	mostAnswer  = 100 << 20 // bytes; more is no answer of Gmail's
)

// newTransport makes the connections to Gmail that all jobs of a worker share.
func newTransport() *http.Transport {
	dialer := net.Dialer{Timeout: 5 * time.Second, KeepAlive: 30 * time.Second}
	return &http.Transport{
		Proxy: http.ProxyFromEnvironment, DialContext: dialer.DialContext, ForceAttemptHTTP2: true,
		TLSHandshakeTimeout: 10 * time.Second, ResponseHeaderTimeout: 60 * time.Second,
		MaxIdleConns: 400, MaxIdleConnsPerHost: 100, IdleConnTimeout: 90 * time.Second,
	}
}

// tokenError is trouble with the access token, told apart from trouble with Gmail.
type tokenError struct{ cause error }

func (e *tokenError) Error() string { return "access token: " + e.cause.Error() }

func (e *tokenError) Unwrap() error { return e.cause }

// bearer gives each request its access token; where Gmail rejects that, another
// one, once. Requests have no body.
type bearer struct {
	tokens Tokens
	base   http.RoundTripper
	most   int // bytes of an answer
}

// RoundTrip implements [http.RoundTripper].
func (b *bearer) RoundTrip(req *http.Request) (*http.Response, error) {
	token, err := b.tokens.Token(req.Context())
	if err != nil {
		return nil, &tokenError{err}
	}
	resp, err := b.send(req, token)
	if err != nil || resp.StatusCode != http.StatusUnauthorized {
		return resp, err
	}
	_, _ = io.CopyN(io.Discard, resp.Body, 64<<10) // so that the connection is used again
	_ = resp.Body.Close()
	token, err = b.tokens.Refresh(req.Context(), token)
	if err != nil {
		return nil, &tokenError{err}
	}
	return b.send(req, token)
}

func (b *bearer) send(req *http.Request, token string) (*http.Response, error) {
	req = req.Clone(req.Context())
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := b.base.RoundTrip(req)
	if err == nil {
		resp.Body = &body{ReadCloser: resp.Body, ctx: req.Context(), most: b.most}
	}
	return resp, err
}

// errTooLarge says that an answer is longer than any of Gmail's can be.
var errTooLarge = errors.New("answer is too large")

// body is an answer's body, bounded. Past the size of a large answer it goes on
// only once no other large one is in hand.
type body struct {
	io.ReadCloser
	ctx  context.Context //nolint:containedctx // of the request whose answer this is
	most int
	read int
}

// Read implements [io.Reader].
func (b *body) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.read += n
	if b.read > b.most {
		return 0, errTooLarge
	}
	if b.read > largeAnswer {
		if slot, ok := b.ctx.Value(slotKey{}).(*largeSlot); ok {
			if err := slot.take(b.ctx); err != nil {
				return 0, err
			}
		}
	}
	return n, err
}

type slotKey struct{}

// largeSlot is one reader's claim to the slot for large messages.
type largeSlot struct {
	slot chan struct{}
	held bool
}

func (s *largeSlot) take(ctx context.Context) error {
	if s.held {
		return nil
	}
	select {
	case s.slot <- struct{}{}:
		s.held = true
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// oneLargeAtATime makes the calls under the context answered take the worker's
// slot for large messages when an answer turns out to be one. release gives it
// back, once the message is no longer held.
func (s *Syncer) oneLargeAtATime(ctx context.Context) (_ context.Context, release func()) {
	slot := &largeSlot{slot: s.large}
	return context.WithValue(ctx, slotKey{}, slot), func() {
		if slot.held {
			<-slot.slot
		}
	}
}
