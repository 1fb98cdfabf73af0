//go:build soak

package soak

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	"github.com/conchmq/conch/internal/harness"
)

// medium is what a resuming subscriber gets its messages by.
type medium int

const (
	once medium = iota // it does not resume
	eventStream
	eventStreamTwo // over HTTP/2
	socketLines
	socketJSON
	fromRESP3
	fromLines
	media
)

// feed is one connection after the other of a subscriber that resumes.
type feed interface {
	// open connects and subscribes: behind the listener's position, or, without one, from now on. Then it sets the position.
	open(l *listener) error
	// next reads one event. position is that of the event, empty if it has none.
	next() (e event, k kind, position string, err error)
	shut()
}

// refusal is an answer that should not have come. All other errors of open are those of a connection.
type refusal struct{ text string }

func (r refusal) Error() string { return r.text }

// newFeed makes the feed of a medium, and names its row.
func (m medium) newFeed() (f feed, opened, resumed string) {
	switch m {
	case eventStream:
		return &eventFeed{}, rowEvents, rowCut
	case eventStreamTwo:
		return &eventFeed{two: true}, rowEventsTwo, rowCut
	case socketLines:
		return &lineFeed{}, rowSocketLines, rowCut
	case socketJSON:
		return &objectFeed{}, rowSocketJSON, rowCut
	case fromRESP3:
		return &respFeed{}, "", rowFrom
	default:
		return &lineFeed{plain: true}, "", rowFrom
	}
}

// drawResumer draws how the i-th resuming subscriber listens. It has one subscription, so that one position is enough; event streams
// may have several. The last ones are cut at once and come back when all is published, for more than is kept.
func (r *round) drawResumer(i int) subscription {
	rng := r.rng("resumer", r.number*roundResumers+i)
	every := int(media) - 1
	s := subscription{
		medium: medium(1 + (i+r.number)%every), by: way(rng.IntN(int(ways))), all: true, lazy: i >= every, user: rng.IntN(2) == 0,
		topics: make(map[string]bool),
	}
	if rng.IntN(2) == 0 && !s.lazy {
		s.predicate = r.predicates()[rng.IntN(len(r.predicates()))]
	}
	if s.medium == eventStreamTwo {
		s.by = secure
	}
	if (s.medium == eventStream || s.medium == eventStreamTwo) && s.holds == nil {
		s.all = false
		for topic := range roundTopics {
			s.topics[r.topic(topic)] = topic == 0 || rng.IntN(2) == 0
		}
		s.topics[r.prefix+"end"] = true
	}
	s.user = s.user && (s.medium == eventStream || s.medium == eventStreamTwo || s.medium == socketJSON)
	return s
}

// subscribeResumer makes a subscriber that comes back after cuts.
func (r *round) subscribeResumer(s subscription) (*listener, error) {
	f, opened, _ := s.newFeed()
	l := &listener{subscription: s, round: r, feed: f}
	if err := f.open(l); err != nil {
		f.shut()
		var refused refusal
		if errors.As(err, &refused) {
			r.complain([]string{fmt.Sprintf("%v: %v", s, err)})
		}
		return nil, err
	}
	if opened != "" {
		r.report.add(opened, 1)
	}
	if l.user {
		r.report.add(rowUsers, 1)
	}
	if l.holds != nil {
		r.report.add(rowPredicates, 1)
	}
	return l, nil
}

// listenAcrossCuts reads until the last message. The connection is cut again and again, by the listener, the proxy or the server, and
// the next one goes on behind the last position. Behind a restart nothing of the round comes any more.
func (l *listener) listenAcrossCuts() {
	defer l.feed.shut()
	rng := l.round.rng(fmt.Sprint("cuts", l.medium), l.round.number*roundResumers+int(l.by))
	if l.lazy {
		l.feed.shut()
		<-l.round.published
		if !l.reopen() {
			return
		}
	}
	for !l.readUntilCut(rng) {
		l.feed.shut()
		if !l.reopen() {
			return
		}
	}
}

// readUntilCut reads for a while. It returns true if nothing more is to come.
func (l *listener) readUntilCut(rng *rand.Rand) (last bool) {
	for range 1 + rng.IntN(1500) {
		e, k, position, err := l.feed.next()
		if err != nil {
			return false
		}
		if position != "" {
			l.position = position
		}
		switch k {
		case message:
			if e.id == endID {
				l.stayed = true
				return true
			}
			l.got = append(l.got, e)
		case missing:
			if l.all {
				e.topic = l.pattern() // without FROM
			}
			l.got = append(l.got, e)
			if l.round.restarts() && e.missed == unknown {
				l.round.report.add(rowEpoch, 1)
				return true
			}
			l.round.report.add(rowGone, 1)
		case corrupt:
			l.violations = append(l.violations, fmt.Sprintf("%v got %.80q", l.subscription, e.id))
		case closeNotice:
			l.parted = true
		}
	}
	return false
}

// endID is the id of the last message of each round.
const endID = "0-0"

