package server

import "github.com/conchmq/conch/broker"

// pubsubNames lists the topics, or the shards, that somebody subscribes to by name, in whichever dialect.
func pubsubNames(k broker.Kind) func(*exchange) {
	return func(x *exchange) {
		if len(x.call.args) > 3 {
			x.wrongSubcommandArity()
			return
		}
		all, glob := len(x.call.args) == 2, ""
		if !all {
			glob = string(x.call.args[2])
		}
		var names []string
		for name := range x.view.Names(k) {
			if all || broker.Match(glob, []byte(name)) {
				names = append(names, name)
			}
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
		x.array(2 * len(names))
		for _, name := range names {
			x.bulk(name)
			x.integer(int64(x.view.Members(k, name)))
		}
	}
}

func pubsubNumpat(x *exchange) { x.integer(int64(x.view.Counts().Patterns)) }
