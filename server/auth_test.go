package server_test

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/internal/harness"
	"github.com/conchmq/conch/server"
)

// rules writes an ACL file and returns its path.
func rules(t *testing.T, lines ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "users.acl")
	require.NoError(t, os.WriteFile(path, []byte(strings.Join(lines, "\n")+"\n"), 0o600))
	return path
}

// become authenticates a connection.
func become(c *harness.Conn, user, password string) {
	c.Command("AUTH", user, password)
	c.Expect("+OK\r\n")
}

const (
	mayCommand = iota // it runs
	noChannel         // not on this topic
	noCommand         // not this command
	noUser            // authentication required
)

// Users × topics × commands × dialects: whatever somebody may do, it may do in each dialect, and nothing else in any.
func TestUsersTopicsCommandsDialects(t *testing.T) {
	s := harness.Start(t, server.Options{ACLFile: rules(t,
		"user default on >unlock sanitize-payload ~* &* +@all",
		"user root on >pw ~* &* +@all",
		"user app on >pw resetchannels &app.* -@all +@pubsub +ping",
		"user reader on >pw resetchannels %R&app.* +subscribe +psubscribe +ssubscribe +publish +spublish",
		"user writer on >pw resetchannels %W&app.* +subscribe +psubscribe +ssubscribe +publish +spublish",
		"user mute on >pw &* +@all -@pubsub",
	)})
	allowed := map[string][]int{ // publish to app.1, subscribe to it, psubscribe to app.1*; then the same with other
		"":       {noUser, noUser, noUser, noUser, noUser, noUser},
		"root":   {mayCommand, mayCommand, mayCommand, mayCommand, mayCommand, mayCommand},
		"app":    {mayCommand, mayCommand, mayCommand, noChannel, noChannel, noChannel},
		"reader": {noChannel, mayCommand, mayCommand, noChannel, noChannel, noChannel},
		"writer": {mayCommand, noChannel, noChannel, noChannel, noChannel, noChannel},
		"mute":   {noCommand, noCommand, noCommand, noCommand, noCommand, noCommand},
	}
	for user, want := range allowed {
		for i, topic := range []string{"app.1", "other"} {
			for j, action := range actions {
				for _, dialect := range dialects {
					t.Run(fmt.Sprintf("%s %s %s %s", user, action.name, topic, dialect.name), func(t *testing.T) {
						c := s.Dial(t)
						if user != "" {
							become(c, user, "pw")
						}
						got := dialect.ask(c, action, topic)
						assert.Equal(t, dialect.wants(want[3*i+j], action, user), got)
						c.Send("RESET\r\n") // what is subscribed to is no receiver of the next one's message
						for line := ""; line != "+RESET"; {
							line = c.Line()
						}
					})
				}
			}
		}
	}
}

// action is something that rights are asked for, with its answers when it is granted.
type action struct{ name, verb, command, suffix, confirmed string }

// subject is the topic or the pattern that is confirmed.
func (a action) subject(topic string) string { return strings.Fields(topic + a.suffix)[0] }

var actions = []action{
	{"publish", "PUB", "PUBLISH", " hi", ":0"},
	{"subscribe", "SUB", "SUBSCRIBE", "", "*3"},
	{"psubscribe", "PSUB", "PSUBSCRIBE", "*", "*3"},
}

type dialect struct {
	name string
	line bool
	ask  func(c *harness.Conn, a action, topic string) string // the first line of the answer
}

var dialects = []dialect{
	{"in RESP2", false, func(c *harness.Conn, a action, topic string) string {
		c.Command(strings.Fields(a.command + " " + topic + a.suffix)...)
		return c.Line()
	}},
	{"in RESP3", false, func(c *harness.Conn, a action, topic string) string {
		c.Command("HELLO", "3")
		if _, err := c.Frame(); err != nil {
			return err.Error()
		}
		c.Command(strings.Fields(a.command + " " + topic + a.suffix)...)
		return strings.Replace(c.Line(), ">", "*", 1)
	}},
	{"inline", false, func(c *harness.Conn, a action, topic string) string {
		c.Send("%s %s%s\r\n", a.command, topic, a.suffix)
		return c.Line()
	}},
	{"as a verb in RESP", false, func(c *harness.Conn, a action, topic string) string {
		c.Command(strings.Fields(a.verb + " " + topic + a.suffix)...)
		return strings.Replace(c.Line(), "+OK "+a.verb+" "+a.subject(topic), a.confirmed, 1)
	}},
	{"in a line", true, func(c *harness.Conn, a action, topic string) string {
		c.Send("%s %s%s\n", a.verb, topic, a.suffix)
		return strings.Replace(c.Line(), "OK "+a.verb+" "+a.subject(topic), a.confirmed, 1)
	}},
}

