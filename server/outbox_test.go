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

// What keeps a slow subscriber from pinning much more than it counts.
func TestShortSpansAreCopiedAndLongOnesShared(t *testing.T) {
	var o outbox
	o.init(1 << 20)
	arena := make([]byte, arenaSize)
	for i := range arena {
		arena[i] = 'a'
	}
	assert.True(t, o.add([]span{{bytes: arena[:shareAt-1]}}, 0), "the first one starts a writer")
	assert.False(t, o.add([]span{{bytes: arena[:shareAt]}, {bytes: arena[:10], reply: true}}, 0), "there is one already")
	require.Len(t, o.chunks, 3)
	assert.NotSame(t, &arena[0], &o.chunks[0].bytes[0])
	assert.Same(t, &arena[0], &o.chunks[1].bytes[0])
	assert.NotSame(t, &arena[0], &o.chunks[2].bytes[0])
	assert.EqualValues(t, 2*shareAt-1+10, o.waiting.Load())
	assert.EqualValues(t, 2*shareAt-1, o.messages(), "replies do not count against the limit")
	o.drop()
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
	assert.Equal(t, smallChunk, cap(o.chunks[0].bytes), "one message must not cost 16 KiB")
	for _, c := range o.chunks[1:] {
		assert.Equal(t, largeChunk, cap(c.bytes))
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
	large := bytes.Repeat([]byte{'x'}, 2*arenaSize)
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
	arena := make([]byte, arenaSize)
	held := 0
	for range 1000 {
		o.add([]span{{bytes: arena[:shareAt]}, {bytes: arena[:7]}}, 0)
	}
	for _, c := range o.chunks {
		held += cap(c.bytes)
		if c.own == nil {
			held += shareAt - cap(c.bytes) // the arena is the core's
		}
	}
	assert.Less(t, held, int(o.waiting.Load())*2)
	o.drop()
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
