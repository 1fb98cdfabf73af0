package command

import (
	"errors"
	"sync"

	"github.com/conchmq/conch/broker"
	"github.com/conchmq/conch/protocol"
)

// inOrder holds the batches of a connection that wait for the order of all nodes, and those behind them. The reader adds; the goroutine
// that applies a proposal or gives it up takes out.
type inOrder struct {
	mu    sync.Mutex // guards what follows, and is held while the first is submitted: no batch passes another
	moved sync.Cond  // an item has left
	items []*orderedBatch
}

// orderedBatch is the token of a proposal, or a batch that follows one.
type orderedBatch struct {
	reader   *Reader
	batch    *Batch
	proposed bool
}

// awaitOrder waits until nothing of the connection is on its way to the other nodes.
func (r *Reader) awaitOrder() {
	if r.ordered != nil {
		r.ordered.queue.await()
	}
}

// batchesAhead is how many batches of the connection may be on their way.
func (r *Reader) batchesAhead() int32 {
	if r.ordered != nil && r.ordered.queue.waits() {
		return maxBatchesInOrder
	}
	return maxBatchesInFlight
}

// waits reports whether any batch waits.
func (q *inOrder) waits() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.items) > 0
}

// submit proposes a batch, or submits it behind those that wait. False means that the core has stopped.
func (q *inOrder) submit(r *Reader, b *Batch, body []byte) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	item := &orderedBatch{reader: r, batch: b}
	if body != nil {
		if err := q.propose(r, body, item); err == nil {
			item.proposed = true
		} else {
			b.failOrdered(err)
		}
	}
	if !item.proposed && len(q.items) == 0 {
		return r.service.submitLocal(b)
	}
	q.items = append(q.items, item)
	return true
}

// propose proposes a body, and waits for room if too much is outstanding. Only the reader adds items, so that none comes meanwhile.
func (q *inOrder) propose(r *Reader, body []byte, item *orderedBatch) error {
	s := r.service
	for {
		room := s.orderRoom.wait()
		err := s.options.Order.Propose(body, item)
		if !errors.Is(err, ErrOrderFull) {
			return err
		}
		q.mu.Unlock()
		select {
		case <-room:
		case <-r.abort.done():
		case <-s.core.Stopped():
			q.mu.Lock()
			return err
		}
		q.mu.Lock()
		if r.abort.raised.Load() {
			return err
		}
	}
}

// await waits until all that was proposed is applied or lost. Each proposal is, within the time-out of the cluster.
func (q *inOrder) await() {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.items) > 0 {
		q.wait()
	}
}

func (q *inOrder) wait() {
	if q.moved.L == nil {
		q.moved.L = &q.mu
	}
	q.moved.Wait()
}

// take calls f for an item once it is the first, and submits what follows it.
func (q *inOrder) take(item *orderedBatch, f func()) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for q.items[0] != item { // those before it are being lost by another goroutine
		q.wait()
	}
	f()
	s := item.reader.service
	n := 1
	for ; n < len(q.items) && !q.items[n].proposed; n++ {
		s.submitLocal(q.items[n].batch) // it fails if the core has stopped: then nothing is to be done
	}
	clear(q.items[:n])
	if q.items = q.items[n:]; len(q.items) == 0 {
		q.items = nil
	}
	q.moved.Broadcast()
}

// submitLocal submits a batch in which nothing is judged.
func (s *Service) submitLocal(b *Batch) bool {
	version := s.versions.enter()
	defer s.versions.leave(version)
	b.Version = version.index.Load().Version()
	return s.core.Submit(&b.Batch)
}

// failOrdered makes the ordered commands of a batch reply with an error.
func (b *Batch) failOrdered(why error) {
	for i := range b.Requests {
		if inv := b.Requests[i].Tag.(*invocation); inv.ordered {
			if inv.txn != nil {
				inv.txn.release()
				inv.txn = nil
			}
			inv.ordered = false
			inv.refuse(&b.Requests[i], errClusterDown(why))
		}
	}
}

// refuse makes a command reply with an error, a run once for each of its messages.
func (inv *invocation) refuse(req *broker.Request, why *protocol.Error) {
	if inv.handler == takeHandler {
		inv.take.err = why // its subscription replies
		return
	}
	inv.err = why
	if req.Op != broker.Publish { // Admit and AcceptsRun see to those
		inv.handler, *req = replyError, broker.Request{Op: broker.Reply, Tag: inv}
	}
}
