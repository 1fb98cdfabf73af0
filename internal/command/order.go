package command

import (
	"errors"
	"slices"

	"github.com/conchmq/conch/broker"
	"github.com/conchmq/conch/internal/acl"
	"github.com/conchmq/conch/internal/stream"
	"github.com/conchmq/conch/protocol"
)

// Order is the one order of several nodes. With it, what changes a state that all nodes share takes effect on each of them in the same
// place: see [Applier]. Commands that concern one node or one connection stay there, in their place among the connection's others.
type Order interface {
	// Propose hands a body over, to be applied behind all that this node proposed before. It never blocks. With a nil error the token
	// comes back, by Applier.Apply or by Applier.Lost. The body may be used again once it has returned. ErrOrderFull means that it can be
	// proposed once others have come back.
	Propose(body []byte, token any) error
	// Full is why nothing can be added on this node now; nil if it can. Any goroutine may call it.
	Full() error
	// Leads reports whether this node leads the others: then it proposes what only time causes. Any goroutine may call it.
	Leads() bool
}

// errClusterDown is the error of a command that was not applied, as far as this node knows: text says what is known.
func errClusterDown(why error) *protocol.Error {
	return &protocol.Error{Code: protocol.CodeClusterDown, Text: why.Error()}
}

// errNotInCluster is the error of what a node of a cluster cannot do, and what to do instead.
func errNotInCluster(what, instead string) *protocol.Error {
	return protocol.Errorf("%s is not possible on a node of a cluster; %s", what, instead)
}

// orderedCommands are those that change what all nodes share, but for publishes, EXEC, and commands that write keys.
var orderedCommands = map[string]bool{"acl|setuser": true, "acl|deluser": true, "acl|token": true, "acl|load": true}

// refusedInOrder are commands whose effect depends on what one node alone has.
var refusedInOrder = map[string]string{"source|add": "SOURCE ADD", "sink|add": "SINK ADD"}

// refusedInMulti are commands that change the origin of those behind them. A transaction has one origin.
var refusedInMulti = map[string]bool{"select": true, "auth": true, "hello": true, "reset": true}

// sharesState reports whether a command changes what all nodes share.
func (inv *invocation) sharesState() bool {
	if inv.err != nil || inv.row == nil || inv.handler == replyError {
		return false
	}
	switch h := inv.handler; {
	case h.op == broker.Publish, h.op == broker.Reply && (h.keys == usesWrite || h.keys == usesAdd):
		return true
	}
	return inv.setsUsers()
}

// setsUsers reports whether a command changes users, or settings that all share.
func (inv *invocation) setsUsers() bool {
	name := inv.row.FullName()
	return orderedCommands[name] || name == "config|set" && inv.setsShared()
}

// setsShared reports whether a CONFIG SET is about a setting that is state.
func (inv *invocation) setsShared() bool {
	for i := 2; i < len(inv.args); i += 2 {
		if isSharedSetting(inv.args[i]) {
			return true
		}
	}
	return false
}

func isSharedSetting(name []byte) bool {
	return stream.FindSetting(acl.Lower(name)) != nil || isRequirepass(name)
}

// refusal is why a command cannot run on a node of a cluster, nil if it can.
func (inv *invocation) refusal(inMulti bool) *protocol.Error {
	name := rowName(inv)
	what, refused := refusedInOrder[name]
	switch {
	case refused:
		return errNotInCluster(what, "add the connector to the files of all nodes, and send each SIGHUP")
	case inMulti && inv.dialect == protocol.RESP && refusedInMulti[name] && name != "reset":
		return protocol.Errorf("%s is not possible in a transaction on a node of a cluster", inv.row.Name)
	}
	if name != "config|set" || !inv.setsShared() {
		return nil
	}
	for i := 2; i < len(inv.args); i += 2 {
		if !isSharedSetting(inv.args[i]) {
			return protocol.Errorf("%s is a setting of this node alone: set it by a command of its own", acl.Lower(inv.args[i]))
		}
	}
	return nil
}

// decidesOrder reports whether a command decides how those behind it are ordered: the reader has to know before it parses them.
func (inv *invocation) decidesOrder() bool {
	if inv.row == nil {
		return false
	}
	switch inv.handler.op {
	case broker.Subscribe, broker.Unsubscribe, broker.Reset, broker.Exec:
		return true
	}
	return inv.handler.decides || inv.row.Name == "SELECT"
}

