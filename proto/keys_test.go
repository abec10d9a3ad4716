package proto

import (
	"strings"
	"testing"
)

func TestNewKeys(t *testing.T) {
	for _, prefix := range []string{"", "receipts", "{}", "{a}{b}", "{a b}", "{a", "a}", "{receipts}\n"} {
		if _, err := NewKeys(prefix); err == nil || !strings.Contains(err.Error(), DefaultPrefix) {
			t.Errorf("NewKeys(%q) = %v, want an error that shows a good one", prefix, err)
		}
	}
	for prefix, business := range map[string]string{
		"{receipts}":   "receipts:{b:42}:sync",
		"test:{r}:one": "test:r:one:{b:42}:sync",
	} {
		k, err := NewKeys(prefix)
		if err != nil || k.Job("x") != prefix+":job:x" || k.Sync("42") != business {
			t.Errorf("NewKeys(%q) = %q and %q, %v; want %q", prefix, k.Job("x"), k.Sync("42"), err, business)
		}
	}
}

func TestValidID(t *testing.T) {
	for id, want := range map[string]bool{
		"42": true, "a_B-9": true, strings.Repeat("x", 64): true,
		"": false, strings.Repeat("x", 65): false, "a:b": false, "a b": false, "{a}": false, "é": false, "a\n": false,
	} {
		if got := ValidID(id); got != want {
			t.Errorf("ValidID(%q) = %t, want %t", id, got, want)
		}
	}
}
