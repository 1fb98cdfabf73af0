package command

import (
	"slices"

	"github.com/conchmq/conch/broker"
	"github.com/conchmq/conch/protocol"
)

// maxAnswer bounds the names of one reply; bulkBytes is the overhead of each. The core builds
// the whole reply while other connections wait.
const maxAnswer, bulkBytes = 64 << 20, 16

// errLargeAnswer is the reply in place of a larger one.
var errLargeAnswer = protocol.Errorf("reply would exceed %d bytes: give a pattern that matches less", maxAnswer)

// pubsubNames lists the topics, or the shards, with at least one subscription by name, in
// either dialect.
func pubsubNames(k broker.Kind) func(*response) {
	return func(w *response) {
		if len(w.inv.args) > 3 {
			w.wrongSubcommandArity()
			return
		}
		all, g := len(w.inv.args) == 2, newGlob(globOf(w.inv.args[2:]))
		var names []string
		bytes := 0
		for name := range w.view.Names(k) {
			w.work += workPerName
			if all || g.matches(name) {
				// Checked while collecting: the list itself must stay bounded.
				if bytes += len(name) + bulkBytes; bytes > maxAnswer {
					w.fail(errLargeAnswer)
					return
				}
				names = append(names, name)
			}
		}
		w.work += g.work()
		if err := g.err(); err != nil {
			w.fail(err)
			return
		}
		w.buf = slices.Grow(w.buf, bytes+bulkBytes)
		w.array(len(names))
		for _, name := range names {
			w.text(name)
		}
	}
}

// pubsubCounts counts the subscriptions of topics, or of shards. Patterns do not count. The
// reply is an array in RESP3 too.
//
// A long command comes in pieces; the first one writes the header for all.
func pubsubCounts(k broker.Kind) func(*response) {
	return func(w *response) {
		names := w.inv.args[2:]
		switch {
		case w.inv.long == nil:
			w.array(2 * len(names))
		case w.inv.piece == 0:
			w.array(2 * w.inv.long.names)
		}
		for _, name := range names {
			w.bulk(name)
			w.integer(int64(w.view.NumSubscriptions(k, name)))
		}
	}
}

func pubsubNumpat(w *response) { w.integer(int64(w.view.Stats().Patterns)) }
