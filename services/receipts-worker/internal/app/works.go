package app

import (
	"context"
	"os"
	"path/filepath"

	"github.com/prosaas/receipts/pkg/config"
	"github.com/prosaas/receipts/pkg/connection"
	"github.com/prosaas/receipts/pkg/lifecycle"
	"github.com/prosaas/receipts/pkg/queue"
	"github.com/prosaas/receipts/pkg/receiptmail"
	"github.com/prosaas/receipts/pkg/receiptstore"
	"github.com/prosaas/receipts/pkg/redisclient"
	"github.com/prosaas/receipts/proto"
	"github.com/prosaas/receipts/services/receipts-worker/internal/gmailsync"
	"github.com/prosaas/receipts/services/receipts-worker/internal/runner"
)

// works is what this worker does with each kind of job.
func (a *App) works(settings config.Worker, client, store *redisclient.Client, keys proto.Keys, stack *lifecycle.Stack) (map[proto.Kind]queue.Work, error) {
	sealer, err := connection.NewSealer(settings.TokenKeys.Reveal())
	if err != nil {
		return nil, err
	}
	keeper := connection.New(store, client, keys, connection.OAuth{
		ClientID: settings.GoogleClientID, ClientSecret: settings.GoogleClientSecret.Reveal(),
		TokenURL: settings.OAuthTokenURL, RevokeURL: settings.OAuthRevokeURL, GmailEndpoint: settings.GmailEndpoint,
	}, sealer, connection.Options{Logger: a.log})
	// Without a folder for compiled code the first PDF of each start takes seconds.
	cache, _ := os.UserCacheDir()
	if cache != "" {
		cache = filepath.Join(cache, "receipts", "pdf")
	}
	reader := receiptmail.NewReader(cache)
	stack.OnStop("mail reader", reader.Close)
	syncer, err := gmailsync.New(receiptstore.New(store, keys, receiptstore.Options{}), connection.NewMeters(store, keys), runner.Mailboxes(keeper, settings.DefaultTimeZone), reader, gmailsync.Options{
		Endpoint: settings.GmailEndpoint, Quota: gmailsync.Quota(settings.GmailQuotaProfile), JobTimeout: settings.JobTimeout,
		Logger: a.log, Registerer: a.metrics,
	})
	if err != nil {
		return nil, err
	}
	stack.OnStop("gmail connections", func(context.Context) error { syncer.Close(); return nil })
	return map[proto.Kind]queue.Work{
		proto.KindGmailSync: runner.GmailSync(syncer),
		proto.KindNoop:      runner.Noop(keeper),
	}, nil
}
