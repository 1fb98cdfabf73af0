package command

import (
	"cmp"
	"slices"

	"github.com/conchmq/conch/broker"
	"github.com/conchmq/conch/protocol"
)

const (
	// maxRows bounds a table, which the core builds while other connections wait. The table
	// ends with the number of rows left out.
	maxRows = 1000
	// maxCounted bounds the subscriptions whose accounts one table adds up.
	maxCounted = 50_000
	// maxRowBytes bounds the rows of PUBSUB STATS and PUBSUB WHO, which hold whole names.
	// rowBytes is the overhead of a row.
	maxRowBytes, rowBytes = 1 << 20, 256
)

// kindNames are the kinds as tables show them.
var kindNames = [...]string{broker.Topic: "topic", broker.Pattern: "pattern", broker.Shard: "shard"}

// nameRow is a topic, a pattern or a shard with a subscription.
type nameRow struct {
	kind      broker.Kind
	text      string
	published uint64
}

// compare orders by messages, the busiest first.
func (n nameRow) compare(m nameRow) int {
	return cmp.Or(cmp.Compare(m.published, n.published), cmp.Compare(n.text, m.text), cmp.Compare(n.kind, m.kind))
}

// busiest returns the names that the glob matches, those with the most messages first, and how
// many match in all.
//
// It keeps at most 2*maxRows names at a time, and sorts them each time that is reached: a
// server may have a million names.
func (w *response) busiest(g *budgetedGlob) (top []nameRow, all int) {
	var last nameRow // the least busy one of them, once there are maxRows
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
			// It cannot be among the first maxRows any more.
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

// topicRow is a row of TOPICS.
type topicRow struct {
	nameRow
	subscriptions int
	messageCounts
}

// collectStats collects the rows of TOPICS and PUBSUB STATS.
func (w *response) collectStats(args [][]byte) (rows []topicRow, all int, err *protocol.Error) {
	g := newGlob(globOf(args))
	names, all := w.busiest(g)
	if err := g.err(); err != nil {
		return nil, 0, err
	}
	counted := 0
	for _, n := range names {
		// The first row is shown in any case; rows left out are counted at the end of the
		// table.
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

// truncateRows drops the last rows if all of them exceed maxRowBytes. The first row always
// stays. name returns the bytes of the names in a row.
func truncateRows[T any](rows []T, name func(*T) int) []T {
	bytes := 0
	for i := range rows {
		if bytes += rowBytes + name(&rows[i]); bytes > maxRowBytes && i > 0 {
			return rows[:i]
		}
	}
	return rows
}

// globOf is the optional glob argument; * without one.
func globOf(args [][]byte) string {
	if len(args) == 0 {
		return "*"
	}
	return string(args[0])
}

// pubsubStats is PUBSUB STATS [pattern]: the number of names, and a map for each of the
// busiest.
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
	w.integer(int64(w.view.Stats().Sequence)) //nolint:gosec // a count
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

// field appends a field of a map.
func (w *response) field(name, value string) {
	w.text(name)
	w.text(value)
}

// count appends a numeric field of a map.
func (w *response) count(name string, n int) {
	w.text(name)
	w.integer(int64(n))
}
