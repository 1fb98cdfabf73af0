package broker

import (
	"fmt"
	"slices"
)

// model is the contract once more, in the plainest way there is: slices, walked from end to end each time. Clients are
// numbered by when they joined, and for each the model writes the transcript that its owner must have.
type model struct {
	held      []hold   // all subscriptions of all, in the order in which they were made
	patterns  []string // that somebody holds, in order of creation
	clients   []*modelClient
	published int
	delivered int
}

type hold struct {
	by   int
	kind Kind
	form Form
	name string
}

type modelClient struct {
	lines    []string
	limit    int // messages from which on it is over; 0 is never
	messages int
	over     bool
	ended    bool
}

func (m *model) tell(who int, format string, args ...any) {
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
		m.end(who, fmt.Sprintf("evicted by %v", q.Call))
	case q.Call == refused:
		m.tell(who, "refused")
	case q.Op == Publish:
		for _, payload := range q.Payloads {
			if q.Call == apart && m.clients[who].ended {
				break
			}
			m.publish(who, q.Kind, string(q.Names[0]), string(payload))
			if q.Call == apart {
				m.evict()
			}
		}
	case q.Op == Subscribe:
		for _, name := range q.Names {
			m.subscribe(hold{who, q.Kind, q.Form, string(name)})
			m.tell(who, "subscribed %s: %d", label(q.Kind, q.Form, string(name)), m.count(who, q.Form, q.Kind))
		}
	case q.Op == Unsubscribe:
		m.unsubscribe(who, q)
	case q.Op == Exec:
		m.exec(who, q)
	case q.Op == Reset:
		m.dropAll(who)
		m.answer(who)
	default:
		m.answer(who)
	}
}

func (m *model) publish(who int, kind Kind, topic, payload string) {
	m.published++
	receivers := m.receivers(kind, topic)
	m.delivered += len(receivers)
	m.tell(who, "published %s as %d: %d", topic, m.published, len(receivers))
	for _, h := range receivers {
		m.tell(h.by, "message %d %s=%s for %s", m.published, topic, payload, label(h.kind, h.form, h.name))
		c := m.clients[h.by]
		c.messages++
		c.over = c.over || c.limit > 0 && c.messages >= c.limit
	}
}

// receivers are the exact subscriptions first, then those of each pattern, patterns in order of creation.
func (m *model) receivers(kind Kind, topic string) (out []hold) {
	of := func(k Kind, name string) {
		for _, h := range m.held {
			if h.kind == k && h.name == name {
				out = append(out, h)
			}
		}
	}
	of(kind, topic)
	if kind == Shard {
		return out
	}
	for _, glob := range m.patterns {
		if plainMatch(glob, topic) {
			of(Pattern, glob)
		}
	}
	return out
}

func (m *model) subscribe(h hold) {
	if slices.Contains(m.held, h) {
		return
	}
	m.held = append(m.held, h)
	if h.kind == Pattern && !slices.Contains(m.patterns, h.name) {
		m.patterns = append(m.patterns, h.name)
	}
}

func (m *model) drop(gone hold) {
	m.held = slices.DeleteFunc(m.held, func(h hold) bool { return h == gone })
	m.patterns = slices.DeleteFunc(m.patterns, func(glob string) bool {
		return !slices.ContainsFunc(m.held, func(h hold) bool { return h.kind == Pattern && h.name == glob })
	})
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
		m.tell(who, "unsubscribed %s: %d", label(h.kind, h.form, h.name), m.count(who, h.form, h.kind))
	}
}

func (m *model) exec(who int, q *Request) {
	kept := q.Call.([]Request)
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
	m.dropAll(who)
	m.clients[who].ended = true
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
	topics, subscribers := map[string]bool{}, map[int]bool{}
	for _, h := range m.held {
		subscribers[h.by] = true
		if h.kind == Topic {
			topics[h.name] = true
		}
	}
	m.tell(who, "answered: %d topics, %d patterns, %d subscribers, %d published, %d delivered",
		len(topics), len(m.patterns), len(subscribers), m.published, m.delivered)
}
