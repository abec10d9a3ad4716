package connection

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"time"

	"github.com/redis/rueidis"
	"golang.org/x/oauth2"

	"github.com/prosaas/receipts/pkg/redisclient"
)

// PendingTTL is how long a person has to allow access.
const PendingTTL = 10 * time.Minute

// Request is who asks to connect.
type Request struct {
	Business string
	Subject  string // who, for the log of whoever completes it
	// Binding is a secret of the browser that asks, as [NewBinding] makes it:
	// only a callback that brings it is taken.
	Binding string
	// NewMailbox allows that another mailbox than before is connected. What is
	// known of the old one's messages is dropped; receipts stay.
	NewMailbox bool
}

// NewBinding makes the secret that binds an authorization to a browser.
func NewBinding() string { return random() }

// pending is an authorization between Start and Complete, as Redis holds it.
type pending struct {
	Business   string `json:"business_id"`
	Subject    string `json:"subject"`
	Binding    string `json:"binding"`  // its hash
	Verifier   string `json:"verifier"` // sealed
	NewMailbox bool   `json:"new_mailbox,omitempty"`
}

// Start answers the address at Google to which the browser goes. It refuses
// with [ErrNoKeys] or [ErrNoClient] before anybody is asked for consent.
func (k *Keeper) Start(ctx context.Context, r Request) (authURL string, err error) {
	if k.oauth.ClientID == "" || k.oauth.ClientSecret == "" || k.oauth.RedirectURL == "" {
		return "", fmt.Errorf("connect business %s: %w", r.Business, ErrNoClient)
	}
	state, verifier := random(), oauth2.GenerateVerifier()
	sealed, err := k.sealer.seal(r.Business, useVerifier, verifier)
	if err != nil {
		return "", fmt.Errorf("connect business %s: %w", r.Business, err)
	}
	data, err := json.Marshal(pending{Business: r.Business, Subject: r.Subject, Binding: hash(r.Binding), Verifier: sealed, NewMailbox: r.NewMailbox})
	if err != nil {
		return "", fmt.Errorf("connect business %s: %w", r.Business, err)
	}
	_, err = k.store.Do(ctx, func(b rueidis.Builder) rueidis.Completed {
		return b.Set().Key(k.keys.OAuthState(state)).Value(string(data)).Ex(PendingTTL).Build()
	})
	if err != nil {
		return "", fmt.Errorf("connect business %s: %w", r.Business, err)
	}
	// Google gives a refresh token only where consent is asked for.
	return k.config().AuthCodeURL(state, oauth2.AccessTypeOffline, oauth2.ApprovalForce, oauth2.S256ChallengeOption(verifier)), nil
}

// Complete is the callback: it takes the authorization (once), fetches the
// tokens, learns whose mailbox they open, and writes the connection. The
// business is in the index when it answers, due at once.
func (k *Keeper) Complete(ctx context.Context, state, code, binding string) (Completed, error) {
	p, err := k.take(ctx, state, binding)
	if err != nil {
		return Completed{}, err
	}
	done := Completed{Business: p.Business, Subject: p.Subject}
	if err := k.connect(ctx, p, code); err != nil {
		return done, fmt.Errorf("connect business %s: %w", p.Business, err)
	}
	return done, k.list(ctx, p.Business, dueNow)
}

// Completed is whose authorization a callback completed.
type Completed struct{ Business, Subject string }

var statePattern = regexp.MustCompile(`^[A-Za-z0-9_-]{43}$`)

// take reads and forgets the authorization. The state comes from whoever
// called, so it is no part of the error, and of no key unless it is well formed.
func (k *Keeper) take(ctx context.Context, state, binding string) (pending, error) {
	if !statePattern.MatchString(state) {
		return pending{}, ErrState
	}
	message, err := k.store.Do(ctx, func(b rueidis.Builder) rueidis.Completed {
		return b.Getdel().Key(k.keys.OAuthState(state)).Build()
	})
	if redisclient.IsNil(err) {
		return pending{}, ErrState
	}
	if err != nil {
		return pending{}, fmt.Errorf("take authorization: %w", err)
	}
	var p pending
	if err := message.DecodeJSON(&p); err != nil {
		return pending{}, fmt.Errorf("take authorization: %w", err)
	}
	if subtle.ConstantTimeCompare([]byte(p.Binding), []byte(hash(binding))) != 1 {
		return pending{}, ErrState
	}
	return p, nil
}

func (k *Keeper) connect(ctx context.Context, p pending, code string) error {
	verifier, err := k.sealer.open(p.Business, useVerifier, p.Verifier)
	if err != nil {
		return err
	}
	token, err := k.exchange(ctx, code, verifier)
	switch {
	case errors.Is(err, errGrant):
		return fmt.Errorf("code: %w", ErrState)
	case err != nil:
		return err
	case !granted(token):
		return ErrScope
	case token.RefreshToken == "":
		return ErrNoRefreshToken
	}
	address, err := k.mailbox(ctx, token.AccessToken)
	if err != nil {
		return err
	}
	refresh, err := k.sealer.seal(p.Business, useRefresh, token.RefreshToken)
	if err != nil {
		return err
	}
	access, err := k.sealer.seal(p.Business, useAccess, token.AccessToken)
	if err != nil {
		return err
	}
	keys, err := k.keysOfMailbox(ctx, p.Business)
	if err != nil {
		return err
	}
	confirmed := "0"
	if p.NewMailbox {
		confirmed = "1"
	}
	reply, err := k.store.Run(ctx, connectScript, keys, address, refresh, access, strconv.FormatInt(lifetime(token).Milliseconds(), 10), confirmed)
	if err != nil {
		return fmt.Errorf("write the connection: %w", err)
	}
	if outcome, err := reply.ToString(); err != nil || outcome != "connected" {
		return ErrOtherMailbox
	}
	return nil
}

// keysOfMailbox are the keys that [connectScript] takes: with what the job in
// flight chose to read, if there is one, since it would go on with it.
func (k *Keeper) keysOfMailbox(ctx context.Context, business string) ([]string, error) {
	keys := []string{k.keys.Connection(business), k.keys.Sync(business), k.keys.Owed(business), k.keys.Outcomes(business), k.keys.Marks(business)}
	message, err := k.queue.Do(ctx, func(b rueidis.Builder) rueidis.Completed {
		return b.Get().Key(k.keys.Inflight(business)).Build()
	})
	if redisclient.IsNil(err) {
		return keys, nil
	}
	job, err := message.ToString()
	if err != nil {
		return nil, fmt.Errorf("read the job in flight: %w", err)
	}
	return append(keys, k.keys.Wanted(business, job), k.keys.Run(business, job)), nil
}

func hash(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}
