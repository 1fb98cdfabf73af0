package client

// Event is what a Subscription hands out, in one order: *Message, *Missed, *Disconnected or *Reconnected; and from
// InOrder also *Late. Events are the caller's to keep and to change.
type Event interface{ event() }

// Message is one message.
type Message struct {
	Topic   string
	Pattern string // the name by which it came (see Name.String), if that is a pattern or has a predicate
	Payload []byte

	// Sequence is the message's place in the one order, over all topics; 0 without numbers. Those of one subscription rise
	// and have holes, where other topics had messages. They begin anew with each Epoch, which is that of the server's
	// start: the two together name a message.
	Sequence uint64
	// Previous is the number of the message that was owed to this name before, delivered or dropped; 0 if there was none
	// on this connection.
	Previous uint64
	Epoch    string

	from *Subscription
}

// Missed says that messages of a name are missing here: the server has dropped them, because they were read too slowly
// and the connection or the server is set to drop.
type Missed struct {
	Name  string // as Name.String has it
	Count int    // how many; 0 if that was not told, and at least one
	// After and Before are numbers between which the missing messages lie, where that is known: After is that of the
	// last message of this name, Before that of the next one.
	After, Before uint64

	from *Subscription
}

// Disconnected says that the connection is lost, and why. What is published from here on to the Reconnected is missed.
type Disconnected struct{ Err error }

// Reconnected says that everything is subscribed to again, and between which numbers something may have been missed.
type Reconnected struct {
	Err error // why the connection before ended
	// Epoch is that of the server now, and SameEpoch tells whether it was the same before. If it was not, the server was
	// started anew (or is another one), and the numbers have nothing to do with each other: then up to Before and all
	// that came after After may have been missed.
	Epoch     string
	SameEpoch bool
	// After is the last number up to which nothing was missed by losing the connection; Before the broker's number when
	// everything was subscribed again. What was missed, if anything, has a number with After < number <= Before. When
	// they are equal nothing was missed at all. Both are 0 without numbers.
	After, Before uint64
}

// Late is a message that InOrder could not bring into its order: one with a larger number was handed out before.
type Late struct {
	Message *Message
	After   uint64 // the number that was handed out
}

func (*Message) event()      {}
func (*Missed) event()       {}
func (*Disconnected) event() {}
func (*Reconnected) event()  {}
func (*Late) event()         {}
