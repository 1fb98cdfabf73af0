package client

import (
	"cmp"
	"slices"
	"strings"
)

// receiver turns the replies of one connection after the other into the events of a subscription. It belongs to one
// goroutine.
type receiver struct {
	subscription *Subscription
	conn         *conn // current one; nil before the first

	topics, patterns map[string]*nameState // by name
	topic            string                // of the last message of a pattern; topics often repeat

	position     position
	subscribedAt uint64 // sequence of the server when all names were confirmed
	connecting   bool   // roundTrip counts the confirmations

	ready         []Event // in their order
	delivered     int     // of ready
	bufferedBytes int     // roughly, of ready
}

// position is how far a subscription has read the sequence of an epoch.
type position struct {
	epoch string
	seq   uint64 // no message up to here was missed by losing the connection
}

// nameState is what this connection has received for one name.
type nameState struct {
	name         string
	lastSeq      uint64 // of the last message
	lossReported bool   // a loss after lastSeq is reported
}

// replyKind classifies a reply for roundTrip.
type replyKind int

const (
	replyEvent        replyKind = iota // sent by the server on its own
	replyConfirmation                  // of one name
	replyHello                         // to HELLO
)

// eventBytes is roughly what an event takes besides its payload.
const eventBytes = 200

// reset starts with a new connection, on which no name has received anything.
func (rc *receiver) reset(c *conn) {
	rc.conn, rc.position, rc.subscribedAt = c, position{c.epoch, c.lastSeq}, 0
	rc.topics, rc.patterns = map[string]*nameState{}, map[string]*nameState{}
	rc.clear()
}

// states returns the map that has the state of a name.
func (rc *receiver) states(pattern bool) map[string]*nameState {
	if pattern {
		return rc.patterns
	}
	return rc.topics
}

func (rc *receiver) addNames(names []Name) {
	for _, n := range names {
		rc.states(n.pattern)[n.text] = &nameState{name: n.text}
	}
}

func (rc *receiver) removeNames(names []Name) {
	for _, n := range names {
		delete(rc.states(n.pattern), n.text)
	}
}

// discard removes names and their buffered messages: these arrived after Remove had returned.
func (rc *receiver) discard(names []Name) {
	removed := newNameSet(names...)
	rc.ready = slices.DeleteFunc(rc.ready, func(e Event) bool {
		m, ok := e.(*Message)
		return ok && removed.has(receivedName([]byte(cmp.Or(m.Pattern, m.Topic)), m.Pattern != ""))
	})
	rc.removeNames(names)
}

// names returns the names that the current connection is subscribed to.
func (rc *receiver) names() nameSet {
	all := nameSet{added: make(map[Name]uint64, len(rc.topics)+len(rc.patterns))}
	for _, pattern := range []bool{false, true} {
		for text := range rc.states(pattern) {
			all.added[receivedName([]byte(text), pattern)] = 0
		}
	}
	return all
}

// clear drops the events after their delivery.
func (rc *receiver) clear() {
	clear(rc.ready)
	rc.ready, rc.delivered, rc.bufferedBytes = rc.ready[:0], 0, 0
	if cap(rc.ready) > 1<<10 {
		rc.ready = nil
	}
}

// reconnected returns the event for this connection, after one that had reached the position before.
func (rc *receiver) reconnected(cause error, before position) *Reconnected {
	return &Reconnected{
		Err: cause, Epoch: rc.conn.epoch, SameEpoch: rc.conn.hasSeq && rc.conn.epoch == before.epoch,
		After: before.seq, Before: rc.subscribedAt,
	}
}

// handle handles one reply. An error ends the connection.
func (rc *receiver) handle(r *reply) (replyKind, error) {
	switch {
	case r.kind == kindError:
		return replyEvent, rc.handleError(r)
	case r.kind == kindMap:
		if rc.conn.readPosition(r) {
			rc.subscribedAt = rc.conn.lastSeq
			rc.position.seq = max(rc.position.seq, rc.subscribedAt) // Reconnected reports what was missed before
		}
		return replyHello, nil
	case r.isText("PONG"):
		rc.subscription.pingAnswered()
		return replyEvent, nil
	case r.kind != kindPush && r.kind != kindArray || len(r.elements) == 0:
		return replyEvent, malformed("unexpected reply %q on a subscription", r.kind)
	}
	return rc.handlePush(string(r.elements[0].bytes), r)
}