// reopen connects again, until that works.
func (l *listener) reopen() bool {
	_, _, resumed := l.newFeed()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); pause(context.Background(), 10*time.Millisecond) {
		err := l.feed.open(l)
		if err == nil {
			l.round.report.add(resumed, 1)
			return true
		}
		l.feed.shut()
		var refused refusal
		if errors.As(err, &refused) {
			l.violations = append(l.violations, fmt.Sprintf("%v, behind %q: %v", l.subscription, l.position, err))
			return false
		}
	}
	l.round.report.fail("round %d: %v did not get back in", l.round.number, l.subscription)
	return false
}

// shut ends the connection that there is.
func (l *listener) shut() {
	if l.w != nil {
		l.w.shut()
	}
}

// behind is where a subscription resumes in the form of FROM, which includes the position that it names.
func (l *listener) behind() string {
	if l.position == "" {
		return ""
	}
	epoch, number, _ := strings.Cut(l.position, "-")
	n, _ := strconv.ParseUint(number, 10, 64) // a position that conch sent; another one is refused
	return fmt.Sprintf(" FROM %s-%d", epoch, n+1)
}

// resumedName is the pattern of the round with where it resumes.
func (l *listener) resumedName() string {
	name := l.round.prefix + "*" + l.behind()
	if l.holds != nil {
		name += " WHERE " + l.condition
	}
	return name
}

// lineFeed subscribes in lines, over a socket or a WebSocket.
type lineFeed struct {
	plain bool
	conn  interface {
		send(text string) error
		frame() (string, error)
		shut()
	}
	epoch string
}

func (f *lineFeed) open(l *listener) error {
	if f.plain {
		w, err := l.round.dial(l.by)
		if err != nil {
			return err
		}
		f.conn = w
	} else {
		w, err := l.round.upgrade(l, "conch.lines")
		if err != nil {
			return err
		}
		f.conn = w
	}
	command := "SEQ ON\n"
	if !f.plain {
		command = "SEQ\n"
	}
	answer, err := f.ask(command)
	if err != nil {
		return err
	}
	words := strings.Fields(answer) // OK SEQ ON EPOCH #NUMBER
	if len(words) != 5 {
		return refusal{answer}
	}
	f.epoch = words[3]
	name := l.resumedName()
	if l.position == "" {
		l.position = f.epoch + "-" + words[4][1:]
	}
	if answer, err = f.ask("PSUB " + name + "\n"); err == nil && !strings.HasPrefix(answer, "OK PSUB ") {
		err = refusal{answer}
	}
	return err
}

// ask is the answer to a command. A close notice is the end of the connection, and no answer.
func (f *lineFeed) ask(command string) (string, error) {
	if err := f.conn.send(command); err != nil {
		return "", err
	}
	answer, err := f.conn.frame()
	if err == nil && strings.HasPrefix(answer, "ERR closing ") {
		err = io.EOF
	}
	return answer, err
}

func (f *lineFeed) next() (event, kind, string, error) {
	frame, err := f.conn.frame()
	if err != nil {
		return event{}, other, "", err
	}
	e, k := parse(frame, harness.Verify)
	return e, k, e.at(f.epoch), nil
}

func (f *lineFeed) shut() {
	if f.conn != nil {
		f.conn.shut()
	}
}

// at is the position of a message, empty for anything else.
func (e event) at(epoch string) string {
	if e.sequence == "" {
		return ""
	}
	return epoch + "-" + e.sequence
}

// respFeed subscribes over RESP3, as an unchanged Redis client.
type respFeed struct {
	w     *wire
	epoch string
}

func (f *respFeed) open(l *listener) (err error) {
	if f.w, err = l.round.dial(l.by); err != nil {
		return err
	}
	if answer, err := f.w.ask(harness.RESP("CLIENT", "CAPA", "seq")); err != nil || answer != "+OK\r\n" {
		return orRefusal(answer, err)
	}
	hello, err := f.w.ask(harness.RESP("HELLO", "3"))
	words := elements(hello) // ..., recent, N, epoch, EPOCH, sequence, N
	if err != nil || len(words) < 4 || words[len(words)-2] != "sequence" {
		return orRefusal(hello, err)
	}
	f.epoch = words[len(words)-3]
	name := l.resumedName()
	if l.position == "" {
		l.position = f.epoch + "-" + words[len(words)-1]
	}
	answer, err := f.w.ask(harness.RESP("PSUBSCRIBE", name))
	if err != nil || !strings.HasPrefix(answer, ">") {
		return orRefusal(answer, err)
	}
	return nil
}

func orRefusal(answer string, err error) error {
	if err != nil {
		return err
	}
	if _, k := parse(answer, harness.Verify); k == closeNotice {
		return io.EOF
	}
	return refusal{answer}
}

func (f *respFeed) next() (event, kind, string, error) {
	frame, err := f.w.frame()
	if err != nil {
		return event{}, other, "", err
	}
	e, k := parse(frame, harness.Verify)
	return e, k, e.at(f.epoch), nil
}

func (f *respFeed) shut() {
	if f.w != nil {
		f.w.shut()
	}
}
