package server

import "github.com/conchmq/conch/broker"

// pubsubNames lists the topics, or the shards, that somebody subscribes to by name, in whichever dialect.
func pubsubNames(k broker.Kind) func(*exchange) {
	return func(x *exchange) {
		if len(x.call.args) > 3 {
			x.wrongSubcommandArity()
			return
		}
		all, g := len(x.call.args) == 2, newGlob(globOf(x.call.args[2:]))
		var names []string
		for name := range x.view.Names(k) {
			if all || g.matches(name) {
				names = append(names, name)
			}
		}
		if err := g.err(); err != nil {
			x.fail(err)
			return
		}
		x.array(len(names))
		for _, name := range names {
			x.text(name)
		}
	}
}

// pubsubCounts counts the subscriptions of topics, or of shards; patterns are not counted. An array in RESP3 too.
func pubsubCounts(k broker.Kind) func(*exchange) {
	return func(x *exchange) {
		names := x.call.args[2:]
		switch {
		case x.call.long == nil:
			x.array(2 * len(names))
		case x.call.piece == 0:
			x.array(2 * x.call.long.names)
		}
		for _, name := range names {
			x.bulk(name)
			x.integer(int64(x.view.Members(k, name)))
		}
	}
}

func pubsubNumpat(x *exchange) { x.integer(int64(x.view.Counts().Patterns)) }