// handlePush handles a push, or an array that stands for one in RESP2.
func (rc *receiver) handlePush(kind string, r *reply) (replyKind, error) {
	e := r.elements[1:]
	switch kind {
	case "message":
		return replyEvent, rc.handleMessage(rc.topics, e, 1)
	case "pmessage":
		return replyEvent, rc.handleMessage(rc.patterns, e, 2)
	case "missed":
		return replyEvent, rc.handleMissed(e)
	case "pong": // RESP2
		rc.subscription.pingAnswered()
		return replyEvent, nil
	case "subscribe", "psubscribe", "unsubscribe", "punsubscribe":
		add, pattern := !strings.Contains(kind, "un"), kind[0] == 'p'
		if rc.connecting || len(e) == 0 {
			return replyConfirmation, nil
		}
		return replyConfirmation, rc.handleConfirmation(add, receivedName(e[0].bytes, pattern))
	}
	rc.conn.noteClosing(r)
	return replyEvent, nil // unknown kinds of push are safe to ignore
}

// handleMessage handles one message: name, topic if the name is a pattern, payload; with sequence numbers two elements
// more.
func (rc *receiver) handleMessage(states map[string]*nameState, e []reply, texts int) error {
	if len(e) != texts+1 && len(e) != texts+3 {
		return malformed("a message of %d elements", len(e)+1)
	}
	state := states[string(e[0].bytes)]
	if state == nil {
		return malformed("a message for %.40q, which is not subscribed", e[0].bytes)
	}
	m := &Message{
		Topic: state.name, Payload: append(make([]byte, 0, len(e[texts].bytes)), e[texts].bytes...),
		Epoch: rc.conn.epoch, from: rc.subscription,
	}
	if texts == 2 {
		m.Topic, m.Pattern = rc.intern(e[1].bytes), state.name
	}
	if len(e) == texts+3 {
		seq, previous := &e[texts+1], &e[texts+2]
		if !seq.isCount() || !previous.isCount() {
			return malformed("a message with sequence %q %d and previous %q %d", seq.kind, seq.integer, previous.kind, previous.integer)
		}
		m.Sequence, m.Previous = uint64(seq.integer), uint64(previous.integer)
		rc.recordSeq(m, state)
	}
	rc.ready = append(rc.ready, m)
	rc.bufferedBytes += len(m.Payload) + eventBytes
	return nil
}

// recordSeq compares a message with the last one of its name, and reports a loss between them that the server has not
// reported.
func (rc *receiver) recordSeq(m *Message, state *nameState) {
	if m.Previous > state.lastSeq && !state.lossReported {
		rc.ready = append(rc.ready, &Missed{Name: state.name, After: state.lastSeq, Before: m.Sequence, from: rc.subscription})
	}
	state.lastSeq, state.lossReported = m.Sequence, false
	rc.position.seq = max(rc.position.seq, m.Sequence)
}

// handleMissed handles the push that reports dropped messages of a name.
func (rc *receiver) handleMissed(e []reply) error {
	if len(e) != 2 || !e[1].isCount() {
		return malformed("a push missed of %d elements", len(e)+1)
	}
	m := &Missed{Name: string(e[0].bytes), Count: int(e[1].integer), from: rc.subscription}
	for _, state := range []*nameState{rc.topics[m.Name], rc.patterns[m.Name]} {
		if state != nil {
			state.lossReported, m.After = true, state.lastSeq
		}
	}
	rc.ready = append(rc.ready, m)
	rc.bufferedBytes += eventBytes
	return nil
}

// intern returns a topic as a string, without allocating when it repeats.
func (rc *receiver) intern(topic []byte) string {
	if rc.topic != string(topic) {
		rc.topic = string(topic)
	}
	return rc.topic
}
