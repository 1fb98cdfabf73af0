package client

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestMessageID(t *testing.T) {
	for _, connection := range []int{0, 1, maxConnections - 1} {
		for _, count := range []uint64{1, 2, 1<<countBits - 1} {
			id := newMessageID(connection, count)
			assert.NotZero(t, id)
			assert.Equal(t, connection, id.connection())
			assert.Equal(t, count, id.count())
		}
	}
}

func TestRecord(t *testing.T) {
	for _, r := range []Record{
		{"news", []byte("hi")},
		{"", []byte{}},
		{"PUBLISH\r\n$3\r\n", []byte("PUBLISH\r\n$1\r\n\r\n")},
		{"large", make([]byte, 100_000)},
	} {
		command := appendPublish(nil, r.Topic, r.Payload)
		assert.LessOrEqual(t, len(command), r.maxSize())
		assert.Equal(t, r, parseRecord(command))
	}
}

// testWindow is an ackWindow for tests. The payloads identify the messages: "1", "2" and so on.
type testWindow struct {
	ackWindow
	t     *testing.T
	chunk []byte
}

func (w *testWindow) publish(n int) {
	for range n {
		r := Record{"t", []byte(fmt.Sprint(w.count + 1))}
		require.True(w.t, w.hasRoom(&r))
		w.append(&r, 10*w.count)
	}
}

// takeWrite takes the next chunk, as the writer does.
func (w *testWindow) takeWrite() {
	w.chunk = w.nextWrite()
}

// write records a write that left out the last missing bytes.
func (w *testWindow) write(missing int) {
	w.recordWritten(missing)
	w.settle()
}

// ok records n acknowledgements.
func (w *testWindow) ok(n int) {
	for range n {
		require.NoError(w.t, w.recordReply(ack{published: Published{Receivers: 1}}))
	}
	w.settle()
}

func (w *testWindow) refuse() {
	require.NoError(w.t, w.recordReply(ack{refusal: &Error{Code: CodeNoPerm}}))
	w.settle()
}

func (w *testWindow) replyToNothing() {
	require.ErrorIs(w.t, w.recordReply(ack{}), ErrMalformed)
	w.settle()
}

// unacknowledged returns the payloads of take.
func (w *testWindow) unacknowledged() (payloads []string) {
	for _, u := range w.take() {
		payloads = append(payloads, string(u.Payload))
	}
	return payloads
}

func TestAckWindow(t *testing.T) {
	tests := []struct {
		sentence string
		do       func(*testWindow)
		settled  uint64
		lost     []string
	}{
		{"what is written and replied to is settled", func(w *testWindow) { w.publish(2); w.takeWrite(); w.write(0); w.ok(2) }, 2, nil},
		{
			"what is not replied to is lost, written or not",
			func(w *testWindow) {
				w.publish(2)
				w.takeWrite()
				w.write(0)
				w.publish(1)
				w.takeWrite()
				w.publish(1)
				w.ok(1)
			},
			1,
			[]string{"2", "3", "4"},
		},
		{
			"a reply that comes while its message is being written counts when it is",
			func(w *testWindow) { w.publish(2); w.takeWrite(); w.ok(2); assert.Zero(w.t, w.settled); w.write(0) },
			2,
			nil,
		},
		{
			"a reply to a message that never left does not count",
			func(w *testWindow) { w.publish(2); w.takeWrite(); w.ok(2); w.write(len(w.chunk)) },
			0,
			[]string{"1", "2"},
		},
		{
			"a message of which one byte is missing has not left",
			func(w *testWindow) { w.publish(2); w.takeWrite(); w.ok(2); w.write(1) },
			1,
			[]string{"2"},
		},
		{"a reply to nothing is none", func(w *testWindow) { w.replyToNothing() }, 0, nil},
		{
			"a reply to what the writer was not given is none",
			func(w *testWindow) {
				w.publish(1)
				w.takeWrite()
				w.publish(1)
				w.ok(1)
				w.replyToNothing()
				w.write(0)
			},
			1,
			[]string{"2"},
		},
		{
			"a refused message is returned among the others",
			func(w *testWindow) {
				w.publish(3)
				w.takeWrite()
				w.write(0)
				w.ok(1)
				w.refuse()
				w.ok(1)
			},
			3,
			[]string{"2"},
		},
		{
			"what is refused without having left is lost, and only once",
			func(w *testWindow) { w.publish(2); w.takeWrite(); w.refuse(); w.refuse(); w.write(len(w.chunk)) },
			0,
			[]string{"1", "2"},
		},
		{
			"a message refused before it is written is not returned before it is lost",
			func(w *testWindow) {
				w.publish(2)
				w.takeWrite()
				w.refuse()
				assert.Empty(w.t, w.unacknowledged())
				require.NoError(w.t, w.firstErr())
				w.write(len(w.chunk))
			},
			0,
			[]string{"1", "2"},
		},
		{
			"a lost message and a refused one",
			func(w *testWindow) { w.publish(3); w.takeWrite(); w.write(0); w.refuse() },
			1,
			[]string{"2", "3", "1"},
		},
	}
	for _, test := range tests {
		t.Run(test.sentence, func(t *testing.T) {
			w := &testWindow{ackWindow: newAckWindow(0, 4, 1<<20), t: t}
			test.do(w)
			w.finish(assert.AnError)
			assert.Equal(t, test.settled, w.settled)
			assert.Equal(t, test.lost, w.unacknowledged())
			assert.Empty(t, w.take(), "a second time")
			assert.Zero(t, w.unreturned)
		})
	}
}

