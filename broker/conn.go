package broker

// EndReason is the reason for the end of a subscriber.
type EndReason uint8

// The two reasons.
const (
	Left    EndReason = iota // a Leave request; all that was queued before stays queued
	Evicted                  // its outbox overflowed, or an Evict request named it
)

// Conn is the connection behind a subscriber. The core calls its methods and no others, always on the core's goroutine and
// in the one order. None may block, and none may call back into the Broker. A Conn with few duties embeds [NopConn].
type Conn interface {
	Admission
	Transactor
	Replayer

	// Published replies to that many messages of a Publish, one after the other, the first of m on: all of a run, or one at a
	// time.
	Published(r *Request, messages int, m *Message)
	// Subscribed confirms one name of a Subscribe. count is what the subscriber now holds in this form.
	Subscribed(r *Request, name []byte, count int)
	// Unsubscribed confirms one name of an Unsubscribe, held or not. An Unsubscribe of all that finds none held is
	// confirmed once, with a nil name.
	Unsubscribed(r *Request, name []byte, count int)
	// Reply is the instant of a Reply request, and of a Reset when nothing is held any more.
	Reply(r *Request, v View)
	// Deliver queues m, all messages of it, for the subscription s. True means that the outbox was over its limit
	// already: the core evicts the subscriber before the next request, and m is lost with all that is queued.
	// A connection that drops messages instead returns false and counts them itself. Deliver may come after Ended, while
	// an evicted subscriber has yet to leave some of its names: the connection counts such messages as lost.
	Deliver(m *Message, s *Subscription) (over bool)
	// Applied hands a batch back: the core will not read it, nor its bytes, again.
	Applied(b *Batch)
	// Flush ends a round: the connection may now write what was queued since the last Flush. It never comes without cause.
	Flush()
	// Ended means that nothing more of the subscriber takes effect. Later calls are only Applied, for batches that
	// were on their way, the Flush that follows, and Deliver, after an eviction. tag is that of the Evict request, nil if
	// there was none.
	Ended(reason EndReason, tag any)
}

// Admission decides which requests of a connection take effect.
type Admission interface {
	// Admit comes before each request but Leave and Evict, which cannot be refused. A connection that returns false
	// has replied to the request itself, with a refusal.
	Admit(r *Request) bool
	// AcceptsRun comes before Admit for a Publish of several messages. True admits them together. Otherwise it returns a
	// request for each, which the core applies instead, with an Admit for each: a refusal holds for one message.
	AcceptsRun(r *Request) (parts []Request, whole bool)
}

// Transactor holds the queued requests of a transaction until its Exec.
type Transactor interface {
	// BeginExec is the instant of an Exec request: it returns the requests to apply now, with none of another connection
	// between them. None means that the connection has replied by itself.
	BeginExec(r *Request, v View) []Request
	// EndExec ends an Exec that had requests.
	EndExec(r *Request, v View)
}

// Replayer gives subscriptions that start in the past what was published before they join: see [View.Join].
type Replayer interface {
	// Deferred comes before the confirmation of a subscription that starts in the past. start is the Start of its filter,
	// last the number of the last message published before that instant. False joins it now: it has missed nothing, or
	// nothing can be done about it.
	Deferred(s *Subscription, start any, last uint64, v View) (later bool)
	// Dropped ends a subscription that has not joined, before the confirmation of that. It may come after Ended.
	Dropped(s *Subscription)
}

// NopConn is a Conn that admits everything and ignores all else. A participant without subscriptions embeds it and
// implements two methods: Applied, and Published or Reply, whichever its requests lead to.
type NopConn struct{}

var _ Conn = NopConn{}

// Admit admits every request.
func (NopConn) Admit(*Request) bool { return true }

// AcceptsRun admits every run.
func (NopConn) AcceptsRun(*Request) (parts []Request, whole bool) { return nil, true }

// BeginExec returns no requests.
func (NopConn) BeginExec(*Request, View) []Request { return nil }

// EndExec does nothing.
func (NopConn) EndExec(*Request, View) {}

// Deferred joins the subscription.
func (NopConn) Deferred(*Subscription, any, uint64, View) (later bool) { return false }

// Dropped does nothing.
func (NopConn) Dropped(*Subscription) {}

// Published does nothing.
func (NopConn) Published(*Request, int, *Message) {}

// Subscribed does nothing.
func (NopConn) Subscribed(*Request, []byte, int) {}

// Unsubscribed does nothing.
func (NopConn) Unsubscribed(*Request, []byte, int) {}

// Reply does nothing.
func (NopConn) Reply(*Request, View) {}

// Deliver drops the message.
func (NopConn) Deliver(*Message, *Subscription) (over bool) { return false }

// Applied does nothing.
func (NopConn) Applied(*Batch) {}

// Flush does nothing.
func (NopConn) Flush() {}

// Ended does nothing.
func (NopConn) Ended(EndReason, any) {}
