package queue_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/alicebob/miniredis/v2"

	"github.com/prosaas/receipts/pkg/queue"
	"github.com/prosaas/receipts/proto"
)

// healing is how long after trouble a worker may take until it is as if there
// had been none: an outcome or a claim is given up after 3 s, and asked again
// after 2; a beat repairs what else was lost.
const healing = 15 * time.Second

// listening is the guard's question, asked without its script.
func (s *simulation) listening(queueName string) bool {
	scores, err := s.redis.DB(0).SortedSet(s.api.keys.QueueWorkers(queueName))
	if err != nil { // nobody ever registered
		return false
	}
	now := s.redis.now().UnixMilli()
	for _, score := range scores {
		if int64(score) > now && int64(score) <= now+60000 {
			return true
		}
	}
	return false
}

// verify holds the plane against the invariants, the ends against what was seen
// before (ended states never change), and the workers against what is promised
// to those in no trouble. It reads past Redis's protocol: by scripts it would
// take most of the simulation's time.
func (s *simulation) verify() {
	plane := map[string][]string{}
	prefix := s.api.keys.Prefix() + ":"
	db := s.redis.DB(0)
	for _, name := range db.Keys() {
		plane[strings.TrimPrefix(name, prefix)] = s.values(db, name)
	}
	for _, fault := range queue.Broken(plane, func(key string) bool { return db.TTL(prefix+key) > 0 }) {
		s.t.Errorf("invariant: %s", fault)
	}
	for _, id := range s.accepted {
		state := proto.State(db.HGet(s.api.keys.Job(id), "state"))
		switch was := s.ended[id]; {
		case state == "" && was == "" && !s.calm:
			s.ended[id] = proto.StateFailed // deleted between two looks
		case state == "" && was == "":
			s.t.Errorf("accepted job %s is gone", id)
		case state != "" && was != "" && state != was:
			s.t.Errorf("job %s had ended as %s and is %s", id, was, state)
		case state.Ended():
			s.ended[id] = state
		}
	}
	s.verifyWorkers(plane)
	s.verifyGone(plane)
	if time.Since(s.troubled) > healing {
		s.verifyWakes(plane)
	}
}

// well tells whether a worker has had no trouble for as long as it takes to heal.
func (s *simulation) well(w *simWorker) bool {
	return time.Since(s.outage) > healing && time.Since(w.troubled) > healing && time.Since(w.born) > healing
}

// verifyWorkers holds that no worker was taken for dead that had no trouble of
// its own, and that each works on just what Redis holds to be its.
func (s *simulation) verifyWorkers(plane map[string][]string) {
	for _, w := range s.workers {
		w.mu.Lock()
		names, dying, running := len(w.names), w.dying, slices.Sorted(maps.Keys(w.running))
		name := ""
		if names > 0 {
			name = w.names[names-1]
		}
		w.mu.Unlock()
		if names > 1 && w.troubled.IsZero() {
			s.t.Errorf("worker %s was reaped, and nothing was wrong with it", name)
		}
		if !s.well(w) || dying {
			continue
		}
		if !slices.Contains(plane["workers:low"], name) {
			s.t.Errorf("worker %s is well, and not in the registry", name)
		}
		if held := slices.Sorted(slices.Values(plane["claimed:"+name])); !slices.Equal(held, running) {
			s.t.Errorf("worker %s holds %v and works on %v", name, held, running)
		}
	}
}

// verifyGone holds that who ended is out of the registry within two times to
// live and two beats of whatever troubled those who would see to it; by Redis's
// clock, which may have gone back a minute.
func (s *simulation) verifyGone(plane map[string][]string) {
	const within = 2*simTTL + 2*simTTL/4
	if !slices.ContainsFunc(s.workers, func(w *simWorker) bool { return time.Since(w.troubled) > within && time.Since(w.born) > within }) {
		return
	}
	for _, w := range s.gone {
		if name := w.names[len(w.names)-1]; time.Since(w.died) > within && time.Since(s.outage) > within+time.Minute && slices.Contains(plane["workers"], name) {
			s.t.Errorf("worker %s ended %s ago and is still in the registry", name, time.Since(w.died))
		}
	}
}

// verifyWakes holds that a wake token lies where jobs do, for whoever listens.
func (s *simulation) verifyWakes(plane map[string][]string) {
	if len(s.workers) == 0 {
		return
	}
	for _, q := range proto.Queues() {
		if len(plane["queue:"+q]) > 0 && len(plane["wake:"+q]) == 0 && !slices.Contains(plane["paused"], q) {
			s.t.Errorf("queue %s holds %v, and no token", q, plane["queue:"+q])
		}
	}
}

func (s *simulation) values(db *miniredis.RedisDB, name string) (values []string) {
	var err error
	switch kind := db.Type(name); kind {
	case "string":
		var value string
		value, err = db.Get(name)
		values = []string{value}
	case "list":
		values, err = db.List(name)
	case "set":
		values, err = db.Members(name)
	case "zset":
		var scores map[string]float64
		scores, err = db.SortedSet(name)
		for member, score := range scores {
			values = append(values, member, fmt.Sprintf("%.0f", score))
		}
	case "hash":
		var fields []string
		fields, err = db.HKeys(name)
		for _, field := range fields {
			values = append(values, field, db.HGet(name, field))
		}
	default:
		s.t.Errorf("%s is a %s", name, kind)
	}
	s.must(err)
	return values
}