func TestSequenceIsKnownForTwoWindows(t *testing.T) {
	w := &testWindow{ackWindow: newAckWindow(0, 4, 1<<20), t: t}
	for i := range uint64(20) {
		w.publish(1)
		w.takeWrite()
		w.recordWritten(0)
		require.NoError(t, w.recordReply(ack{published: Published{Receivers: 3, Sequence: 100 + i + 1}}))
		w.settle()
	}
	for count := uint64(1); count <= 12; count++ {
		ack, err := w.result(count)
		require.NoError(t, err)
		assert.Equal(t, Published{Receivers: -1}, ack)
	}
	for count := uint64(13); count <= 20; count++ {
		ack, err := w.result(count)
		require.NoError(t, err)
		assert.Equal(t, Published{Receivers: 3, Sequence: 100 + count}, ack)
	}
}

func TestSequencesRise(t *testing.T) {
	w := &testWindow{ackWindow: newAckWindow(0, 4, 1<<20), t: t}
	w.lastSeq = 7 // from the handshake
	w.publish(4)
	w.takeWrite()
	withSeq := func(seq uint64) ack { return ack{published: Published{Sequence: seq}} }
	require.ErrorIs(t, w.recordReply(withSeq(7)), ErrMalformed)
	require.NoError(t, w.recordReply(withSeq(8)))
	require.ErrorIs(t, w.recordReply(withSeq(8)), ErrMalformed)
	require.NoError(t, w.recordReply(withSeq(12)))
}

// A refused message never counts as acknowledged, however old it is.
func TestRefusalNeverBecomesAck(t *testing.T) {
	w := &testWindow{ackWindow: newAckWindow(0, 2, 1<<20), t: t}
	one := func(answer func()) {
		w.publish(1)
		w.takeWrite()
		w.write(0)
		answer()
	}
	one(func() { w.ok(1) })
	one(w.refuse)
	require.Error(t, w.firstErr())
	for range 10 {
		one(func() { w.ok(1) })
	}
	_, err := w.result(2)
	require.ErrorContains(t, err, "NOPERM", "nobody has taken it")
	assert.Equal(t, []string{"2"}, w.unacknowledged())
	require.NoError(t, w.firstErr())
	_, err = w.result(2)
	require.ErrorIs(t, err, ErrRefused)
	for _, count := range []uint64{1, 3} {
		ack, err := w.result(count)
		require.NoError(t, err)
		assert.Equal(t, Published{Receivers: -1}, ack)
	}
}

