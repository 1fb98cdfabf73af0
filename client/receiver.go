package client

// receiver makes events of what one connection after the other sends to a subscription. It belongs to one goroutine.
type receiver struct {
	subscription *Subscription
	wire         *wire // of now; nil before the first

	topics, patterns map[string]*track // by name: what this connection has received
	topic            string            // of the last message that came by a pattern: they often repeat

	place    place // in the one order
	greeting uint64

	ready []Event // to be handed out
	held  int     // about how many bytes they take
	pings int     // sent, and not answered
}

// place is how far one has come in the one order.
type place struct {
	epoch  string
	number uint64 // nothing up to here was missed by losing the connection
}

// track is what has come of one name.
type track struct {
	name string
	last uint64 // the number of the last message
	told bool   // that some are missing since then
}

// outcome is what a reply was, for whoever waits for an answer.
type outcome int

const (
	received  outcome = iota // whatever comes by itself
	confirmed                // one name
	greeted                  // HELLO was answered
)

// eventBytes is about what an event takes besides its payload.
const eventBytes = 200

// begin starts with a new connection, to which nothing is owed from before.
func (rc *receiver) begin(w *wire) {
	rc.wire, rc.place, rc.greeting, rc.pings = w, place{w.epoch, w.number}, 0, 0
	rc.topics, rc.patterns = tracks(rc.subscription.names.topics), tracks(rc.subscription.names.patterns)
	rc.handed()
}

func tracks(names []string) map[string]*track {
	all := make(map[string]*track, len(names))
	for _, name := range names {
		all[name] = &track{name: name}
	}
	return all
}

// handed is called when the events have been handed out.
func (rc *receiver) handed() {
	clear(rc.ready)
	rc.ready, rc.held = rc.ready[:0], 0
	if cap(rc.ready) > 1<<10 {
		rc.ready = nil
	}
}

// reconnected is the event that this connection came in place of one that had got as far as before.
func (rc *receiver) reconnected(cause error, before place) *Reconnected {
	return &Reconnected{
		Err: cause, Epoch: rc.wire.epoch, SameEpoch: rc.wire.numbered && rc.wire.epoch == before.epoch,
		After: before.number, Before: rc.greeting,
	}
}

// digest takes one reply. An error ends the connection.
func (rc *receiver) digest(r *reply) (outcome, error) {
	switch {
	case rc.pings > 0 && (r.kind == kindError || r.says("PONG")): // who refuses a PING is there, too
		rc.pings--
		return received, nil
	case r.kind == kindError:
		return received, dismissed(r)
	case r.kind == kindMap:
		if rc.wire.position(r) {
			rc.greeting = rc.wire.number
			rc.place.number = max(rc.place.number, rc.greeting) // a Reconnected tells what was missed before
		}
		return greeted, nil
	case r.says("PONG"):
		return received, nil
	case r.kind != kindPush && r.kind != kindArray || len(r.elements) == 0:
		return received, malformed("%q comes to a subscription", r.kind)
	}
	return rc.push(string(r.elements[0].bytes), r)
}

// push takes a push, or an array that is one in RESP2.
func (rc *receiver) push(word string, r *reply) (outcome, error) {
	e := r.elements[1:]
	switch word {
	case "message":
		return received, rc.message(rc.topics, e, 1)
	case "pmessage":
		return received, rc.message(rc.patterns, e, 2)
	case "missed":
		return received, rc.missed(e)
	case "pong": // RESP2
		rc.pings = max(0, rc.pings-1)
		return received, nil
	case "subscribe", "psubscribe":
		return confirmed, nil
	case "unsubscribe", "punsubscribe":
		return received, malformed("the server has ended a subscription by itself")
	}
	rc.wire.heed(r)
	return received, nil // a PONG in RESP2, and kinds of push that we do not know: those are safe to ignore
}

// message takes one message: name, topic if the name is a pattern, payload; and with numbers two more.
func (rc *receiver) message(all map[string]*track, e []reply, texts int) error {
	if len(e) != texts+1 && len(e) != texts+3 {
		return malformed("a message of %d elements", len(e)+1)
	}
	t := all[string(e[0].bytes)]
	if t == nil {
		return malformed("a message of %.40q, to which we have not subscribed", e[0].bytes)
	}
	m := &Message{
		Topic: t.name, Payload: append(make([]byte, 0, len(e[texts].bytes)), e[texts].bytes...),
		Epoch: rc.wire.epoch, from: rc.subscription,
	}
	if texts == 2 {
		m.Topic, m.Pattern = rc.intern(e[1].bytes), t.name
	}
	if len(e) == texts+3 {
		number, previous := &e[texts+1], &e[texts+2]
		if !number.isCount() || !previous.isCount() {
			return malformed("a message whose number is %q %d, and %q %d the one before", number.kind, number.integer, previous.kind, previous.integer)
		}
		m.Number, m.Previous = uint64(number.integer), uint64(previous.integer)
		rc.number(m, t)
	}
	rc.ready = append(rc.ready, m)
	rc.held += len(m.Payload) + eventBytes
	return nil
}

// number holds a message against the last one of its name. What is missing in between, and was not told, is now.
func (rc *receiver) number(m *Message, t *track) {
	if m.Previous > t.last && !t.told {
		rc.ready = append(rc.ready, &Missed{Name: t.name, After: t.last, Before: m.Number, from: rc.subscription})
	}
	t.last, t.told = m.Number, false
	rc.place.number = max(rc.place.number, m.Number)
}

// missed takes the server's word that messages of a name were dropped here.
func (rc *receiver) missed(e []reply) error {
	if len(e) != 2 || !e[1].isCount() {
		return malformed("a push missed of %d elements", len(e)+1)
	}
	m := &Missed{Name: string(e[0].bytes), Count: int(e[1].integer), from: rc.subscription}
	for _, t := range []*track{rc.topics[m.Name], rc.patterns[m.Name]} {
		if t != nil {
			t.told, m.After = true, t.last
		}
	}
	rc.ready = append(rc.ready, m)
	rc.held += eventBytes
	return nil
}

// intern is a topic as a string.
func (rc *receiver) intern(topic []byte) string {
	if rc.topic != string(topic) {
		rc.topic = string(topic)
	}
	return rc.topic
}
