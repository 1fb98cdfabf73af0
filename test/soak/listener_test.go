//go:build soak

package soak

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/conchmq/conch/internal/harness"
)

// dialect is what a subscriber speaks.
type dialect int

const (
	lines dialect = iota
	resp2
	resp3
	dialects
)

// subscription says how somebody listens to a round.
type subscription struct {
	dialect dialect
	by      way
	all     bool // by one pattern that matches every topic
	topics  map[string]bool
	predicate
	user    bool // it is the user reader
	lazy    bool // reads nothing before all is published, and takes drop-oldest where that is known
	medium       // how it resumes after a cut; none for a connection that ends but once
	witness bool
}

func (s subscription) String() string {
	return fmt.Sprintf("listener(dialect %d, way %d, all %t, predicate %q, user %t, lazy %t, medium %d)",
		s.dialect, s.by, s.all, s.condition, s.user, s.lazy, s.medium)
}

// listener is one subscriber of a round, and what it got.
type listener struct {
	subscription
	round      *round
	w          *wire
	feed       feed   // instead of w, for those that resume
	position   string // behind which it resumes
	got        []event
	stayed     bool // it got the last message
	parted     bool // it was told why it is disconnected
	err        error
	violations []string
	// mute is the connection's id where losses are counted and not reported: RESP2 has no word for them.
	mute string
}

// draw says how the i-th listener listens: all dialects, all ways, patterns and topics, every fifth one lazy.
func (r *round) draw(i int) subscription {
	rng := r.rng("listener", r.number*roundListeners+i)
	s := subscription{dialect: dialect((i + r.number) % int(dialects)), by: way(rng.IntN(int(ways))), topics: make(map[string]bool)}
	if i < int(ways) {
		s.by = way(i) // each way at least once
	}
	s.lazy = i >= 10
	s.all = s.lazy || i%3 == 1
	if s.all && !s.lazy {
		s.predicate = r.predicates()[rng.IntN(len(r.predicates()))]
	}
	s.user = i%2 == 1
	for topic := range roundTopics {
		if rng.IntN(2) == 0 {
			s.topics[r.topic(topic)] = true
		}
	}
	s.topics[r.prefix+"end"] = true
	return s
}

// name is the subscription that a message matches.
func (l *listener) name(e event) (string, bool) {
	if l.all {
		return l.pattern(), l.holds == nil || l.holds(e)
	}
	return e.topic, l.topics[e.topic]
}

// pattern is the one subscription of a listener to all topics.
func (l *listener) pattern() string {
	if l.holds == nil {
		return l.round.prefix + "*"
	}
	return l.round.prefix + "* WHERE " + l.condition
}

// predicate is a condition on messages, with what it means.
type predicate struct {
	condition string
	holds     func(event) bool // nil without a condition
}

// predicates are those of listeners. The last message of a round fulfills each of them.
func (r *round) predicates() []predicate {
	end, second := r.prefix+"end", r.topic(1)
	return []predicate{
		{fmt.Sprintf("size > 120 || topic == %q", end), func(e event) bool { return e.size > 120 || e.topic == end }},
		{fmt.Sprintf("topic != %q", second), func(e event) bool { return e.topic != second }},
		{fmt.Sprintf("size < 1000 && !has(price) || topic == %q", end), func(e event) bool { return e.size < 1000 || e.topic == end }},
	}
}

// subscribe connects a listener and waits until it is subscribed.
func (r *round) subscribe(s subscription) (*listener, error) {
	w, err := r.dial(s.by)
	if err != nil {
		return nil, err
	}
	l := &listener{subscription: s, round: r, w: w}
	if err := l.subscribe(); err != nil {
		w.shut()
		return nil, err
	}
	return l, nil
}

func (l *listener) subscribe() error {
	if l.user {
		if answer, err := l.w.ask(harness.RESP("AUTH", "reader", password)); err != nil || answer != "+OK\r\n" {
			return fmt.Errorf("AUTH reader: %q, %w", answer, err)
		}
		l.round.report.add(rowUsers, 1)
	}
	if l.holds != nil {
		l.round.report.add(rowPredicates, 1)
	}
	if l.lazy {
		slow := harness.RESP("CLIENT", "SLOW", "drop-oldest")
		if l.dialect == lines {
			slow = "SLOW drop-oldest\n"
		}
		answer, err := l.w.ask(slow) // an error is an answer, too: then it is disconnected instead
		if err != nil {
			return err
		}
		if l.dialect == resp2 && answer == "+OK\r\n" {
			id, err := l.w.ask(harness.RESP("CLIENT", "ID"))
			if err != nil {
				return err
			}
			l.mute = strings.Trim(id, ":\r\n")
		}
	}
	if l.dialect == resp3 {
		if _, err := l.w.ask(harness.RESP("HELLO", "3")); err != nil {
			return err
		}
	}
	verb, names := "SUB", slices.Sorted(maps.Keys(l.topics))
	if l.all {
		verb, names = "PSUB", []string{l.pattern()}
	}
	for _, name := range names {
		command := verb + " " + name + "\n"
		if l.dialect != lines {
			command = harness.RESP(map[string]string{"SUB": "SUBSCRIBE", "PSUB": "PSUBSCRIBE"}[verb], name)
		}
		if _, err := l.w.ask(command); err != nil {
			return err
		}
	}
	return nil
}

// counted is how many messages the server says that it has dropped for a mute listener.
func (l *listener) counted() int {
	w, err := l.round.dial(direct)
	if err != nil {
		return 0
	}
	defer w.shut()
	list, err := w.ask(harness.RESP("CLIENT", "LIST", "ID", l.mute))
	if err != nil {
		return 0
	}
	_, after, _ := strings.Cut(list, " dropped=")
	var n int
	_, _ = fmt.Sscan(after, &n) // no number leaves 0, and the messages unaccounted for
	return n
}

// listen reads until the last message or the end of the connection.
func (l *listener) listen() {
	if l.feed != nil {
		l.listenAcrossCuts()
		return
	}
	if l.lazy {
		<-l.round.published
	}
	for {
		var frame string
		if frame, l.err = l.w.frame(); l.err != nil {
			if l.witness {
				l.round.window.open()
			}
			return
		}
		e, kind := parse(frame, harness.Verify)
		switch kind {
		case message:
			if l.witness {
				l.round.window.give(len(frame))
			}
			if e.topic == l.round.prefix+"end" {
				l.stayed = true
				return
			}
			l.got = append(l.got, e)
		case missing:
			l.got = append(l.got, e)
		case closeNotice:
			l.parted = true
		case corrupt, other:
			l.violations = append(l.violations, fmt.Sprintf("%v got %.80q", l.subscription, frame))
		}
	}
}
