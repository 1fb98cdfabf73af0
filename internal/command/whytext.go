package command

import (
	"fmt"
	"time"

	"github.com/conchmq/conch/broker"
	"github.com/conchmq/conch/protocol"
)

// sentences are the answer for a person: about the topic first, then about each subscription that lacks messages, and about the
// others in one.
func (x *explanation) sentences() (all []string) {
	add := func(format string, args ...any) { all = append(all, fmt.Sprintf(format, args...)) }
	topic := showName(string(x.topic))
	switch x.subscriptions {
	case 0:
		add("no subscription covers %s", topic)
	case 1:
		add("1 subscription covers %s", topic)
	default:
		add("%d subscriptions cover %s", x.subscriptions, topic)
	}
	x.explainPublishes(add)
	if x.client != nil {
		x.client.explain(add, topic)
	}
	for i := range x.similar {
		x.similar[i].explain(add, x)
	}
	flowing := 0
	for i := range x.rows {
		if text := x.rows[i].explain(); text != "" {
			add("%s", text)
		} else {
			flowing++
		}
	}
	if flowing > 0 {
		add("nothing is missing from %s", counted(flowing, "subscription"))
	}
	if left := x.subscriptions - len(x.rows); left > 0 && x.client == nil {
		if x.restricted {
			add("%d more belong to other users, or are left out", left)
		} else {
			add("%d more are left out; name a client: WHY topic client-id", left)
		}
	}
	return all
}

// explainPublishes explains when the topic got its last message, and what keeps messages from it.
func (x *explanation) explainPublishes(add func(string, ...any)) {
	switch p := &x.last; {
	case p.number > 0:
		add("the last message to it is #%d, %s%s", p.number, ago(p.since), p.from())
	case x.lastShard.number > 0:
		p = &x.lastShard
		add("no PUBLISH to it is known; the last SPUBLISH is #%d, %s%s, and reaches shards alone", p.number, ago(p.since), p.from())
	default:
		add("no publish to it is known, as far as that is kept")
	}
	if x.refusal != nil {
		add("it is durable, and publishes to it fail: %s", x.refusal.Text)
	}
	if d := &x.denied; d.count > 0 {
		add("rights refused %s on it, the last one of the user %s %s", counted(d.count, "command"), showName(d.user), ago(d.since))
	}
}

// from names the client or the connector that published.
func (p *publishOf) from() string {
	switch {
	case p.connector != "":
		return ", from connector " + showName(p.connector)
	case p.id == 0:
		return ""
	case p.user == "":
		return fmt.Sprintf(", from client %d, which has ended", p.id)
	}
	return ", from " + clientText(p.id, p.name, p.user)
}

// clientText names a client.
func clientText(id int64, name, user string) string {
	if name != "" {
		return fmt.Sprintf("client %d (%s, user %s)", id, showName(name), showName(user))
	}
	return fmt.Sprintf("client %d (user %s)", id, showName(user))
}

// explain describes what concerns a client that the command names.
func (c *explainedClient) explain(add func(string, ...any), topic string) {
	named := clientText(c.id, c.name, c.userName())
	if c.covering == 0 {
		add("%s has %s, and none covers %s", named, counted(c.sub.NumSubscriptions(), "subscription"), topic)
	}
	if !c.maySubscribe {
		add("its user %s may not subscribe to %s", showName(c.userName()), topic)
	}
	if c.isParked {
		add("a SUB of it waits until each publisher knows its predicate")
	}
	if c.queued > 0 {
		add("%s of it queued behind MULTI, until EXEC", counted(c.queued, "command"))
	}
	if c.closing || c.Reason() != CloseReasonNone {
		add("it is closing: %s", c.Reason())
	}
}

// explain describes how a name is like the topic.
func (n *similarName) explain(add func(string, ...any), x *explanation) {
	name, why := showName(n.name), likenessTexts[n.likeness]
	if n.number > 0 {
		add("#%d was published to %s, which has no subscription: %s", n.number, name, why)
		return
	}
	if x.client == nil || n.kind != broker.Pattern {
		add("%s %s has %s: %s", kindNames[n.kind], name, counted(n.subscriptions, "subscription"), why)
	}
}

