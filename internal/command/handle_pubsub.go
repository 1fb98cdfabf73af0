package command

import (
	"slices"

	"github.com/conchmq/conch/broker"
	"github.com/conchmq/conch/protocol"
)

// maxAnswer bounds the names of one answer; bulkBytes is what each takes besides its text. All of it is made while
// everybody waits.
const maxAnswer, bulkBytes = 64 << 20, 16

var errLargeAnswer = protocol.Errorf("the answer would be larger than %d bytes: give a pattern that matches less", maxAnswer)

// pubsubNames lists the topics, or the shards, that somebody subscribes to by name, in whichever dialect.
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

// pubsubCounts counts the subscriptions of topics, or of shards; patterns are not counted. An array in RESP3 too.
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
