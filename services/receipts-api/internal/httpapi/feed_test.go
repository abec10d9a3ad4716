package httpapi

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prosaas/receipts/proto"
)

// records is a Redis of these tests: the jobs that are there, and what was read.
type records struct {
	mu    sync.Mutex
	jobs  map[string]proto.Job
	reads [][]string
	err   error
}

func (r *records) read(_ context.Context, ids []string) ([]proto.Job, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.reads = append(r.reads, slices.Sorted(slices.Values(ids)))
	var found []proto.Job
	for _, id := range ids {
		if job, ok := r.jobs[id]; ok {
			found = append(found, job)
		}
	}
	return found, r.err
}

// put writes a job's record.
func (r *records) put(id string, saved int) proto.Job {
	job := proto.Job{JobID: id, BusinessID: business, Status: proto.StateStarted, Progress: &proto.Progress{Saved: saved}}
	r.set(func() { r.jobs[id] = job })
	return job
}

func (r *records) set(change func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.jobs == nil {
		r.jobs = map[string]proto.Job{}
	}
	change()
}

// readSince answers what was read after the first n reads.
func (r *records) readSince(n int) [][]string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.reads[n:])
}

// watched is a follower of a job, as it stands.
func watched(t *testing.T, f *feed, job proto.Job) *follower {
	t.Helper()
	one, err := f.follow(job, told(t, job))
	if err != nil {
		t.Fatal(err)
	}
	return one
}

func told(t *testing.T, job proto.Job) news {
	t.Helper()
	n, err := newsOf(job)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

func TestFeedReadsOnceForAll(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var redis records
		f := newFeed(redis.read, quiet())
		one, other := redis.put("one", 0), redis.put("other", 0)
		followers := []*follower{watched(t, f, one), watched(t, f, one), watched(t, f, other)}
		time.Sleep(3*pollEvery + 1)
		synctest.Wait()
		diff(t, "reads", redis.readSince(0), [][]string{{"one", "other"}, {"one", "other"}, {"one", "other"}})
		for _, follower := range followers {
			if len(follower.news) > 0 {
				t.Errorf("nothing changed, and a follower was told %+v", <-follower.news)
			}
		}

		changed := told(t, redis.put("one", 1))
		time.Sleep(pollEvery)
		for _, follower := range followers[:2] {
			if got := <-follower.news; got != changed {
				t.Errorf("told %+v", got)
			}
		}
		for _, follower := range followers {
			f.leave(follower)
		}
		time.Sleep(pollEvery)
		reads := len(redis.readSince(0))
		time.Sleep(time.Hour)
		synctest.Wait()
		diff(t, "reads for nobody", redis.readSince(reads), [][]string{})
		f.polling.Wait()

		watched(t, f, other)
		time.Sleep(pollEvery + 1)
		synctest.Wait()
		diff(t, "reads once somebody follows again", redis.readSince(reads), [][]string{{"other"}})
		f.stop()
	})
}

// A follower that takes nothing holds up nobody, and is left the newest alone.
func TestFeedLeavesTheNewest(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var redis records
		f := newFeed(redis.read, quiet())
		defer f.stop()
		one := watched(t, f, redis.put("one", 0))
		var newest news
		for saved := range 5 {
			newest = told(t, redis.put("one", saved+1))
			time.Sleep(pollEvery)
			synctest.Wait()
		}
		redis.set(func() { redis.err = errors.New("away") })
		time.Sleep(pollEvery)
		synctest.Wait()
		if got := <-one.news; got != newest {
			t.Errorf("told %+v, want %+v", got, newest)
		}
	})
}

func TestFeedWhileRedisIsAway(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var redis records
		log := make(journal, 100)
		f := newFeed(redis.read, slog.New(slog.NewTextHandler(log, nil)))
		defer f.stop()
		one := watched(t, f, redis.put("one", 0))
		for range 2 { // each time it goes away is told once
			redis.set(func() { redis.err = errors.New("connection refused") })
			time.Sleep(10 * pollEvery)
			synctest.Wait()
			if got := <-one.news; got.text != redisIsAway || got.last || len(log) != 1 {
				t.Errorf("told %+v and %d lines of the log", got, len(log))
			}
			log.await(t, "connection refused")
			redis.set(func() { redis.err = nil })
			time.Sleep(10 * pollEvery)
			synctest.Wait()
			if len(one.news) > 0 {
				t.Errorf("told %+v", <-one.news)
			}
		}
		redis.set(func() { delete(redis.jobs, "one") })
		if got := <-one.news; got.text != "" || !got.last {
			t.Errorf("of a job that is gone told %+v", got)
		}
	})
}

