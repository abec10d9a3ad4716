package runner_test

import (
	"errors"
	"testing"
	"time"

	"github.com/redis/rueidis"

	"github.com/prosaas/receipts/pkg/connection"
	"github.com/prosaas/receipts/pkg/redisclient"
	"github.com/prosaas/receipts/pkg/redistest"
	"github.com/prosaas/receipts/proto"
	"github.com/prosaas/receipts/services/receipts-worker/internal/runner"
)

// A sync's months begin where its business is.
func TestMailboxesAreInTheZoneOfTheirBusiness(t *testing.T) {
	t.Parallel()
	client, err := redisclient.Open(redistest.DB(t), redisclient.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	<-client.Ready()
	keys := proto.MustKeys(proto.DefaultPrefix)
	sealer, err := connection.NewSealer(tokenKeys)
	if err != nil {
		t.Fatal(err)
	}
	set := func(key string, fields ...string) {
		t.Helper()
		if _, err := client.Do(t.Context(), func(b rueidis.Builder) rueidis.Completed {
			return b.Arbitrary("HSET").Keys(key).Args(fields...).Build()
		}); err != nil {
			t.Fatal(err)
		}
	}
	keeper := connection.New(client, client, keys, connection.OAuth{}, sealer, connection.Options{})
	open := runner.Mailboxes(keeper, time.UTC)
	set(keys.Connection("b1"), "state", "connected", "epoch", "7", "address", "a@example.test")
	for _, row := range []struct{ chosen, want string }{{"", "UTC"}, {"America/New_York", "America/New_York"}} {
		if err := keeper.Choose(t.Context(), "b1", connection.Settings{TimeZone: row.chosen}); err != nil {
			t.Fatal(err)
		}
		if box, err := open(t.Context(), "b1"); err != nil || box.Zone.String() != row.want || box.Epoch != 7 || box.Address != "a@example.test" {
			t.Errorf("mailbox %+v, %v; want the zone %s", box, err, row.want)
		}
	}
	set(keys.Settings("b1"), "time_zone", "Nowhere/City")
	if _, err := open(t.Context(), "b1"); !errors.Is(err, connection.ErrTimeZone) {
		t.Errorf("a zone that is none = %v, want %v", err, connection.ErrTimeZone)
	}
}
