package command

import (
	"bytes"

	"github.com/conchmq/conch/broker"
	"github.com/conchmq/conch/internal/outbox"
	"github.com/conchmq/conch/protocol"
)

// maxNames is how many names of one command the core handles at once: a million of them would
// stop every other connection for seconds.
//
// The reader submits a longer command in pieces, with other connections' batches between them.
// So each name has its own instant (clause 2). No other command of the connection comes
// between.
const maxNames = 1000

// longCommand is shared by the pieces of a command with more than maxNames names. It belongs to
// the core's goroutine.
type longCommand struct {
	// names counts those of the whole command.
	names int
	// rejected means that a piece was refused, with a reply: the later pieces are skipped.
	rejected bool
	// reply is the reply so far. It is queued as a whole, because no other frame may stand
	// between its parts.
	reply []byte
	// replays are those of its subscriptions that start in the past; nil if there are none.
	replays *replayCommand
	// total is the sum of the numbers of its pieces: see response.total.
	total int
	// search is that of KEYS, which the core takes in steps.
	search *keySearch
}

// numFixedArgs is the number of arguments before the names.
func (inv *invocation) numFixedArgs() int {
	k := inv.row.Keys
	switch {
	case !inv.row.Divisible || inv.handler.op != broker.Reply:
		return 1
	case k == nil:
		return 2
	case k.Last < 0: // the names are keys
		return k.First
	}
	return -inv.row.Arity - 1 // they follow the key, and the group
}

// isLong reports whether a command comes in pieces.
func (inv *invocation) isLong() bool {
	return inv.err == nil && inv.row.Divisible && len(inv.args)-inv.numFixedArgs() > maxNames
}

// leavesAll reports whether a command unsubscribes all names of the connection. The core may
// finish that in several steps: see resubmit.
func (inv *invocation) leavesAll() bool {
	return inv.err == nil && (inv.handler.op == broker.Unsubscribe && len(inv.args) == 1 || inv.handler.op == broker.Reset)
}

// submitLong submits a batch, and then the pieces of its last command. It is a function of its
// own to keep the stack of Serve small, as resubmit is.
//
//go:noinline
func (r *Reader) submitLong(b *Batch, inv *invocation) bool {
	whole, n, like := *inv, inv.numFixedArgs(), b.Requests[len(b.calls)-1]
	whole.long = &longCommand{names: len(inv.args) - n}
	for i := range inv.predicates {
		if start, ok := inv.predicates[i].Start.(*replay); ok {
			whole.long.replays, start.command.long = start.command, true
			break
		}
	}
	in, from := b.buf, b.From
	in.Retain() // it holds the names
	defer in.Release()
	r.service.memory.SetUsage(&r.usage.partial, cap(b.args)*sliceSize)
	b.args = nil // the command keeps them: it outlives the batch
	*inv = whole.pieceAt(nil, 0)
	b.Requests[len(b.calls)-1] = inv.requestLike(like)
	ok := r.submit(b)
	for at := maxNames; ok && at < whole.long.names; at += maxNames {
		// A long command is under way for long: memory may have become short meanwhile.
		r.awaitMemory()
		if !r.window.acquire(&r.outbox, whole.predicates != nil) {
			return true // another goroutine has ended the connection, with its reason
		}
		in.Retain()
		ok = r.submit(whole.batch(from, in, like, at))
	}
	return ok
}

// batch is a batch of one piece.
func (inv *invocation) batch(from *broker.Subscriber, in *outbox.Buffer, like broker.Request, at int) *Batch {
	b := newBatch(from, in, 0, 0)
	piece := inv.pieceAt(freeTail(&b.args), at)
	b.args = extended(b.args, piece.args) // for release to clear: or the pool would keep the names, and all they lie in
	b.addOnly(piece, like)
	return b
}

// addOnly adds a command. Its request is like another, except for the names.
func (b *Batch) addOnly(command invocation, like broker.Request) {
	inv, req := b.add()
	*inv, *req = command, command.requestLike(like)
}

// requestLike is a request like r, with the names and predicates of inv.
func (inv *invocation) requestLike(r broker.Request) broker.Request {
	r.Names, r.Filters = inv.topics(), inv.predicates
	return r
}

// pieceAt is the piece of a command that starts at a name. Its arguments are appended to room.
func (inv *invocation) pieceAt(room [][]byte, at int) invocation {
	piece, n, end := *inv, inv.numFixedArgs(), min(at+maxNames, inv.long.names)
	piece.piece = at / maxNames
	piece.args = append(append(room, inv.args[:n]...), inv.args[n+at:n+end]...)
	if inv.predicates != nil {
		piece.predicates = inv.predicates[at:end]
	}
	return piece
}

// isSearching reports whether a KEYS needs another step.
func (l *longCommand) isSearching() bool { return l != nil && l.search != nil && l.search.cursor != 0 }

// isLast reports whether inv is the last piece, or a whole command.
func (inv *invocation) isLast() bool {
	switch {
	case inv.long == nil:
		return true
	case inv.long.search != nil:
		return !inv.long.isSearching()
	}
	return (inv.piece+1)*maxNames >= inv.long.names
}

// admitPiece checks a piece before all else. It returns false for a piece to skip.
func (e *executor) admitPiece(inv *invocation) bool {
	switch {
	case inv.long == nil:
		return true
	case inv.long.rejected:
		return false
	case inv.piece == 0 && e.txn != nil && inv.dialect != protocol.Line:
		e.reject(inv, protocol.Errorf("more than %d names in one command of a transaction", maxNames))
		return false
	case inv.piece == 0 && inv.row.Keys != nil && inv.row.Keys.Last < 0 && !e.hasAllRights():
		// A key without the right must refuse the command before any other key is touched.
		e.reject(inv, protocol.Errorf("more than %d keys in one command of a user without all rights", maxNames))
		return false
	}
	return true
}

// hasAllRights reports whether no rule is checked for the user: also in the first command, before which there is no user.
func (e *executor) hasAllRights() bool {
	if e.user == nil && !e.isBroker {
		e.assignInitialUser()
	}
	return e.unrestricted
}

// reject replies with an error to a command that does not run, and aborts the transaction.
func (e *executor) reject(inv *invocation, err *protocol.Error) {
	if inv.long != nil {
		inv.long.rejected, inv.long.reply, e.confirming = true, nil, nil
	}
	e.giveUpTake(inv)
	e.replyErr(inv, e.abortTxn(inv, err))
}

// resubmit submits a command that the core has not finished: the connection held too many names
// for one instant.
//
//go:noinline
func (r *Reader) resubmit() bool {
	again := r.unfinished
	r.unfinished = nil
	b := newBatch(&r.sub, outbox.WrapBuffer(nil, nil), 0, 0)
	b.addOnly(*again.Tag.(*invocation), *again)
	// The reader waits until the command is applied: it may be unfinished again.
	r.sync = true
	return r.submit(b)
}

// resubmitLater has the reader submit a command again once it is applied. The reader must have
// read nothing behind it: see leavesAll.
func (e *executor) resubmitLater(req *broker.Request) {
	again, inv := *req, *req.Tag.(*invocation)
	args := inv.args
	inv.args = make([][]byte, len(args))
	for i, arg := range args {
		inv.args[i] = bytes.Clone(arg)
	}
	inv.buf = nil
	inv.piece++
	again.Tag, again.Unfinished = &inv, false
	e.unfinished = &again
}
