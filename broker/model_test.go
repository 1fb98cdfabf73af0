package broker

import (
	"fmt"
	"slices"
)

// model is the contract once more, in the plainest way there is: slices, walked from end to end each time. Clients are
// numbered by when they joined, and for each the model writes the transcript that its connection must have.
type model struct {
	held      []hold   // all subscriptions of all, in the order in which they were made
	joined    []hold   // those that have joined, in the order in which they did
	deferred  []wait   // the others, in the order in which they were made
	patterns  []string // that somebody holds, with a condition or without, in order of creation
	narrow    []question
	clients   []*modelClient
	published int
	delivered int
	filtered  int
	unread    int
}

// hold is one subscription. Its name says all there is to know.
type hold struct {
	by   int
	kind Kind
	form Form
	name string
}

// wait is a subscription that has not joined.
type wait struct {
	hold
	previous int // the last message that it would have got; 0 if there was none
}

func (h hold) topic() string {
	topic, _ := conditionOf(h.name)
	return topic
}

func (h hold) condition() *condition {
	_, p := conditionOf(h.name)
	return p
}

// question is a condition on a topic or a glob, which somebody holds. They stand in order of creation.
type question struct {
	kind  Kind
	topic string
	*condition
}

type modelClient struct {
	lines    []string
	limit    int // messages from which on it is over; 0 is never
	messages int
	over     bool
	waits    bool // for a grace period
	ended    bool
}

func (m *model) tell(who int, format string, args ...any) {
	if who >= len(m.clients) {
		return // a model without transcripts
	}
	m.clients[who].lines = append(m.clients[who].lines, fmt.Sprintf(format, args...))
}

// apply is one batch. The requests are those that the core gets; the model reads them before.
func (m *model) apply(who int, requests []Request) {
	for i := range requests {
		if m.clients[who].ended {
			break
		}
		m.request(who, &requests[i])
		m.evict()
	}
	m.tell(who, "applied")
}

func (m *model) evict() {
	for other, c := range m.clients {
		if c.over && !c.ended {
			m.end(other, "evicted")
		}
	}
}

func (m *model) request(who int, q *Request) {
	switch {
	case q.Op == Leave:
		m.end(who, "left")
	case q.Op == Evict:
		m.end(who, fmt.Sprintf("evicted by %v", q.Tag))
	case q.Tag == refused:
		m.tell(who, "refused")
	case q.Op == Publish:
		separate := q.Tag == apart || len(m.questions(q.Kind, string(q.Names[0]))) > 0
		for _, payload := range q.Payloads {
			if separate && m.clients[who].ended {
				break
			}
			m.publish(who, q.Kind, string(q.Names[0]), string(payload))
			if separate && len(q.Payloads) > 1 {
				m.evict()
			}
		}
	case q.Op == Subscribe:
		for i, name := range q.Names {
			h := hold{who, q.Kind, q.Form, string(name)}
			if q.Filters != nil && q.Filters[i].Start != nil && !slices.Contains(m.held, h) {
				m.tell(who, "deferred %s: after %d", label(q.Kind, q.Form, string(name)), m.published)
				m.deferHold(h)
			}
			m.subscribe(h)
			m.tell(who, "subscribed %s: %d", label(q.Kind, q.Form, string(name)), m.count(who, q.Form, q.Kind))
		}
	case q.Op == Unsubscribe:
		m.unsubscribe(who, q)
	case q.Op == Exec:
		m.exec(who, q)
	case q.Op == Reset:
		m.dropAll(who)
		m.answer(who)
	case q.Tag == joinOldest:
		m.joinOldest(who)
	default:
		m.answer(who)
	}
}

