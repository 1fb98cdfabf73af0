package server

import (
	"bytes"
	"context"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/broker"
)

func contents(o *outbox) string {
	var all []byte
	for _, c := range o.chunks {
		all = append(all, c.bytes...)
	}
	return string(all)
}

// What keeps a slow subscriber from pinning much more than it counts: of two traps, the one that a small piece of a
// large buffer keeps all of it.
func TestShortSpansAreCopiedAndLongOnesShared(t *testing.T) {
	tests := []struct {
		sentence     string
		buffer, span int
		shared       bool
	}{
		{"a short span is copied", 16 << 10, shareAt - 1, false},
		{"a span of a quarter of its buffer is shared", 16 << 10, shareAt, true},
		{"a long span that is a small part of its buffer is copied", 64 << 10, shareAt, false},
		{"a quarter of that one is shared", 64 << 10, 16 << 10, true},
		{"so it is with buffers of any size", 1 << 20, 256<<10 - 1, false},
	}
	for _, test := range tests {
		t.Run(test.sentence, func(t *testing.T) {
			var o outbox
			o.init(1 << 20)
			in := newBuffer(test.buffer)
			in.hold() // the outbox' hold
			assert.True(t, o.add([]span{{bytes: in.bytes[:test.span], in: in}}, 0), "the first one starts a writer")
			assert.Equal(t, test.shared, &in.bytes[0] == &o.chunks[0].bytes[0])
			assert.EqualValues(t, map[bool]int{true: 2, false: 1}[test.shared], in.holders.Load())
			in.hold()
			assert.False(t, o.add([]span{{bytes: in.bytes[:10], in: in, reply: true}}, 0), "there is a writer already")
			assert.EqualValues(t, test.span+10, o.waiting.Load())
			assert.EqualValues(t, test.span, o.messages(), "replies do not count against the limit")
			o.drop()
			assert.EqualValues(t, 1, in.holders.Load(), "what is dropped is released")
			in.release()
		})
	}
}

func TestAnOutboxIsAListOfChunks(t *testing.T) {
	var o outbox
	o.init(1 << 20)
	var want strings.Builder
	for i := range 3000 {
		frame := []byte(strings.Repeat(string(rune('a'+i%26)), i%300))
		want.Write(frame)
		o.add([]span{{bytes: frame}}, 0)
	}
	assert.Equal(t, want.String(), contents(&o))
	assert.Equal(t, smallBuffers.size, cap(o.chunks[0].bytes), "one message must not cost 16 KiB")
	for _, c := range o.chunks[1:] {
		assert.Equal(t, mediumBuffers.size, cap(c.bytes))
	}
	o.drop()
}

func TestFramesThatLieSideBySideBecomeOneSpan(t *testing.T) {
	c := &conn{srv: &Server{press: new(press)}}
	for _, text := range []string{"+one\r\n", "+two\r\n", "+three\r\n"} {
		c.reply(append(c.begin(), text...))
	}
	require.Len(t, c.wire.pending, 1)
	assert.Equal(t, "+one\r\n+two\r\n+three\r\n", string(c.wire.pending[0].bytes))
	large := bytes.Repeat([]byte{'x'}, 2*mediumBuffers.size)
	c.reply(append(c.begin(), large...))
	c.reply(append(c.begin(), "+four\r\n"...))
	require.Len(t, c.wire.pending, 3, "a reply that outgrew the arena stands alone")
	assert.Equal(t, "+four\r\n", string(c.wire.pending[2].bytes))
	assert.Equal(t, large, c.wire.pending[1].bytes)
}

// A connection without a descriptor to wait on works as well: TLS will be one.
func TestAConnectionMayBeAnyNetConn(t *testing.T) {
	core := broker.New(broker.Options{})
	ctx, stop := context.WithCancel(context.Background())
	ran := make(chan struct{})
	go func() { defer close(ran); core.Run(ctx) }()
	s, err := New(core, Options{Unprotected: true})
	require.NoError(t, err)
	ours, theirs := net.Pipe()
	s.serve(theirs)
	_, err = io.WriteString(ours, "SUB a\nPUB a "+strings.Repeat("x", 50_000)+"\n")
	require.NoError(t, err)
	want := "OK SUB a\nOK PUB a\nUPDATE a " + strings.Repeat("x", 50_000) + "\n"
	got := make([]byte, len(want))
	_, err = io.ReadFull(ours, got)
	require.NoError(t, err)
	assert.Equal(t, want, string(got))
	require.NoError(t, ours.Close())
	s.Shutdown(context.Background())
	stop()
	<-ran
}

func TestSmallSpansBetweenSharedOnesCostLittle(t *testing.T) {
	var o outbox
	o.init(1 << 30)
	arena := mediumBuffers.get()
	held := 0
	for range 1000 {
		arena.holders.Add(2)
		o.add([]span{{bytes: arena.bytes[:shareAt], in: arena}, {bytes: arena.bytes[:7], in: arena}}, 0)
	}
	for _, c := range o.chunks {
		if c.own {
			held += cap(c.bytes)
		} else {
			held += shareAt // the arena is the core's
		}
	}
	assert.Less(t, held, int(o.waiting.Load())*2)
	o.drop()
	arena.release()
}

// Replies that are half written must not stand for messages that wait: the limit would not hold.
func TestHalfWrittenRepliesAreCountedAsTheyGo(t *testing.T) {
	c := &conn{srv: &Server{press: new(press)}}
	c.outbox.init(1 << 20)
	reply := make([]byte, 10<<20)
	c.outbox.add([]span{{bytes: reply, reply: true}, {bytes: reply[:5000]}}, 0)
	chunks := c.outbox.chunks
	for at, n := 0, 1<<20; at < len(reply); {
		chunks, at = c.advance(chunks, at+n, n)
		assert.EqualValues(t, 5000, c.outbox.messages())
		if len(chunks) == 1 {
			break
		}
	}
	_, _ = c.advance(chunks, 5000, 5000)
	assert.Zero(t, c.outbox.waiting.Load())
	assert.Zero(t, c.outbox.messages())
}
