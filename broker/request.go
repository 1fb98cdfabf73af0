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

// EndReason says why the core is done with a subscriber.
type EndReason uint8

// The two endings.
const (
	Left    EndReason = iota // it asked to leave; all that was queued before stays queued
	Evicted                  // its outbox overflowed, or an Evict request named it
)

// Conn is who stands behind a subscriber: a connection. The core speaks to it only by these methods, always from the
// core's goroutine and in the one order. None may block, and none may call back into the Broker.
type Conn interface {
	// Admit is asked before each request but Leave and Evict, which nobody may refuse. A connection that returns false has answered the request itself, with a refusal.
	Admit(r *Request) bool
	// AcceptsRun is asked before Admit about a Publish of several messages: true says that nothing about this connection wants them
	// one by one. Otherwise it returns a request for each, which the core applies in its place, and Admit is asked about
	// those: what is refused or kept back is so message by message.
	AcceptsRun(r *Request) (parts []Request, whole bool)
	// Takes tells whether Admit would let a Publish or an Exec through, without a trace of having been asked.
	Takes(r *Request) bool
	// Returned hands back a batch that the core cannot go on with: its first request, and perhaps others, have no verdict
	// on what they were Asked. The connection works them out, on another goroutine, and submits the batch again. It may put
	// other requests into it that amount to the same, as it must for a run: one for each message; or a Leave, if it gives
	// up. Nothing else from the same subscriber takes effect before that but an Evict. The batch must come again, even if
	// the subscriber has ended.
	Returned(b *Batch)
	// Kept are the requests that BeginExec would return, so that those that publish can be asked for verdicts.
	Kept(r *Request) []Request
	// Published answers that many messages of a Publish, one after the other: first is the place of the first in the one
	// order, as in Message, and receivers the number of subscriptions that each of them is being queued to.
	Published(r *Request, messages int, first uint64, receivers int)
	// Subscribed confirms one name of a Subscribe. count is what the subscriber now holds in this form.
	Subscribed(r *Request, name []byte, count int)
	// Unsubscribed confirms one name of an Unsubscribe, held or not. name is nil when all were to be left and there
	// were none; it is called once then.
	Unsubscribed(r *Request, name []byte, count int)
	// Reply is the instant of a Reply request, and of a Reset when nothing is held any more.
	Reply(r *Request, v View)
	// BeginExec is the instant of an Exec request: it returns the requests to apply now, which nobody else's come between.
	// None means that the connection has answered by itself.
	BeginExec(r *Request) []Request
	// EndExec ends an Exec that had requests.
	EndExec(r *Request)
	// Deliver queues m, all messages of it, for the subscription s. True means that the outbox was over its limit
	// already: the core evicts the subscriber before it takes the next request, and m is lost with all that waits for it.
	// A connection that would rather lose messages returns false; that is its own account. It may be called after Ended, as long
	// as a subscriber that was evicted has yet to leave some of its names: the connection counts such messages as lost.
	Deliver(m *Message, s *Subscription) (over bool)
	// Applied hands a batch back: the core will not read it, nor its bytes, again.
	Applied(b *Batch)
	// Flush ends a round: what was queued since the last Flush may be written now. Never called without cause.
	Flush()
	// Ended says that nothing more of the subscriber takes effect. Of later calls there are only Applied, for batches that
	// were on their way, the Flush that follows, and Deliver, for one that was evicted. call is that of the Evict request, nil if
	// there was none.
	Ended(e EndReason, call any)
}
