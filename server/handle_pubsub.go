package server

import "github.com/conchmq/conch/broker"

// pubsubChannels lists topics that somebody subscribes to by name, in whichever dialect.
func pubsubChannels(x *exchange) {
	if len(x.call.args) > 3 {
		x.wrongSubcommandArity()
		return
	}
	var names []string
	for name := range x.view.Topics() {
		if len(x.call.args) == 2 || broker.Match(string(x.call.args[2]), []byte(name)) {
			names = append(names, name)
		}
	}
	x.array(len(names))
	for _, name := range names {
		x.text(name)
	}
}

// pubsubNumsub counts the subscriptions of topics; patterns are not counted.
func pubsubNumsub(x *exchange) {
	topics := x.call.args[2:]
	x.array(2 * len(topics))
	for _, topic := range topics {
		x.bulk(topic)
		x.integer(int64(x.view.Members(topic)))
	}
}

func pubsubNumpat(x *exchange) { x.integer(int64(x.view.Counts().Patterns)) }
