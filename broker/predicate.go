package broker

// Predicate is a condition that a subscription puts on messages. What it says the core does not know: whoever publishes
// asks it, and the core takes the verdicts. Equal values (==), such as the same pointer, are the same predicate.
type Predicate any

// Condition is the part of a subscription's name that is not its topic.
type Condition struct {
	Predicate Predicate // nil: there is none, and all of the name is the topic
	Topic     int       // how many bytes of the name are the topic, or the glob
	Weight    int       // what it costs, in a measure that the core does not know: see [Subscriber.Weight]
}

// Verdict is what a predicate says of a message.
type Verdict uint8

// The verdicts.
const (
	No         Verdict = iota
	Yes                // the message is for whoever asked so
	Unreadable         // it is not, because it lacks what the predicate reads
)
