package redisclient

import (
	"slices"
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	t.Parallel()
	tests := []struct {
		url       string
		addresses []string
		db        int
		single    bool
		masterSet string
		tls       bool
		password  string
	}{
		{url: "redis://127.0.0.1:6379/3", addresses: []string{"127.0.0.1:6379"}, db: 3, single: true},
		{url: "redis://h", addresses: []string{"h:6379"}, single: true},
		{url: "redis://u:p@h:1/0", addresses: []string{"h:1"}, single: true, password: "p"},
		{url: "rediss://h:1", addresses: []string{"h:1"}, single: true, tls: true},
		{url: "redis://a:1,b:2,c", addresses: []string{"a:1", "b:2", "c:6379"}},
		{url: "redis://u:p@a:1,b:2/0", addresses: []string{"a:1", "b:2"}, password: "p"},
		{url: "redis://a:26379,b:26379/2?master_set=main", addresses: []string{"a:26379", "b:26379"}, db: 2, masterSet: "main"},
		{url: "redis://a:26379?master_set=main", addresses: []string{"a:26379"}, masterSet: "main"},
	}
	for _, tt := range tests {
		t.Run(tt.url, func(t *testing.T) {
			t.Parallel()
			got, err := parse(tt.url)
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(got.InitAddress, tt.addresses) || got.SelectDB != tt.db || got.ForceSingleClient != tt.single ||
				got.Sentinel.MasterSet != tt.masterSet || (got.TLSConfig != nil) != tt.tls || got.Password != tt.password {
				t.Errorf("parse = %v db=%d single=%t master=%q tls=%t", got.InitAddress, got.SelectDB, got.ForceSingleClient, got.Sentinel.MasterSet, got.TLSConfig != nil)
			}
		})
	}
}

func TestParseErrorsHideThePassword(t *testing.T) {
	t.Parallel()
	for _, url := range []string{"u:hunter2@h", "http://u:hunter2@h", "redis://u:hunter2@h:port/0", "redis://u:hunter2@h/one", "redis://u:hunter2@h:1/%zz"} {
		_, err := parse(url)
		if err == nil {
			t.Errorf("parse(%q) succeeded", url)
		} else if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("parse(%q) tells the password: %v", url, err)
		}
	}
}
