package command

import (
	"time"

	"github.com/conchmq/conch/broker"
	"github.com/conchmq/conch/internal/acl"
	"github.com/conchmq/conch/internal/outbox"
	"github.com/conchmq/conch/internal/uptime"
	"github.com/conchmq/conch/protocol"
)

const (
	// maxWhyRows bounds the subscriptions of one answer. Each costs two locks, and other connections wait.
	maxWhyRows = 100
	// maxWhyOthers bounds the subscriptions of other users that are passed over, whose rows the user may not see.
	maxWhyOthers = 10_000
)

// explanation is the answer to WHY: what becomes of messages to a topic. It is made at one instant of the core.
type explanation struct {
	topic    []byte
	now      time.Duration // the uptime
	sequence uint64
	durable  bool
	refusal  *protocol.Error // of all publishes to it, because the log takes none; nil mostly
	// last and lastShard are the last publishes to the topic, and to a shard of that name.
	last, lastShard publishOf
	denied          denials
	subscriptions   int // all that cover the topic
	own             int // those of the connection itself
	rows            []explained
	similar         []similarName
	client          *explainedClient // if the command names one
	restricted      bool             // what belongs to other users is left out
}

// publishOf is one publish, number 0 for none that is known.
type publishOf struct {
	number uint64
	since  time.Duration // -1 if that is not known
	id     int64         // of the publisher; 0 if the user may not see it
	name   string        // what it has named itself
	user   string        // empty if it has ended
	// connector is the name of the connector that published, empty if a client did.
	connector string
}

// denials are the commands on the topic that rights refused, as far as ACL LOG goes back.
type denials struct {
	count int
	since time.Duration
	user  string // of the last one
}

// explainedClient is a client that the command names.
type explainedClient struct {
	*executor
	covering     int
	maySubscribe bool
	isParked     bool // its SUB waits for a grace period
	queued       int  // commands behind MULTI
}

// explained is one subscription.
type explained struct {
	subscriberRow
	lately  outbox.Lately
	numbers broker.LastNumbers
	// sinces are the times since the numbers, -1 for none or unknown.
	sincePublished, sinceMatched, sinceFiltered time.Duration
	waits                                       waitState
}

// explain collects the answer. id is the client to look at, 0 for all.
func (w *response) explain(topic []byte, id int64) (*explanation, *protocol.Error) {
	e, s := w.executor, w.executor.service
	x := &explanation{
		topic: topic, now: uptime.Now(), sequence: w.view.Stats().Sequence, durable: s.streams.state.IsDurable(topic),
		restricted: !e.may("client|list"),
	}
	if x.durable {
		x.refusal = s.streams.usable()
	}
	x.last, x.lastShard = w.lastPublish(x, broker.Topic), w.lastPublish(x, broker.Shard)
	x.denied = w.denials(x)
	for _, k := range []broker.Kind{broker.Topic, broker.Shard} {
		x.subscriptions += w.view.NumMatching(k, topic)
		for range w.view.MatchingOf(&e.sub, k, topic) {
			x.own++
		}
	}
	w.work += workPerSubscription * x.own
	if id != 0 {
		if err := w.explainClient(x, id); err != nil {
			return nil, err
		}
	} else {
		w.explainAll(x)
	}
	if x.subscriptions == 0 || x.last.number == 0 || x.client != nil && x.client.covering == 0 {
		x.similar = w.similar(topic, func(name []byte) bool { return !x.restricted || e.maySubscribe(name) })
	}
	return x, nil
}

// may reports whether the user of the connection may run a command.
func (e *executor) may(command string) bool {
	return e.unrestricted || e.user != nil && e.user.Check(aclRegistry.Command(command), nil, acl.Keys{}) == nil
}

func (e *executor) maySubscribe(topic []byte) bool {
	return e.unrestricted || e.user == nil || e.user.MaySubscribe(topic)
}

