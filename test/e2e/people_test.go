//go:build e2e

package e2e

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestTwoPeopleAndAProgramMeet(t *testing.T) {
	c := start(t, "")
	anna, ben := c.telnet(), c.telnet()
	anna.enter("SUB news")
	assert.Equal(t, "OK SUB news", anna.line())
	ben.enter("PUB news I'm a message!")
	assert.Equal(t, "OK PUB news", ben.line())
	assert.Equal(t, "UPDATE news I'm a message!", anna.line())

	assert.Equal(t, "1\n", c.cli("PUBLISH", "news", "from a program"))
	assert.Equal(t, "UPDATE news from a program", anna.line())

	listener := c.run("redis-cli", "-h", c.host, "-p", c.port, "SUBSCRIBE", "news")
	listener.until("subscribe")
	listener.until("1")
	ben.enter(`PUB news "quotes" stay`)
	assert.Equal(t, "OK PUB news", ben.line())
	assert.Equal(t, `UPDATE news "quotes" stay`, anna.line())
	listener.until("message")
	assert.Equal(t, "news", listener.line())
	assert.Equal(t, `"quotes" stay`, listener.line())

	ben.enter("FOO bar")
	assert.Equal(t, "-ERR unknown command 'FOO'; type: HELP", ben.line())
	ben.enter("PUB news")
	assert.Equal(t, "ERR PUB needs a topic, one space, and a message; type: PUB topic message", ben.line())
	ben.enter("HELP")
	assert.True(t, strings.HasPrefix(ben.line(), "# PUB topic message"))
	ben.until("# Redis commands")
	ben.enter("QUIT")
	assert.Equal(t, "+OK", ben.line())
	assert.Contains(t, ben.rest(), "Connection closed by foreign host.")
	c.stop()
}

func TestScriptsUseNC(t *testing.T) {
	c := start(t, "")
	p := c.run("nc", "-q1", c.host, c.port)
	p.enter("SUB a\nPUB a I'm a message!")
	assert.Equal(t, []string{"OK SUB a", "OK PUB a", "UPDATE a I'm a message!"}, []string{p.line(), p.line(), p.line()})
	require.NoError(t, p.in.Close()) // a second later nc ends, whatever was answered
	assert.Empty(t, p.rest())

	p = c.run("nc", "-q1", c.host, c.port)
	p.enter("*1\r\n$9223372036854775807\r")
	assert.Equal(t, "-ERR Protocol error: invalid bulk length (over --max-message 16777216)", p.line())
	require.NoError(t, p.in.Close())
	assert.Empty(t, p.rest())
	assert.Equal(t, "PONG\n", c.cli("PING"), "the 26 bytes cost one connection and nothing else")
	c.stop()
}

func TestRedisCLI(t *testing.T) {
	c := start(t, "")
	assert.Equal(t, "OK PUB news\n", c.cli("PUB", "news", "hi"))
	assert.Equal(t, "0\n", c.cli("PUBLISH", "news", "hi"))
	assert.Contains(t, c.cli("INFO"), "redis_version:7.2.4")
	assert.Contains(t, c.cli("INFO", "server"), "conch_version:")
	assert.Equal(t, "redis\n", strings.SplitAfter(c.cli("HELLO"), "\n")[1])
	assert.Equal(t, "PONG\n", c.cli("-3", "PING"))
	assert.Contains(t, c.cli("-3", "CLIENT", "LIST"), "resp=3 lib-name= lib-ver=")
	assert.Contains(t, c.cli("GET", "x"), "ERR unknown command 'GET'")
	assert.Equal(t, "0\n", c.cli("PUBSUB", "NUMPAT"))

	shell := c.run("redis-cli", "-h", c.host, "-p", c.port) // reads commands from its input, and asks COMMAND DOCS
	shell.enter("PSUBSCRIBE n*")
	shell.until("psubscribe")
	assert.Equal(t, "n*", shell.line())
	assert.Equal(t, "1\n", c.cli("PUBSUB", "NUMPAT"))
	assert.Equal(t, "1\n", c.cli("PUBLISH", "news", "hi"))
	shell.until("pmessage")
	assert.Equal(t, []string{"n*", "news", "hi"}, []string{shell.line(), shell.line(), shell.line()})
	c.stop()
}

func TestShutdownByCommand(t *testing.T) {
	c := start(t, "")
	assert.Empty(t, strings.TrimSpace(c.cli("SHUTDOWN", "NOSAVE")))
	c.wait()
}
