package server

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
func (c *conn) parse(b *batch) CloseReason {
	r := &c.reader
	r.sync = false
	c.parser.SetUnauthenticated(c.unauthenticated())
	for others := 0; b.used < len(b.data) && !r.sync && len(b.calls) < maxCalls && others < maxOthers; others++ {
		n, ok, err := b.next(&c.parser)
		if err != nil {
			b.used = len(b.data)
			inv := b.add()
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
		inv := b.add()
		c.check(inv, &b.command)
		inv.buf = b.buf
		if c.joinsRuns(inv) {
			b.findRuns(inv, n, &c.srv.options.Limits)
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

// check makes inv of a command: it looks it up and checks what can be checked without the core.
func (c *conn) check(inv *invocation, cmd *protocol.Command) {
	inv.row, inv.err = cmd.Resolve() // which may put arguments together
	inv.dialect, inv.crlf, inv.args = cmd.Dialect, cmd.CRLF, cmd.Args
	if inv.err == nil {
		inv.handler = handlerByIndex[inv.row.Index()]
		if inv.handler.op == broker.Subscribe && c.unauthenticated() && mayHavePredicate(inv.topics()) {
			inv.err = c.unauthenticatedPredicate(inv)
		}
	}
	if inv.err == nil {
		inv.err = c.checkTopics(inv)
	}
	if inv.err == nil && inv.handler.op == broker.Subscribe && mayHavePredicate(inv.topics()) {
		inv.err = c.parsePredicates(inv)
	}
	switch {
	case inv.err != nil:
		inv.handler = replyError
	case inv.row.HasSecrets:
		c.hashSecrets(inv.row, inv.args)
	}
	if c.traced() {
		c.trace(inv)
	}
}

// joinsRuns tells whether publishes like inv that follow it are to be taken together. At trace each command is logged.
func (c *conn) joinsRuns(inv *invocation) bool {
	if inv.handler.op != broker.Publish || c.traced() {
		return false
	}
	return inv.dialect == protocol.Line || inv.dialect == protocol.RESP && inv.row.Syntax == protocol.ArgsInline
}

func (c *conn) traced() bool {
	return zerolog.GlobalLevel() <= zerolog.TraceLevel && c.srv.options.Log.GetLevel() <= zerolog.TraceLevel
}

// trace writes one line for a command.
func (c *conn) trace(inv *invocation) {
	e := c.log(zerolog.TraceLevel).Bytes("command", showArgs(redactedArgs(inv.row, inv.args)))
	if inv.err != nil { // its text may quote the arguments, which are not for everybody
		e = e.Str("error", string(inv.err.Code))
	}
	e.Send()
}

// maxLargeArgs bounds the arguments of commands whose answers may be large: some answer each argument at length, and
// the core makes the whole answer while everybody waits.
const maxLargeArgs = 1024

// checkTopics holds topics, and what is matched against many of them, to their limit.
func (c *conn) checkTopics(inv *invocation) *protocol.Error {
	names := inv.topics()
	if inv.row.LargeReply {
		names = inv.args
		if len(names) > maxLargeArgs {
			return errTooManyArgs(inv.row)
		}
	}
	for _, name := range names {
		if len(name) > c.srv.options.Limits.Topic {
			return c.checkName(inv, name)
		}
	}
	return nil
}

// checkName is about a name that is longer than a topic may be: it may have a predicate, which has a limit of its own.
func (c *conn) checkName(inv *invocation, name []byte) *protocol.Error {
	l := &c.srv.options.Limits
	topic, expression, found := filter.Split(name)
	if !found || inv.handler.op != broker.Subscribe && inv.handler.op != broker.Unsubscribe {
		return l.CheckTopic(name)
	}
	if err := l.CheckTopic(topic); err != nil {
		return err
	}
	return c.checkPredicateLen(expression)
}

// checkPredicateLen holds a predicate to its limit.
func (c *conn) checkPredicateLen(expression []byte) *protocol.Error {
	if most := c.srv.options.MaxPredicate; len(expression) > most {
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
