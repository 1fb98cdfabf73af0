package server_test

import (
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/rivo/uniseg"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/internal/harness"
	"github.com/conchmq/conch/protocol"
	"github.com/conchmq/conch/server"
)

// longest is a name as long as a topic may be, whose every byte is shown as four.
func longest(i int) string {
	return fmt.Sprintf("%05d", i) + strings.Repeat("\x01", protocol.Limits{}.WithDefaults().Topic-5)
}

// subscribeLongest subscribes to so many names that are as long as possible.
func subscribeLongest(t *testing.T, s *harness.Server, names int) {
	t.Helper()
	c := s.Dial(t)
	var all strings.Builder
	for i := range names {
		all.WriteString(harness.RESP("SUBSCRIBE", longest(i)))
	}
	go func() { _, _ = io.WriteString(c, all.String()) }()
	for range names {
		_, err := c.Frame()
		require.NoError(t, err)
	}
}

func frame(t *testing.T, c *harness.Conn, command ...string) string {
	t.Helper()
	c.Command(command...)
	f, err := c.Frame()
	require.NoError(t, err)
	return string(f)
}

// A table is as wide as a terminal, whatever the names are.
func TestCellsOfTablesAreCut(t *testing.T) {
	s := harness.Start(t, server.Options{})
	subscribeLongest(t, s, 1)
	wide := strings.Repeat("好", 40)
	accents := "e" + strings.Repeat("\u0301", 1000)
	c := s.Dial(t)
	c.Send("SUB short %s %s %s\n", strings.Repeat("x", 64), wide, accents)
	for range 4 {
		c.Line()
	}
	c.Send("TOPICS\n")
	require.Equal(t, "OK TOPICS 5", c.Line())
	names := map[string]bool{}
	for range 6 {
		line := c.Line()
		assert.LessOrEqual(t, len(line), 1000)
		assert.LessOrEqual(t, uniseg.StringWidth(line), 160)
		names[strings.Fields(line)[1]] = true
	}
	assert.Contains(t, names, "short")
	assert.Contains(t, names, strings.Repeat("x", 64), "which just fits")
	assert.Contains(t, names, strings.Repeat("好", 31)+"…")
	assert.Contains(t, names, "00000"+strings.Repeat(`\x01`, 14)+`\x…`)
	c.Send("WHO %s\n", accents)
	require.Equal(t, "OK WHO 1", c.Line())
	c.Line()
	assert.LessOrEqual(t, len(c.Line()), 1000)
}

// PUBSUB STATS has names whole, and as many of them as make a mebibyte.
func TestRowsOfStatsAreBoundedInBytes(t *testing.T) {
	s := harness.Start(t, server.Options{})
	subscribeLongest(t, s, 600)
	c := s.Dial(t)
	stats := frame(t, c, "PUBSUB", "STATS")
	assert.Less(t, len(stats), 3<<19)
	assert.Contains(t, stats, "$5\r\nnames\r\n:600\r\n", "all are counted")
	rows := strings.Count(stats, "$4\r\nname\r\n")
	assert.Greater(t, rows, 200)
	assert.Less(t, rows, 300)
	assert.Contains(t, stats, longest(0))
	one := frame(t, c, "PUBSUB", "WHO", longest(7))
	assert.Contains(t, one, longest(7))
}

// COMMAND INFO answers each name, as long as that is not too much.
func TestCommandInfoIsBounded(t *testing.T) {
	s := harness.Start(t, server.Options{})
	for _, version := range []string{"2", "3"} {
		c := s.Dial(t)
		_ = frame(t, c, "HELLO", version)
		one := frame(t, c, "COMMAND", "INFO", "ping")
		all := frame(t, c, append([]string{"COMMAND", "INFO"}, strings.Fields(strings.Repeat("ping ", 1000))...)...)
		assert.Equal(t, "*1000\r\n"+strings.Repeat(strings.TrimPrefix(one, "*1\r\n"), 1000), all)
		assert.Equal(t, "-ERR reply would exceed 1048576 bytes: give fewer names\r\n",
			frame(t, c, append([]string{"COMMAND", "INFO"}, strings.Fields(strings.Repeat("client ", 1000))...)...))
	}
}

// PUBSUB CHANNELS has a bound too, over which a narrower pattern is asked for.
func TestNamesOfChannelsAreBounded(t *testing.T) {
	s := harness.Start(t, server.Options{})
	subscribeLongest(t, s, 64<<20/4096+1)
	c := s.Dial(t)
	assert.Equal(t, "-ERR reply would exceed 67108864 bytes: give a pattern that matches less\r\n", frame(t, c, "PUBSUB", "CHANNELS"))
	assert.Len(t, frame(t, c, "PUBSUB", "CHANNELS", "0000*"), len("*10\r\n")+10*(len("$4096\r\n\r\n")+4096))
}

// The answers of a transaction have one bound together. What is left over is refused, each command by itself.
func TestAnswersOfATransactionAreBoundedTogether(t *testing.T) {
	s := harness.Start(t, server.Options{})
	subscribeLongest(t, s, 500)
	for _, command := range [][]string{
		{"PUBSUB", "CHANNELS"}, {"PUBSUB", "STATS"}, {"COMMAND", "INFO", "client"}, {"TOPICS"},
	} {
		if command[0] == "COMMAND" {
			command = append(command[:2], strings.Fields(strings.Repeat("client ", 250))...)
		}
		c := s.Dial(t)
		one := len(frame(t, c, command...))
		require.Equal(t, "+OK\r\n", frame(t, c, "MULTI"))
		for range 16 {
			require.Equal(t, "+QUEUED\r\n", frame(t, c, command...))
		}
		require.Equal(t, "+QUEUED\r\n", frame(t, c, "PING"))
		c.Command("EXEC")
		require.Equal(t, "*17", c.Line())
		bytes, refused := 0, 0
		for range 16 {
			f, err := c.Frame()
			require.NoError(t, err)
			if bytes += len(f); strings.HasPrefix(string(f), "-ERR replies of this transaction exceed") {
				refused++
			}
		}
		c.Expect("+PONG\r\n") // small answers still come
		assert.Positive(t, refused, command)
		assert.Less(t, bytes, 4<<20+2*one, command)
	}
}

// Work counts where it makes few bytes: names that are looked at, subscriptions that are added up.
func TestWorkOfATransactionIsBounded(t *testing.T) {
	const names = 40_000
	s := harness.Start(t, server.Options{})
	sub := s.Dial(t)
	all := []string{"SUBSCRIBE"}
	for i := range names {
		all = append(all, fmt.Sprintf("t%d", i))
	}
	go sub.Command(all...)
	for range names {
		_, err := sub.Frame()
		require.NoError(t, err)
	}
	c := s.Dial(t)
	require.Equal(t, "+OK\r\n", frame(t, c, "MULTI"))
	for range 16 {
		require.Equal(t, "+QUEUED\r\n", frame(t, c, "TOPICS", "nothing"))
	}
	answer := frame(t, c, "EXEC")
	assert.Equal(t, 7, strings.Count(answer, "*0\r\n"), "each looks at 40,000 names: 640,000 of 4 Mi")
	assert.Equal(t, 9, strings.Count(answer, "-ERR replies of this transaction"))
}
