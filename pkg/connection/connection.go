// Package connection keeps the Gmail connection of each business: it asks
// Google for one, hands out access tokens, and gives it up. With it lie the
// settings that a business chose for itself ([Settings]).
//
// Tokens lie in Redis sealed ([Sealer]), never in the clear, and no error or
// log shows one. Each change of a connection is one script that compares what
// it was decided on, so that a crash leaves the connection as it was or as it
// is to be. The index of connected businesses is in another slot, or in another
// Redis (the queue's), and is written after the connection: [Keeper.Repair]
// completes what a crash left undone there.
package connection

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"

	"github.com/redis/rueidis"

	"github.com/prosaas/receipts/pkg/logging"
	"github.com/prosaas/receipts/pkg/redisclient"
	"github.com/prosaas/receipts/proto"
)

// Why connecting, or a token, was refused. Each wants another act of a person.
var (
	ErrNoKeys         = errors.New("no token keys are configured")
	ErrNoClient       = errors.New("no OAuth client is configured")
	ErrState          = errors.New("authorization is unknown, ran out, was used, or belongs to another browser")
	ErrScope          = errors.New("the right to read Gmail was not granted")
	ErrNoRefreshToken = errors.New("google gave no refresh token")
	ErrOtherMailbox   = errors.New("another mailbox than the one connected before")
	ErrNotConnected   = errors.New("gmail is not connected")
	ErrChanged        = errors.New("the connection was made anew meanwhile")
	ErrReconnect      = errors.New("google no longer accepts the connection")
	ErrUnreadable     = errors.New("sealed token cannot be opened with the configured token keys")
	ErrClient         = errors.New("google refuses the OAuth client")
	ErrGoogle         = errors.New("google is not available") // passes: a later call may succeed
)

// OAuth is Google's side: the client, and where to call. AuthURL is where the
// browser goes; the others are called from here.
type OAuth struct {
	ClientID, ClientSecret       string
	RedirectURL                  string // of the callback; needed only where connections are made
	AuthURL, TokenURL, RevokeURL string
	GmailEndpoint                string
}

// Options are the optional settings of a keeper.
type Options struct {
	Logger *slog.Logger // discards by default
}

// Keeper keeps the connections of all businesses.
type Keeper struct {
	store  *redisclient.Client // holds connections and settings
	queue  *redisclient.Client // holds the index of connected businesses; the same client where there is one Redis
	keys   proto.Keys
	oauth  OAuth
	sealer *Sealer
	google *http.Client
	log    *slog.Logger
}

// New makes a keeper. It calls nobody. store holds each business's keys, queue
// those of the queue plane; where one Redis holds both, they are the same client.
func New(store, queue *redisclient.Client, keys proto.Keys, oauth OAuth, sealer *Sealer, opts Options) *Keeper {
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	return &Keeper{store: store, queue: queue, keys: keys, oauth: oauth, sealer: sealer, google: googleClient(), log: opts.Logger}
}

// Reason is why a connection must be made again: a stable code.
type Reason string

// The reasons.
const (
	ReasonRevoked      Reason = "revoked"      // the token endpoint says invalid_grant
	ReasonUnauthorized Reason = "unauthorized" // Gmail refuses fresh access tokens
	ReasonScope        Reason = "scope_missing"
)

func (r Reason) sentence() string {
	switch r {
	case ReasonUnauthorized:
		return "Gmail no longer accepts the connection"
	case ReasonScope:
		return "The permission to read Gmail was not granted"
	default:
		return "Google ended the permission to read Gmail: it was revoked, ran out, or the password changed"
	}
}

// Status tells where the business's connection stands. LastSyncAt is not this
// package's to know and stays nil.
func (k *Keeper) Status(ctx context.Context, business string) (proto.ConnectionAnswer, error) {
	record, err := k.load(ctx, business)
	if err != nil {
		return proto.ConnectionAnswer{}, err
	}
	answer := proto.ConnectionAnswer{Success: true, Status: record.state, Connected: record.state == proto.ConnectionConnected}
	if record.state != proto.ConnectionNone {
		answer.Email = &record.address
	}
	if record.state == proto.ConnectionReconnect {
		reason, action := record.reason.sentence(), "Reconnect Gmail"
		answer.Reason, answer.Action = &reason, &action
	}
	return answer, nil
}

// Disconnect gives the connection up: its tokens are erased, so that no job
// can use them or write in its name, and then revoked at Google as far as
// Google answers. Receipts stay, and so does the address, which tells whether
// the next mailbox is another one. Where nothing is connected it does nothing.
func (k *Keeper) Disconnect(ctx context.Context, business string) error {
	reply, err := k.store.Run(ctx, disconnectScript, []string{k.keys.Connection(business)})
	if err != nil {
		return fmt.Errorf("disconnect business %s: %w", business, err)
	}
	// The token is revoked even if this fails: a repeat no longer finds it.
	unlisted := k.unlist(ctx, business)
	sealed, err := reply.ToString()
	if err != nil || sealed == "" {
		return unlisted
	}
	refresh, err := k.sealer.open(business, useRefresh, sealed)
	if err == nil {
		// Whoever asked may have gone: the token is erased here and must not live on there.
		err = k.revoke(context.WithoutCancel(ctx), refresh)
	}
	if err != nil {
		k.log.WarnContext(ctx, "gmail token not revoked at google, it is erased here", logging.KeyBusinessID, business, logging.KeyError, err)
	}
	return unlisted
}

// Repair mends the business's entry in the index of connected businesses from
// the connection itself, and answers whether it is connected.
func (k *Keeper) Repair(ctx context.Context, business string) (bool, error) {
	record, err := k.load(ctx, business)
	if err != nil {
		return false, err
	}
	if record.state != proto.ConnectionConnected {
		return false, k.unlist(ctx, business)
	}
	return true, k.list(ctx, business, keepTime)
}

// What becomes of the time of an entry that is in the index already.
const (
	keepTime = "keep"
	dueNow   = "now"
)

// list puts the business into the index, due now.
func (k *Keeper) list(ctx context.Context, business, there string) error {
	if _, err := k.queue.Run(ctx, listScript, []string{k.keys.Businesses()}, business, there); err != nil {
		return fmt.Errorf("list business %s as connected: %w", business, err)
	}
	return nil
}

func (k *Keeper) unlist(ctx context.Context, business string) error {
	_, err := k.queue.Do(ctx, func(b rueidis.Builder) rueidis.Completed {
		return b.Zrem().Key(k.keys.Businesses()).Member(business).Build()
	})
	if err != nil {
		return fmt.Errorf("unlist business %s as connected: %w", business, err)
	}
	return nil
}
