package gmailsync

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/prosaas/receipts/proto"
	"github.com/prosaas/receipts/tools/gmailsim/mailbox"
)

// Of tokens, keys and what a mail says nothing is found in a log or an error,
// nor in Redis; a receipt holds only what was read as one of its fields. The log
// is at its most talkative, and everything goes wrong once.
func TestPlantedSecretsAreFoundNowhere(t *testing.T) {
	t.Parallel()
	l := newLinked(t, options{source: mails(6, 20), read: true, gzip: true})
	const subject, body = "planted-subject", "planted-body"
	mail := func(i int) {
		text := append(receiptMail("Your receipt "+subject, "12.00"), "\r\nWhat we talked about, "+body+", stays between us.\r\n"...)
		l.box.Add(text, mailbox.AddOptions{Date: l.arrival(i)})
	}
	l.mustSync(envelope("first", proto.ModeIncremental))
	l.extract = panicOn("panic", l.extract)
	l.box.Add([]byte("Subject: "+subject+" panic\r\n\r\n"+body), mailbox.AddOptions{})
	var errs []string
	for i, spec := range []string{
		"method=history.list,code=401", "method=history.list,code=403,reason=domainPolicy", "method=messages.get,code=429,retry_after=300",
		"method=messages.get,code=500", "method=messages.get,kind=html", "method=messages.get,kind=type", "method=messages.get,kind=cut",
		"method=messages.get,kind=reset", "method=history.list,code=403,reason=owner@business.example", "method=token,code=400,reason=invalid_grant",
	} {
		mail(i)
		if strings.Contains(spec, "token") {
			l.sim.ExpireAccessTokens("")
		}
		if err := l.sim.AddFault(spec); err != nil {
			t.Fatal(err)
		}
		_, _, err := l.turn(t.Context(), envelope(fmt.Sprint("j", i), proto.ModeIncremental))
		l.sim.ClearFaults()
		if err == nil {
			t.Errorf("%s: the sync did not notice", spec)
			continue
		}
		errs = append(errs, err.Error())
		if l.status().Status == proto.ConnectionReconnect {
			l.link()
		}
		_ = l.moved.sleep(t.Context(), 7*time.Minute)
	}
	l.mustSync(envelope("last", proto.ModeIncremental))

	secrets := append([]string{tokenKey, clientSecret, subject, body}, l.issued...)
	if len(l.issued) < 4 || !strings.Contains(l.log.String(), "gmail call failed") || !strings.Contains(l.log.String(), "mail reader panicked") {
		t.Fatalf("%d tokens issued, log:\n%s", len(l.issued), l.log)
	}
	places := map[string]string{"log": l.log.String(), "errors": strings.Join(errs, "\n"), "redis": l.everything()}
	for name, text := range places {
		for _, secret := range secrets {
			if strings.Contains(text, secret) {
				at := strings.Index(text, secret)
				t.Errorf("%s holds %q: %q", name, secret, text[max(at-300, 0):min(at+100, len(text))])
			}
		}
	}
	for _, name := range []string{"log", "errors"} {
		for _, secret := range []string{"owner@business.example", "127.0.0.1", "<html"} {
			if strings.Contains(places[name], secret) {
				t.Errorf("%s holds %q", name, secret)
			}
		}
	}
}

// everything is all keys and values of the business's Redis.
func (w *world) everything() string {
	w.t.Helper()
	var out strings.Builder
	message := w.redis("KEYS", "*")
	keys, err := message.AsStrSlice()
	if err != nil {
		w.t.Fatal(err)
	}
	for _, key := range keys {
		kind := w.redis("TYPE", key)
		name, _ := kind.ToString()
		read := map[string][]string{"hash": {"HGETALL", key}, "zset": {"ZRANGE", key, "0", "-1"}, "set": {"SMEMBERS", key}, "list": {"LRANGE", key, "0", "-1"}, "string": {"GETRANGE", key, "0", "-1"}}[name]
		if read == nil {
			w.t.Fatalf("key %s is a %s", key, name)
		}
		message := w.redis(read...)
		values, _ := message.AsStrSlice()
		text, _ := message.ToString()
		fmt.Fprintln(&out, key, values, text)
	}
	return out.String()
}
