package command

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/conchmq/conch/broker"
	"github.com/conchmq/conch/protocol"
)

// Applier applies the entries of the order on this node, one behind the other. All its methods but Lost belong to one goroutine.
type Applier struct {
	service   *Service
	publisher *Publisher
	// replica runs what other nodes have proposed, and what was proposed here for a connection that is gone. It has no client: whatever is
	// sent to it is dropped.
	replica Conn
	// mu keeps an entry and a save of the state apart. It is held while the core is waited for.
	mu sync.Mutex
}

// OrderedEntry is one entry: what one node has proposed, in order.
type OrderedEntry struct {
	// Time is that of its last proposal, in milliseconds.
	Time  int64
	Parts []OrderedPart // at least one
	// Finish is called on the core's goroutine once all of the body has taken effect. digest sums up what that was. It returns what is kept
	// with it, in one record, as the state of the cluster.
	Finish func(digest uint64) (state []byte)
}

// OrderedPart is a proposal.
type OrderedPart struct {
	Body  []byte // nil for one that only lets time pass
	Token any    // that of Order.Propose, on the node that has proposed it
}

// StandsAlone reports whether a body is an entry of its own: it has no commands.
func StandsAlone(body []byte) bool { return len(body) > 0 && body[0] >= orderedFounding }

// NewApplier makes the one Applier of a service.
func (s *Service) NewApplier() *Applier {
	a := &Applier{service: s, publisher: s.NewPublisher()}
	a.replica.Init(s, noTransport{})
	a.replica.executor.replyMode.off = true
	a.replica.isReplica = true
	return a
}

// Stop ends what is being evaluated. Any goroutine may call it.
func (a *Applier) Stop() { a.publisher.Stop() }

// errCoreStopped is the error of an entry that came too late.
var errCoreStopped = errors.New("the core has stopped")

// Apply applies an entry, and waits for that. After an error the entry has not taken effect, or not as a whole: the node must stop. Whatever
// waits for the token gets that error in any case.
func (a *Applier) Apply(e *OrderedEntry) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	defer a.service.orderRoom.wake()
	a.service.awaitLog(&a.publisher.stopped)
	err := a.service.streams.store.Failed()
	if err == nil {
		err = a.apply(e)
	}
	if err != nil {
		for i := range e.Parts {
			a.Lost(e.Parts[i].Token, fmt.Errorf("the outcome is unknown: %w", err))
		}
	}
	return err
}

func (a *Applier) apply(e *OrderedEntry) error {
	if body := e.Parts[0].Body; StandsAlone(body) {
		switch body[0] {
		case orderedFounding:
			return a.applyFounding(e)
		case orderedAddress:
			return a.applyAddress(e)
		case orderedConnectors:
			return a.applyConnectors(e)
		case orderedFeed:
			return a.applyFeed(e)
		case orderedCursor:
			return a.applyCursors(e)
		}
	}
	parts := make([]decodedPart, len(e.Parts))
	for i := range parts {
		if err := a.decode(&e.Parts[i], &parts[i]); err != nil {
			return err
		}
	}
	// The core comes to all of this in order: only the last is waited for. Others may come between: see Service.RunOnCore.
	for i := range parts {
		p := &parts[i]
		if a.service.startOnCore(func(v broker.View) {
			if i == 0 {
				a.service.streams.beginEntry(v, e.Time)
			}
			a.begin(p)
		}) == nil || !a.applyCommands(&e.Parts[i], p.commands) {
			a.service.streams.abandonEntry()
			return errCoreStopped
		}
	}
	if !a.onCore(func(v broker.View) { a.service.streams.endEntry(v, e.Finish) }) {
		a.service.streams.abandonEntry()
		return errCoreStopped
	}
	return nil
}

// begin makes the commands that follow those of a part. It runs on the core.
func (a *Applier) begin(p *decodedPart) {
	entry := &a.service.streams.entry
	entry.origin = p.who
	if p.ticks {
		entry.ticking = false
	}
	a.replica.executor.actFor(&p.who)
}

// change applies an entry that is no command. After an error of f it has not taken effect.
func (a *Applier) change(e *OrderedEntry, f func(broker.View) error) (err error) {
	s := &a.service.streams
	if !a.onCore(func(v broker.View) {
		s.beginEntry(v, e.Time)
		if err = f(v); err != nil {
			s.dropEntry()
			return
		}
		s.endEntry(v, e.Finish)
	}) {
		return errCoreStopped
	}
	return err
}

func (a *Applier) onCore(f func(broker.View)) bool { return a.service.runOnCore(f) }

// applyCommands submits the commands of a part: as the batch of the connection that waits for it, or as those of the replica. It returns
// false if the node stops.
func (a *Applier) applyCommands(p *OrderedPart, commands []*Batch) (ok bool) {
	switch t := p.Token.(type) {
	case *orderedBatch:
		t.reader.ordered.queue.take(t, func() {
			t.batch.Instead = &a.replica.sub
			ok = a.submit(&t.batch.Batch)
		})
		p.Token = nil // it has left the queue
		return ok
	case *blockedClient:
		if a.applyBlocked(t) {
			for _, b := range commands {
				b.release()
			}
			return true
		}
	}
	for _, b := range commands {
		if !a.submit(&b.Batch) {
			return false
		}
	}
	return true
}

// submit judges and submits a batch. It returns false if the node stops.
func (a *Applier) submit(b *broker.Batch) (ok bool) {
	if n := len(b.Requests); n == 1 && b.Requests[0].Op == broker.Exec {
		if inv := b.Requests[0].Tag.(*invocation); inv.txn != nil {
			return a.publisher.submitExec(b, inv.txn.queued)
		}
	}
	return a.publisher.Submit(b)
}

