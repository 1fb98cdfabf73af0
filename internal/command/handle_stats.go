package command

import (
	"cmp"
	"slices"

	"github.com/conchmq/conch/broker"
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

func (w *response) field(name, value string) {
	w.text(name)
	w.text(value)
}

func (w *response) count(name string, n int) {
	w.text(name)
	w.integer(int64(n))
}
