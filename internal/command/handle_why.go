package command

import (
	"time"
)

// pubsubWhy is PUBSUB WHY topic [client-id].
func pubsubWhy(w *response) {
	args := w.inv.args[2:]
	if len(args) > 2 {
		w.wrongSubcommandArity()
		return
	}
	x, err := w.explainArgs(args)
	if err != nil {
		w.fail(err)
		return
	}
	w.mapHeader(12)
	w.field("topic", string(x.topic))
	w.count("sequence", int(x.sequence)) //nolint:gosec // a count
	w.count("durable", oneIf(x.durable))
	w.count("subscriptions", x.subscriptions)
	w.count("own", x.own)
	w.text("why")
	texts := x.sentences()
	w.array(len(texts))
	for _, text := range texts {
		w.text(text)
	}
	w.text("last")
	w.publishOf(&x.last)
	w.text("last-shard")
	w.publishOf(&x.lastShard)
	w.text("refused")
	w.denied(&x.denied)
	w.text("similar")
	w.array(len(x.similar))
	for i := range x.similar {
		w.similarName(&x.similar[i])
	}
	w.text("client")
	w.explainedClient(x.client)
	rows := truncateRows(x.rows, func(r *explained) int {
		return len(r.subscription.Name()) + len(r.executor.name) + len(r.executor.userName())
	})
	w.text("first")
	w.array(len(rows))
	for i := range rows {
		w.explained(&rows[i])
	}
}

func oneIf(holds bool) int {
	if holds {
		return 1
	}
	return 0
}

// publishOf is null for no publish.
func (w *response) publishOf(p *publishOf) {
	if p.number == 0 {
		w.null()
		return
	}
	w.mapHeader(6)
	w.count("number", int(p.number)) //nolint:gosec // a count
	w.since("since", p.since)
	w.optional("id", int(p.id), p.id != 0)
	w.field("name", p.name)
	w.field("user", p.user)
	w.field("connector", p.connector)
}

// denied is null for none.
func (w *response) denied(d *denials) {
	if d.count == 0 {
		w.null()
		return
	}
	w.mapHeader(3)
	w.count("count", d.count)
	w.since("since", d.since)
	w.field("user", d.user)
}

func (w *response) similarName(n *similarName) {
	w.mapHeader(5)
	w.field("name", n.name)
	w.field("kind", kindNames[n.kind])
	w.field("because", likenessTexts[n.likeness])
	w.count("subscriptions", n.subscriptions)
	w.optional("published", int(n.number), n.number > 0) //nolint:gosec // a count
}

// explainedClient is null if the command names none.
func (w *response) explainedClient(c *explainedClient) {
	if c == nil {
		w.null()
		return
	}
	w.mapHeader(9)
	w.count("id", int(c.id))
	w.field("addr", c.Peer().String())
	w.field("name", c.name)
	w.field("user", c.userName())
	w.count("subscriptions", c.sub.NumSubscriptions())
	w.count("covering", c.covering)
	w.count("may-subscribe", oneIf(c.maySubscribe))
	w.count("grace-period", oneIf(c.isParked))
	w.count("behind-multi", c.queued)
}

// explained is one subscription.
func (w *response) explained(r *explained) {
	e, n := r.executor, &r.numbers
	w.mapHeader(17 + messageCountsFields)
	w.count("id", int(e.id))
	w.field("addr", e.Peer().String())
	w.field("name", e.name)
	w.field("user", e.userName())
	w.field("subscription", r.subscription.Name())
	w.field("kind", kindNames[r.subscription.Kind()])
	w.messageCounts(&r.messageCounts)
	w.optional("last-published", int(n.Published), n.Published > 0) //nolint:gosec // a count
	w.since("since-published", r.sincePublished)
	w.optional("last-matched", int(n.Matched), n.Matched > 0) //nolint:gosec // a count
	w.since("since-matched", r.sinceMatched)
	w.optional("last-filtered", int(n.Filtered), n.Filtered > 0) //nolint:gosec // a count
	w.since("since-filtered", r.sinceFiltered)
	w.optional("last-delivered", int(r.lately.Given), r.lately.Given > 0) //nolint:gosec // a count
	w.since("since-delivered", r.lately.SinceDelivered)
	w.since("since-dropped", r.lately.SinceDropped)
	w.field("waits", waitNames[r.waits.kind])
	w.text("waits-for")
	w.waitState(&r.waits)
}

// waitState is null for a subscription that waits for nothing.
func (w *response) waitState(x *waitState) {
	if x.kind == waitNothing {
		w.null()
		return
	}
	w.mapHeader(4)
	w.count("backlog", int(x.bytes))
	w.since("since", x.idle)
	w.optional("position", int(x.position), x.position > 0) //nolint:gosec // a count
	w.optional("target", int(x.target), x.target > 0)       //nolint:gosec // a count
}

// optional appends a numeric field of a map, null if it is not known.
func (w *response) optional(name string, n int, known bool) {
	w.text(name)
	if known {
		w.integer(int64(n))
	} else {
		w.null()
	}
}

// since appends a time in seconds, null for a negative one.
func (w *response) since(name string, d time.Duration) {
	w.optional(name, int(d/time.Second), d >= 0)
}
