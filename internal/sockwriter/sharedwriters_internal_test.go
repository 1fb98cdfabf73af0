package sockwriter

import (
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/internal/command"
	"github.com/conchmq/conch/internal/outbox"
)

// writes makes a connection for which text waits.
func writes(t *testing.T, s *SharedWriters, sock net.Conn, text string) *conn {
	t.Helper()
	c := newConn(t, s, sock)
	queueText(c, text)
	c.StartWriter()
	return c
}

func TestASharedWriterDoesNotWaitForAFullSocket(t *testing.T) {
	s := newWriters(t, command.Options{})
	full, late, filled := fullPair(t)
	first := writes(t, s, full, "behind")
	for range 3 * connsPerTake {
		ours, theirs := socketPair(t)
		writes(t, s, ours, "text").writing.Wait()
		got := make([]byte, len("text"))
		_, err := io.ReadFull(theirs, got)
		require.NoError(t, err)
		assert.Equal(t, "text", string(got))
	}
	assert.EqualValues(t, len("behind"), first.Outbox().WaitingBytes(), "its socket is full all the while")
	got := make([]byte, filled+len("behind"))
	_, err := io.ReadFull(late, got)
	require.NoError(t, err)
	assert.True(t, strings.HasSuffix(string(got), "\x00behind"))
	first.writing.Wait()
	assert.Equal(t, command.CloseReasonNone, first.Reason())
}

func TestASharedWriterLeavesMuchToAWriterOfTheConnection(t *testing.T) {
	s := newWriters(t, command.Options{})
	for _, size := range []int{maxSharedWrite - 1, maxSharedWrite, maxSharedWrite + 1, 3 * outbox.MaxWrite} {
		ours, theirs := socketPair(t)
		c := newConn(t, s, ours)
		text := strings.Repeat("x", size)
		queueText(c, text)
		c.writing.Hold()
		s.add(&c.writing, int64(size))
		got := make([]byte, size)
		_, err := io.ReadFull(theirs, got)
		require.NoError(t, err)
		assert.Equal(t, text, string(got))
		c.writing.Wait()
		assert.Zero(t, c.Outbox().WaitingBytes())
	}
}

// A defect in a writer ends the connection that it writes for. Those behind it are written.
func TestADefectInASharedWriterEndsOneConnection(t *testing.T) {
	s := newWriters(t, command.Options{})
	s.most = 0 // they wait
	ours, _ := socketPair(t)
	broken := newConn(t, s, ours)
	queueText(broken, "text")
	broken.writing.rawConn = brokenRawConn{}
	broken.StartWriter()
	ours, theirs := socketPair(t)
	good := writes(t, s, ours, "text")
	s.running++
	s.tasks.Add(1)
	s.run()
	broken.writing.Wait()
	good.writing.Wait()
	assert.Equal(t, command.CloseReasonPanic, broken.Reason())
	assert.Equal(t, command.CloseReasonNone, good.Reason())
	got := make([]byte, len("text"))
	_, err := io.ReadFull(theirs, got)
	require.NoError(t, err)
	assert.Zero(t, s.running)
}

// brokenRawConn has no method that works.
type brokenRawConn struct{}

func (brokenRawConn) Control(func(uintptr)) error    { panic("a defect") }
func (brokenRawConn) Read(func(uintptr) bool) error  { panic("a defect") }
func (brokenRawConn) Write(func(uintptr) bool) error { panic("a defect") }

// records is a sink without a descriptor.
type records struct{ written []string }

func (r *records) Write(b []byte) (int, error) {
	r.written = append(r.written, string(b))
	return len(b), nil
}

func (r *records) SetWriteDeadline(time.Time) error { return nil }

// A stream gets messages before its request is answered. They wait for the sink.
func TestAWriterWaitsForItsSink(t *testing.T) {
	s := newWriters(t, command.Options{})
	ours, _ := socketPair(t)
	c, sink := newConn(t, s, ours), new(records)
	c.writing.Hold()
	queueText(c, "text")
	c.writing.Attach(sink, nil)
	c.writing.Resume()
	c.writing.Wait()
	assert.Equal(t, []string{"text"}, sink.written)
	assert.Zero(t, c.Outbox().WaitingBytes())
}

// An eviction waits for one call at most, so that is short where it cannot be interrupted.
func TestASinkWithoutADescriptorGetsOneTLSRecordInACall(t *testing.T) {
	s := newWriters(t, command.Options{})
	ours, _ := socketPair(t)
	c, sink := newConn(t, s, ours), new(records)
	c.writing.Attach(sink, nil)
	text := strings.Repeat("x", 2*maxRecord+1)
	queueText(c, text)
	c.StartWriter()
	c.writing.Wait()
	assert.Equal(t, text, strings.Join(sink.written, ""))
	assert.Len(t, sink.written, 3)
}

// A reply does not wait behind a message to very many: connections with little to write come before those that came earlier and have
// more. These have their turn, too.
func TestConnectionsWithLittleToWriteComeFirst(t *testing.T) {
	s := newWriters(t, command.Options{})
	s.most = 0 // they wait
	names := make(map[*Writing]string)
	add := func(kind string, bytes int64) {
		for i := range 3 * connsPerTake {
			c := new(Writing)
			names[c] = fmt.Sprint(kind, i)
			s.add(c, bytes)
		}
	}
	add("long", shortWrite+1)
	add("short", shortWrite)
	var got [connsPerTake]*Writing
	take := func() (taken []string) {
		for _, c := range got[:s.take(&got)] {
			taken = append(taken, names[c])
		}
		return taken
	}
	s.running = 1
	shorts := []string{"short0", "short1", "short2", "short3", "short4", "short5", "short6", "short7", "short8", "short9", "short10", "short11"}
	assert.Equal(t, append(shorts, "long0", "long1", "long2", "long3"), take())
	assert.Equal(t, []string{"long4", "long5", "long6", "long7"}, take()[shortPerTake:])
	taken := 2 * connsPerTake
	for n := len(take()); n > 0; n = len(take()) {
		taken += n
	}
	assert.Equal(t, len(names), taken, "all had their turn")
	assert.Zero(t, s.running)
	assert.Zero(t, s.waiting)
}
