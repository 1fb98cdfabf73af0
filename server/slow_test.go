package server_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/internal/harness"
	"github.com/conchmq/conch/internal/outbox"
	"github.com/conchmq/conch/server"
)

// flood publishes numbered messages to topic a until nobody is subscribed any more, and returns how many there were.
func flood(t *testing.T, s *harness.Server) int {
	t.Helper()
	pub := s.Dial(t)
	payload := strings.Repeat("x", 10_000)
	for i := range 100_000 {
		pub.Command("PUBLISH", "a", fmt.Sprintf("%07d%s", i, payload))
		if pub.Line() == ":0" {
			return i
		}
	}
	t.Fatal("1 GB published, and the subscriber that never reads is still there")
	return 0
}

func TestSlowSubscriberIsEvictedAndOthersAreNot(t *testing.T) {
	s := harness.Start(t, server.Options{SlowHard: 1 << 20})
	slow, good, pub := s.Dial(t), s.Dial(t), s.Dial(t)
	for _, c := range []*harness.Conn{slow, good} {
		c.Send("SUB a\n")
		c.Expect("OK SUB a\n")
	}
	line := strings.Repeat("x", 50_000)
	alone := false
	for i := 0; !alone; i++ {
		require.Less(t, i, 10_000, "the subscriber that never reads is still there")
		pub.Command("PUBLISH", "a", line)
		alone = pub.Line() == ":1"
		good.Expect("UPDATE a " + line + "\n")
	}
	harness.Eventually(t, func() bool { return s.Info(t, "ended_slow_hard") == 1 }, "it is not counted")
	assert.Equal(t, 1, s.Info(t, "client_output_buffer_limit_disconnections"))
}

// Contract 6: who loses messages is told, at a frame boundary, if it speaks lines.
func TestEvictedLineSubscriberIsToldWhy(t *testing.T) {
	s := harness.Start(t, server.Options{SlowHard: 1 << 20})
	c := s.Dial(t)
	c.Send("SUB a\r\n")
	c.Expect("OK SUB a\r\n")
	n := flood(t, s)
	got := 0
	for line := c.Line(); !strings.HasPrefix(line, "ERR "); line = c.Line() {
		require.Len(t, line, len("UPDATE a ")+7+10_000, "a torn line")
		require.True(t, strings.HasPrefix(line, fmt.Sprintf("UPDATE a %07d", got)), "%.40s", line)
		got++
		if got > n {
			t.Fatal("more than was published")
		}
	}
	c.ExpectEnd()
	assert.Less(t, got, n)
}

// An unsolicited frame would be taken for a reply: a RESP2 subscriber is never sent one. What it gets are whole frames.
func TestEvictedRESP2SubscriberIsNotTold(t *testing.T) {
	s := harness.Start(t, server.Options{SlowHard: 1 << 20})
	c := s.Dial(t)
	c.Command("SUBSCRIBE", "a")
	c.Expect("*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n")
	flood(t, s)
	for i := 0; ; i++ {
		frame, err := c.Frame()
		if errors.Is(err, io.EOF) && len(frame) == 0 {
			return
		}
		require.NoError(t, err)
		require.True(t, strings.HasPrefix(string(frame), fmt.Sprintf("*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$10007\r\n%07d", i)), "%.60s", frame)
	}
}

func TestSoftLimit(t *testing.T) {
	s := harness.Start(t, server.Options{SlowSoft: 1 << 10, SlowHard: 1 << 30, SlowTime: 20 * time.Millisecond})
	c := s.Dial(t)
	c.Send("SUB a\n")
	c.Expect("OK SUB a\n")
	flood(t, s)
	harness.Eventually(t, func() bool {
		return s.Info(t, "ended_slow_soft")+s.Info(t, "ended_stalled") == 1
	}, "it is neither too slow nor stalled")
}

// The soft limit is for subscribers that stay behind: who catches up in time is left alone.
func TestWhoTakesNothingForSlowTimeIsStalled(t *testing.T) {
	s := harness.Start(t, server.Options{SlowSoft: 1 << 30, SlowHard: 1 << 30, SlowTime: 50 * time.Millisecond})
	c := s.Dial(t)
	c.Send("SUB a\n")
	c.Expect("OK SUB a\n")
	flood(t, s)
	harness.Eventually(t, func() bool { return s.Info(t, "ended_stalled") == 1 }, "it is not found to be stalled")
}

// An outbox under its limit always takes one more message, however large.
func TestOneMessageMayBeLargerThanTheLimit(t *testing.T) {
	s := harness.Start(t, server.Options{SlowHard: 1 << 10})
	c, pub := s.Dial(t), s.Dial(t)
	c.Send("SUB a\n")
	c.Expect("OK SUB a\n")
	large := strings.Repeat("x", 8<<20)
	pub.Command("PUBLISH", "a", large)
	pub.Expect(":1\r\n")
	c.Expect("UPDATE a " + large + "\n")
	c.Fence()
}

