package command

import (
	"errors"
	"slices"
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
}

// OrderedEntry is one entry.
type OrderedEntry struct {
	// Time is that of its proposal, in milliseconds.
	Time  int64
	Body  []byte // nil for one that only lets time pass
	Token any    // that of Order.Propose, on the node that has proposed it
	// Finish is called on the core's goroutine once all of the body has taken effect. digest sums up what that was. It returns what is kept
	// with it, in one record, as the state of the cluster.
	Finish func(digest uint64) (state []byte)
}

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

// Apply applies an entry, and waits for that.
func (a *Applier) Apply(e *OrderedEntry) error {
	if len(e.Body) > 0 && e.Body[0] == orderedFounding {
		return a.applyFounding(e)
	}
	if len(e.Body) > 0 && e.Body[0] == orderedAddress {
		return a.applyAddress(e)
	}
	batches, who, err := a.decode(e.Body)
	if err != nil {
		return err
	}
	a.service.awaitLog(&a.publisher.stopped)
	knownUser := true
	if !a.onCore(func(v broker.View) {
		a.service.streams.beginEntry(v, e.Time)
		if _, ok := e.Token.(tickToken); ok {
			a.service.streams.entry.ticking = false
		}
		knownUser = a.replica.executor.actFor(&who)
	}) {
		return errCoreStopped
	}
	if !knownUser { // it was deleted meanwhile: on no node anything happens
		batches = nil
	}
	a.applyCommands(e, batches, knownUser)
	if !a.onCore(func(v broker.View) { a.service.streams.endEntry(v, e.Finish) }) {
		return errCoreStopped
	}
	return nil
}

func (a *Applier) onCore(f func(broker.View)) bool { return a.service.runOnCore(f) }

// applyCommands submits the commands of an entry: as the batch of the connection that waits for it, or as those of the replica.
func (a *Applier) applyCommands(e *OrderedEntry, batches []*Batch, knownUser bool) {
	switch t := e.Token.(type) {
	case *orderedBatch:
		t.reader.ordered.queue.take(t, func() {
			if !knownUser {
				t.batch.failOrdered(errUserDeleted)
			}
			t.batch.Instead = &a.replica.sub
			a.submit(&t.batch.Batch)
		})
		releaseAll(batches)
		return
	case *blockedClient:
		if a.applyBlocked(t) {
			releaseAll(batches)
			return
		}
	}
	for _, b := range batches {
		a.submit(&b.Batch)
	}
}

var errUserDeleted = errors.New("the user was deleted before the command took effect: it did not")

func releaseAll(batches []*Batch) {
	for _, b := range batches {
		b.release()
	}
}

// submit judges and submits a batch.
func (a *Applier) submit(b *broker.Batch) {
	if n := len(b.Requests); n == 1 && b.Requests[0].Op == broker.Exec {
		if inv := b.Requests[0].Tag.(*invocation); inv.txn != nil {
			a.publisher.submitExec(b, inv.txn.queued)
			return
		}
	}
	a.publisher.Submit(b)
}

// submitExec judges all that a transaction runs, and submits it.
func (p *Publisher) submitExec(b *broker.Batch, queued []broker.Request) {
	version := p.service.versions.enter()
	defer p.service.versions.leave(version)
	x := version.index.Load()
	if !x.Empty() && !p.evaluation.evaluateQueued(x, queued) {
		return // the core stops
	}
	b.Version = x.Version()
	p.service.core.Submit(b)
}

// Lost tells a connection that its proposal is given up. Any goroutine may call it.
func (a *Applier) Lost(token any, why error) {
	switch t := token.(type) {
	case *orderedBatch:
		t.reader.ordered.queue.take(t, func() {
			t.batch.failOrdered(why)
			a.service.submitLocal(t.batch)
		})
	case *blockedClient:
		a.service.runOnCore(func(v broker.View) { a.service.streams.blocked.lost(v, t, errClusterDown(why)) })
	case tickToken:
		a.service.runOnCore(func(broker.View) { a.service.streams.entry.ticking = false })
	}
}

// actFor makes the replica's executor act for an origin. It returns false if there is no such user any more.
func (e *executor) actFor(o *origin) (known bool) {
	e.database, e.durableOnly, e.isBroker = o.database, o.durableOnly, o.isBroker
	if o.isBroker || o.user == "" {
		e.user, e.unrestricted = nil, true
		return true
	}
	u := e.service.access.users.Find(o.user)
	if u == nil {
		return false
	}
	e.setUser(u)
	return true
}

// decode makes batches of a body, for the replica.
func (a *Applier) decode(body []byte) (batches []*Batch, who origin, err error) {
	if len(body) == 0 {
		return nil, origin{isBroker: true}, nil
	}
	in := bodyReader{left: body}
	who = in.origin()
	if len(in.left) > 0 && in.left[0] == orderedExec {
		in.byte()
		queued := a.decodeCommands(&in)
		b := a.newBatch()
		if batches = []*Batch{b}; in.err == nil {
			inv, req := b.add()
			inv.row, inv.handler, inv.args = protocol.Lookup([]byte("EXEC")), handlers["exec"], [][]byte{[]byte("EXEC")}
			inv.dialect, inv.ordered, inv.txn = protocol.RESP, true, &transaction{}
			req.Op, req.Tag = broker.Exec, inv
			for _, q := range queued {
				inv.txn.queued = append(inv.txn.queued, q.Requests...)
			}
		}
		return batches, who, in.err
	}
	batches = a.decodeCommands(&in)
	return batches, who, in.err
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
	for in.err == nil && len(in.left) > 0 {
		if b == nil || len(b.calls) >= maxCalls {
			b = a.newBatch()
			batches = append(batches, b)
		}
		kind := in.byte()
		switch kind {
		case orderedCommand:
			args := in.texts(in.number())
			if in.err == nil {
				in.err = a.replica.Reader.addOrdered(b, args, args[min(2, len(args)):])
			}
		case orderedRun:
			args := in.texts(2)
			payloads := in.texts(in.number())
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
