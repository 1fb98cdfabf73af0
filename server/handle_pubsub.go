package server

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
	return func(x *response) {
		if len(x.inv.args) > 3 {
			x.wrongSubcommandArity()
			return
		}
		all, g := len(x.inv.args) == 2, newGlob(globOf(x.inv.args[2:]))
		var names []string
		bytes := 0
		for name := range x.view.Names(k) {
			x.work += workPerName
			if all || g.matches(name) {
				if bytes += len(name) + bulkBytes; bytes > maxAnswer {
					x.fail(errLargeAnswer)
					return
				}
				names = append(names, name)
			}
		}
		x.work += g.work()
		if err := g.err(); err != nil {
			x.fail(err)
			return
		}
		x.buf = slices.Grow(x.buf, bytes+bulkBytes)
		x.array(len(names))
		for _, name := range names {
			x.text(name)
		}
	}
}

// pubsubCounts counts the subscriptions of topics, or of shards; patterns are not counted. An array in RESP3 too.
func pubsubCounts(k broker.Kind) func(*response) {
	return func(x *response) {
		names := x.inv.args[2:]
		switch {
		case x.inv.long == nil:
			x.array(2 * len(names))
		case x.inv.piece == 0:
			x.array(2 * x.inv.long.names)
		}
		for _, name := range names {
			x.bulk(name)
			x.integer(int64(x.view.NumSubscriptions(k, name)))
		}
	}
}

func pubsubNumpat(x *response) { x.integer(int64(x.view.Stats().Patterns)) }
