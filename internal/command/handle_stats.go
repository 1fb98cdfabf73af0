package command

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/conchmq/conch/broker"
	"github.com/conchmq/conch/internal/outbox"
	"github.com/conchmq/conch/internal/uptime"
	"github.com/conchmq/conch/protocol"
)

const (
	// maxRows bounds a table: it is made while everybody waits. What was left out is told.
	maxRows = 1000
	// maxCounted bounds the subscriptions whose accounts are looked at for one table.
	maxCounted = 50_000
	// maxRowBytes bounds the rows of PUBSUB STATS and WHO, where names are whole; rowBytes is what a row has besides them.
	maxRowBytes, rowBytes = 1 << 20, 256
)

var kindNames = [...]string{broker.Topic: "topic", broker.Pattern: "pattern", broker.Shard: "shard"}

// messageCounts is what has come to one subscription, or to all of a name. Every message published to a subscription is in
// exactly one of filtered, delivered, dropped, queued and undelivered.
type messageCounts struct {
	published  uint64
	filtered   uint64
	unreadable uint64 // of the filtered
	outbox.DeliveryCounts
}

func (f *messageCounts) add(g messageCounts) {
	f.published += g.published
	f.filtered += g.filtered
	f.unreadable += g.unreadable
	f.Matched += g.Matched
	f.Delivered += g.Delivered
	f.Dropped += g.Dropped
	f.Undelivered += g.Undelivered
}

// messageCountsOf counts what came to a subscription until this instant. What was queued in this very round counts: it is handed
// over first. Messages that EXEC holds back until its end are neither with the outbox nor lost: they are queued.
func messageCountsOf(s *broker.Subscription) messageCounts {
	t := s.Stats()
	f := messageCounts{published: t.Published, filtered: t.Filtered, unreadable: t.Unreadable}
	e := s.Conn().(*executor)
	e.Flush()
	if a, ok := s.Data.(*outbox.Account); ok {
		f.DeliveryCounts = e.outbox.CountsOf(a)
	}
	f.Matched = int64(t.Matched) //nolint:gosec // a count
	return f
}

// nameRow is a topic, a pattern or a shard that is listened to.
type nameRow struct {
	kind      broker.Kind
	text      string
	published uint64
}

// compare has the busiest come first.
func (n nameRow) compare(m nameRow) int {
	return cmp.Or(cmp.Compare(m.published, n.published), cmp.Compare(n.text, m.text), cmp.Compare(n.kind, m.kind))
}

// busiest are the names that glob matches, those with the most messages first, and how many there are in all.
func (w *response) busiest(g *budgetedGlob) (top []nameRow, all int) {
	var last nameRow // what must be beaten to be among them, once there are enough
	full := false
	shorten := func() {
		slices.SortFunc(top, nameRow.compare)
		if top = top[:min(len(top), maxRows)]; len(top) == maxRows {
			last, full = top[maxRows-1], true
		}
	}
	for kind := range kindNames {
		k := broker.Kind(kind) //nolint:gosec // an index of three
		for text, published := range w.view.Names(k) {
			w.work += workPerName
			if g.text != "*" && !g.matches(text) { // no glob matches the empty topic
				continue
			}
			all++
			n := nameRow{k, text, published}
			if full && n.compare(last) > 0 {
				continue
			}
			if top = append(top, n); len(top) == 2*maxRows {
				shorten()
			}
		}
	}
	shorten()
	w.work += g.work()
	return top, all
}

// topicRow is a line of TOPICS.
type topicRow struct {
	nameRow
	subscriptions int
	messageCounts
}

// collectStats is what TOPICS and PUBSUB STATS show.
func (w *response) collectStats(args [][]byte) (rows []topicRow, all int, err *protocol.Error) {
	g := newGlob(globOf(args))
	names, all := w.busiest(g)
	if err := g.err(); err != nil {
		return nil, 0, err
	}
	counted := 0
	for _, n := range names {
		if counted += w.view.NumSubscriptions(n.kind, []byte(n.text)); counted > maxCounted && len(rows) > 0 {
			break
		}
		r := topicRow{nameRow: n}
		for s := range w.view.Subscriptions(n.kind, n.text) {
			r.subscriptions++
			w.work += workPerSubscription
			r.add(messageCountsOf(s))
		}
		r.messageCounts.published = n.published // each message once
		rows = append(rows, r)
	}
	return rows, all, nil
}

// topics is TOPICS [glob].
func topics(w *response) {
	args := w.inv.args[1:]
	if len(args) > 1 {
		w.buf = appendErr(w.buf, w.inv, protocol.Errorf("TOPICS takes one glob; type: %s", w.inv.row.Usage))
		return
	}
	rows, all, err := w.collectStats(args)
	if err != nil {
		w.buf = appendErr(w.buf, w.inv, err)
		return
	}
	t := textTable{head: []string{"name", "kind", "subscribers", "published", "delivered", "filtered", "dropped", "queued"}}
	for i := range rows {
		r := &rows[i]
		t.add(w, showName(r.text), kindNames[r.kind], r.subscriptions, r.messageCounts.published, r.Delivered, r.filtered,
			r.Dropped, r.Waiting())
	}
	w.textTable(&t, all)
}

