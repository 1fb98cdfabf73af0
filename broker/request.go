package broker

// Op says what a request asks the core to do.
type Op uint8

// The operations. The zero value is Reply: the core does nothing of its own and lets the connection reply.
const (
	Reply       Op = iota // the connection answers at this instant; the core only lends it a View
	Publish               // queue each of Payloads to whoever is subscribed to Names[0]
	Subscribe             // add one subscription for each name
	Unsubscribe           // drop the named subscriptions, or all of this Kind and Form when there are no names
	Leave                 // the connection is going: drop everything it holds. Comes again while it is Unfinished; idempotent
	Evict                 // somebody outside the core finds that the subscriber must go
	Reset                 // drop everything the subscriber holds, without a word for each; the connection answers once
	Exec                  // apply what the connection has kept back, as one instant: see Conn.BeginExec
)

// Kind tells the name spaces of subscriptions apart.
type Kind uint8

// The kinds of subscription.
const (
	Topic   Kind = iota // matches the topic of that very name
	Pattern             // matches every topic that the glob matches, see Match
	Shard               // a name space of its own, reached only by a Publish of this kind; patterns do not see it
	kinds
)

// Form is how a subscription wants its messages written. The core does not know what a form means; it only keeps
// apart what was subscribed in different forms: they are different subscriptions with counts of their own.
type Form uint8

// Forms is how many forms there are room for: valid values are 0 to Forms-1.
const Forms = 2

// Request is one thing asked of the core. Its byte slices belong to the submitter and are valid until the batch that
// holds it is handed back by [Conn.Applied]; the core copies what it keeps.
type Request struct {
	Op       Op
	Kind     Kind
	Form     Form
	Names    [][]byte // topics or patterns; one for Publish, any number for Subscribe and Unsubscribe
	Payloads [][]byte // for Publish: a run of messages, one or more, each with an instant of its own
	Tag      any      // the connection's note of what asked for this, handed back untouched

	Filters         []Filter    // for Subscribe: Filters[i] is that of Names[i]; nil if there are none
	IncludeFiltered bool        // for Unsubscribe: a name that is a topic or a glob stands for all subscriptions to it, whatever their predicates
	Asked           []Predicate // for Publish: the predicates that Verdicts are of, in the core's order. Nobody changes what is in it
	Verdicts        []Verdict   // for Publish of one message: what they say of it; empty if they have not been asked
	Stale           bool        // the core's, in Conn.Published: some of Asked are on the topic no more

	Unfinished bool // the core's, in Conn.Applied, for Leave, Reset and an Unsubscribe of all: there was more than one request may do
}

// ends reports whether the request is one that a subscriber is to end by.
func (r *Request) ends() bool { return r.Op == Leave || r.Op == Evict }

// Batch is what one submitter asks for at once, in order: typically all commands of one socket read. The core owns it
// from Submit until Conn.Applied.
type Batch struct {
	From     *Subscriber
	Requests []Request
	Tag      any      // the submitter's own, handed back untouched
	parking  parking  // the core's
	behind   []*Batch // the core's: what came from the same subscriber while this one was on its way back
}

// Message is a publish on its way to its receivers: one message, or a run of messages that followed each other to the
// same topic. It is the core's, and valid only during [Conn.Deliver].
type Message struct {
	Sequence  uint64 // the place of the first in the one order, counted from 1; the others follow it
	Topic     []byte
	Payloads  [][]byte
	Receivers int // how many subscriptions it is being queued to
	Tag       any // of the request that publishes it
}
