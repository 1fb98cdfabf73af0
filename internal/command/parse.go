package command

import (
	"github.com/rs/zerolog"

	"github.com/conchmq/conch/broker"
	"github.com/conchmq/conch/internal/keyargs"
	"github.com/conchmq/conch/protocol"
)

// parse parses b.data into commands, and fills in their requests.
//
// It stops after a command whose reply may be much larger than itself. Such commands run one at
// a time, so that little is queued before the reader checks the outbox again.
//
// It also stops after maxCalls: a two-byte command takes a hundred times as much memory here,
// and other connections wait for a batch.
//
// The stack of a reader is deepest here. A goroutine starts with 2 KiB of it, gets 4 KiB when
// that is too little, and never returns them. That would be a third of the cost of an idle
// connection.
//
// So commands are built where they stay, in the batch, and rare cases are functions of their
// own. TestAnIdleConnectionKeepsASmallStack watches.
func (r *Reader) parse(b *Batch) CloseReason {
	r.lastReadAt.Store(r.service.clock.Load())
	r.sync, r.waits = false, false
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
		if inv.dialect == protocol.Object {
			r.ownObject(b, inv)
		}
		if r.joinsRuns(inv) {
			b.findRuns(inv, req, n, &r.service.options.Limits)
			others--
			continue
		}
		if r.service.options.Order != nil && b.leavesExec(inv, n) {
			break
		}
		b.used += n
		if inv.handler == replyQuit {
			b.used = len(b.data) // commands behind QUIT are dropped, as in Redis
			return CloseReasonQuit
		}
		r.sync = inv.row != nil && (inv.row.LargeReply || inv.row.Costly || inv.row.Sync || inv.leavesAll())
		if inv.mayWait() || inv.mayBlock() { // nothing goes behind it until it has taken effect: see broker.Batch
			r.sync, r.waits = true, true
		}
		if inv.isLong() || r.service.options.Order != nil && inv.decidesOrder() {
			break
		}
	}
	r.moreBuffered = b.used < len(b.data)
	return CloseReasonNone
}

// manyArgs is the memory of the arguments of an incomplete command from which on parsing it
// takes long.
const manyArgs = 64 << 10

// parseSlots returns the slots that the next parse needs; nil if it needs none.
//
// Readers with much to parse run for the 10 ms after which the runtime preempts them. A PING
// among 40 of them waited for 250 ms until its own reader ran.
func (r *Reader) parseSlots() *slots {
	switch {
	case r.unauthenticated():
		return &r.service.unauthenticated
	case r.parser.MemSize() > manyArgs:
		return &r.service.longParsers
	}
	return nil
}

// parseInSlot parses in a slot. If the connection ends before it gets one, nothing is parsed.
//
//go:noinline
func (r *Reader) parseInSlot(kind *slots, b *Batch) CloseReason {
	if !kind.acquire(&r.abort) {
		b.used = len(b.data)
		return CloseReasonIOError // the earlier reason stays
	}
	defer kind.release()
	return r.parse(b)
}

// maxCalls bounds a batch: it ends after that many commands or runs of publishes.
//
// A read of 16 KiB has some 160 publishes of 64 bytes, to whatever topics. Batches of 64 took a
// seventh of the throughput. Batches of 256 had the throughput of 128, for a quarter more memory
// with 20 publishers to 200 topics.
//
// Other commands are bounded by maxOthers. With 256 of them, a PING took twice as long among 50
// clients that flood two-byte commands.
const maxCalls, maxOthers = 128, 64