// submitExec judges all that a transaction runs, and submits it.
func (p *Publisher) submitExec(b *broker.Batch, queued []broker.Request) (ok bool) {
	version := p.service.versions.enter()
	defer p.service.versions.leave(version)
	x := version.index.Load()
	if !x.Empty() && !p.evaluation.evaluateQueued(x, queued) {
		return false
	}
	b.Version = x.Version()
	return p.service.core.Submit(b)
}

// Lost ends what waits for a proposal that is given up. Any goroutine may call it.
func (a *Applier) Lost(token any, why error) {
	defer a.service.orderRoom.wake()
	switch t := token.(type) {
	case *orderedBatch:
		t.reader.ordered.queue.take(t, func() {
			t.batch.failOrdered(why)
			a.service.submitLocal(t.batch)
		})
	case *blockedClient:
		a.service.runOnCore(func(v broker.View) { a.service.streams.blocked.lost(v, t, errClusterDown(why)) })
	case *feedEntry:
		t.lose(why)
	case *cursorNotes:
		a.service.runOnCore(func(broker.View) { a.service.cursors.lost(t) })
	case tickToken:
		a.service.runOnCore(func(broker.View) { a.service.streams.entry.ticking = false })
	}
}

// actFor makes the replica's executor act for an origin. Its rights are looked up for each command: see authorizeOrdered.
func (e *executor) actFor(o *origin) {
	e.database, e.durableOnly, e.isBroker = o.database, o.durableOnly, o.isBroker
}

// decodedPart is a part that was decoded.
type decodedPart struct {
	who      origin
	ticks    bool // it was proposed here, to let time pass
	commands []*Batch
}

// decode reads the origin of a part, and its commands as batches of the replica. A part of a connection here has its batch already.
func (a *Applier) decode(p *OrderedPart, d *decodedPart) error {
	_, d.ticks = p.Token.(tickToken)
	if len(p.Body) == 0 {
		d.who.isBroker = true
		return nil
	}
	in := bodyReader{left: p.Body}
	d.who = in.origin()
	if _, own := p.Token.(*orderedBatch); own {
		return in.err
	}
	if len(in.left) > 0 && in.left[0] == orderedExec {
		in.byte()
		d.commands = []*Batch{a.decodeTransaction(&in)}
		return in.err
	}
	d.commands = a.decodeCommands(&in)
	return in.err
}

// decodeTransaction reads commands as one EXEC.
func (a *Applier) decodeTransaction(in *bodyReader) *Batch {
	b := a.newBatch()
	inv, req := b.add()
	inv.row, inv.handler, inv.args = protocol.Lookup([]byte("EXEC")), handlers["exec"], [][]byte{[]byte("EXEC")}
	inv.dialect, inv.ordered, inv.txn = protocol.RESP, true, &transaction{}
	req.Op, req.Tag = broker.Exec, inv
	for len(in.left) > 0 && in.left[0] == orderedWatch {
		in.byte()
		inv.txn.watched = append(inv.txn.watched, keyVersion{in.text(), in.text()})
	}
	for _, q := range a.decodeCommands(in) {
		inv.txn.queued = append(inv.txn.queued, q.Requests...)
	}
	return b
}

// newBatch makes a batch of the replica. Its tags point to its calls, so these must not move.
func (a *Applier) newBatch() *Batch {
	b := batches.Get().(*Batch)
	b.From = &a.replica.sub
	b.calls, b.Requests = slices.Grow(b.calls, maxCalls), slices.Grow(b.Requests, maxCalls)
	return b
}

// decodeCommands reads commands to the end of a body. Their arguments alias it.
func (a *Applier) decodeCommands(in *bodyReader) (batches []*Batch) {
	var b *Batch
	var token *newToken
	var users *usersText
	for in.err == nil && len(in.left) > 0 {
		if b == nil || len(b.calls) >= maxCalls {
			b = a.newBatch()
			batches = append(batches, b)
		}
		kind := in.byte()
		switch kind {
		case orderedToken:
			token = in.token()
		case orderedTake:
			in.take(b.add())
		case orderedUsers:
			users = &usersText{text: in.text()}
		case orderedCommand:
			args := slices.Clip(in.texts(in.number(), freeTail(&b.args)))
			b.args = extended(b.args, args)
			if in.err == nil {
				in.err = a.replica.Reader.addOrdered(b, args, args[min(2, len(args)):])
			}
			if in.err == nil && token != nil {
				b.last().token, token = token, nil
			}
			if in.err == nil && users != nil {
				b.last().users, users = users, nil
			}
		case orderedRun:
			args := in.texts(2, nil)
			payloads := in.texts(in.number(), nil)
			if in.err == nil && len(payloads) > 0 {
				in.err = a.replica.Reader.addOrdered(b, append(args, payloads[0]), payloads)
			}
		default:
			in.err = errBody
		}
	}
	return batches
}

// addOrdered adds one command to a batch.
func (r *Reader) addOrdered(b *Batch, args, payloads [][]byte) error {
	if len(args) == 0 {
		return errBody
	}
	inv, req := b.add()
	cmd := protocol.Command{Dialect: protocol.RESP, Args: args, Spec: protocol.Lookup(args[0])}
	r.check(inv, req, &cmd)
	inv.ordered = true
	if req.Op == broker.Publish {
		req.Payloads = payloads
	}
	req.Tag = inv
	return nil
}

// noTransport is that of the replica.
type noTransport struct{}

func (noTransport) Addresses() (remote, local Address) { return Address{Text: "cluster"}, Address{} }
func (noTransport) Descriptor() int                    { return -1 }
func (noTransport) StartWriter()                       {}
func (noTransport) Interrupt()                         {}
func (noTransport) SetWriteDeadline(time.Time) error   { return nil }
func (noTransport) Close() error                       { return nil }
