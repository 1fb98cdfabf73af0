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

	topics, patterns map[string]*nameState // by name on the wire
	topic            string                // of the last message of a pattern; topics often repeat

	live         *reach // of the names without a position
	subscribedAt uint64 // sequence of the server when all names were confirmed
	past         past   // of the last connection that had all names
	resumed      bool   // each name goes on where it was
	connecting   bool   // roundTrip counts the confirmations

	ready         []Event // in their order
	delivered     int     // of ready
	bufferedBytes int     // roughly, of ready
}

// nameState is what a subscription has received for one name.
type nameState struct {
	name, sentAs Name
	group        string // the position, if it is that of a group
	reach        *reach
	skip         uint64 // messages up to here are dropped: they have arrived before
	lastSeq      uint64 // of the last message
	lossReported bool   // a loss after lastSeq is reported
	missedKnown  bool   // the server will report a loss that is none, or that Reconnected reports: see addPlaced
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
	rc.conn, rc.live, rc.subscribedAt = c, &reach{}, c.lastSeq
	rc.live.startAt(c.lastSeq)
	rc.resumed = rc.canResume() && c.continues(rc.past.epoch) && len(rc.past.names) > 0
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

// addState adds a name that begins now, or with a reach of its own in the past.
func (rc *receiver) addState(name, sentAs Name, r *reach) *nameState {
	state := &nameState{name: name, sentAs: sentAs, reach: r}
	rc.states(sentAs.pattern)[sentAs.text] = state
	return state
}

func (rc *receiver) addNames(names []Name) {
	for _, n := range names {
		state, old := rc.addState(n, n, rc.live), rc.past.names[n]
		state.skip = rc.live.seq
		if old.skip > state.skip && rc.conn.hasSeq && rc.conn.continues(rc.past.epoch) { // a node that is behind the one before
			state.lastSeq, state.skip = old.lastSeq, old.skip
		}
	}
}

// removeNames removes names as they are on the wire.
func (rc *receiver) removeNames(sentNames []Name) {
	for _, n := range sentNames {
		delete(rc.states(n.pattern), n.text)
	}
}

// sentNames returns how the server has the names that are another name there.
func (rc *receiver) sentNames() map[Name]Name {
	all := map[Name]Name{}
	for _, state := range rc.patterns {
		if state.sentAs != state.name {
			all[state.name] = state.sentAs
		}
	}
	return all
}

// discard removes the buffered messages of names: these arrived after Remove had returned.
func (rc *receiver) discard(names []Name) {
	removed := newNameSet(names...)
	rc.ready = slices.DeleteFunc(rc.ready, func(e Event) bool {
		m, ok := e.(*Message)
		return ok && removed.has(receivedName([]byte(cmp.Or(m.Pattern, m.Topic)), m.Pattern != ""))
	})
}

// names returns the names that the current connection is subscribed to.
func (rc *receiver) names() nameSet {
	all := nameSet{added: make(map[Name]uint64, len(rc.topics)+len(rc.patterns))}
	for _, pattern := range []bool{false, true} {
		for _, state := range rc.states(pattern) {
			all.added[state.name] = 0
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

// reconnected returns the event for this connection, which all names have now.
func (rc *receiver) reconnected(cause error) Event {
	if rc.resumed {
		return &Resumed{Err: cause, Epoch: rc.conn.epoch, After: rc.past.after}
	}
	e := &Reconnected{
		Err: cause, Epoch: rc.conn.epoch, SameEpoch: rc.conn.hasSeq && rc.conn.epoch == rc.past.epoch,
		After: rc.past.after, Before: rc.subscribedAt,
	}
	if e.SameEpoch {
		e.Before = max(e.Before, e.After) // a node of a cluster may be behind the one before
	}
	return e
}

// handle handles one reply. An error ends the connection.
func (rc *receiver) handle(r *reply) (replyKind, error) {
	switch {
	case r.kind == kindError:
		return replyEvent, rc.handleError(r)
	case r.kind == kindMap:
		rc.handleHello(r)
		return replyHello, nil
	case r.isText("PONG"):
		rc.subscription.pingAnswered()
		return replyEvent, nil
	case r.kind != kindPush && r.kind != kindArray || len(r.elements) == 0:
		return replyEvent, malformed("unexpected reply %q on a subscription", r.kind)
	}
	return rc.handlePush(string(r.elements[0].bytes), r)
}

// handleHello handles the reply to a HELLO: behind the confirmations, or in place of a PING.
func (rc *receiver) handleHello(r *reply) {
	hasPosition := rc.conn.readPosition(r)
	switch {
	case rc.connecting:
		if hasPosition {
			rc.subscribedAt = rc.conn.lastSeq
			rc.live.startAt(rc.subscribedAt) // Reconnected reports what was missed before
		}
		return
	case hasPosition && rc.conn.complete:
		rc.startAllAt(rc.conn.lastSeq)
	case hasPosition:
		rc.live.startAt(rc.conn.lastSeq)
	}
	rc.subscription.pingAnswered()
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
	m := &Message{Topic: state.name.text, Epoch: rc.conn.epoch, from: rc.subscription}
	if state.name.pattern {
		m.Topic, m.Pattern = rc.intern(e[1].bytes), state.name.text
	}
	if len(e) == texts+3 {
		seq, previous := &e[texts+1], &e[texts+2]
		if !seq.isCount() || !previous.isCount() {
			return malformed("a message with sequence %q %d and previous %q %d", seq.kind, seq.integer, previous.kind, previous.integer)
		}
		m.Sequence, m.Previous = uint64(seq.integer), uint64(previous.integer)
		state.reach.message(m.Sequence)
		if m.Sequence <= state.skip {
			return nil
		}
		rc.recordSeq(m, state)
	}
	m.Payload = append(make([]byte, 0, len(e[texts].bytes)), e[texts].bytes...)
	rc.ready = append(rc.ready, m)
	rc.bufferedBytes += len(m.Payload) + eventBytes
	return nil
}

// recordSeq compares a message with the last one of its name, and reports a loss between them that the server has not
// reported.
func (rc *receiver) recordSeq(m *Message, state *nameState) {
	if m.Previous > state.lastSeq && !state.lossReported {
		rc.ready = append(rc.ready, &Missed{Name: state.name.text, After: state.lastSeq, Before: m.Sequence, from: rc.subscription})
	}
	state.lastSeq, state.lossReported, state.missedKnown = m.Sequence, false, false
}

// handleMissed handles the push that reports missing messages of a name, in a number that may be unknown.
func (rc *receiver) handleMissed(e []reply) error {
	if len(e) != 2 || !e[1].isCount() && e[1].kind != kindNull {
		return malformed("a push missed of %d elements", len(e)+1)
	}
	name := string(e[0].bytes)
	m := &Missed{Name: name, Count: int(e[1].integer), from: rc.subscription}
	for _, state := range []*nameState{rc.topics[name], rc.patterns[name]} {
		switch {
		case state == nil:
			continue
		case state.missedKnown && e[1].kind == kindNull:
			state.missedKnown = false
			return nil
		}
		state.lossReported, m.Name, m.After = true, state.name.text, state.lastSeq
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
