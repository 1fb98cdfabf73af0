package broker

// Op is the operation of a request.
type Op uint8

// The operations. The zero value is Reply, in which the core only gives the connection its turn.
const (
	Reply       Op = iota // the connection replies at this instant, from a View of the core
	Publish               // queue each of Payloads to the subscriptions that match Names[0]
	Subscribe             // add one subscription for each name
	Unsubscribe           // drop the named subscriptions, or all of this Kind and Form when there are no names
	Leave                 // the connection closes: drop all that it holds. Submitted again while it is Unfinished; idempotent
	Evict                 // end the subscriber, for a reason found outside the core
	Reset                 // drop all that the subscriber holds, with one reply and no confirmations
	Exec                  // apply the queued requests of a transaction, as one instant: see Transactor.BeginExec
)

// Kind is the name space of a subscription.
type Kind uint8

// The kinds of subscription.
const (
	Topic   Kind = iota // matches the topic of that very name
	Pattern             // matches every topic that the glob matches, see Match
	Shard               // a name space of its own, reached only by a Publish of this kind; patterns do not see it
	kinds
)

// Form is the form in which a subscription gets its messages. The core does not know what a form means: it only keeps
// subscriptions of different forms apart, with counts of their own.
type Form uint8

// Forms is the number of forms: valid values are 0 to Forms-1.
const Forms = 2

// Request is one operation for the core. Its byte slices belong to the submitter and stay valid until [Conn.Applied] hands
// the batch back; the core copies what it keeps.
type Request struct {
	Op       Op
	Kind     Kind
	Form     Form
	Names    [][]byte // topics or patterns; one for Publish, any number for Subscribe and Unsubscribe
	Payloads [][]byte // for Publish: a run of messages, one or more, each with an instant of its own
	Tag      any      // the connection's own, handed back untouched

	Filters         []Filter    // for Subscribe: Filters[i] is that of Names[i]; nil if there are none
	Waited          bool        // set by the core, for Conn.Admit: the Subscribe was admitted, and has waited since
	IncludeFiltered bool        // for Unsubscribe: a name drops the subscriptions with a Filter to that topic or glob as well
	Judgements      []Judgement // for Publish of one message, and for View.Deliver: the verdicts other than No of all that Finder.Find returns

	Unfinished bool // set by the core, for Conn.Applied, in Leave, Reset and an Unsubscribe of all: the rest needs another request
}

// ends reports whether the request takes effect for a subscriber that is leaving.
func (r *Request) ends() bool { return r.Op == Leave || r.Op == Evict }

// Batch holds the requests that one submitter submits together, in order: typically all commands of one socket read. The
// core owns it from Submit until Conn.Applied.
//
// A Subscribe with a predicate may have to wait. It is the last of its batch, and nothing is submitted behind it until that is
// applied, but a Leave or an Evict: either ends the wait.
type Batch struct {
	From     *Subscriber
	Requests []Request
	// Version is that of the index by which all publishes in it were judged, those of a transaction too. A run of several
	// messages must reach no predicate there: it comes as single messages otherwise. See Broker.OnIndex.
	Version uint64
	Tag     any // the submitter's own, handed back untouched
	// Instead takes the requests over that From can no longer take, because it has left or was evicted: in a cluster they have their place
	// in the order already. Nil drops them.
	Instead *Subscriber
	unused  uint64               // if it is a call of Broker.Unused, the version
	keep    func(View, *Message) // if it is a call of Broker.OnPublish, its argument
	waiting int                  // its index in the batches that wait
}

// Message is a publish in delivery: one message, or a run of successive messages to the same topic. It is the core's, and
// valid only during [Conn.Deliver].
type Message struct {
	Sequence  uint64 // of the first, counted from 1; the others follow it
	Topic     []byte
	Payloads  [][]byte
	Receivers int  // subscriptions that each message is being queued to
	Named     bool // there are subscriptions to the topic by its name, joined or not
	Tag       any  // of its request
	// Headers are for the connections of receivers: what an entry has besides its payload. Nil for nearly all messages.
	Headers any
	// Barrier is what the reply and the deliveries wait for, as the function of OnPublish has set it; 0 for nothing.
	Barrier uint64
}