// shows reports whether the user of the command may see what belongs to another one.
func (w *response) shows(x *explanation, user string) bool {
	return !x.restricted || user == w.executor.userName()
}

// lastPublish is the last publish to the topic, or to the shard.
func (w *response) lastPublish(x *explanation, k broker.Kind) (p publishOf) {
	s, publisher := w.executor.service, int64(0)
	if p.number, publisher = w.view.LastPublish(k, x.topic); p.number == 0 {
		p.number, publisher = s.unnamed.last(k, x.topic)
	}
	p.since = s.times.since(p.number, x.now)
	from := s.client(publisher)
	switch {
	case publisher < 0:
		if !x.restricted {
			p.connector = s.feedNames.name(publisher)
		}
	case from == nil:
		if !x.restricted {
			p.id = publisher
		}
	case w.shows(x, from.userName()):
		p.id, p.name, p.user = publisher, from.name, from.userName()
	}
	return p
}

// denials counts the refusals on the topic in ACL LOG.
func (w *response) denials(x *explanation) (d denials) {
	access, now := w.executor.service.access, time.Now()
	all := w.executor.may("acl|log")
	for _, entry := range access.log.Entries(aclLogLooked) {
		if entry.Reason != acl.ReasonChannel || entry.Object != string(x.topic) || !all && entry.Username != w.executor.userName() {
			continue
		}
		if d.count == 0 { // the newest comes first
			d.since, d.user = max(0, now.Sub(entry.Updated)), entry.Username
		}
		d.count += entry.Count
	}
	return d
}

// aclLogLooked is more than ACL LOG has.
const aclLogLooked = 1000

// explainAll adds the subscriptions that cover the topic, in the order of delivery.
func (w *response) explainAll(x *explanation) {
	passed := 0
	for _, k := range []broker.Kind{broker.Topic, broker.Shard} {
		for sub := range w.view.Matching(k, x.topic) {
			w.work += workPerSubscription
			e, ok := sub.Conn().(*executor)
			switch {
			case len(x.rows) == maxWhyRows || passed == maxWhyOthers:
				return
			case !ok || !w.shows(x, e.userName()):
				passed++
			default:
				x.rows = append(x.rows, w.explainOne(x, e, sub))
			}
		}
	}
}

// explainClient adds what concerns one client.
func (w *response) explainClient(x *explanation, id int64) *protocol.Error {
	e := w.executor.service.client(id)
	if e == nil || !w.shows(x, e.userName()) {
		return protocol.Errorf("no client has the id %d; CLIENT LIST shows those that there are", id)
	}
	c := &explainedClient{executor: e, maySubscribe: e.maySubscribe(x.topic), isParked: w.view.IsParked(&e.sub)}
	if e.txn != nil {
		c.queued = len(e.txn.queued)
	}
	for _, k := range []broker.Kind{broker.Topic, broker.Shard} {
		for sub := range w.view.MatchingOf(&e.sub, k, x.topic) {
			w.work += workPerSubscription
			if c.covering++; len(x.rows) < maxWhyRows {
				x.rows = append(x.rows, w.explainOne(x, e, sub))
			}
		}
	}
	x.client = c
	return nil
}

// explainOne looks at one subscription. Its connection is flushed first: messages of the current round count, too.
func (w *response) explainOne(x *explanation, e *executor, sub *broker.Subscription) explained {
	r := explained{subscriberRow: subscriberRow{e, sub, messageCountsOf(sub)}, numbers: sub.Last()}
	a, ok := sub.Data.(*outbox.Account)
	if !ok {
		a = outbox.NewAccount("") // nothing was queued for it
	}
	times := &e.service.times
	r.lately = e.outbox.Lately(a, x.now)
	r.sincePublished, r.sinceMatched = times.since(r.numbers.Published, x.now), times.since(r.numbers.Matched, x.now)
	r.sinceFiltered = times.since(r.numbers.Filtered, x.now)
	r.waits = e.waitOf(sub, r.lately.Waiting(), x.now)
	return r
}