// ordering is what a reader knows about its connection that decides which commands are ordered, and how.
type ordering struct {
	known      bool // what follows is that of the core
	inMulti    bool // commands over RESP are queued for EXEC
	subscribed bool // a subscriber over RESP2, which may send few commands
	origin     origin
}

// origin is what commands are run with: user, rights of a connector, database.
type origin struct {
	user        string
	isBroker    bool
	durableOnly bool
	database    int8
	connector   string // see streamClient.connector
}

// orderedReader is the part of a reader on a node of a cluster.
type orderedReader struct {
	ordering
	queue inOrder
	room  []byte // for bodies
}

// leavesExec takes an EXEC behind other commands out of a batch, and reports whether it has. It is parsed again, as a batch of its own: what
// MULTI has queued by then is proposed. It was read from n bytes; those of a line lose their quotes then.
//
//go:noinline
func (b *Batch) leavesExec(inv *invocation, n int) bool {
	if inv.handler.op != broker.Exec || len(b.calls) == 1 {
		return false
	}
	if text := b.data[b.used : b.used+n]; text[0] != '*' {
		for i := copy(text, "EXEC"); i < n; i++ {
			text[i] = ' '
		}
		text[n-1] = '\n'
	}
	last := len(b.calls) - 1
	b.calls[last], b.Requests[last] = invocation{}, broker.Request{}
	b.calls, b.Requests = b.calls[:last], b.Requests[:last]
	return true
}

// checkOrdered refuses a command that would come in pieces: other commands of the order would stand between them.
//
//go:noinline
func (inv *invocation) checkOrdered() *protocol.Error {
	if inv.isLong() && (inv.sharesState() || inv.row.Name == "WATCH") {
		return protocol.Errorf("more than %d names in one command on a node of a cluster; send several", maxNames)
	}
	return nil
}

// updateOrdering finds out how what follows is ordered, once all that came before is applied. False means that the connection ends.
func (r *Reader) updateOrdering() bool {
	if !r.window.acquire(&r.outbox, true) {
		return false
	}
	o := &r.ordered.ordering
	ok := r.service.runOnCore(func(broker.View) {
		e := &r.executor
		if e.user == nil && !e.isBroker {
			e.assignInitialUser()
		}
		*o = ordering{
			known: true, inMulti: e.txn != nil, subscribed: e.version == protocol.RESP2 && e.hasSubscriptions(formRESP),
			origin: e.origin(),
		}
	})
	return ok && o.known
}

// origin is that of what a connection proposes now.
func (e *executor) origin() origin {
	o := origin{isBroker: e.isBroker, durableOnly: e.durableOnly, database: e.database}
	if e.user != nil {
		o.user = e.user.Name()
	}
	if x := e.streamClient.Load(); x != nil {
		o.connector = x.connector
	}
	return o
}

// isOrdered reports whether a command takes its place in the order of all nodes.
func (r *Reader) isOrdered(inv *invocation) bool {
	o := &r.ordered.ordering
	switch {
	case r.unauthenticated() || !inv.sharesState():
		return false
	case inv.dialect == protocol.Line:
		return true
	case o.inMulti, o.subscribed && !inv.row.AllowedSubscribed:
		return false
	}
	return true
}

// hasCall reports whether one of the calls of a batch is such.
func (b *Batch) hasCall(is func(*invocation) bool) bool {
	for i := range b.calls {
		if is(&b.calls[i]) {
			return true
		}
	}
	return false
}

// submitInOrder submits a batch: at once, or in its place in the order of all nodes. False means that the core has stopped, or that the
// connection ends.
func (r *Reader) submitInOrder(b *Batch) bool {
	if r.ordered == nil {
		r.ordered = new(orderedReader)
	}
	shares := b.hasCall(func(inv *invocation) bool {
		return inv.sharesState() || inv.handler.op == broker.Exec || inv.startsAtGroup() || refusedInMulti[rowName(inv)]
	})
	if shares && !r.ordered.known && !r.unauthenticated() && !r.updateOrdering() {
		b.release()
		return false
	}
	var body []byte
	last := b.last()
	if last.handler.op == broker.Exec && r.ordered.inMulti {
		var ok bool
		if body, ok = r.takeTransaction(last); !ok {
			b.release()
			return false
		}
	} else {
		body = r.encodeTake(b, r.encodeOrdered(b))
	}
	if b.hasCall((*invocation).decidesOrder) {
		r.ordered.known = false
	}
	r.count(b)
	return r.ordered.queue.submit(r, b, body)
}

