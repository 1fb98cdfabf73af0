package command

import (
	"fmt"
	"time"

	"github.com/conchmq/conch/broker"
	"github.com/conchmq/conch/internal/uptime"
	"github.com/conchmq/conch/protocol"
)

// subscriberRow is a row of WHO.
type subscriberRow struct {
	executor     *executor
	subscription *broker.Subscription
	messageCounts
}

// subscribers are the subscriptions that match a topic, or a shard of that name: at most
// maxRows of them, and how many in all. Predicates are not evaluated.
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

// dialect is how the subscriber reads messages.
func (l *subscriberRow) dialect() string {
	switch w := l.executor.format(l.subscription.Form); {
	case w.IsLine():
		return "lines"
	default:
		return fmt.Sprintf("RESP%d", w.Version().Number())
	}
}

// backlog is the number of bytes in the outbox, replies included.
func (l *subscriberRow) backlog() int {
	return int(l.executor.outbox.Backlog())
}

// age is in seconds.
func (l *subscriberRow) age() int { return int((uptime.Now() - l.executor.connectedAt) / time.Second) }

// whoVerb is WHO topic.
func whoVerb(w *response) {
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