func (m *model) joinOldest(who int) {
	for i, w := range m.deferred {
		switch {
		case w.by != who:
			continue
		case m.clients[who].over: // it is evicted before the next request
			m.tell(who, "not joined %s", label(w.kind, w.form, w.name))
			return
		}
		m.deferred = slices.Delete(m.deferred, i, i+1)
		m.join(w.hold)
		m.tell(who, "joined %s: after %d, %d before", label(w.kind, w.form, w.name), m.published, w.previous)
		return
	}
	m.tell(who, "nothing joins")
}

// noteDeferred notes a message for those that do not get it because they have not joined.
func (m *model) noteDeferred(kind Kind, topic, payload string) {
	for i := range m.deferred {
		w := &m.deferred[i]
		name, p := conditionOf(w.name)
		if w.kind != kind && (w.kind != Pattern || kind != Topic) || w.kind == Pattern && !plainMatch(name, topic) || w.kind != Pattern && name != topic {
			continue
		}
		if p == nil || p.says([]byte(topic), []byte(payload)) == Yes {
			w.previous = m.published
		}
	}
}

func (m *model) publish(who int, kind Kind, topic, payload string) {
	m.published++
	receivers := m.receivers(kind, topic, payload)
	m.noteDeferred(kind, topic, payload)
	m.delivered += len(receivers)
	m.tell(who, "published %s as %d: %d", topic, m.published, len(receivers))
	for _, h := range receivers {
		m.tell(h.by, "message %d %s=%s for %s", m.published, topic, payload, label(h.kind, h.form, h.name))
		c := m.clients[h.by]
		c.messages++
		c.over = c.over || c.limit > 0 && c.messages >= c.limit
	}
}

// names are those that a topic reaches: itself first, then patterns in order of creation.
func (m *model) names(kind Kind, topic string) []question {
	names := []question{{kind: kind, topic: topic}}
	if kind == Shard {
		return names
	}
	for _, glob := range m.patterns {
		if plainMatch(glob, topic) {
			names = append(names, question{kind: Pattern, topic: glob})
		}
	}
	return names
}

// questions are the conditions that decide about a topic, in the order of delivery.
func (m *model) questions(kind Kind, topic string) (out []question) {
	for _, name := range m.names(kind, topic) {
		for _, q := range m.narrow {
			if q.kind == name.kind && q.topic == name.topic {
				out = append(out, q)
			}
		}
	}
	return out
}

// receivers are for each name that the topic reaches those who hold it without a condition, and then those with one, by
// the age of the condition on that name.
func (m *model) receivers(kind Kind, topic, payload string) (out []hold) {
	for _, name := range m.names(kind, topic) {
		for _, h := range m.joined {
			if h.kind == name.kind && h.topic() == name.topic && h.condition() == nil {
				out = append(out, h)
			}
		}
		for _, q := range m.narrow {
			if q.kind != name.kind || q.topic != name.topic {
				continue
			}
			verdict := q.says([]byte(topic), []byte(payload))
			for _, h := range m.joined {
				switch {
				case h.kind != q.kind || h.topic() != q.topic || h.condition() != q.condition:
				case verdict == Yes:
					out = append(out, h)
				case verdict == Unreadable:
					m.unread++
					fallthrough
				default:
					m.filtered++
				}
			}
		}
	}
	return out
}

func (m *model) subscribe(h hold) {
	if slices.Contains(m.held, h) {
		return
	}
	m.join(h)
	m.hold(h)
}

// deferHold is subscribe for one that joins later.
func (m *model) deferHold(h hold) {
	m.deferred = append(m.deferred, wait{hold: h})
	m.hold(h)
}

func (m *model) hold(h hold) {
	m.held = append(m.held, h)
	if h.kind == Pattern && !slices.Contains(m.patterns, h.topic()) {
		m.patterns = append(m.patterns, h.topic())
	}
}

func (m *model) join(h hold) {
	m.joined = append(m.joined, h)
	topic, p := conditionOf(h.name)
	if q := (question{h.kind, topic, p}); p != nil && !slices.Contains(m.narrow, q) {
		m.narrow = append(m.narrow, q)
	}
}

