package broker

// Predicate is a condition of a subscription on messages. Its publishers evaluate it, and the core never does. Equal
// values (==), such as the same pointer, are the same predicate.
type Predicate interface {
	// Match evaluates the predicate. The publisher decodes a message once, for all predicates; what it makes of it is between
	// it and them. Several goroutines may call Match at once.
	Match(decoded any) Verdict
}

// Filter is the part of a subscription's name that follows its topic. The zero value is none: the whole name is the topic.
type Filter struct {
	Predicate Predicate // nil: there is none
	TopicLen  int       // bytes of the name that are the topic, or the glob
	Cost      int       // memory, in a unit of the connection's choice: see [Subscriber.FilterCost]
	Start     any       // not nil: the subscription starts in the past, and joins later: see [Replayer.Deferred], which gets it
}

// Verdict is the value of a predicate for a message.
type Verdict uint8

// The verdicts.
const (
	No         Verdict = iota
	Yes                // the message matches
	Unreadable         // it does not, because it lacks a field that the predicate reads
)

// Judgement is the verdict of one predicate on one name. It holds for a message whatever else changes: see Candidate.
type Judgement struct {
	set     *predicateSet
	verdict Verdict
}
