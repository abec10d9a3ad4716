package proto

import (
	"bytes"
	"errors"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestFrozenEnvelopesStillDecode(t *testing.T) {
	want := map[string]Envelope{
		"testdata/wire/envelope-v1.json": {
			Version: 1, JobID: "01939b2c-7c1e-7a3b-9f0e-3b2a1c4d5e6f", Kind: KindGmailSync, BusinessID: "b-42", Mode: ModeRange,
			Params: Params{FromDate: "2026-01-01", ToDate: "2026-01-31", MaxMessages: 500, Force: true},
			Queue:  QueueDefault, Trigger: TriggerUser, EnqueuedAt: time.Date(2026, 11, 23, 10, 20, 30, 5e8, time.UTC),
			Headers: map[string]string{"request_id": "r-1", "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"},
		},
	}
	for file, envelope := range want {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		got, err := DecodeEnvelope(data)
		if err != nil || !reflect.DeepEqual(got, envelope) {
			t.Errorf("%s decodes to %+v, %v; want %+v", file, got, err, envelope)
		}
		again, err := envelope.Encode()
		if err != nil || !bytes.Equal(again, bytes.TrimSpace(data)) {
			t.Errorf("%s is written as %s, %v today: new bytes need a new version", file, again, err)
		}
	}
}

func TestDecodeEnvelope(t *testing.T) {
	tests := []struct {
		name, data string
		wantID     string
		wantErr    error
		says       string
	}{
		{name: "unknown fields are taken", data: `{"v":1,"job_id":"j","later":{"x":1}}`, wantID: "j"},
		{name: "newer", data: `{"v":2,"job_id":"j","params":"another shape"}`, wantID: "j", wantErr: ErrNewerVersion, says: "job j"},
		{name: "no version", data: `{"job_id":"j"}`, says: "no version"},
		{name: "no id", data: `{"v":1}`, says: "no job id"},
		{name: "not JSON", data: `{`, says: "decode envelope"},
		{name: "wrong type", data: `{"v":1,"job_id":"j","queue":7}`, says: "of job j"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := DecodeEnvelope([]byte(tt.data))
			if tt.wantErr != nil && !errors.Is(err, tt.wantErr) {
				t.Errorf("err = %v, want %v", err, tt.wantErr)
			}
			if (err != nil) != (tt.says != "") || err != nil && !strings.Contains(err.Error(), tt.says) {
				t.Errorf("err = %v, want it to say %q", err, tt.says)
			}
			if got.JobID != tt.wantID {
				t.Errorf("job id = %q, want %q", got.JobID, tt.wantID)
			}
		})
	}
}

func TestSameness(t *testing.T) {
	base := Envelope{JobID: "a", Kind: KindGmailSync, Mode: ModeFull, Params: Params{MonthsBack: 36}, Trigger: TriggerUser}
	same, other := base, base
	same.JobID, same.Trigger, same.EnqueuedAt, same.Headers = "b", TriggerConnect, time.Unix(1, 0), map[string]string{"x": "y"}
	if base.Sameness() != same.Sameness() {
		t.Errorf("%q and %q ask for the same work", base.Sameness(), same.Sameness())
	}
	other.Params.MonthsBack = 12
	if base.Sameness() == other.Sameness() {
		t.Errorf("%q stands for two different works", base.Sameness())
	}
}

func FuzzDecodeEnvelope(f *testing.F) {
	f.Add([]byte(`{"v":1,"job_id":"j","kind":"noop","params":{"seconds":3}}`))
	f.Add([]byte(`{"v":9,"job_id":"j"}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		e, err := DecodeEnvelope(data)
		if err != nil {
			return
		}
		encoded, err := e.Encode()
		if err != nil {
			return // a time that JSON cannot hold
		}
		again, err := DecodeEnvelope(encoded)
		if err != nil || again.Sameness() != e.Sameness() || again.JobID != e.JobID {
			t.Errorf("%s came back as %+v, %v", encoded, again, err)
		}
	})
}
