package server_test

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/internal/harness"
	"github.com/conchmq/conch/protocol"
	"github.com/conchmq/conch/server"
)

// What was read may be what is sent, but only once nobody needs it any more as it was read: a run reaches everybody in
// their own way of reading, whoever else there is, and whichever of them subscribed first.
func TestARunReachesEveryDialect(t *testing.T) {
	topic := []byte("news")
	ways := []struct {
		name, subscribe string
		confirmed       int // lines
		message         func(dst, payload []byte) []byte
	}{
		{"RESP2", harness.RESP("SUBSCRIBE", "news"), 1, func(dst, p []byte) []byte {
			return protocol.RESP2.AppendMessage(dst, "message", topic, p)
		}},
		{"RESP3", harness.RESP("HELLO", "3") + harness.RESP("SUBSCRIBE", "news"), 2, func(dst, p []byte) []byte {
			return protocol.RESP3.AppendMessage(dst, "message", topic, p)
		}},
		{"line", "SUB news\n", 1, func(dst, p []byte) []byte {
			return protocol.AppendUpdates(dst, topic, [][]byte{p}, false)
		}},
		{"line with CRLF", "SUB news\r\n", 1, func(dst, p []byte) []byte {
			return protocol.AppendUpdates(dst, topic, [][]byte{p}, true)
		}},
		{"pattern", harness.RESP("PSUBSCRIBE", "n*"), 1, func(dst, p []byte) []byte {
			return protocol.RESP2.AppendPatternMessage(dst, "n*", topic, p)
		}},
		{"twice", harness.RESP("SUBSCRIBE", "news") + harness.RESP("PSUBSCRIBE", "n?ws"), 2, func(dst, p []byte) []byte {
			dst = protocol.RESP2.AppendMessage(dst, "message", topic, p)
			return protocol.RESP2.AppendPatternMessage(dst, "n?ws", topic, p)
		}},
	}
	for first := range ways {
		for _, size := range []int{1, 60, 900, 20_000} { // copied into outboxes, into arenas, sent in place
			t.Run(fmt.Sprintf("%s first, %d bytes", ways[first].name, size), func(t *testing.T) {
				s := harness.Start(t, server.Options{})
				conns, want := make([]*harness.Conn, len(ways)), make([][]byte, len(ways))
				for i := range ways {
					n := (first + i) % len(ways)
					conns[n] = s.Dial(t)
					conns[n].Send("%s", ways[n].subscribe)
					for range ways[n].confirmed {
						_, err := conns[n].Frame()
						require.NoError(t, err)
					}
				}
				var published strings.Builder
				const messages = 50
				for i := range messages {
					payload := []byte(strings.Repeat(string(rune('a'+i%26)), size+i%3))
					published.WriteString(harness.RESP("PUBLISH", "news", string(payload)))
					for n := range ways {
						want[n] = ways[n].message(want[n], payload)
					}
				}
				c := s.Dial(t)
				go c.Send("%s", published.String())
				c.Expect(strings.Repeat(":7\r\n", messages))
				for n := range ways {
					got := make([]byte, len(want[n]))
					_, err := io.ReadFull(conns[n], got)
					require.NoError(t, err)
					require.True(t, bytes.Equal(want[n], got), "%s", ways[n].name)
				}
			})
		}
	}
}

// Where each command of a run must be seen by itself, it is.
func TestARunIsTakenApartWhereItMatters(t *testing.T) {
	run := strings.Repeat(harness.RESP("publish", "a", "hi"), 3)
	t.Run("MONITOR shows each command as it was spelt", func(t *testing.T) {
		s := harness.Start(t, server.Options{})
		m, c := s.Dial(t), s.Dial(t)
		m.Send("MONITOR\n")
		m.Expect("+OK\r\n")
		c.Send("%s", run)
		for range 3 {
			assert.Contains(t, m.Line(), `"publish" "a" "hi"`)
		}
		c.Expect(strings.Repeat(":0\r\n", 3))
	})
	t.Run("a transaction queues each command", func(t *testing.T) {
		c := harness.Start(t, server.Options{}).Dial(t)
		c.Send("%s", harness.RESP("MULTI")+run+harness.RESP("EXEC"))
		c.Expect("+OK\r\n" + strings.Repeat("+QUEUED\r\n", 3) + "*3\r\n" + strings.Repeat(":0\r\n", 3))
	})
	t.Run("a RESP2 subscriber is refused each command", func(t *testing.T) {
		c := harness.Start(t, server.Options{}).Dial(t)
		c.Send("%s", harness.RESP("SUBSCRIBE", "a"))
		_, err := c.Frame()
		require.NoError(t, err)
		c.Send("%s", run)
		for range 3 {
			assert.Contains(t, c.Line(), "-ERR Can't execute 'publish'")
		}
	})
	t.Run("CLIENT REPLY SKIP skips the first reply only", func(t *testing.T) {
		c := harness.Start(t, server.Options{}).Dial(t)
		c.Send("%s", harness.RESP("CLIENT", "REPLY", "SKIP")+run)
		c.Expect(strings.Repeat(":0\r\n", 2))
	})
	t.Run("a RESP3 publisher that listens gets reply, message, reply, message", func(t *testing.T) {
		c := harness.Start(t, server.Options{}).Dial(t)
		c.Send("%s", harness.RESP("HELLO", "3")+harness.RESP("SUBSCRIBE", "a"))
		for range 2 {
			_, err := c.Frame()
			require.NoError(t, err)
		}
		c.Send("%s", run)
		c.Expect(strings.Repeat(":1\r\n>3\r\n$7\r\nmessage\r\n$1\r\na\r\n$2\r\nhi\r\n", 3))
	})
}
