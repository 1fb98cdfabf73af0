package outbox

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// anySocket takes each deadline.
type anySocket struct{}

func (anySocket) SetWriteDeadline(time.Time) error { return nil }

func line(n int) []byte { return fmt.Appendf(nil, "UPDATE a %d\n", n) }

// replayed adds frames as a feeder does.
func replayed(o *Outbox, m *Mark, a *Account, numbers ...int) (ok, start bool) {
	p, accounts := NewUnflushed(), []*Account(nil)
	for _, n := range numbers {
		p.Add(Fragment{Bytes: line(n)}, FrameInfo{Kind: KindReplayed})
		accounts = append(accounts, a)
	}
	return o.AddReplay(p, m, accounts)
}

// written is what a writer writes until it ends.
func written(o *Outbox) (text string) {
	for h := new(WriteQueue); o.Dequeue(h, anySocket{}); {
		for h.First != nil {
			piece := h.Piece(h.First, h.ChunkOffset)
			text += string(piece)
			o.MarkWritten(h, len(piece))
		}
	}
	return text
}

func live(o *Outbox, a *Account, numbers ...int) (start bool) {
	for _, n := range numbers {
		start = put(o, Fragment{Bytes: line(n)}, FrameInfo{Account: a, Count: 1, Format: FormatLF}) || start
	}
	return start
}

func lines(numbers ...int) (text string) {
	for _, n := range numbers {
		text += string(line(n))
	}
	return text
}

func TestTheWriterStopsAtAMark(t *testing.T) {
	o, a, m := newOutbox(1<<20), NewAccount("a"), new(Mark)
	ok, start := replayed(o, nil, a, 1, 2)
	assert.True(t, ok)
	assert.True(t, start)
	o.AddMark(m)
	assert.False(t, live(o, a, 5, 6), "there is a writer")
	assert.Equal(t, lines(1, 2), written(o))
	assert.False(t, live(o, a, 7), "there is nothing to write in front of the mark")
	assert.EqualValues(t, len(lines(5, 6, 7)), o.MessageBytes())
	_, start = replayed(o, m, a, 3)
	assert.True(t, start)
	_, start = replayed(o, m, a, 4)
	assert.False(t, start)
	assert.EqualValues(t, len(lines(3, 4)), o.ReplayBytes())
	assert.EqualValues(t, len(lines(5, 6, 7)), o.MessageBytes(), "replayed bytes do not count against the limit")
	assert.Equal(t, lines(3, 4), written(o))
	assert.True(t, o.RemoveMark(m))
	assert.Equal(t, lines(5, 6, 7), written(o))
	assert.Zero(t, o.WaitingBytes())
	assert.Zero(t, o.ReplayBytes())
	assert.Zero(t, o.overhead.Load())
	assert.Equal(t, DeliveryCounts{Matched: 3, Delivered: 3, Replayed: 4}, o.Counts())
	assert.Equal(t, o.Counts(), o.CountsOf(a))
	assert.EqualValues(t, 4, o.totals.Replayed.Load())
}

// Whatever is dropped behind a mark, what is in front of it stays, and the order is kept.
func TestDropOldestBehindAMark(t *testing.T) {
	for size := range 12 {
		o, a, m := newOutbox(size*len(line(1))), NewAccount("a"), new(Mark)
		o.SetPolicy(DropOldest)
		live(o, a, 1)
		replayed(o, nil, a, 2)
		o.AddMark(m)
		for n := 10; n < 20; n++ {
			live(o, a, n)
			if n%4 == 0 {
				replayed(o, m, a, 3+n/8)
			}
			if n == 17 {
				o.RemoveMark(m)
			}
		}
		require.Len(t, inBothDirections(o.queue), o.queue.length)
		text := written(o)
		assert.Contains(t, text, lines(2))
		assert.Contains(t, text, lines(4))
		c := o.Counts()
		assert.EqualValues(t, 11, c.Delivered+c.Dropped)
		assert.EqualValues(t, 3, c.Replayed)
		assert.Zero(t, c.Waiting())
		assert.Zero(t, o.overhead.Load(), "limit of %d lines", size)
		assert.Zero(t, o.marksLocked())
		if size > 1 {
			assert.Contains(t, text, string(line(19)))
		}
	}
}

// An eviction, and a writer that fails, take the mark along. The feeder learns of it when it adds the next time.
func TestAMarkGoesWithItsOutbox(t *testing.T) {
	for name, end := range map[string]func(o *Outbox){
		"evicted": func(o *Outbox) { o.Evict(anySocket{}, []byte("ERR gone\n")) },
		"failed":  func(o *Outbox) { o.Fail(new(WriteQueue)) },
	} {
		o, a, m := newOutbox(1<<20), NewAccount("a"), new(Mark)
		live(o, a, 1)
		o.AddMark(m)
		live(o, a, 2)
		end(o)
		ok, start := replayed(o, m, a, 3)
		assert.False(t, ok, name)
		assert.False(t, start, name)
		assert.False(t, o.RemoveMark(m), name)
		o.AddMark(new(Mark))
		text := written(o)
		assert.Equal(t, map[string]string{"evicted": "ERR gone\n"}[name], text)
		c := o.Counts()
		assert.Zero(t, c.Waiting(), name)
		assert.EqualValues(t, 0, c.Replayed)
		assert.Zero(t, o.overhead.Load(), name)
	}
}

// What is missing, in each format: a number, or that it is unknown.
func TestAppendMissed(t *testing.T) {
	for f, want := range map[Format][2]string{
		FormatRESP2:        {"", ""},
		FormatRESP3:        {">3\r\n$6\r\nmissed\r\n$1\r\na\r\n:3\r\n", ">3\r\n$6\r\nmissed\r\n$1\r\na\r\n_\r\n"},
		FormatLF:           {"MISSED 3 a\n", "MISSED ? a\n"},
		FormatCRLF:         {"MISSED 3 a\r\n", "MISSED ? a\r\n"},
		FormatObjectEvents: {"event: missed\ndata: {\"event\":\"missed\",\"name\":\"a\",\"count\":3}\n\n", "event: missed\ndata: {\"event\":\"missed\",\"name\":\"a\",\"count\":null}\n\n"},
		FormatTexts:        {"\x81\x0aMISSED 3 a", "\x81\x0aMISSED ? a"},
	} {
		assert.Equal(t, want, [2]string{string(AppendMissed(nil, f, "a", 3)), string(AppendMissed(nil, f, "a", -1))})
	}
}

// Losses on both sides of a mark are one gap when the mark goes: a subscription has one report for them.
func TestGapsBesideAMarkBecomeOne(t *testing.T) {
	o, a, b, m := newOutbox(1<<20), NewAccount("a"), NewAccount("b"), new(Mark)
	o.SetPolicy(DropNewest)
	miss := func(a *Account) {
		put(o, Fragment{}, FrameInfo{Account: a, Count: 1, Kind: KindMissed, Format: FormatLF})
	}
	miss(a)
	o.AddMark(m)
	miss(a)
	miss(b)
	o.RemoveMark(m)
	miss(b)
	miss(a)
	require.Len(t, inBothDirections(o.queue), 1)
	live(o, a, 6)
	assert.Equal(t, "MISSED 3 a\nMISSED 2 b\n"+lines(6), written(o))
	assert.Zero(t, o.gapBytes.Load())
	assert.Zero(t, o.overhead.Load())
	assert.EqualValues(t, 3, o.CountsOf(a).Dropped)
}