// wants is how a dialect puts it.
func (d dialect) wants(outcome int, a action, user string) string {
	text := map[int]string{
		mayCommand: a.confirmed,
		noChannel:  "NOPERM No permissions to access a channel",
		noCommand:  "NOPERM User " + user + " has no permissions to run the '" + a.name + "' command",
		noUser:     "NOAUTH Authentication required.",
	}[outcome]
	switch {
	case outcome == mayCommand:
		return text
	case !d.line:
		return "-" + text
	case outcome == noUser:
		return "NOAUTH authentication required; type: AUTH user password"
	}
	return text + "; to change the user, type: AUTH user password"
}

// When rights shrink, who holds what it may not hold any more is closed, and is told why where it can be. Nobody else
// is: it goes on with the rights that are left.
func TestShrinkingRightsCloseWhoMustAndNobodyElse(t *testing.T) {
	tests := []struct {
		sentence, rule         string
		topic, pattern, silent bool // who is closed: listens to b, listens to b*, to nothing
	}{
		{"a topic taken away", "%R&a*", true, true, false},
		{"the same again", "&a* &b*", false, false, false},
		{"a part of the pattern", "&a* &b", false, true, false},
		{"the right to publish alone", "%R&a* %R&b*", false, false, false},
		{"the right to listen alone", "&a* %W&b*", true, true, false},
	}
	for _, test := range tests {
		t.Run(test.sentence, func(t *testing.T) {
			s := harness.Start(t, server.Options{})
			root, other := s.Dial(t), s.Dial(t)
			root.Command("ACL", "SETUSER", "u", "on", ">pw", "resetchannels", "&a*", "&b*", "+@all")
			root.Expect("+OK\r\n")
			other.Send("SUB b\n")
			other.Expect("OK SUB b\n")
			conns := map[string]*harness.Conn{"SUB b": s.Dial(t), "PSUB b*": s.Dial(t), "SUB a": s.Dial(t), "": s.Dial(t)}
			for line, c := range conns {
				become(c, "u", "pw")
				if line != "" {
					c.Send("%s\n", line)
					c.Expect("OK " + line + "\n")
				}
			}
			root.Command(append([]string{"ACL", "SETUSER", "u", "resetchannels"}, strings.Fields(test.rule)...)...)
			root.Expect("+OK\r\n")
			for line, closed := range map[string]bool{"SUB b": test.topic, "PSUB b*": test.pattern, "SUB a": false, "": test.silent} {
				if closed {
					conns[line].Expect("ERR closing connection: user deleted or permission for a subscribed topic revoked\n")
					conns[line].ExpectEnd()
				} else {
					conns[line].Fence()
				}
			}
			other.Fence()
		})
	}
}

// What waits for somebody whose rights are taken is still delivered: it was published when it might be.
func TestTheLastMessagesComeBeforeTheEnd(t *testing.T) {
	s := harness.Start(t, server.Options{})
	root, u := s.Dial(t), s.Dial(t)
	root.Command("ACL", "SETUSER", "u", "on", "nopass", "allchannels", "+@all")
	root.Expect("+OK\r\n")
	become(u, "u", "x")
	u.Send("SUB b\n")
	u.Expect("OK SUB b\n")
	root.Send("%s", "PUB b one\nPUB b two\n"+harness.RESP("ACL", "DELUSER", "u"))
	root.Expect("OK PUB b\nOK PUB b\n:1\r\n")
	u.Expect("UPDATE b one\nUPDATE b two\nERR closing connection: user deleted or permission for a subscribed topic revoked\n")
	u.ExpectEnd()
}