// check fills in inv and its request, both empty before, from a parsed command. It checks all
// that needs no core.
func (r *Reader) check(inv *invocation, req *broker.Request, cmd *protocol.Command) {
	inv.row, inv.err = cmd.Resolve() // it may join arguments
	inv.dialect, inv.crlf, inv.args = cmd.Dialect, cmd.CRLF, cmd.Args
	if inv.err == nil {
		inv.handler = handlerByIndex[inv.row.Index()]
		inv.parseAdd()
		if inv.handler.op == broker.Subscribe && r.unauthenticated() && mayHavePredicate(inv.topics()) {
			inv.err = r.unauthenticatedPredicate(inv)
		}
	}
	if inv.err == nil && inv.handler == replyPage {
		inv.err = r.parseRead(inv)
	}
	if inv.err == nil {
		inv.err = r.checkTopics(inv)
	}
	if inv.err == nil && inv.handler.op == broker.Subscribe && mayHavePredicate(inv.topics()) {
		inv.err = r.parseNames(inv)
	}
	if inv.isLong() && (inv.row.Name == "XDEL" || inv.row.Name == "XACK") { // a wrong id of a later piece would come too late
		inv.err = keyargs.CheckIDs(inv.args[inv.numFixedArgs():])
	}
	if inv.err == nil && inv.handler.op == broker.Unsubscribe && mayHavePredicate(inv.topics()) {
		for i, name := range inv.topics() {
			inv.topics()[i] = verbName(inv, name)
		}
	}
	if inv.err == nil && r.service.options.Order != nil {
		inv.err = inv.checkOrdered()
	}
	if loading := r.service.Loading(); inv.err == nil && loading != nil {
		inv.err = inv.checkLoading(loading, r.isReplica)
	}
	if inv.err == nil && inv.predicates != nil && r.service.options.Order != nil {
		r.awaitPositions(inv)
	}
	switch {
	case inv.err != nil:
		inv.handler = replyError
	case inv.row.HasSecrets && !r.isReplica: // what other nodes have proposed has digests
		r.hashSecrets(inv.row, inv.args)
	}
	req.Op, req.Kind, req.Names, req.Filters = inv.handler.op, inv.handler.kind, inv.topics(), inv.predicates
	if inv.dialect == protocol.Line {
		req.Form = formLine
	}
	req.IncludeFiltered = req.Op == broker.Unsubscribe && inv.namesAsVerb()
	if req.Op == broker.Publish {
		req.Payloads = inv.args[2:3]
	}
	if r.traced() {
		r.trace(inv)
	}
}

// joinsRuns reports whether publishes like inv that follow it become one run. At trace level
// each command is logged on its own.
func (r *Reader) joinsRuns(inv *invocation) bool {
	if inv.handler.op != broker.Publish || r.traced() {
		return false
	}
	return inv.dialect == protocol.Line || inv.dialect == protocol.RESP && inv.row.Syntax == protocol.ArgsInline
}

// traced reports whether each command is logged.
func (r *Reader) traced() bool {
	return zerolog.GlobalLevel() <= zerolog.TraceLevel && r.service.options.Log.GetLevel() <= zerolog.TraceLevel
}

// trace logs one command.
func (r *Reader) trace(inv *invocation) {
	e := r.Log(zerolog.TraceLevel).Bytes("command", showArgs(redactedArgs(inv.row, inv.args)))
	if inv.err != nil { // the code alone: the text may quote secret arguments
		e = e.Str("error", string(inv.err.Code))
	}
	e.Send()
}

// maxLargeArgs bounds the arguments of commands with large replies. Some reply to each argument
// at length, and the core builds the whole reply while other connections wait.
const maxLargeArgs = 1024

// checkTopics checks the length of topics, and of globs that many topics are matched against.
func (r *Reader) checkTopics(inv *invocation) *protocol.Error {
	names := inv.topics()
	if inv.row.LargeReply && inv.row.Keys == nil {
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

// checkName checks a name longer than a topic may be: it may contain a predicate, which has its
// own limit.
func (r *Reader) checkName(inv *invocation, name []byte) *protocol.Error {
	l := &r.service.options.Limits
	topic, _, expression := splitName(name)
	if len(topic) == len(name) || inv.handler.op != broker.Subscribe && inv.handler.op != broker.Unsubscribe {
		return l.CheckTopic(name)
	}
	if err := l.CheckTopic(topic); err != nil {
		return err
	}
	return r.checkPredicateLen(expression)
}

// checkPredicateLen checks the length of a predicate.
func (r *Reader) checkPredicateLen(expression []byte) *protocol.Error {
	if most := r.service.options.MaxPredicate; len(expression) > most {
		return protocol.Errorf("predicate of %d bytes is longer than %d (--max-predicate)", len(expression), most)
	}
	return nil
}

// errTooManyArgs names the command in Redis' form.
func errTooManyArgs(row *protocol.CommandSpec) *protocol.Error {
	return protocol.Errorf("more than %d arguments for '%s' command", maxLargeArgs, row.FullName())
}

// showArgs is a command in the trace log, cut to a screenful.
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