func (m *model) drop(gone hold) {
	m.held = slices.DeleteFunc(m.held, func(h hold) bool { return h == gone })
	m.joined = slices.DeleteFunc(m.joined, func(h hold) bool { return h == gone })
	m.deferred = slices.DeleteFunc(m.deferred, func(w wait) bool {
		if w.hold == gone {
			m.tell(gone.by, "dropped %s", label(gone.kind, gone.form, gone.name))
		}
		return w.hold == gone
	})
	m.patterns = slices.DeleteFunc(m.patterns, func(glob string) bool {
		return !slices.ContainsFunc(m.held, func(h hold) bool { return h.kind == Pattern && h.topic() == glob })
	})
	m.narrow = slices.DeleteFunc(m.narrow, func(q question) bool {
		return !slices.ContainsFunc(m.joined, func(h hold) bool {
			return h.kind == q.kind && h.topic() == q.topic && h.condition() == q.condition
		})
	})
}

// dropWide ends all that who holds of a name, whatever the condition.
func (m *model) dropWide(who int, kind Kind, form Form, topic string) {
	for _, h := range slices.Clone(m.held) {
		if h.by == who && h.kind == kind && h.form == form && h.topic() == topic {
			m.drop(h)
		}
	}
}

func (m *model) unsubscribe(who int, q *Request) {
	var going []hold
	for _, name := range q.Names {
		going = append(going, hold{who, q.Kind, q.Form, string(name)})
	}
	if len(q.Names) == 0 {
		for _, h := range m.held {
			if h.by == who && h.kind == q.Kind && h.form == q.Form {
				going = append(going, h)
			}
		}
		if len(going) == 0 {
			m.tell(who, "unsubscribed nothing: %d", m.count(who, q.Form, q.Kind))
		}
	}
	for _, h := range going {
		m.drop(h)
		if q.IncludeFiltered && len(q.Names) > 0 {
			m.dropWide(who, h.kind, h.form, h.name)
		}
		m.tell(who, "unsubscribed %s: %d", label(h.kind, h.form, h.name), m.count(who, h.form, h.kind))
	}
}

func (m *model) exec(who int, q *Request) {
	kept := q.Tag.([]Request)
	m.tell(who, "begin %d", len(kept))
	for i := range kept {
		m.request(who, &kept[i])
	}
	if len(kept) > 0 {
		m.tell(who, "commit")
	}
}

func (m *model) dropAll(who int) {
	for _, h := range slices.Clone(m.held) {
		if h.by == who {
			m.drop(h)
		}
	}
}

func (m *model) end(who int, how string) {
	c := m.clients[who]
	if how != "left" { // a leave ends the wait first
		m.dropAll(who)
	}
	if c.waits {
		c.waits = false
		m.tell(who, "applied")
	}
	m.dropAll(who)
	c.ended = true
	m.tell(who, "%s", how)
}

// count is of topics and patterns together, and of shards alone.
func (m *model) count(who int, f Form, k Kind) (n int) {
	for _, h := range m.held {
		if h.by == who && h.form == f && (h.kind == Shard) == (k == Shard) {
			n++
		}
	}
	return n
}

func (m *model) answer(who int) {
	topics, patterns, subscribers := map[string]bool{}, map[question]bool{}, map[int]bool{}
	for _, h := range m.held {
		subscribers[h.by] = true
		if h.kind == Topic {
			topics[h.topic()] = true
		}
	}
	for _, h := range m.joined {
		if h.kind == Pattern {
			patterns[question{topic: h.topic(), condition: h.condition()}] = true
		}
	}
	m.tell(who, "answered: %d topics, %d patterns, %d subscribers, %d published, %d delivered",
		len(topics), len(patterns), len(subscribers), m.published, m.delivered)
	if len(m.narrow)+m.filtered > 0 {
		m.tell(who, "and: %d predicates, %d filtered, %d unreadable", len(m.narrow), m.filtered, m.unread)
	}
}
