package outbox

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/protocol"
)

func newOutbox(limit int) *Outbox {
	o := new(Outbox)
	o.Init(int64(limit), Disconnect, new(Totals))
	return o
}

// put hands frames over as the core does.
func put(o *Outbox, s Fragment, e FrameInfo) (start bool) {
	p := new(Unflushed)
	p.Add(s, e)
	s.Buf.Release() // the reference of unflushedFrames is the one that counts
	return o.Add(p, 0)
}

func (o *Outbox) all() []*Chunk { return inBothDirections(o.queue) }

// clear throws away what waits.
func (o *Outbox) clear() {
	o.discardQueue(o.queue)
	o.queue = nil
}

func contents(o *Outbox) string {
	var all []byte
	for _, c := range o.all() {
		all = append(all, c.bytes...)
	}
	return string(all)
}

// one makes an entry for a message of some subscription.
func one() FrameInfo { return FrameInfo{Account: new(Account), Count: 1} }

// What keeps a slow subscriber from pinning much more than it counts: of two traps, the one that a small piece of a
// large buffer keeps all of it.
func TestShortSpansAreCopiedAndLongOnesShared(t *testing.T) {
	tests := []struct {
		sentence     string
		buffer, span int
		shared       bool
	}{
		{"a short span is copied", 16 << 10, minShared - 1, false},
		{"a span of a quarter of its buffer is shared", 16 << 10, minShared, true},
		{"a long span that is a small part of its buffer is copied", 64 << 10, minShared, false},
		{"a quarter of that one is shared", 64 << 10, 16 << 10, true},
		{"so it is with buffers of any size", 1 << 20, 256<<10 - 1, false},
	}
	for _, test := range tests {
		t.Run(test.sentence, func(t *testing.T) {
			o := newOutbox(1 << 20)
			in := NewBuffer(nil, test.buffer)
			in.Retain() // the outbox' hold
			assert.True(t, put(o, Fragment{Bytes: in.Bytes[:test.span], Buf: in}, one()), "the first one starts a writer")
			assert.Equal(t, test.shared, &in.Bytes[0] == &o.all()[0].bytes[0])
			assert.EqualValues(t, map[bool]int{true: 2, false: 1}[test.shared], in.refs.Load())
			in.Retain()
			assert.False(t, put(o, Fragment{Bytes: in.Bytes[:10], Buf: in}, FrameInfo{Kind: KindReplies}), "there is a writer already")
			assert.EqualValues(t, test.span+10, o.bytes.Load())
			assert.EqualValues(t, test.span, o.MessageBytes(), "replies do not count against the limit")
			o.clear()
			assert.EqualValues(t, 1, in.refs.Load(), "what is dropped is released")
			in.Release()
		})
	}
}

func TestAnOutboxIsAListOfChunks(t *testing.T) {
	o := newOutbox(1 << 20)
	var want strings.Builder
	for i := range 3000 {
		frame := []byte(strings.Repeat(string(rune('a'+i%26)), 1+i%300))
		want.Write(frame)
		put(o, Fragment{Bytes: frame}, one())
	}
	assert.Equal(t, want.String(), contents(o))
	assert.Equal(t, SmallBuffers.BufferSize, cap(o.all()[0].bytes), "one message must not cost 16 KiB")
	assert.Equal(t, PageBuffers.BufferSize, cap(o.all()[1].bytes), "nor must ten")
	for _, c := range o.all()[2:] {
		assert.Equal(t, MediumBuffers.BufferSize, cap(c.bytes))
	}
	o.clear()
}

func TestFramesThatLieSideBySideBecomeOneFragment(t *testing.T) {
	arena := []byte("+one\r\n+two\r\n+three\r\n")
	p := new(Unflushed)
	for _, part := range [][]byte{arena[:6], arena[6:12], arena[12:]} {
		p.Add(Fragment{Bytes: part}, FrameInfo{Kind: KindReplies})
	}
	require.Len(t, p.fragments, 1)
	require.Len(t, p.entries, 1)
	assert.Equal(t, string(arena), string(p.fragments[0].Bytes))
	p.Add(Fragment{Bytes: []byte("+four\r\n")}, FrameInfo{Kind: KindReplies})
	require.Len(t, p.fragments, 2, "what lies elsewhere stands alone")
}

func TestSmallSpansBetweenSharedOnesCostLittle(t *testing.T) {
	o := newOutbox(1 << 30)
	arena := MediumBuffers.Get(nil)
	held := 0
	for range 1000 {
		arena.refs.Add(2)
		put(o, Fragment{Bytes: arena.Bytes[:minShared], Buf: arena}, one())
		put(o, Fragment{Bytes: arena.Bytes[:7], Buf: arena}, one())
	}
	for _, c := range o.all() {
		if c.appendable {
			held += cap(c.bytes)
		} else {
			held += minShared // the arena is the core's
		}
	}
	assert.Less(t, held, int(o.bytes.Load())*2)
	o.clear()
	arena.Release()
}

// Replies that are half written must not stand for messages that wait: the limit would not hold.
func TestHalfWrittenRepliesAreCountedAsTheyGo(t *testing.T) {
	o := newOutbox(1 << 20)
	reply := make([]byte, 10<<20)
	put(o, Fragment{Bytes: reply}, FrameInfo{Kind: KindReplies})
	put(o, Fragment{Bytes: reply[:5000]}, one())
	h := &WriteQueue{queue: o.queue}
	o.queue = nil
	for range 10 {
		o.MarkWritten(h, 1<<20)
		assert.EqualValues(t, 5000, o.MessageBytes())
	}
	o.MarkWritten(h, 5000)
	assert.Zero(t, o.bytes.Load())
	assert.Zero(t, o.MessageBytes())
	assert.Zero(t, h.length)
}

// Where --max-message is large, a line with much to show otherwise has more bytes than 31 bits can count.
func TestAFrameMayBeVeryLarge(t *testing.T) {
	const size = 5 << 30
	o := newOutbox(1 << 40)
	put(o, Fragment{Large: &LargeFrame{Size: size, Encoding: protocol.LineEscaped}}, one())
	h := new(WriteQueue)
	require.True(t, o.Dequeue(h, nil))
	o.MarkWritten(h, size-1)
	assert.Zero(t, o.counts.Delivered)
	o.MarkWritten(h, 1)
	assert.EqualValues(t, 1, o.counts.Delivered)
	assert.Zero(t, o.bytes.Load())
}
