package client

// Event is one item of a Subscription, in one order: *Message, *Missed, *Disconnected, *Resumed, *Reconnected or
// *NamesChanged; InOrder adds *Late. The caller may keep and change events.
type Event interface{ event() }

// Message is one message.
type Message struct {
	Topic   string
	Pattern string // the name that matched (see Name.String), if it is a pattern or has a predicate
	Payload []byte

	// Sequence is the position of the message in the server's order over all topics; 0 without sequence numbers. Within
	// a subscription it ascends, with gaps for messages of other topics; behind a Resumed, or with positions, this may
	// hold for each name alone. It starts again with each Epoch, which is new for each start of the server: both
	// together identify a message.
	Sequence uint64
	// Previous is the sequence of the message that this name was owed before, delivered or dropped; 0 if there was none
	// on this connection.
	Previous uint64
	Epoch    string

	from *Subscription
}

// Missed reports that messages of a name are missing here. The server dropped them because they were read too slowly, or
// the subscription starts in the past and the server no longer keeps them. If the connection then breaks, and another node
// of a cluster still keeps them, they come all the same.
type Missed struct {
	Name  string // as returned by Name.String
	Count int    // 0 if unknown; then at least one
	// After and Before enclose the missing messages, where known: the sequence of the last message of this name and
	// that of the next one.
	After, Before uint64

	from *Subscription
}

// Disconnected reports the loss of the connection. Messages published from here on follow behind a Resumed, and may be
// missed before a Reconnected.
type Disconnected struct{ Err error }

// Resumed reports that all names are subscribed again from where the lost connection broke off. All messages behind After
// follow, each once, unless a Missed reports that the server no longer keeps them.
type Resumed struct {
	Err error // why the connection before it ended
	// Epoch is another one if the server was restarted, and its sequence has gone on.
	Epoch string
	After uint64
}

// Reconnected reports that all names are subscribed again, and the range of messages that may have been missed. It comes
// in place of Resumed if the server keeps no messages, is in an epoch that does not go on from the one before, or has no
// sequence numbers, and if a name goes on where a group stands.
type Reconnected struct {
	Err error // why the connection before it ended
	// Epoch is the current epoch of the server, and SameEpoch reports whether it is unchanged. If it is not, the server
	// was restarted or is another one, and sequence numbers before and after are unrelated. All messages after After,
	// and those up to Before, may then have been missed. What the server keeps of the new epoch follows.
	Epoch     string
	SameEpoch bool
	// After is the last sequence up to which the lost connection missed nothing. Before is the server's sequence when
	// all names were subscribed again. Missed messages have After < Sequence <= Before; if both are equal, nothing was
	// missed. Both are 0 without sequence numbers.
	After, Before uint64
}

// NamesChanged reports that Subscription.Add or Remove has taken effect here. Every message for an added name follows;
// some may come just before, if several names were added at once. No message for a removed name follows.
type NamesChanged struct {
	Added, Removed []Name

	from *Subscription
}

// Late is a message that InOrder received after it had yielded one with a larger sequence.
type Late struct {
	Message *Message
	After   uint64 // the largest sequence yielded before
}

func (*Message) event()      {}
func (*Missed) event()       {}
func (*Disconnected) event() {}
func (*Resumed) event()      {}
func (*Reconnected) event()  {}
func (*NamesChanged) event() {}
func (*Late) event()         {}