// The ids of old refused messages are kept up to a bound. Later ones are still known.
func TestRefusedIDsExpire(t *testing.T) {
	const expired = 3
	w := &testWindow{ackWindow: newAckWindow(0, 4, 1<<20), t: t}
	two := func(answers ...func()) {
		w.publish(2)
		w.takeWrite()
		w.write(0)
		for _, answer := range answers {
			answer()
		}
	}
	for range maxRefusedIDs + expired { // the even ones are refused
		two(func() { w.ok(1) }, w.refuse)
		w.take()
	}
	for range w.window {
		two(func() { w.ok(2) })
	}
	w.take()
	for count := uint64(1); count <= 2*(maxRefusedIDs+expired); count++ {
		_, err := w.result(count)
		switch {
		case count <= 2*expired:
			require.Equal(t, ErrExpired, err, count)
		case count%2 == 0:
			require.Equal(t, ErrRefused, err, count)
		default:
			require.NoError(t, err, count)
		}
	}
	assert.LessOrEqual(t, cap(w.refusedIDs), 2*maxRefusedIDs)
}

func TestBacklog(t *testing.T) {
	w := &testWindow{ackWindow: newAckWindow(0, 3, 1<<20), t: t}
	w.publish(3)
	w.takeWrite()
	w.write(0)
	w.refuse()
	w.refuse()
	require.NoError(t, w.backlogErr())
	w.refuse()
	require.ErrorIs(t, w.backlogErr(), ErrBacklog)
	w.take()
	require.NoError(t, w.backlogErr())

	for _, c := range []struct {
		sentence string
		record   Record
	}{
		{"the bytes count as well", Record{Payload: make([]byte, 100)}},
		{"and those of the topic", Record{Topic: strings.Repeat("t", 100)}},
	} {
		w = &testWindow{ackWindow: newAckWindow(0, 3, 100), t: t}
		require.True(t, w.hasRoom(&Record{}))
		w.append(&c.record, 1)
		w.takeWrite()
		w.write(0)
		w.refuse()
		require.ErrorIs(t, w.backlogErr(), ErrBacklog, c.sentence)
		w.take()
		require.NoError(t, w.backlogErr())
	}
}

func TestWindow(t *testing.T) {
	small, large := &Record{"t", []byte("x")}, &Record{"t", make([]byte, 200_000)}
	t.Run("of messages", func(t *testing.T) {
		w := newAckWindow(0, 2, 1<<20)
		w.append(small, 1)
		require.True(t, w.hasRoom(small))
		w.append(small, 2)
		require.False(t, w.hasRoom(small))
	})
	t.Run("of bytes", func(t *testing.T) {
		w := newAckWindow(0, 1000, len(appendPublish(nil, small.Topic, small.Payload))+small.maxSize())
		w.append(small, 1)
		require.True(t, w.hasRoom(small))
		w.append(small, 2)
		require.False(t, w.hasRoom(small))
	})
	t.Run("what is larger than the window goes alone", func(t *testing.T) {
		w := newAckWindow(0, 1000, 100_000)
		require.True(t, w.hasRoom(large))
		w.append(large, 1)
		require.False(t, w.hasRoom(small))
		assert.Len(t, w.nextWrite(), len(appendPublish(nil, large.Topic, large.Payload)))
	})
}

// Bytes leave the buffer in their order, in any mixture of sizes, and blocks are reused.
func TestSendBuffer(t *testing.T) {
	w := newAckWindow(0, 1000, 1<<20)
	var want, got []byte
	write := func(keep uint64) {
		for w.sent < w.count {
			got = append(got, w.nextWrite()...)
			w.recordWritten(0)
		}
		for w.replied+keep < w.count {
			require.NoError(t, w.recordReply(ack{}))
		}
		w.settle()
	}
	for i := range 3000 {
		r := Record{"t", make([]byte, i*7919%5000)}
		if i%500 == 0 {
			r.Payload = make([]byte, 3*blockSize)
		}
		want = appendPublish(want, r.Topic, r.Payload)
		w.append(&r, uint64(i))
		if i%17 == 0 {
			write(uint64(i % 5))
		}
	}
	write(0)
	require.Equal(t, string(want), string(got))
	assert.Nil(t, w.buffer.head)
	spare := 0
	for blk := w.buffer.free; blk != nil; blk = blk.next {
		spare++
		assert.LessOrEqual(t, cap(blk.bytes), blockSize, "what a large message took is given back")
	}
	assert.LessOrEqual(t, spare, 8)
}