func TestTokensExpire(t *testing.T) {
	s := harness.Start(t, server.Options{})
	root := s.Dial(t)
	root.Command("ACL", "SETUSER", "u", "on", ">pw", "allchannels", "+@all")
	root.Expect("+OK\r\n")
	lasting := ask(t, root, "ACL", "TOKEN", "CREATE", "u", "lasting", "1000")
	require.Len(t, lasting, 64)
	stays, password := s.Dial(t), s.Dial(t)
	become(stays, "u", lasting)
	become(password, "u", "pw")
	brief, goes := "", (*harness.Conn)(nil)
	for life, reply := 1, ""; reply != "+OK"; life *= 2 { // a busy machine may take longer than a second to use it
		brief = ask(t, root, "ACL", "TOKEN", "CREATE", "u", fmt.Sprint("brief", life), strconv.Itoa(life))
		goes = s.Dial(t)
		goes.Send("AUTH u %s\n", brief)
		reply = goes.Line()
	}
	_, _ = io.WriteString(goes, "SUB a\n") // the token may expire before that
	for line := ""; line != "ERR closing connection: token expired or revoked"; line = goes.Line() {
		require.Contains(t, []string{"", "OK SUB a"}, line)
	}
	goes.ExpectEnd()
	stays.Fence()
	late := s.Dial(t)
	late.Command("AUTH", "u", brief)
	late.Expect("-WRONGPASS invalid username-password pair or user is disabled.\r\n")

	root.Command("ACL", "TOKEN", "REVOKE", "u", "lasting")
	root.Expect("+OK\r\n")
	stays.ExpectEnd() // it spoke RESP2, in which nothing can be said unasked
	password.Fence()
	assert.Equal(t, 2, s.Info(t, "ended_token"))
}

func TestWhoDoesNotSayWhoItIsIsClosed(t *testing.T) {
	s := harness.Start(t, server.Options{RequirePassword: "pw", AuthTimeout: 20 * time.Millisecond})
	silent, guesses := s.Dial(t), s.Dial(t)
	guesses.Command("AUTH", "default", "no")
	for _, c := range []*harness.Conn{silent, guesses} {
		text, err := io.ReadAll(c)
		require.NoError(t, err)
		assert.True(t, strings.HasSuffix(string(text),
			"-ERR closing connection: no AUTH within 20ms (--auth-timeout)\r\n"), "%s", text)
	}
}

func TestBeforeAuthentication(t *testing.T) {
	s := harness.Start(t, server.Options{RequirePassword: "pw"})
	big := strings.Repeat("x", 16<<10+1)
	tests := []struct{ sentence, sent, answer string }{
		{"ten arguments", harness.RESP(strings.Fields("PING 1 2 3 4 5 6 7 8 9")...) + "QUIT\r\n", "-NOAUTH Authentication required.\r\n+OK\r\n"},
		{"eleven arguments", "*11\r\n", "-ERR Protocol error: unauthenticated multibulk length\r\n"},
		{"16 KiB", harness.RESP("PING", big[1:]) + "QUIT\r\n", "-NOAUTH Authentication required.\r\n+OK\r\n"},
		{"over 16 KiB", "*2\r\n$4\r\nPING\r\n$16385\r\n", "-ERR Protocol error: unauthenticated bulk length\r\n"},
		{"a run of publishes", strings.Repeat(harness.RESP("PUBLISH", "a", "x"), 3) + "QUIT\r\n",
			strings.Repeat("-NOAUTH Authentication required.\r\n", 3) + "+OK\r\n"},
		{"authenticated in the same write", "AUTH pw\r\n" + harness.RESP("ECHO", big) + "QUIT\r\n",
			fmt.Sprintf("+OK\r\n$%d\r\n%s\r\n+OK\r\n", len(big), big)},
		{"and not any more", "AUTH pw\r\nRESET\r\n*11\r\n", "+OK\r\n+RESET\r\n-ERR Protocol error: unauthenticated multibulk length\r\n"},
	}
	for _, test := range tests {
		t.Run(test.sentence, func(t *testing.T) {
			c := s.Dial(t)
			c.Send("%s", test.sent)
			c.Expect(test.answer)
			c.ExpectEnd()
		})
	}
}

// foreign is a listener whose peers seem to come from another machine.
func foreign(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	return elsewhere{l}
}

