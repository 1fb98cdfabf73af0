package outbox

import (
	"net"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The collector works harder the closer the cap is, and never all the time: there is no limit that it could not keep.
func TestTheCollectorFollowsWhatIsHeld(t *testing.T) {
	m := MemoryLimit{max: 1000, exceeded: make(chan struct{}, 1)}
	for _, step := range []struct {
		held    int64
		others  int64
		percent int
		mark    int64
	}{
		{0, 0, 100, 500}, {500, 0, 100, 500}, {501, 0, 60, 750}, {751, 0, 35, 1000}, {5000, 0, 35, 1000}, {100, 0, 100, 500},
		{100, 400, 100, 100}, {100, 500, 60, 250}, {100, 700, 35, 1000},
	} {
		m.used.Store(step.held)
		assert.Equal(t, step.percent, m.GCPercent(step.others), "%d held, %d by others", step.held, step.others)
		assert.Equal(t, step.mark, m.notifyAt.Load(), "%d held, %d by others", step.held, step.others)
	}
	m.used.Store(0)
	m.notifyAt.Store(500)
	m.Charge(400)
	assert.Empty(t, m.exceeded)
	m.Charge(200)
	assert.Len(t, m.exceeded, 1, "somebody looks as soon as it is more")
}

// Small messages of subscriptions in turn are the worst case: an entry each, larger than the message. They count.
func TestEntriesAreWeighed(t *testing.T) {
	const n = 10_000
	b := newBench(t, 1<<30, Disconnect, FormatLF)
	for range n / 2 {
		b.publish("a b")
	}
	assert.Greater(t, int(b.outbox.overhead.Load()), n*frameInfoSize)
	assert.Less(t, int(b.outbox.overhead.Load()), 3*n*frameInfoSize)
	b.drain()
	b.balanced(map[string]int64{})
}

// However long an outbox is, what is added to it moves nothing that is there: a slice of all entries took 1.2 s to grow.
func TestAddingToALongOutboxMovesNothing(t *testing.T) {
	b := newBench(t, 1<<30, Disconnect, FormatLF)
	for range 20_000 {
		b.publish("a b a b a b")
	}
	most := 0
	for c := b.outbox.queue.First; c != nil; c = c.Next {
		most = max(most, cap(c.entries))
	}
	assert.LessOrEqual(t, most, 2*MediumBuffers.BufferSize/lineSize, "no chunk has more entries than its bytes have lines")
	b.drain()
}

// A buffer is counted once, from its first holder to its last.
func TestASharedBufferIsCountedOnce(t *testing.T) {
	m := &MemoryLimit{}
	in := NewBuffer(m, 1<<20)
	var outboxes []*Outbox
	for range 100 {
		o := newOutbox(1 << 30)
		o.totals.Memory = m
		in.Retain()
		put(o, Fragment{Bytes: in.Bytes, Buf: in}, one())
		outboxes = append(outboxes, o)
	}
	in.Release()
	assert.Less(t, m.used.Load(), int64(1<<20+100*1024))
	for _, o := range outboxes {
		assert.Positive(t, m.used.Load())
		o.clear()
	}
	assert.Zero(t, m.used.Load())
}

// What evicted connections have dequeued is not looked for elsewhere. It must be no more than they have: thousands of them
// would keep the cap from acting.
func TestWhatIsInHandIsNoMoreThanThat(t *testing.T) {
	ours, theirs := net.Pipe()
	defer func() { _ = ours.Close(); _ = theirs.Close() }()
	o := newOutbox(1 << 30)
	put(o, Fragment{Bytes: make([]byte, 8<<20)}, one())
	h := new(WriteQueue)
	o.Evict(ours, []byte("last words\n"))
	assert.True(t, o.Dequeue(h, ours))
	assert.EqualValues(t, len("last words\n"), o.dequeuedBytes.Load())
	o.Fail(h)
	assert.Zero(t, o.dequeuedBytes.Load())
}

// An outbox at its limit may have millions of entries. The core leaves them to the connection's writer when it evicts.
func TestAnEvictionIsSettledByTheWriter(t *testing.T) {
	sock, other := net.Pipe()
	t.Cleanup(func() { _, _ = sock.Close(), other.Close() })
	b := newBench(t, 1<<30, Disconnect, FormatLF)
	for range 1000 {
		b.publish("a b a b")
	}
	require.False(t, b.outbox.Evict(sock, []byte("ERR too slow\n")), "there is a writer already")
	assert.Zero(t, b.outbox.counts.Undelivered)
	require.True(t, b.outbox.Dequeue(&b.hand, sock))
	assert.EqualValues(t, 4000, b.outbox.counts.Undelivered)
	assert.Equal(t, "ERR too slow\n", string(b.hand.First.bytes))
	b.outbox.MarkWritten(&b.hand, b.hand.First.Size())
	require.False(t, b.outbox.Dequeue(&b.hand, sock))
	assert.Zero(t, b.outbox.overhead.Load())
	assert.Zero(t, b.outbox.dequeuedBytes.Load())
	assert.Zero(t, b.outbox.counts.Waiting())
}
