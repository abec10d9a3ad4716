package connection

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"golang.org/x/oauth2"
)

// scopeReadonly is all that is asked for. Scopes that hold it are as good.
const scopeReadonly = "https://www.googleapis.com/auth/gmail.readonly"

const (
	callTimeout = 10 * time.Second // of one call to Google, answer read
	maxAnswer   = 64 << 10         // bytes of an answer that are read
	maxAddress  = 320              // bytes of a mail address (RFC 3696)
)

// googleClient calls the configured addresses and no others: a redirect is an
// answer like any other, never followed.
func googleClient() *http.Client {
	return &http.Client{
		Timeout:       callTimeout,
		Transport:     bounded{http.DefaultTransport},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// bounded cuts answers after maxAnswer bytes.
type bounded struct{ next http.RoundTripper }

func (b bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	answer, err := b.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	answer.Body = struct {
		io.Reader
		io.Closer
	}{io.LimitReader(answer.Body, maxAnswer), answer.Body}
	return answer, nil
}

func (k *Keeper) config() *oauth2.Config {
	return &oauth2.Config{
		ClientID: k.oauth.ClientID, ClientSecret: k.oauth.ClientSecret, RedirectURL: k.oauth.RedirectURL,
		Scopes: []string{scopeReadonly},
		// In params: to find out by trying would ask for each token twice.
		Endpoint: oauth2.Endpoint{AuthURL: k.oauth.AuthURL, TokenURL: k.oauth.TokenURL, AuthStyle: oauth2.AuthStyleInParams},
	}
}

// exchange turns the code of a callback into tokens.
func (k *Keeper) exchange(ctx context.Context, code, verifier string) (*oauth2.Token, error) {
	token, err := k.config().Exchange(context.WithValue(ctx, oauth2.HTTPClient, k.google), code, oauth2.VerifierOption(verifier))
	return token, tokenError(err)
}

// renew asks for a new access token. Where the answer has no refresh token,
// the old one is in the result.
func (k *Keeper) renew(ctx context.Context, refresh string) (*oauth2.Token, error) {
	ctx = context.WithValue(ctx, oauth2.HTTPClient, k.google)
	token, err := k.config().TokenSource(ctx, &oauth2.Token{RefreshToken: refresh}).Token()
	return token, tokenError(err)
}

// errGrant says that the token endpoint takes the code or refresh token for none.
var errGrant = errors.New("invalid grant")

// tokenError tells what a failed call of the token endpoint means (RFC 6749,
// section 5.2). It never wraps what oauth2 answers, which quotes the body.
func tokenError(err error) error {
	var refused *oauth2.RetrieveError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &refused):
		switch refused.ErrorCode {
		case "invalid_grant":
			return errGrant
		case "invalid_client", "unauthorized_client", "deleted_client", "disabled_client":
			return ErrClient
		}
		return fmt.Errorf("token endpoint answered %d: %w", refused.Response.StatusCode, ErrGoogle)
	default:
		return fmt.Errorf("token endpoint: %w", unanswered(err))
	}
}

// unanswered keeps a canceled context apart from a Google that does not answer.
func unanswered(err error) error {
	if errors.Is(err, context.Canceled) {
		return context.Canceled
	}
	return ErrGoogle
}

// granted tells whether Gmail may be read: with granular consent a person can
// refuse just that. No scope in the answer means the one asked for (RFC 6749, 5.1).
func granted(token *oauth2.Token) bool {
	scope, ok := token.Extra("scope").(string)
	if !ok || scope == "" {
		return true
	}
	return slices.ContainsFunc(strings.Fields(scope), func(s string) bool {
		return s == scopeReadonly || s == "https://www.googleapis.com/auth/gmail.modify" || s == "https://mail.google.com/"
	})
}

// lifetime is how long the access token counts. Google always tells; who does
// not is believed for the least that is usual.
func lifetime(token *oauth2.Token) time.Duration {
	if token.ExpiresIn <= 0 {
		return 10 * time.Minute
	}
	return time.Duration(min(token.ExpiresIn, 24*60*60)) * time.Second
}

// mailbox asks Gmail whose mailbox the access token opens (users.getProfile).
func (k *Keeper) mailbox(ctx context.Context, access string) (string, error) {
	address, err := url.JoinPath(k.oauth.GmailEndpoint, "gmail/v1/users/me/profile")
	if err != nil {
		return "", fmt.Errorf("gmail endpoint: %w", err)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, http.NoBody)
	if err != nil {
		return "", fmt.Errorf("gmail endpoint: %w", err)
	}
	request.Header.Set("Authorization", "Bearer "+access)
	answer, err := k.google.Do(request)
	if err != nil {
		return "", fmt.Errorf("ask gmail whose mailbox it is: %w", unanswered(err))
	}
	defer func() { _ = answer.Body.Close() }()
	var profile struct {
		EmailAddress string
		Error        struct{ Errors, Details []struct{ Reason string } }
	}
	decodeErr := json.NewDecoder(answer.Body).Decode(&profile)
	for _, e := range slices.Concat(profile.Error.Errors, profile.Error.Details) {
		if e.Reason == "insufficientPermissions" || e.Reason == "ACCESS_TOKEN_SCOPE_INSUFFICIENT" {
			return "", fmt.Errorf("ask gmail whose mailbox it is: %w", ErrScope)
		}
	}
	if answer.StatusCode != http.StatusOK || decodeErr != nil || profile.EmailAddress == "" || len(profile.EmailAddress) > maxAddress {
		return "", fmt.Errorf("ask gmail whose mailbox it is: answered %d without an address: %w", answer.StatusCode, ErrGoogle)
	}
	return strings.ToLower(profile.EmailAddress), nil
}

// revoke ends the grant at Google.
func (k *Keeper) revoke(ctx context.Context, refresh string) error {
	form := strings.NewReader(url.Values{"token": {refresh}}.Encode())
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, k.oauth.RevokeURL, form)
	if err != nil {
		return fmt.Errorf("revoke url: %w", err)
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	answer, err := k.google.Do(request)
	if err != nil {
		return fmt.Errorf("revoke: %w", unanswered(err))
	}
	defer func() { _ = answer.Body.Close() }()
	// 400 is a token that is none any more (RFC 7009 would have it 200).
	if answer.StatusCode != http.StatusOK && answer.StatusCode != http.StatusBadRequest {
		return fmt.Errorf("revoke answered %d: %w", answer.StatusCode, ErrGoogle)
	}
	return nil
}
