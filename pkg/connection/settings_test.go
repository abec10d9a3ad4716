package connection_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/prosaas/receipts/pkg/connection"
)

func (w *world) choose(s connection.Settings) {
	w.t.Helper()
	if err := w.keeper.Choose(w.t.Context(), business, s); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) settings() connection.Settings {
	w.t.Helper()
	s, err := w.keeper.Settings(w.t.Context(), business)
	if err != nil {
		w.t.Fatal(err)
	}
	return s
}

func TestSettings(t *testing.T) {
	t.Parallel()
	off, daily := time.Duration(0), 24*time.Hour
	tests := []struct {
		name   string
		chosen []connection.Settings
		want   connection.Settings
	}{
		{"none", nil, connection.Settings{}},
		{"nothing of them", []connection.Settings{{}}, connection.Settings{}},
		{
			"all",
			[]connection.Settings{{TimeZone: "America/New_York", AutoSync: &daily, Language: "he"}},
			connection.Settings{TimeZone: "America/New_York", AutoSync: &daily, Language: "he"},
		},
		{
			"one after the other",
			[]connection.Settings{{TimeZone: "America/New_York", Language: "he"}, {AutoSync: &off}, {Language: "en"}},
			connection.Settings{TimeZone: "America/New_York", AutoSync: &off, Language: "en"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			for _, s := range tt.chosen {
				w.choose(s)
			}
			if diff := cmp.Diff(tt.want, w.settings()); diff != "" {
				t.Errorf("without a connection (-want +got):\n%s", diff)
			}
			w.mustConnect()
			if diff := cmp.Diff(tt.want, w.tokens().Settings); diff != "" {
				t.Errorf("as a job finds them (-want +got):\n%s", diff)
			}
			w.disconnect()
			w.google.address = "another@example.test"
			if err := w.connect(connection.Request{Business: business, Binding: connection.NewBinding(), NewMailbox: true}); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, w.settings()); diff != "" {
				t.Errorf("with another mailbox (-want +got):\n%s", diff)
			}
			if version := w.text("HGET", w.keys.Settings(business), "v"); (version == "1") != (len(tt.chosen) > 0) {
				t.Errorf("the record's version is %q", version)
			}
		})
	}
}

// A release to come writes fields that this one does not know.
func TestSettingsOfANewerRelease(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.do("HSET", w.keys.Settings(business), "v", "2", "time_zone", "UTC", "weekends", "fri")
	w.choose(connection.Settings{Language: "he"})
	if diff := cmp.Diff(connection.Settings{TimeZone: "UTC", Language: "he"}, w.settings()); diff != "" {
		t.Errorf("settings (-want +got):\n%s", diff)
	}
	for field, want := range map[string]string{"v": "2", "weekends": "fri"} {
		if kept := w.text("HGET", w.keys.Settings(business), field); kept != want {
			t.Errorf("%s is now %q, was %q", field, kept, want)
		}
	}
}

func TestZone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	unset := time.FixedZone("unset", 0)
	for name, want := range map[string]string{"": "unset", "UTC": "UTC", "Asia/Jerusalem": "Asia/Jerusalem"} {
		zone, err := connection.Settings{TimeZone: name}.Zone(unset)
		if err != nil || zone.String() != want {
			t.Errorf("zone of %q = %v, %v; want %s", name, zone, err, want)
		}
	}
	for _, name := range []string{"Local", "Nowhere/City", "../zoneinfo/UTC", "GMT+3:00"} {
		s := connection.Settings{TimeZone: name, Language: "he"}
		if zone, err := s.Zone(unset); !errors.Is(err, connection.ErrTimeZone) {
			t.Errorf("zone of %q = %v, %v; want %v", name, zone, err, connection.ErrTimeZone)
		}
		if err := w.keeper.Choose(t.Context(), business, s); !errors.Is(err, connection.ErrTimeZone) {
			t.Errorf("choosing %q = %v, want %v", name, err, connection.ErrTimeZone)
		}
	}
	if s := w.settings(); s != (connection.Settings{}) {
		t.Errorf("what was refused was written: %+v", s)
	}
}
