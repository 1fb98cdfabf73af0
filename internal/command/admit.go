package command

import (
	"github.com/conchmq/conch/broker"
	"github.com/conchmq/conch/protocol"
)

// Admit implements [broker.Conn]: it refuses a command, queues it for EXEC, or lets it run.
//
// Unknown commands and wrong arguments get their own errors first, as in Redis. A RESP2
// subscriber may send few commands, because a reply could be taken for a message. Lines have no
// such limit: a reply in a line never looks like a message.
func (e *executor) Admit(r *broker.Request) bool {
	inv, stats := r.Tag.(*invocation), &e.service.stats
	stats.begin(e)
	switch {
	case e.isReplica && !inv.ordered: // it was of a connection that is gone
		return false
	case inv.handler == takeHandler: // it is not ordered if its proposal was given up
		return inv.ordered
	case e.inExec():
		return e.admitQueued(r, inv)
	case r.Waited: // it was admitted, but for rights that may have changed since
		return e.unrestricted || !e.rejectsUnauthorized(inv)
	}
	// Later pieces of a long command change nothing here.
	if inv.piece == 0 {
		e.recordCommand(inv)
	}
	switch {
	case !e.admitPiece(inv):
		return false
	case inv.unjudged:
		e.reject(inv, noAuth(inv))
		return false
	case inv.err != nil:
		e.logMissingCommand(inv)
		e.reject(inv, inv.err)
		return false
	case inv.ordered:
		return e.admitOrdered(r, inv)
	case !e.unrestricted && e.rejectsUnauthorized(inv):
		return false
	case r.Op == broker.Subscribe && e.overMaxSubscriptions(r):
		e.reject(inv, e.errTooManySubscriptions())
		return false
	case inv.predicates != nil && e.rejectsPredicates(r, inv):
		return false
	// A line runs inside MULTI too: only RESP commands are queued.
	case inv.dialect == protocol.Line:
	case !inv.row.AllowedSubscribed && e.version == protocol.RESP2 && e.hasSubscriptions(formRESP):
		e.reject(inv, protocol.ErrSubscribed(inv.row.FullName()))
		return false
	case e.txn != nil && inv.row.NoMulti:
		e.reject(inv, protocol.Errorf("%s is not possible inside a transaction", inv.row.Name))
		return false
	case e.txn != nil && !inv.row.RunsInMulti:
		e.enqueue(r)
		return false
	}
	if e.rejectsStale(inv) || e.rejectsUnordered(inv) || e.rejectsDurable(r, inv) {
		return false
	}
	// Monitors and INFO see only commands that run, and a KEYS in steps once.
	if inv.piece == 0 || inv.long == nil || inv.long.search == nil {
		e.feedMonitors(r, inv)
	}
	if inv.piece == 0 {
		stats.called(inv.row, max(1, len(r.Payloads)))
	}
	return true
}

// admitOrdered admits a command in the order of all nodes. All of them must come to the same verdict, so it is that of the user's rights
// and of what all share; the connection has had its say before the command was proposed.
func (e *executor) admitOrdered(r *broker.Request, inv *invocation) bool {
	entry := &e.service.streams.entry
	if err := e.authorizeOrdered(inv); err != nil {
		entry.refused++
		e.reject(inv, err)
		return false
	}
	if e.rejectsDurable(r, inv) {
		entry.refused++
		return false
	}
	if r.Op == broker.Reply && inv.handler.keys == usesNone && inv.setsUsers() {
		entry.usersSet = true
	}
	if e.isReplica {
		return true
	}
	e.feedMonitors(r, inv)
	if inv.piece == 0 {
		e.service.stats.called(inv.row, max(1, len(r.Payloads)))
	}
	return true
}

// rejectsStale replies with an error if the connection is one of a connector that another node runs by now.
func (e *executor) rejectsStale(inv *invocation) bool {
	stale := e.isStale()
	if stale {
		e.reject(inv, protocol.Errorf("%s", errNotHolder))
	}
	return stale
}

// rejectsUnordered replies with an error if a command would change on this node alone what all nodes share. The connection has changed
// since its reader looked: its next command is ordered.
func (e *executor) rejectsUnordered(inv *invocation) bool {
	if e.service.options.Order == nil || inv.ordered || !inv.sharesState() {
		return false
	}
	e.reject(inv, errChanged)
	return true
}

var errChanged = protocol.Errorf("the command did not take effect, because the connection has just changed; send it again")

// AcceptsRun implements [broker.Conn]. A run is split where each of its commands is refused,
// replied to, queued, or shown to monitors on its own.
func (e *executor) AcceptsRun(r *broker.Request) (parts []broker.Request, whole bool) {
	inv := r.Tag.(*invocation)
	if !inv.unjudged && inv.err == nil && e.mayRun(inv) && e.txn == nil && !e.replyMode.skipNext && len(e.service.monitors) == 0 &&
		(e.version == protocol.RESP3 || !e.hasSubscriptions(formRESP)) && e.durableError(r) == nil {
		return nil, true
	}
	return splitRun(r), false
}

// mayRun is mayPublish, in a cluster too.
func (e *executor) mayRun(inv *invocation) bool {
	if inv.ordered {
		return e.authorizeOrdered(inv) == nil
	}
	return e.mayPublish(inv)
}

// overMaxSubscriptions reports whether a command would exceed MaxSubscriptions. Names already
// held do not count. So a client library can repeat all its subscriptions at the limit.
func (e *executor) overMaxSubscriptions(r *broker.Request) bool {
	room := e.service.options.MaxSubscriptions - e.sub.NumSubscriptions()
	if len(r.Names) <= room {
		return false
	}
	// This is rare: only a command that might exceed the limit looks its names up.
	for _, name := range r.Names {
		if !e.sub.Holds(r.Kind, r.Form, name) {
			room--
		}
	}
	return room < 0
}

func (e *executor) errTooManySubscriptions() *protocol.Error {
	return protocol.Errorf("more than %d subscriptions on one connection (--max-subscriptions)", e.service.options.MaxSubscriptions)
}

// rejectsPredicates replies with an error if the predicates of a subscription are not possible
// here.
func (e *executor) rejectsPredicates(r *broker.Request, inv *invocation) bool {
	err := e.checkPredicates(r, inv)
	if err == nil {
		err = e.checkTake(r, inv)
	}
	if err != nil {
		e.reject(inv, err)
	}
	return err != nil
}

// rejectsUnauthorized replies with an error if the user may not run a command.
func (e *executor) rejectsUnauthorized(inv *invocation) bool {
	err := e.authorize(inv)
	if err != nil {
		e.reject(inv, err)
	}
	return err != nil
}

// recordCommand keeps how the client writes its commands: close notices and replies follow it.
func (e *executor) recordCommand(inv *invocation) {
	if inv.dialect != protocol.RESP {
		e.crlf = inv.crlf
	}
	// An inline PING between lines changes nothing.
	e.speaksLines = inv.dialect == protocol.Line || e.speaksLines && inv.dialect == protocol.Inline
	e.last = inv.row
	if e.presented != nil {
		e.presented.requestID = inv.id
	}
	e.replyMode.skip, e.replyMode.skipNext = e.replyMode.skipNext, false
}

// hasSubscriptions reports whether the connection has subscriptions of a form.
func (e *executor) hasSubscriptions(f broker.Form) bool {
	return e.sub.Count(f, broker.Topic)+e.sub.Count(f, broker.Shard) > 0
}
