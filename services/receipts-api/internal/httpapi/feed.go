package httpapi

import (
	"context"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/prosaas/receipts/pkg/logging"
	"github.com/prosaas/receipts/pkg/redisclient"
	"github.com/prosaas/receipts/proto"
)

const (
	pollEvery            = 500 * time.Millisecond
	maxFollowers         = 1000
	maxBusinessFollowers = 20
)

var (
	errBusinessFollows = problem{
		status: http.StatusTooManyRequests, code: "too_many_streams", retryAfter: 10 * time.Second,
		text: "Too many streams of events are open", action: "Close some, or ask for the job itself now and then",
	}
	errAllFollow = problem{
		status: http.StatusServiceUnavailable, code: "streams_full", retryAfter: 30 * time.Second,
		text: "No more streams of events can be opened", action: "Ask for the job itself now and then",
	}
)

// feed reads every job that is followed, all in one round trip, and tells its
// followers what changed: one goroutine, and only while somebody follows. It
// waits for no follower: each is left the newest news and no other.
type feed struct {
	read    func(ctx context.Context, ids []string) ([]proto.Job, error)
	log     *slog.Logger
	ctx     context.Context //nolint:containedctx // it is the feed's own life, which ends with stop
	cancel  context.CancelFunc
	polling sync.WaitGroup

	mu        sync.Mutex
	polls     bool
	followers map[*follower]struct{}
	followed  map[string]int // by business: how many follow its jobs
}

// follower is one stream of one job.
type follower struct {
	job, business string
	news          chan news       // at most one: the newest
	ended         <-chan struct{} // with the feed
	told          string          // what the feed told it last
}

func newFeed(read func(context.Context, []string) ([]proto.Job, error), log *slog.Logger) *feed {
	f := &feed{read: read, log: log, followers: map[*follower]struct{}{}, followed: map[string]int{}}
	f.ctx, f.cancel = context.WithCancel(context.Background())
	return f
}

// follow begins to follow a job, of which the follower knows what known says.
// It fails where too many do already, or where the feed has stopped.
func (f *feed) follow(job proto.Job, known news) (*follower, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.ctx.Err() != nil:
		return nil, errStopping
	case f.followed[job.BusinessID] >= maxBusinessFollowers:
		return nil, errBusinessFollows
	case len(f.followers) >= maxFollowers:
		return nil, errAllFollow
	}
	one := &follower{job: job.JobID, business: job.BusinessID, news: make(chan news, 1), ended: f.ctx.Done(), told: known.text}
	f.followers[one] = struct{}{}
	f.followed[one.business]++
	if !f.polls {
		f.polls = true
		f.polling.Go(f.poll)
	}
	return one, nil
}

func (f *feed) leave(one *follower) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.followers, one)
	if f.followed[one.business]--; f.followed[one.business] == 0 {
		delete(f.followed, one.business)
	}
}

// byJob answers who follows what. Where that is nobody, the poll ends: the next
// to follow begins another.
func (f *feed) byJob() map[string][]*follower {
	f.mu.Lock()
	defer f.mu.Unlock()
	jobs := make(map[string][]*follower, len(f.followers))
	for one := range f.followers {
		jobs[one.job] = append(jobs[one.job], one)
	}
	f.polls = len(jobs) > 0
	return jobs
}

func (f *feed) poll() {
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for away := false; ; {
		select {
		case <-tick.C:
		case <-f.ctx.Done():
			return
		}
		jobs := f.byJob()
		if len(jobs) == 0 {
			return
		}
		err := f.round(jobs)
		if f.ctx.Err() != nil {
			return
		}
		if err != nil && !away {
			f.log.Log(f.ctx, redisclient.LevelOf(err), "followed jobs not read, trying again", logging.KeyError, err)
			for _, followers := range jobs {
				for _, one := range followers {
					one.mention(redisIsAway)
				}
			}
		}
		away = err != nil
	}
}

// round reads the jobs once and tells what changed.
func (f *feed) round(jobs map[string][]*follower) error {
	ctx, cancel := context.WithTimeout(f.ctx, redisPatience)
	defer cancel()
	records, err := f.read(ctx, slices.Collect(maps.Keys(jobs)))
	if err != nil {
		return err
	}
	found := make(map[string]news, len(records))
	for _, job := range records {
		if now, err := newsOf(job); err == nil {
			found[job.JobID] = now
		} else { // a record that no code of ours wrote
			f.log.ErrorContext(ctx, "followed job not told", logging.KeyError, err)
		}
	}
	for id, followers := range jobs {
		now, there := found[id]
		now.last = now.last || !there
		for _, one := range followers {
			one.tell(now)
		}
	}
	return nil
}

// tell leaves the follower news, in the place of what it has not taken yet. Only
// the poll tells.
func (one *follower) tell(now news) {
	if now.text == one.told {
		return
	}
	one.told = now.text
	select {
	case <-one.news:
	default:
	}
	one.news <- now
}

// mention says something by the way, unless there is news to take.
func (one *follower) mention(text string) {
	select {
	case one.news <- news{text: text}:
	default:
	}
}

// stop ends every stream, and waits until nobody polls any more.
func (f *feed) stop() {
	f.mu.Lock()
	f.cancel()
	f.mu.Unlock()
	f.polling.Wait()
}
