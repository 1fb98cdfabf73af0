package outbox

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

// at is the clock of a test, in seconds of uptime.
func (b *bench) at(seconds int) time.Duration {
	uptime := time.Duration(seconds) * time.Second
	b.outbox.totals.SetClock(uptime)
	return uptime
}

func TestWhatAnOutboxWaitsFor(t *testing.T) {
	b := newBench(t, 1<<20, Disconnect, FormatLF)
	o := b.outbox
	assert.Equal(t, Progress{}, o.Progress(b.at(5)), "an empty outbox waits for nothing, however long it has been empty")
	b.publish("a a")
	assert.Equal(t, Progress{Bytes: 2 * int64(lineSize)}, o.Progress(b.at(5)))
	assert.Equal(t, Progress{Bytes: 2 * int64(lineSize), Idle: 3 * time.Second}, o.Progress(b.at(8)), "since the first byte came")
	b.write(1)
	assert.Equal(t, Progress{Bytes: 2*int64(lineSize) - 1, Idle: 2 * time.Second}, o.Progress(b.at(10)), "since the last write")
	b.drain()
	assert.Equal(t, Progress{}, o.Progress(b.at(20)))

	reply(o, 9, "+nine\r\n")
	assert.True(t, o.Progress(b.at(21)).Barrier)
	release(o, 9)
	written(o)
	m := new(Mark)
	o.AddMark(m)
	assert.True(t, o.Progress(b.at(22)).Place)
	o.RemoveMark(m)
	assert.Equal(t, Progress{}, o.Progress(b.at(23)))
}

func TestWhenASubscriptionWasGivenMessages(t *testing.T) {
	b := newBench(t, 1<<20, DropNewest, FormatLF)
	o, a := b.outbox, b.account("a")
	never := Lately{SinceDelivered: -1, SinceDropped: -1}
	assert.Equal(t, never, o.Lately(a, b.at(1)))
	a.LastSeq = 1
	b.publish("a")
	never.Matched = 1
	assert.Equal(t, never, o.Lately(a, b.at(1)))
	b.write(lineSize)
	l := o.Lately(a, b.at(4))
	assert.Equal(t, []any{uint64(1), 3 * time.Second, time.Duration(-1)}, []any{l.Given, l.SinceDelivered, l.SinceDropped})

	a.LastSeq = 2
	b.publish("a")
	assert.Zero(t, o.Lately(a, b.at(5)).Given, "which one is delivered last is not known while messages wait")
	b.drain()
	assert.EqualValues(t, 2, o.Lately(a, b.at(5)).Given)

	a.LastSeq, a.LostLast = 3, true
	b.miss("a")
	b.drain()
	l = o.Lately(a, b.at(9))
	assert.Equal(t, []any{uint64(0), 4 * time.Second, 4 * time.Second}, []any{l.Given, l.SinceDelivered, l.SinceDropped})
}

func TestMomentsOutliveTheirOverflow(t *testing.T) {
	last := time.Duration(1<<32-2) * time.Second
	assert.Equal(t, 3*time.Second, momentOf(last).before(momentOf(last+3*time.Second)))
	assert.NotZero(t, momentOf(last+time.Second), "0 is never")
}
