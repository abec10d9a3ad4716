package connection

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/rueidis"
	"golang.org/x/oauth2"

	"github.com/prosaas/receipts/pkg/logging"
	"github.com/prosaas/receipts/pkg/redisclient"
	"github.com/prosaas/receipts/proto"
)

// Tokens hands out the access tokens of one connection, as a job found it. No
// token outlives the connection in it: each one is read anew, so that a
// mailbox that was disconnected is not read a call longer.
type Tokens struct {
	Epoch    int64  // what the job's writes are compared by
	Address  string // of the mailbox
	Settings Settings

	keeper   *Keeper
	business string
}

// Tokens answers the business's connection as it stands. [ErrNotConnected] and
// [ErrReconnect] want a person, [ErrNoKeys] the operator.
func (k *Keeper) Tokens(ctx context.Context, business string) (*Tokens, error) {
	if k.sealer.first == nil {
		return nil, fmt.Errorf("tokens of business %s: %w", business, ErrNoKeys)
	}
	r, err := k.load(ctx, business)
	if err != nil {
		return nil, err
	}
	if err := r.usable(); err != nil {
		return nil, fmt.Errorf("tokens of business %s: %w", business, err)
	}
	return &Tokens{Epoch: r.epoch, Address: r.address, Settings: r.settings, keeper: k, business: business}, nil
}

// TryOpening opens the refresh tokens of up to most connected businesses, chosen
// at random, and counts those that the configured keys do not open. It keeps no
// token and calls nobody but Redis.
func (k *Keeper) TryOpening(ctx context.Context, most int) (proto.OpenedConnections, error) {
	var opened proto.OpenedConnections
	reply, err := k.queue.Do(ctx, func(b rueidis.Builder) rueidis.Completed {
		return b.Zrandmember().Key(k.keys.Businesses()).Count(int64(most)).Build()
	})
	if err != nil {
		return opened, fmt.Errorf("choose connections to open: %w", err)
	}
	businesses, err := reply.AsStrSlice()
	if err != nil {
		return opened, fmt.Errorf("choose connections to open: %w", err)
	}
	for _, business := range businesses {
		r, err := k.load(ctx, business)
		if err != nil {
			return opened, err
		}
		if r.usable() != nil { // the index is written after the connection
			continue
		}
		opened.Tried++
		if _, err := k.sealer.open(business, useRefresh, r.refresh); err != nil {
			opened.Unreadable++
		}
	}
	return opened, nil
}

func (r record) usable() error {
	switch r.state {
	case proto.ConnectionConnected:
		return nil
	case proto.ConnectionReconnect:
		return ErrReconnect
	default:
		return ErrNotConnected
	}
}

// Token answers an access token that counts for a while yet.
//
// Errors: [ErrNotConnected] and [ErrChanged] where the job's connection is no
// more; [ErrReconnect] where Google ended it, which is recorded; [ErrClient],
// [ErrUnreadable] for the operator; [ErrGoogle] and Redis's pass.
func (t *Tokens) Token(ctx context.Context) (string, error) { return t.get(ctx, "") }

// Refresh answers another access token than the rejected one, which Gmail no
// longer takes. Its errors are those of [Tokens.Token].
func (t *Tokens) Refresh(ctx context.Context, rejected string) (string, error) {
	return t.get(ctx, rejected)
}

// MarkReconnect records that a person must connect again. A connection that
// was made anew meanwhile is left alone.
func (t *Tokens) MarkReconnect(ctx context.Context, reason Reason) error {
	_, err := t.reconnect(ctx, reason, "")
	return err
}

const (
	// lookAgain is how often a waiter looks whether another's refresh ended.
	lookAgain = 25 * time.Millisecond
	// lockTTL outlasts the one call to Google that a refresh makes.
	lockTTL = callTimeout + 5*time.Second
)

func (t *Tokens) get(ctx context.Context, rejected string) (string, error) {
	for {
		r, err := t.load(ctx)
		if err != nil {
			return "", err
		}
		token, fresh := t.cached(r, rejected)
		if fresh {
			return token, nil
		}
		owner, err := t.lock(ctx)
		switch {
		case err != nil:
			return "", err
		case owner != "":
			renewed, err := t.refresh(ctx, owner, rejected)
			if errors.Is(err, errLost) {
				continue
			}
			if errors.Is(err, ErrGoogle) && token != "" {
				return token, nil // it counts still: the next call tries again
			}
			return renewed, err
		case token != "":
			return token, nil // another renews it ahead of its end
		}
		select {
		case <-ctx.Done():
			return "", fmt.Errorf("access token of business %s: %w", t.business, ctx.Err())
		case <-time.After(lookAgain):
		}
	}
}

// load reads the connection and tells whether it is still the job's.
func (t *Tokens) load(ctx context.Context) (record, error) {
	r, err := t.keeper.load(ctx, t.business)
	if err != nil {
		return record{}, err
	}
	if err = r.usable(); err == nil && r.epoch != t.Epoch {
		err = ErrChanged
	}
	if err != nil {
		return record{}, fmt.Errorf("access token of business %s: %w", t.business, err)
	}
	return r, nil
}

