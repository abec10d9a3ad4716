package connection_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/prosaas/receipts/pkg/connection"
	"github.com/prosaas/receipts/pkg/redisclient"
	"github.com/prosaas/receipts/pkg/redistest"
	"github.com/prosaas/receipts/proto"
)

const mailbox = "owner@business.example"

var profile = connection.Limit{PerMinute: 5700, Burst: 200}

func take(t *testing.T, m *connection.Meter, now time.Time, units int) connection.Grant {
	t.Helper()
	grant, err := m.Take(t.Context(), now, units)
	if err != nil {
		t.Fatal(err)
	}
	return grant
}

// Three workers together spend in no minute of ten more than the limit and one
// burst, nor less than all but a burst.
func TestMeterFillsTheMinute(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const units = 100
	workers := make([]*connection.Meter, 3)
	for i := range workers {
		workers[i] = connection.NewMeters(w.redis, w.keys).Mailbox(mailbox, profile)
	}
	began := time.Now()
	var spent []time.Time
	for now := began; now.Before(began.Add(10 * time.Minute)); {
		if grant := take(t, workers[len(spent)%3], now, units); grant.Wait > 0 {
			now = now.Add(grant.Wait)
			continue
		}
		spent = append(spent, now)
	}
	for i, first := 0, 0; i < len(spent); i++ {
		for spent[i].Sub(spent[first]) >= time.Minute {
			first++
		}
		total := (i - first + 1) * units
		whole := spent[i].Sub(began) >= time.Minute
		if total > profile.PerMinute+profile.Burst || (whole && total < profile.PerMinute-profile.Burst) {
			t.Fatalf("%d units in the minute to %s, want about %d", total, spent[i].Sub(began), profile.PerMinute)
		}
	}
}

// One mailbox's spending and pauses are its own, whichever worker asks and in
// whatever case the address is written.
func TestMeterIsOneMailboxs(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	meters := connection.NewMeters(w.redis, w.keys)
	mine, also, other := meters.Mailbox(mailbox, profile), meters.Mailbox(strings.ToUpper(mailbox), profile), meters.Mailbox("b@c.example", profile)
	now := time.Now()
	if grant := take(t, mine, now, profile.Burst); grant.Wait != 0 {
		t.Errorf("the burst waits: %+v", grant)
	}
	if grant := take(t, also, now, 20); grant.Wait <= 0 || grant.Wait > time.Second || grant.Paused {
		t.Errorf("after the burst %+v, want a short wait", grant)
	}
	if grant := take(t, also, now, -20); grant.Wait != 0 {
		t.Errorf("giving back waits: %+v", grant)
	}
	if grant := take(t, mine, now, 20); grant.Wait != 0 {
		t.Errorf("what was given back is not there: %+v", grant)
	}
	if wait, err := mine.Pause(t.Context(), now, now, 40*time.Second); err != nil || wait != 40*time.Second {
		t.Errorf("paused for %s (%v), want what Gmail named", wait, err)
	}
	if grant := take(t, also, now.Add(30*time.Second), 20); !grant.Paused || grant.Wait != 10*time.Second || !grant.Refused {
		t.Errorf("during the pause %+v, want ten seconds more", grant)
	}
	for name, m := range map[string]*connection.Meter{"another mailbox": other, "the project": meters.Project(profile)} {
		if grant := take(t, m, now, 20); grant.Wait != 0 || grant.Refused {
			t.Errorf("%s: %+v, want no wait", name, grant)
		}
	}
	if grant := take(t, also, now.Add(40*time.Second), 20); grant.Wait != 0 {
		t.Errorf("after the pause %+v, want none", grant)
	}
	keys := w.do("KEYS", "*")
	names, err := keys.AsStrSlice()
	if err != nil || strings.Contains(strings.ToLower(strings.Join(names, " ")), "business.example") {
		t.Errorf("an address is in a key: %v (%v)", names, err)
	}
}

// Where Gmail names no time the wait doubles with each refusal, up to a minute;
// calls that were under way together count once, and an answer ends it.
func TestPausesGrow(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	m := connection.NewMeters(w.redis, w.keys).Mailbox(mailbox, connection.Limit{})
	now := time.Now()
	pause := func(began time.Time) time.Duration {
		t.Helper()
		wait, err := m.Pause(t.Context(), now, began, 0)
		if err != nil {
			t.Fatal(err)
		}
		return wait
	}
	for i, most := range []time.Duration{time.Second, 2 * time.Second, 4 * time.Second, 8 * time.Second, 16 * time.Second, 32 * time.Second, 64 * time.Second, 64 * time.Second} {
		began := now.Add(-time.Second)
		wait := pause(began)
		if wait < most/2 || wait > most {
			t.Errorf("refusal %d: %s, want %s to %s", i, wait, most/2, most)
		}
		now = now.Add(wait / 2)
		if again := pause(began); again > wait/2+time.Microsecond {
			t.Errorf("another call of the same time: %s of %s", again, wait)
		}
		now = now.Add(wait + 2*time.Second)
	}
	if grant := take(t, m, now, 1_000_000); grant.Wait != 0 || !grant.Refused {
		t.Errorf("after the pause, and without a limit: %+v", grant)
	}
	if err := m.Answered(t.Context()); err != nil {
		t.Fatal(err)
	}
	if wait := pause(now); wait > time.Second {
		t.Errorf("the first refusal after an answer: %s", wait)
	}
}

// A clock an hour ahead does not stop the others for an hour.
func TestMeterOutlivesAWrongClock(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	m := connection.NewMeters(w.redis, w.keys).Mailbox(mailbox, profile)
	now := time.Now()
	take(t, m, now.Add(time.Hour), 100)
	if grant := take(t, m, now, 100); grant.Wait > 3*time.Second {
		t.Errorf("waits %s after another's clock was an hour ahead", grant.Wait)
	}
}

// Redis away is closed: no unit is granted.
func TestMeterWithoutRedis(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	client, err := redisclient.Open("redis://"+server.Addr, redisclient.Options{Timeout: 200 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	<-client.Ready()
	m := connection.NewMeters(client, proto.MustKeys(proto.DefaultPrefix)).Mailbox(mailbox, profile)
	server.Kill()
	_, errTake := m.Take(t.Context(), time.Now(), 20)
	_, errPause := m.Pause(t.Context(), time.Now(), time.Now(), 0)
	for _, err := range []error{errTake, errPause, m.Answered(t.Context())} {
		if !errors.Is(err, redisclient.ErrUnavailable) || strings.Contains(err.Error(), mailbox) {
			t.Errorf("%v, want %v without the address", err, redisclient.ErrUnavailable)
		}
	}
}
