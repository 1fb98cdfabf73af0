package command

import (
	"github.com/rs/zerolog"

	"github.com/conchmq/conch/broker"
	"github.com/conchmq/conch/internal/filter"
	"github.com/conchmq/conch/protocol"
)

// Parsing is what a reader's stack is deepest for. A goroutine starts with 2 KiB of it, gets 4 when that is too little,
// and never gives them back: that would be a third of what an idle connection costs. So commands are put together where
// they stay, in the batch, and what is rare is in functions of its own. TestAnIdleConnectionKeepsASmallStack watches.

// parse fills b.calls from b.data. It stops early at a command whose answer may be much larger than itself: those are
// taken one at a time, so that what a peer can make us queue before we look at its outbox again stays small. And it stops
// after maxCalls: a command of two bytes becomes a hundred times as many here, and everybody waits for a batch.
func (r *Reader) parse(b *Batch) CloseReason {
	r.lastReadAt.Store(r.service.clock.Load())
	r.sync = false
	r.parser.SetUnauthenticated(r.unauthenticated())
	for others := 0; b.used < len(b.data) && !r.sync && len(b.calls) < maxCalls && others < maxOthers; others++ {
		n, ok, err := r.parser.Next(&b.command, b.data[b.used:], freeTail(&b.args))
		if ok {
			b.args = extended(b.args, b.command.Args)
		}
		if err != nil {
			b.used = len(b.data)
			inv, _ := b.add()
			inv.handler, inv.err = replyError, err
			return CloseReasonProtocol
		}
		if !ok {
			b.used += n
			return CloseReasonNone
		}
		if b.command.LooksLikeHTTP() {
			b.used = len(b.data)
			return CloseReasonHTTP
		}
		inv, req := b.add()
		r.check(inv, req, &b.command)
		inv.buf = b.buf
		if r.joinsRuns(inv) {
			b.findRuns(inv, req, n, &r.service.options.Limits)
			others--
			continue
		}
		b.used += n
		if inv.handler == replyQuit {
			b.used = len(b.data) // what was sent behind it is not ours any more, as in Redis
			return CloseReasonQuit
		}
		r.sync = inv.row != nil && (inv.row.LargeReply || inv.row.Costly || inv.row.Sync || inv.leavesAll())
		if inv.isLong() {
			break
		}
	}
	r.moreBuffered = b.used < len(b.data)
	return CloseReasonNone
}

// maxCalls bounds a batch, which ends behind so many commands or runs of publishes. A read of 16 KiB has some 160 publishes
// of 64 bytes, to whatever topics: to cut that in pieces took a quarter of the throughput. Of other commands there are
// fewer, maxOthers: with 256 a PING among 50 clients that flood two-byte commands took twice as long.
const maxCalls, maxOthers = 256, 64

// check makes inv, and the request that goes with it, of a command: it looks it up and checks what can be checked
// without the core. Both are empty before.
func (r *Reader) check(inv *invocation, req *broker.Request, cmd *protocol.Command) {
	inv.row, inv.err = cmd.Resolve() // which may put arguments together
	inv.dialect, inv.crlf, inv.args = cmd.Dialect, cmd.CRLF, cmd.Args
	if inv.err == nil {
		inv.handler = handlerByIndex[inv.row.Index()]
		if inv.handler.op == broker.Subscribe && r.unauthenticated() && mayHavePredicate(inv.topics()) {
			inv.err = r.unauthenticatedPredicate(inv)
		}
	}
	if inv.err == nil {
		inv.err = r.checkTopics(inv)
	}
	if inv.err == nil && inv.handler.op == broker.Subscribe && mayHavePredicate(inv.topics()) {
		inv.err = r.parsePredicates(inv)
	}
	switch {
	case inv.err != nil:
		inv.handler = replyError
	case inv.row.HasSecrets:
		r.hashSecrets(inv.row, inv.args)
	}
	req.Op, req.Kind, req.Names, req.Filters = inv.handler.op, inv.handler.kind, inv.topics(), inv.predicates
	if inv.dialect == protocol.Line {
		req.Form = formLine
	}
	req.IncludeFiltered = req.Op == broker.Unsubscribe && inv.row.Syntax == protocol.ArgsNames
	if req.Op == broker.Publish {
		req.Payloads = inv.args[2:3]
	}
	if r.traced() {
		r.trace(inv)
	}
}

// joinsRuns tells whether publishes like inv that follow it are to be taken together. At trace each command is logged.
func (r *Reader) joinsRuns(inv *invocation) bool {
	if inv.handler.op != broker.Publish || r.traced() {
		return false
	}
	return inv.dialect == protocol.Line || inv.dialect == protocol.RESP && inv.row.Syntax == protocol.ArgsInline
}

func (r *Reader) traced() bool {
	return zerolog.GlobalLevel() <= zerolog.TraceLevel && r.service.options.Log.GetLevel() <= zerolog.TraceLevel
}

// trace writes one line for a command.
func (r *Reader) trace(inv *invocation) {
	e := r.Log(zerolog.TraceLevel).Bytes("command", showArgs(redactedArgs(inv.row, inv.args)))
	if inv.err != nil { // its text may quote the arguments, which are not for everybody
		e = e.Str("error", string(inv.err.Code))
	}
	e.Send()
}

// maxLargeArgs bounds the arguments of commands whose answers may be large: some answer each argument at length, and
// the core makes the whole answer while everybody waits.
const maxLargeArgs = 1024

// checkTopics holds topics, and what is matched against many of them, to their limit.
func (r *Reader) checkTopics(inv *invocation) *protocol.Error {
	names := inv.topics()
	if inv.row.LargeReply {
		names = inv.args
		if len(names) > maxLargeArgs {
			return errTooManyArgs(inv.row)
		}
	}
	for _, name := range names {
		if len(name) > r.service.options.Limits.Topic {
			return r.checkName(inv, name)
		}
	}
	return nil
}

// checkName is about a name that is longer than a topic may be: it may have a predicate, which has a limit of its own.
func (r *Reader) checkName(inv *invocation, name []byte) *protocol.Error {
	l := &r.service.options.Limits
	topic, expression, found := filter.Split(name)
	if !found || inv.handler.op != broker.Subscribe && inv.handler.op != broker.Unsubscribe {
		return l.CheckTopic(name)
	}
	if err := l.CheckTopic(topic); err != nil {
		return err
	}
	return r.checkPredicateLen(expression)
}

// checkPredicateLen holds a predicate to its limit.
func (r *Reader) checkPredicateLen(expression []byte) *protocol.Error {
	if most := r.service.options.MaxPredicate; len(expression) > most {
		return protocol.Errorf("predicate of %d bytes is longer than %d (--max-predicate)", len(expression), most)
	}
	return nil
}

func errTooManyArgs(row *protocol.CommandSpec) *protocol.Error {
	return protocol.Errorf("more than %d arguments for '%s' command", maxLargeArgs, row.FullName())
}

// showArgs is a command as the trace log shows it, cut to a screenful.
func showArgs(args [][]byte) []byte {
	const room = 256
	var line []byte
	for i, arg := range args {
		if i > 0 {
			line = append(line, ' ')
		}
		line = protocol.EscapeMessage(line, arg[:min(len(arg), room)])
		if len(line) > room {
			return append(line[:room], "..."...)
		}
	}
	return line
}