// cached answers the stored access token, if it counts and is not the rejected
// one, and whether it need not be renewed yet. One that cannot be opened is
// none: the refresh token makes another.
func (t *Tokens) cached(r record, rejected string) (token string, fresh bool) {
	if r.access == "" || r.endsIn <= 0 {
		return "", false
	}
	token, err := t.keeper.sealer.open(t.business, useAccess, r.access)
	if err != nil || token == rejected {
		return "", false
	}
	return token, r.renewIn > 0
}

// lock answers the lock's owner, or "" where another has it. A lock whose
// holder died ends by itself.
func (t *Tokens) lock(ctx context.Context) (owner string, err error) {
	owner = random()
	_, err = t.keeper.store.Do(ctx, func(b rueidis.Builder) rueidis.Completed {
		return b.Set().Key(t.keeper.keys.TokenLock(t.business)).Value(owner).Nx().Px(lockTTL).Build()
	})
	if redisclient.IsNil(err) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("lock the token of business %s: %w", t.business, err)
	}
	return owner, nil
}

// errLost says that the lock ran out while its holder was busy: another may
// have renewed the token, whatever came of this one's try.
var errLost = errors.New("token lock was lost")

// settleTimeout bounds what must be written although its caller gave up.
const settleTimeout = 5 * time.Second

// refresh renews the access token as the lock's owner, and gives the lock back.
func (t *Tokens) refresh(ctx context.Context, owner, rejected string) (string, error) {
	// What Google answered is kept even if the job was canceled meanwhile.
	settle, cancel := context.WithTimeout(context.WithoutCancel(ctx), callTimeout+settleTimeout)
	defer cancel()
	defer t.unlock(settle, owner)

	r, err := t.load(ctx) // again: it may have been renewed before the lock was had
	if err != nil {
		return "", err
	}
	if token, fresh := t.cached(r, rejected); fresh {
		return token, nil
	}
	refresh, err := t.keeper.sealer.open(t.business, useRefresh, r.refresh)
	if err != nil {
		return "", err
	}
	token, err := t.keeper.renew(ctx, refresh)
	if errors.Is(err, errGrant) {
		outcome, err := t.reconnect(settle, ReasonRevoked, owner)
		if err == nil && outcome == outcomeLost {
			err = errLost
		}
		if err == nil {
			err = fmt.Errorf("access token of business %s: %w", t.business, ErrReconnect)
		}
		return "", err
	}
	if err != nil {
		return "", fmt.Errorf("access token of business %s: %w", t.business, err)
	}
	return token.AccessToken, t.store(settle, owner, token)
}

const (
	outcomeLost    = "lost"
	outcomeChanged = "changed"
)

// store writes what Google answered, sealed with the newest key, the refresh
// token too, so that an old key can go.
func (t *Tokens) store(ctx context.Context, owner string, token *oauth2.Token) error {
	refresh, err := t.keeper.sealer.seal(t.business, useRefresh, token.RefreshToken)
	if err != nil {
		return err
	}
	access, err := t.keeper.sealer.seal(t.business, useAccess, token.AccessToken)
	if err != nil {
		return err
	}
	outcome, err := t.run(ctx, renewedScript, t.epoch(), owner, refresh, access, strconv.FormatInt(lifetime(token).Milliseconds(), 10))
	switch {
	case err != nil:
		return err
	case outcome == outcomeLost:
		return errLost
	case outcome == outcomeChanged:
		return fmt.Errorf("access token of business %s: %w", t.business, ErrChanged)
	}
	return nil
}

// reconnect records the reason, and takes the business out of the index: it
// can sync nothing until a person connects it.
func (t *Tokens) reconnect(ctx context.Context, reason Reason, owner string) (outcome string, err error) {
	outcome, err = t.run(ctx, reconnectScript, t.epoch(), string(reason), owner)
	if err != nil || outcome == outcomeLost || outcome == outcomeChanged {
		return outcome, err
	}
	return outcome, t.keeper.unlist(ctx, t.business)
}

func (t *Tokens) epoch() string { return strconv.FormatInt(t.Epoch, 10) }

func (t *Tokens) run(ctx context.Context, script *redisclient.Script, args ...string) (string, error) {
	keys := []string{t.keeper.keys.Connection(t.business), t.keeper.keys.TokenLock(t.business)}
	reply, err := t.keeper.store.Run(ctx, script, keys, args...)
	if err != nil {
		return "", fmt.Errorf("write the connection of business %s: %w", t.business, err)
	}
	return reply.ToString()
}

// unlock gives the lock back; one that was lost is another's. Where Redis does
// not answer it runs out by itself.
func (t *Tokens) unlock(ctx context.Context, owner string) {
	if _, err := t.keeper.store.Run(ctx, unlockScript, []string{t.keeper.keys.TokenLock(t.business)}, owner); err != nil {
		t.keeper.log.WarnContext(ctx, "token lock not given back, it runs out", logging.KeyBusinessID, t.business, logging.KeyError, err)
	}
}
