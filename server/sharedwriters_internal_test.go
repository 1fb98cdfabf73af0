package server

import (
	"io"
	"net"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/internal/command"
	"github.com/conchmq/conch/internal/outbox"
)

// writes makes a connection of a server, for which text waits.
func writes(s *Server, sock net.Conn, text string) *conn {
	c := newConn(s, sock)
	queueText(c, text)
	c.StartWriter()
	return c
}

func TestASharedWriterDoesNotWaitForAFullSocket(t *testing.T) {
	s := newServer(t, command.Options{})
	full, late := socketPair(t)
	filled := fill(t, full)
	first := writes(s, full, "behind")
	for range 3 * connsPerTake {
		ours, theirs := socketPair(t)
		writes(s, ours, "text").writing.Wait()
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
	s := newServer(t, command.Options{})
	for _, size := range []int{maxSharedWrite - 1, maxSharedWrite, maxSharedWrite + 1, 3 * outbox.MaxWrite} {
		ours, theirs := socketPair(t)
		c := newConn(s, ours)
		text := strings.Repeat("x", size)
		queueText(c, text)
		c.writing.Add(1)
		s.writers.add(c)
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
	s := newServer(t, command.Options{})
	s.writers.most = 0 // they wait
	ours, _ := socketPair(t)
	broken := newConn(s, ours)
	queueText(broken, "text")
	broken.rawConn = brokenRawConn{}
	broken.StartWriter()
	ours, theirs := socketPair(t)
	good := writes(s, ours, "text")
	s.writers.running++
	s.tasks.Add(1)
	s.writers.run()
	broken.writing.Wait()
	good.writing.Wait()
	assert.Equal(t, command.CloseReasonPanic, broken.Reason())
	assert.Equal(t, command.CloseReasonNone, good.Reason())
	got := make([]byte, len("text"))
	_, err := io.ReadFull(theirs, got)
	require.NoError(t, err)
	assert.Zero(t, s.writers.running)
}

// brokenRawConn has no method that works.
type brokenRawConn struct{}

func (brokenRawConn) Control(func(uintptr)) error    { panic("a defect") }
func (brokenRawConn) Read(func(uintptr) bool) error  { panic("a defect") }
func (brokenRawConn) Write(func(uintptr) bool) error { panic("a defect") }