func TestFeedOfARecordThatCannotBeTold(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var redis records
		f := newFeed(redis.read, quiet())
		defer f.stop()
		bad, good := watched(t, f, redis.put("bad", 0)), watched(t, f, redis.put("good", 0))
		job := redis.put("bad", 1)
		job.EnqueuedAt = time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)
		redis.set(func() { redis.jobs["bad"] = job })
		want := told(t, redis.put("good", 1))
		if got := <-good.news; got != want {
			t.Errorf("told %+v", got)
		}
		if got := <-bad.news; !got.last {
			t.Errorf("told %+v", got)
		}
	})
}

func TestFeedIsBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFeed(new(records).read, quiet())
		defer f.stop()
		var last *follower
		for i := range maxFollowers {
			last = watched(t, f, proto.Job{JobID: "j", BusinessID: fmt.Sprint(i % (maxFollowers / maxBusinessFollowers))})
		}
		follow := func(business string) error {
			_, err := f.follow(proto.Job{JobID: "j", BusinessID: business}, news{})
			return err
		}
		if err := follow("0"); !errors.Is(err, errBusinessFollows) {
			t.Errorf("one more of a business: %v", err)
		}
		if err := follow("new"); !errors.Is(err, errAllFollow) {
			t.Errorf("one more in all: %v", err)
		}
		f.leave(last)
		if err := follow("new"); err != nil {
			t.Errorf("after one has left: %v", err)
		}
		if err := follow("new"); !errors.Is(err, errAllFollow) {
			t.Errorf("one more again: %v", err)
		}
	})
}

// piped serves a stream of the job as the API's server does, with limits that it
// outlives, and answers the client's side of the connection, and how it ended.
func piped(t *testing.T, f *feed, job proto.Job) (client net.Conn, ended <-chan error) {
	t.Helper()
	conn, client := net.Pipe()
	result := make(chan error, 1)
	server := &http.Server{
		ReadTimeout: 2 * time.Second, WriteTimeout: 2 * time.Second, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError),
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			one := watched(t, f, job)
			defer f.leave(one)
			result <- stream(r.Context(), w, one, told(t, job))
		}),
	}
	listener := &oneConn{conns: make(chan net.Conn, 1)}
	listener.conns <- conn
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() {
		_ = server.Close()
		_ = client.Close()
	})
	if _, err := io.WriteString(client, "GET / HTTP/1.1\r\nHost: receipts\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	return client, result
}

// oneConn is a listener that somebody dialed once.
type oneConn struct{ conns chan net.Conn }

func (l *oneConn) Accept() (net.Conn, error) {
	if conn, ok := <-l.conns; ok {
		return conn, nil
	}
	return nil, net.ErrClosed
}

func (l *oneConn) Close() error {
	close(l.conns)
	return nil
}

func (l *oneConn) Addr() net.Addr { return &net.UnixAddr{} }

func TestStreamsBeatLongerThanTheServersLimits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var redis records
		f := newFeed(redis.read, quiet())
		client, ended := piped(t, f, redis.put("one", 0))
		began := time.Now()
		response, err := http.ReadResponse(bufio.NewReader(client), nil)
		if err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(response.Body)
		var beats []time.Duration
		for len(beats) < 3 && lines.Scan() {
			if strings.HasPrefix(lines.Text(), ":") {
				beats = append(beats, time.Since(began))
			}
		}
		diff(t, "beats", beats, []time.Duration{heartbeatEvery, 2 * heartbeatEvery, 3 * heartbeatEvery})
		f.stop()
		if err := <-ended; err != nil {
			t.Errorf("ended with %v", err)
		}
	})
}

func TestSlowReadersAreDropped(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var redis records
		f := newFeed(redis.read, quiet())
		defer f.stop()
		_, ended := piped(t, f, redis.put("one", 0)) // and nobody reads
		began := time.Now()
		if err := <-ended; !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("ended with %v", err)
		}
		diff(t, "patience", time.Since(began), writePatience)
		synctest.Wait()
		if n := len(f.byJob()); n != 0 {
			t.Errorf("%d are still followed", n)
		}
	})
}

func TestStreamsEndWithTheirReader(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var redis records
		f := newFeed(redis.read, quiet())
		defer f.stop()
		client, ended := piped(t, f, redis.put("one", 0))
		if _, err := http.ReadResponse(bufio.NewReader(client), nil); err != nil {
			t.Fatal(err)
		}
		_ = client.Close()
		if err := <-ended; err != nil {
			t.Errorf("ended with %v", err)
		}
	})
}