func TestAPasswordEndsProtectedMode(t *testing.T) {
	open := harness.StartOn(t, foreign(t), server.Options{})
	assert.True(t, strings.HasPrefix(open.Dial(t).Line(), "-DENIED "))
	guarded := harness.StartOn(t, foreign(t), server.Options{RequirePassword: "pw"})
	c := guarded.Dial(t)
	become(c, "default", "pw")
	c.Fence()
	c.Command("CONFIG", "SET", "requirepass", "")
	c.Expect("+OK\r\n")
	assert.True(t, strings.HasPrefix(guarded.Dial(t).Line(), "-DENIED "))
}

func TestRightsAreCounted(t *testing.T) {
	s := harness.Start(t, server.Options{})
	c := s.Dial(t)
	c.Command("ACL", "SETUSER", "u", "on", "nopass", "resetchannels", "+publish")
	c.Expect("+OK\r\n")
	c.Command("AUTH", "u", "x")
	c.Command("PUBLISH", "a", "x")
	c.Command("PUBLISH", "a", "x")
	c.Command("PING")
	c.Command("AUTH", "nobody", "x")
	c.Expect("+OK\r\n" + strings.Repeat("-NOPERM No permissions to access a channel\r\n", 2) +
		"-NOPERM User u has no permissions to run the 'ping' command\r\n" +
		"-WRONGPASS invalid username-password pair or user is disabled.\r\n")
	assert.Equal(t, 2, s.Info(t, "acl_access_denied_channel"))
	assert.Equal(t, 1, s.Info(t, "acl_access_denied_cmd"))
	assert.Equal(t, 1, s.Info(t, "acl_access_denied_auth"))
}

// With tls-user a certificate is as good as a password for the user of its name, and for nobody else.
func TestACertificateNamesTheUser(t *testing.T) {
	s := startTLS(t, server.Options{
		CertificateUser: true,
		ACLFile: rules(t, "user default on >pw &* +@all", "user alice on resetchannels &a +@all",
			"user off off &* +@all"),
	}, func(s *secureServer) {
		s.config.ClientAuth, s.config.ClientCAs = tls.RequireAndVerifyClientCert, s.authority.Pool()
	})
	dial := func(name string) *harness.Conn {
		own := s.authority.Valid(t, name).TLS(t)
		return s.dial(t, func(c *tls.Config) { c.Certificates = []tls.Certificate{own} })
	}
	for _, name := range []string{"nobody", "off"} {
		c := dial(name)
		c.Command("PING")
		c.Expect("-NOAUTH Authentication required.\r\n")
		become(c, "default", "pw")
		c.Fence()
	}
	alice := dial("alice")
	alice.Command(strings.Fields("PUBSUB NUMSUB 1 2 3 4 5 6 7 8 9")...) // more arguments than are allowed before authentication
	_, err := alice.Frame()
	require.NoError(t, err)
	alice.Command("PUBLISH", "b", "x")
	alice.Expect("-NOPERM No permissions to access a channel\r\n")
	alice.Command("RESET")
	alice.Expect("+RESET\r\n")
	assert.Equal(t, "alice", ask(t, alice, "ACL", "WHOAMI"))
	become(alice, "default", "pw")
	alice.Command("ACL", "DELUSER", "alice")
	alice.Expect(":1\r\n")
	alice.Fence()
}

func TestClientKillUser(t *testing.T) {
	s := harness.Start(t, server.Options{})
	root, u, silent := s.Dial(t), s.Dial(t), s.Dial(t)
	root.Command("ACL", "SETUSER", "u", "on", "nopass", "+@all")
	root.Expect("+OK\r\n")
	become(u, "u", "x")
	assert.Contains(t, ask(t, root, "CLIENT", "LIST"), " user=u ")
	root.Command("CLIENT", "KILL", "USER", "u")
	root.Expect(":1\r\n")
	u.ExpectEnd()
	silent.Fence()
	other := s.Dial(t)
	become(other, "u", "x")
	other.Command("CLIENT", "KILL", "USER", "default") // who has not said a word is the default user too
	other.Expect(":2\r\n")
	root.ExpectEnd()
	silent.ExpectEnd()
}