// truncateRows leaves out the last rows, if all of them would be more than maxRowBytes. The first one always stays. name is how
// many bytes the names in a row have.
func truncateRows[T any](rows []T, name func(*T) int) []T {
	bytes := 0
	for i := range rows {
		if bytes += rowBytes + name(&rows[i]); bytes > maxRowBytes && i > 0 {
			return rows[:i]
		}
	}
	return rows
}

func globOf(args [][]byte) string {
	if len(args) == 0 {
		return "*"
	}
	return string(args[0])
}

// pubsubStats is PUBSUB STATS [pattern]: how many names there are, and a map for each of the busiest.
func pubsubStats(w *response) {
	args := w.inv.args[2:]
	if len(args) > 1 {
		w.wrongSubcommandArity()
		return
	}
	rows, all, err := w.collectStats(args)
	if err != nil {
		w.fail(err)
		return
	}
	rows = truncateRows(rows, func(r *topicRow) int { return len(r.text) })
	w.mapHeader(3)
	w.text("sequence")
	w.integer(int64(w.view.Stats().Published)) //nolint:gosec // a count
	w.text("names")
	w.integer(int64(all))
	w.text("busiest")
	w.array(len(rows))
	for i := range rows {
		r := &rows[i]
		w.mapHeader(3 + messageCountsFields)
		w.field("name", r.text)
		w.field("kind", kindNames[r.kind])
		w.count("subscribers", r.subscriptions)
		w.messageCounts(&r.messageCounts)
	}
}

// messageCountsFields is how many fields messageCounts appends.
const messageCountsFields = 7

func (w *response) messageCounts(f *messageCounts) {
	w.count("published", int(f.published)) //nolint:gosec // counts
	w.count("delivered", int(f.Delivered))
	w.count("filtered", int(f.filtered))     //nolint:gosec // counts
	w.count("unreadable", int(f.unreadable)) //nolint:gosec // counts
	w.count("dropped", int(f.Dropped))
	w.count("undelivered", int(f.Undelivered))
	w.count("queued", int(f.Waiting()))
}

func (w *response) field(name, value string) {
	w.text(name)
	w.text(value)
}

func (w *response) count(name string, n int) {
	w.text(name)
	w.integer(int64(n))
}

// subscriberRow is a line of WHO.
type subscriberRow struct {
	executor     *executor
	subscription *broker.Subscription
	messageCounts
}

// subscribers are who a message to a topic, or to a shard of that name, would be held against, and how many in all.
func (w *response) subscribers(topic []byte) (rows []subscriberRow, all int) {
	for _, kind := range []broker.Kind{broker.Topic, broker.Shard} {
		for s := range w.view.Matching(kind, topic) {
			w.work += workPerSubscription
			if all++; len(rows) < maxRows {
				rows = append(rows, subscriberRow{s.Conn().(*executor), s, messageCountsOf(s)})
			}
		}
	}
	return rows, all
}

func (l *subscriberRow) dialect() string {
	switch w := l.executor.format(l.subscription.Form); {
	case w.IsLine():
		return "lines"
	default:
		return fmt.Sprintf("RESP%d", w.Version().Number())
	}
}

// backlog is how many bytes wait for the connection, whatever for.
func (l *subscriberRow) backlog() int {
	return int(l.executor.outbox.Backlog())
}

func (l *subscriberRow) age() int { return int((uptime.Now() - l.executor.connectedAt) / time.Second) }

// who is WHO topic.
func who(w *response) {
	if len(w.inv.args) != 2 {
		w.buf = appendErr(w.buf, w.inv, protocol.Errorf("WHO takes one topic; type: %s", w.inv.row.Usage))
		return
	}
	rows, all := w.subscribers(w.inv.args[1])
	t := textTable{head: []string{
		"id", "address", "user", "dialect", "age", "subscription", "kind", "published", "delivered", "filtered", "dropped", "queued", "backlog",
	}}
	for i := range rows {
		l := &rows[i]
		t.add(w, l.executor.id, l.executor.Peer(), l.executor.userName(), l.dialect(), fmt.Sprintf("%ds", l.age()),
			showName(l.subscription.Name()), kindNames[l.subscription.Kind()], l.published, l.Delivered, l.filtered, l.Dropped, l.Waiting(), l.backlog())
	}
	w.textTable(&t, all)
}

// pubsubWho is PUBSUB WHO topic.
func pubsubWho(w *response) {
	rows, all := w.subscribers(w.inv.args[2])
	rows = truncateRows(rows, func(l *subscriberRow) int {
		return len(l.subscription.Name()) + len(l.executor.name) + len(l.executor.userName())
	})
	w.mapHeader(2)
	w.count("subscriptions", all)
	w.text("first")
	w.array(len(rows))
	for i := range rows {
		l := &rows[i]
		w.mapHeader(9 + messageCountsFields)
		w.count("id", int(l.executor.id))
		w.field("addr", l.executor.Peer().String())
		w.field("name", l.executor.name)
		w.field("user", l.executor.userName())
		w.field("dialect", l.dialect())
		w.count("age", l.age())
		w.field("subscription", l.subscription.Name())
		w.field("kind", kindNames[l.subscription.Kind()])
		w.messageCounts(&l.messageCounts)
		w.count("backlog", l.backlog())
	}
}