// Own replies never evict: a publisher that does not read its replies is not read from, until it does.
func TestRepliesHoldTheReaderBackInsteadOfEvicting(t *testing.T) {
	s := harness.Start(t, server.Options{SlowHard: 64 << 10})
	c := s.Dial(t)
	require.NoError(t, c.Conn.(*net.TCPConn).SetReadBuffer(64<<10))
	const n, size = 4000, 10_000 // 40 MB of replies
	sent := make(chan error, 1)
	go func() {
		_, err := io.WriteString(c, strings.Repeat(harness.RESP("ECHO", strings.Repeat("x", size)), n))
		sent <- err
	}()
	// The server stops reading when about 1 MiB waits: far fewer commands are done than were sent.
	harness.Eventually(t, func() bool { return s.Info(t, "total_net_input_bytes") > 2<<20 }, "nothing arrives")
	other := s.Dial(t)
	for range 100 {
		other.Fence() // nobody else notices
	}
	want := fmt.Sprintf("$%d\r\n%s\r\n", size, strings.Repeat("x", size))
	for range n {
		c.Expect(want)
	}
	require.NoError(t, <-sent)
}

// Last words and answers reach a peer that was idle for longer than slow-time before it spoke again.
func TestAnswersAfterALongSilence(t *testing.T) {
	const patience = 20 * time.Millisecond
	s := harness.Start(t, server.Options{SlowTime: patience})
	for range 20 {
		c := s.Dial(t)
		c.Fence() // sets a write deadline
		silence := time.NewTimer(2 * patience)
		<-silence.C
		c.Send("SUB a\nPUB a last\nQUIT\n")
		c.Expect("OK SUB a\nOK PUB a\nUPDATE a last\n+OK\r\n")
		c.ExpectEnd()
	}
}

// A health check between does not make a person a program.
func TestEvictedAfterPINGIsToldToo(t *testing.T) {
	s := harness.Start(t, server.Options{SlowHard: 1 << 20})
	c := s.Dial(t)
	c.Send("SUB a\nPING\n")
	c.Expect("OK SUB a\n+PONG\r\n")
	flood(t, s)
	for line := c.Line(); !strings.HasPrefix(line, "ERR closing connection: too slow"); line = c.Line() {
		require.True(t, strings.HasPrefix(line, "UPDATE a "), line)
	}
	c.ExpectEnd()
	harness.Eventually(t, func() bool { return s.Info(t, "bytes_lost") > 0 }, "the loss is not counted")
}

// In RESP3 a push of a kind of its own is safe, so a subscriber is told.
func TestEvictedRESP3SubscriberIsTold(t *testing.T) {
	s := harness.Start(t, server.Options{SlowHard: 1 << 20})
	c := s.Dial(t)
	c.Command("HELLO", "3")
	_, err := c.Frame()
	require.NoError(t, err)
	c.Command("SUBSCRIBE", "a")
	c.Expect(">3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n")
	flood(t, s)
	for {
		frame, err := c.Frame()
		require.NoError(t, err)
		if strings.HasPrefix(string(frame), ">3\r\n$7\r\nclosing\r\n$9\r\nslow_hard\r\n") {
			break
		}
		require.True(t, strings.HasPrefix(string(frame), ">3\r\n$7\r\nmessage\r\n"), "%.40q", frame)
	}
	c.ExpectEnd()
}

// What a transaction sends to its own connection is held back until its answer is complete: there is nothing to cut yet.
func TestATransactionDropsItsNewestMessages(t *testing.T) {
	for _, policy := range []outbox.Policy{outbox.DropNewest, outbox.DropOldest} {
		t.Run(policy.String(), func(t *testing.T) {
			s := harness.Start(t, server.Options{SlowHard: 20, SlowConsumer: policy})
			c := s.Dial(t)
			c.Send("SUB a b\n")
			c.Expect("OK SUB a\nOK SUB b\n")
			c.Command("MULTI")
			c.Expect("+OK\r\n")
			for _, topic := range strings.Fields("a b a a b") {
				c.Command("PUBLISH", topic, "x")
				c.Expect("+QUEUED\r\n")
			}
			c.Command("EXEC")
			c.Expect("*5\r\n:1\r\n:1\r\n:1\r\n:1\r\n:1\r\nUPDATE a x\nUPDATE b x\nMISSED 2 a\nMISSED 1 b\n")
			assert.Equal(t, 5, s.Info(t, "messages_matched"))
			assert.Equal(t, 3, s.Info(t, "messages_dropped"))
		})
	}
}

// Replies keep the losses apart, and a peer that reads nothing could make us remember any number of
// them. They have a limit too.
func TestNotesAloneMayBeTooMuch(t *testing.T) {
	s := harness.Start(t, server.Options{SlowHard: 1000, SlowConsumer: outbox.DropNewest})
	c := s.Dial(t)
	c.Send("SUB a\n")
	c.Expect("OK SUB a\n")
	large := harness.RESP("PUBLISH", "a", strings.Repeat("x", 50_000))
	written := make(chan struct{})
	go func() {
		defer close(written)
		for {
			if _, err := io.WriteString(c, large); err != nil {
				return
			}
		}
	}()
	harness.Eventually(t, func() bool { return s.Info(t, "ended_slow_hard") == 1 }, "the notes know no limit")
	_ = c.Close()
	<-written
}
