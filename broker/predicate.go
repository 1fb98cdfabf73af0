package broker

// Predicate is a condition that a subscription puts on messages. What it says the core does not know: whoever publishes
// asks it, and the core takes the verdicts. Equal values (==), such as the same pointer, are the same predicate.
type Predicate any

// Filter is the part of a subscription's name that is not its topic.
type Filter struct {
	Predicate Predicate // nil: there is none, and all of the name is the topic
	TopicLen  int       // how many bytes of the name are the topic, or the glob
	Cost      int       // what it costs, in a measure that the core does not know: see [Subscriber.FilterCost]
}

// Verdict is what a predicate says of a message.
type Verdict uint8

// The verdicts.
const (
	No         Verdict = iota
	Yes                // the message is for whoever asked so
	Unreadable         // it is not, because it lacks what the predicate reads
)
