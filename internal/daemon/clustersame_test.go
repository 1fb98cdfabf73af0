package daemon

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/internal/harness"
)

// What decides on one node alone must not decide what all have: each case has parted nodes that did it wrong.
func TestNodesStayTheSame(t *testing.T) {
	c := startCluster(t, "a", "b", "c")
	a := c.dial("a")
	resp := func(args ...string) string {
		text := fmt.Sprintf("*%d\r\n", len(args))
		for _, arg := range args {
			text += fmt.Sprintf("$%d\r\n%s\r\n", len(arg), arg)
		}
		return text
	}

	a.Send("%s", resp("MULTI")+"PUB t line\n"+resp("XADD", "s", "1-1", "n", "1")+resp("EXEC")) // a line is not queued
	a.Expect("+OK\r\nOK PUB t\n+QUEUED\r\n*1\r\n$3\r\n1-1\r\n")

	a.Send("%s", resp("MULTI")+resp("XADD", "quoted", "1-1", "n", "1")+" 'EXEC'\r\n") // it is read twice
	a.Expect("+OK\r\n+QUEUED\r\n*1\r\n$3\r\n1-1\r\n")
	a.Send("%s", resp("MULTI")+resp("SELECT", "1")+resp("XADD", "s", "2-1", "n", "1")+resp("EXEC"))
	a.Expect("+OK\r\n-ERR SELECT is not possible in a transaction on a node of a cluster\r\n+QUEUED\r\n" +
		"-EXECABORT Transaction discarded because of previous errors.\r\n")

	a.Send("ACL SETUSER me on nopass ~* &* +@all\r\n")
	a.Expect("+OK\r\n")
	me := c.dial("a")
	me.Send("%s", resp("AUTH", "me", "x")+resp("MULTI")+resp("ACL", "SETUSER", "me", "-xadd")+resp("XADD", "s", "3-1", "n", "1")+resp("EXEC"))
	for _, want := range []string{"+OK", "+OK", "+QUEUED", "+QUEUED", "*2", "+OK", "-NOPERM"} {
		assert.True(t, strings.HasPrefix(me.Line(), want), want)
	}

	a.Send("%s", resp(append([]string{"XDEL", "s"}, strings.Split(strings.Repeat("1-2 ", 1001)+"1-3", " ")...)...))
	a.Expect("-ERR more than 1000 names in one command on a node of a cluster; send several\r\n")

	a.Send("XGROUP CREATE s g $\r\n")
	a.Expect("+OK\r\n")
	c.eventually("b", "XPENDING s g", "*4\r\n:0\r\n$-1\r\n$-1\r\n*-1\r\n")
	waiting := c.dial("b")
	waiting.Send("XREADGROUP GROUP g bob BLOCK 0 STREAMS s >\r\n")
	a.Send("%s", resp("MULTI")+resp("XADD", "s", "4-1", "n", "1")+resp("XDEL", "s", "4-1")+resp("EXEC")) // there is nothing to read
	a.Expect("+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n$3\r\n4-1\r\n:1\r\n")
	a.Send("XADD s 5-1 n 1\r\n")
	a.Expect("$3\r\n5-1\r\n")
	waiting.Expect("*1\r\n*2\r\n$1\r\ns\r\n*1\r\n*2\r\n$3\r\n5-1\r\n*2\r\n$1\r\nn\r\n$1\r\n1\r\n")

	for _, name := range c.names {
		c.eventually(name, "XLEN s", ":2\r\n")
	}
	requireOneSequence(t, c)
}

// requireOneSequence publishes on each node, and requires that their numbers follow each other.
func requireOneSequence(t *testing.T, c *nodes) {
	var conns []*harness.Conn
	last := 0
	for i, name := range append(c.names, c.names...) {
		if i < len(c.names) {
			conns = append(conns, c.dial(name))
			conns[i].Send("SEQ ON\n")
			conns[i].Line()
		}
		conn := conns[i%len(c.names)]
		conn.Send("PUB sequence x\n")
		number := 0
		_, err := fmt.Sscanf(conn.Line(), "OK PUB sequence #%d", &number)
		assert.NoError(t, err)
		if last > 0 {
			assert.Equal(t, last+1, number, name)
		}
		last = number
	}
}

// A token that one node makes is good on all, and its secret is known to the client alone.
func TestTokensOfACluster(t *testing.T) {
	c := startCluster(t, "a", "b", "c")
	a := c.dial("a")
	a.Command("ACL", "SETUSER", "me", "on", "~*", "&*", "+@all")
	a.Expect("+OK\r\n")
	a.Command("ACL", "TOKEN", "CREATE", "me", "phone", "0")
	a.Expect("-ERR token lifetime must be from 1 to 31622400000 whole seconds\r\n")
	a.Command("ACL", "TOKEN", "CREATE", "me", "phone", "3600", "x")
	assert.True(t, strings.HasPrefix(a.Line(), "-ERR wrong arguments"))
	a.Command("ACL", "TOKEN", "CREATE", "me", "phone", "3600")
	a.Expect("$64\r\n")
	phone := strings.TrimSuffix(a.Line(), "\r\n")
	a.Send("*1\r\n$5\r\nMULTI\r\n")
	a.Expect("+OK\r\n")
	a.Command("ACL", "TOKEN", "CREATE", "me", "desk", "3600")
	a.Expect("+QUEUED\r\n")
	a.Send("*1\r\n$4\r\nEXEC\r\n")
	a.Expect("*1\r\n$64\r\n")
	desk := strings.TrimSuffix(a.Line(), "\r\n")
	assert.NotEqual(t, phone, desk)
	a.Send("ACL TOKEN LIST me\r\n")
	list, err := a.Frame()
	require.NoError(t, err)
	for _, name := range c.names {
		c.eventually(name, "ACL TOKEN LIST me", string(list))
		for _, secret := range []string{phone, desk} {
			conn := c.dial(name)
			conn.Command("AUTH", "me", secret)
			conn.Expect("+OK\r\n")
		}
	}
	b := c.dial("b")
	b.Command("ACL", "TOKEN", "REVOKE", "me", "phone")
	b.Expect("+OK\r\n")
	b.Send("ACL TOKEN LIST me\r\n")
	list, err = b.Frame()
	require.NoError(t, err)
	for _, name := range c.names {
		c.eventually(name, "ACL TOKEN LIST me", string(list))
		conn := c.dial(name)
		conn.Command("AUTH", "me", phone)
		conn.Expect("-WRONGPASS invalid username-password pair or user is disabled.\r\n")
	}
	requireOneSequence(t, c)
}