// explain names what keeps messages from a subscription; empty if it got all of them.
func (r *explained) explain() string {
	named := clientText(r.executor.id, r.executor.name, r.executor.userName()) + " by " + showName(r.subscription.Name())
	if text := r.waits.explain(); text != "" {
		return named + ": " + text
	}
	switch c := &r.messageCounts; {
	case r.subscription.Kind() == broker.Shard && c.published == 0:
		return named + ": it is of a shard, which gets what SPUBLISH sends alone"
	case c.published == 0:
		return named + ": nothing was published to it since it subscribed"
	case c.Dropped > 0:
		return fmt.Sprintf("%s: it read too slowly, and its policy dropped %s, the last %s", named, counted(int(c.Dropped), "message"), ago(r.lately.SinceDropped))
	case c.filtered == c.published && c.unreadable == c.filtered:
		return fmt.Sprintf("%s: no message has the field that its predicate reads; %s held back", named, counted(int(c.filtered), "message")) //nolint:gosec // a count
	case c.filtered == c.published:
		return fmt.Sprintf("%s: its predicate held back all of %s, the last one %s", named, counted(int(c.filtered), "message"), ago(r.sinceFiltered)) //nolint:gosec // a count
	case r.numbers.Filtered > r.numbers.Matched:
		return fmt.Sprintf("%s: its predicate held back #%d, the newest; the last one that it let through is #%d", named, r.numbers.Filtered, r.numbers.Matched)
	}
	return ""
}

// explain names what messages wait for; empty for nothing.
func (x *waitState) explain() string {
	switch x.kind {
	case waitEnd:
		return "it is closing"
	case waitReplay:
		if x.position == 0 {
			return "it begins in the past, which is yet to be read"
		}
		return fmt.Sprintf("messages of the past come first; it is at #%d of #%d", x.position, x.target)
	case waitLog:
		return "messages wait until the log is synced"
	case waitReply:
		return "messages wait behind a reply that is being read"
	case waitClient:
		return fmt.Sprintf("%d bytes wait for the client to read, which has taken none for %s", x.bytes, seconds(x.idle))
	}
	return ""
}

// counted is a number of things.
func counted(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

// ago is a time in the past, to a second.
func ago(since time.Duration) string {
	if since < 0 {
		return "some time ago"
	}
	return seconds(since) + " ago"
}

func seconds(d time.Duration) string { return fmt.Sprintf("%ds", d/time.Second) }

// whyVerb is WHY topic [client-id].
func whyVerb(w *response) {
	args := w.inv.args
	if len(args) > 3 {
		w.buf = appendErr(w.buf, w.inv, protocol.Errorf("WHY takes one topic and perhaps the id of a client; type: %s", w.inv.row.Usage))
		return
	}
	x, err := w.explainArgs(args[1:])
	if err != nil {
		w.buf = appendErr(w.buf, w.inv, err)
		return
	}
	var lines []string
	for _, text := range x.sentences() {
		lines = append(lines, "# "+text)
	}
	if x.client == nil && x.own == 0 && x.subscriptions > 0 { // a person at a terminal may mean this very connection
		lines = append(lines, "# this connection has none of them")
	}
	t := textTable{head: []string{"id", "user", "subscription", "kind", "published", "filtered", "dropped", "delivered", "queued", "waits"}}
	for i := range x.rows {
		r := &x.rows[i]
		t.add(w, r.executor.id, r.executor.userName(), showName(r.subscription.Name()), kindNames[r.subscription.Kind()],
			lastNumber(r.published, r.numbers.Published, r.sincePublished), lastNumber(r.filtered, r.numbers.Filtered, r.sinceFiltered),
			lastNumber(uint64(r.Dropped), 0, r.lately.SinceDropped), lastNumber(uint64(r.Delivered), r.lately.Given, r.lately.SinceDelivered), //nolint:gosec // counts
			r.Waiting(), waitNames[r.waits.kind])
	}
	if len(t.rows) > 0 {
		lines = append(lines, t.lines()...)
	}
	w.textLines(lines, x.subscriptions)
}

// lastNumber is a count in a table, with the number and the age of the last one: 12 #90 3s.
func lastNumber(count, number uint64, since time.Duration) string {
	text := fmt.Sprint(count)
	if count > 0 && number > 0 {
		text += fmt.Sprintf(" #%d", number)
	}
	if count > 0 && since >= 0 {
		text += " " + seconds(since)
	}
	return text
}

// explainArgs explains what the arguments name: a topic and perhaps the id of a client.
func (w *response) explainArgs(args [][]byte) (*explanation, *protocol.Error) {
	id := int64(0)
	if len(args) > 1 {
		n, ok := protocol.ParseInt(args[1])
		if !ok || n <= 0 {
			return nil, protocol.Errorf("Invalid client ID")
		}
		id = n
	}
	return w.explain(args[0], id)
}