// encodeOrdered makes the body of what is ordered in a batch; nil if nothing is.
func (r *Reader) encodeOrdered(b *Batch) (body []byte) {
	for i := range b.calls {
		inv := &b.calls[i]
		if b.Requests[i].Op == broker.Publish {
			inv.unjudged = r.unauthenticated()
		}
		if inv.err == nil {
			if inv.err = inv.refusal(r.ordered.inMulti); inv.err != nil {
				inv.handler, b.Requests[i].Op = replyError, broker.Reply
				continue
			}
		}
		if !r.isOrdered(inv) {
			continue
		}
		if err := r.noRoom(inv, &b.Requests[i]); err != nil {
			inv.refuse(&b.Requests[i], err)
			continue
		}
		if body == nil {
			body = appendOrigin(r.ordered.room[:0], &r.ordered.origin)
		}
		inv.ordered = true
		inv.drawOrdered()
		r.readUsers(inv)
		body = appendOrdered(body, inv, &b.Requests[i])
	}
	if cap(body) <= maxOrderRoom {
		r.ordered.room = body[:0]
	}
	return body
}

// noRoom is why a command that adds entries is not proposed; nil if it is. Once it is proposed, all nodes add them.
func (r *Reader) noRoom(inv *invocation, req *broker.Request) *protocol.Error {
	if inv.handler.keys != usesAdd && (req.Op != broker.Publish || !r.isDurable(req.Names[0])) {
		return nil
	}
	return r.service.orderFull()
}

// ErrOrderFull is what Order.Propose returns while too much is outstanding.
var ErrOrderFull = errors.New("too much waits for the other nodes")

// ErrNoRoom is what Order.Full returns once the memory of streams is used up.
var ErrNoRoom = errors.New("the memory of streams is used up")

// isDurable reports whether a topic is durable, as far as the reader knows.
func (r *Reader) isDurable(topic []byte) bool {
	globs := r.service.streams.durable.Load()
	return globs != nil && globs.Match(topic, new(broker.Matcher))
}

func rowName(inv *invocation) string {
	if inv.row == nil {
		return ""
	}
	return inv.row.FullName()
}

// maxOrderRoom bounds the memory of a body that a reader keeps.
const maxOrderRoom = 64 << 10

// takeTransaction takes what MULTI has queued out of the connection, so that no end of it can undo it, and makes a body of it. EXEC
// is a batch of its own. A nil body means that nothing in it is ordered.
func (r *Reader) takeTransaction(exec *invocation) (body []byte, ok bool) {
	if !r.updateOrdering() { // all that came before has taken effect
		return nil, false
	}
	ok = r.service.runOnCore(func(broker.View) {
		e := &r.executor
		if m := e.txn; m != nil && !m.aborted && !e.watchedChanged() && slices.ContainsFunc(m.queued, sharesStateWhenQueued) {
			exec.txn, e.txn = m, nil
			m.watched = e.watchedVersions()
			e.unwatchAll()
			e.chargeQueued(m, 0, 0)
		}
	})
	if !ok || exec.txn == nil {
		return nil, ok
	}
	exec.ordered = true
	body = append(appendOrigin(nil, &r.ordered.origin), orderedExec)
	for _, w := range exec.txn.watched {
		body = appendLong(appendLong(append(body, orderedWatch), w.key), w.version)
	}
	for i := range exec.txn.queued {
		if q := &exec.txn.queued[i]; sharesStateWhenQueued(*q) {
			inv := q.Tag.(*invocation)
			inv.ordered = true
			inv.drawOrdered()
			body = appendOrdered(body, inv, q)
		}
	}
	return body, true
}

func sharesStateWhenQueued(r broker.Request) bool { return r.Tag.(*invocation).sharesState() }
