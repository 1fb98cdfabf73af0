package server_test

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/internal/acl"
	"github.com/conchmq/conch/internal/harness"
	"github.com/conchmq/conch/server"
)

// A token of the same name with another secret is another token: who came in with the old one must go.
func TestATokenThatAFileReplacesIsRevoked(t *testing.T) {
	token := func(secret string) string {
		return "token u ci #" + acl.Hash([]byte(secret)).String() + " 9000-01-01T00:00:00Z"
	}
	const u = "user u on >pw &* +@all"
	path := rules(t, u, token("old"), token("kept")[:8]+"kept"+token("kept")[10:])
	s := harness.Start(t, server.Options{ACLFile: path})
	root, old, kept, password := s.Dial(t), s.Dial(t), s.Dial(t), s.Dial(t)
	become(old, "u", "old")
	become(kept, "u", "kept")
	become(password, "u", "pw")
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	changed := strings.NewReplacer(token("old"), token("new"), ">pw", ">other").Replace(string(text))
	require.NoError(t, os.WriteFile(path, []byte(changed), 0o600))
	root.Command("ACL", "LOAD")
	root.Expect("+OK\r\n")
	old.ExpectEnd()
	kept.Fence()
	password.Fence() // a password that changes closes nobody, as in Redis
	assert.Equal(t, 1, s.Info(t, "ended_token"))
}

// MONITOR is listening to everything: it ends with the right to it.
func TestAMonitorGoesWithItsRight(t *testing.T) {
	tests := []struct {
		sentence string
		command  []string
		closed   bool
	}{
		{"the command is taken away", []string{"ACL", "SETUSER", "u", "-monitor"}, true},
		{"all commands are", []string{"ACL", "SETUSER", "u", "-@all"}, true},
		{"the user is switched off", []string{"ACL", "SETUSER", "u", "off"}, true},
		{"the user is deleted", []string{"ACL", "DELUSER", "u"}, true},
		{"something else is taken away", []string{"ACL", "SETUSER", "u", "-publish", "resetchannels"}, false},
		{"another user changes", []string{"ACL", "SETUSER", "v", "off"}, false},
	}
	for _, test := range tests {
		t.Run(test.sentence, func(t *testing.T) {
			s := harness.Start(t, server.Options{})
			root, watching, idle := s.Dial(t), s.Dial(t), s.Dial(t)
			root.Command("ACL", "SETUSER", "u", "on", ">pw", "&*", "+@all")
			root.Expect("+OK\r\n")
			become(idle, "u", "pw")
			become(watching, "u", "pw")
			watching.Command("MONITOR")
			watching.Expect("+OK\r\n")
			root.Command(test.command...)
			_, err := root.Frame()
			require.NoError(t, err)
			assert.Contains(t, watching.Line(), "] \"ACL\" ") // it was allowed to see that
			root.Command("PUBLISH", "a", "x")
			root.Expect(":0\r\n")
			if !test.closed {
				assert.Contains(t, watching.Line(), `"PUBLISH" "a" "x"`)
				return
			}
			watching.ExpectEnd()
			if test.command[1] == "SETUSER" {
				idle.Command("MONITOR")
				idle.Expect("-NOPERM User u has no permissions to run the 'monitor' command\r\n")
			}
		})
	}
}

// A connection holds only what its user may hold, also when it becomes another user.
func TestWhoBecomesSomebodyElseMayHoldWhatItHolds(t *testing.T) {
	tests := []struct {
		sentence, line, auth string
		closed               bool
	}{
		{"a topic that both may listen to", "SUB a.1\n", "AUTH b pw\n", false},
		{"a pattern that both may listen to", "PSUB a.*\n", "AUTH b pw\n", false},
		{"a topic of the old user alone", "SUB c\n", "AUTH b pw\n", true},
		{"a pattern of the old user alone", "PSUB *\n", "AUTH b pw\n", true},
		{"by HELLO", "SUB c\n", "HELLO 3 AUTH b pw\n", true},
		{"MONITOR", "MONITOR\n", "AUTH b pw\n", true},
		{"the same user", "SUB c\n", "AUTH a pw\n", false},
		{"with a wrong password", "SUB c\n", "AUTH b no\n", false},
	}
	for _, test := range tests {
		t.Run(test.sentence, func(t *testing.T) {
			s := harness.Start(t, server.Options{ACLFile: rules(t, "user a on >pw &* +@all", "user b on >pw resetchannels &a.* +@all -monitor")})
			root, c := s.Dial(t), s.Dial(t)
			become(c, "a", "pw")
			c.Send("%s", test.line)
			c.Line()
			c.Send("%s", test.auth)
			if test.closed {
				harness.Eventually(t, func() bool { return s.Info(t, "ended_rights") == 1 }, "it stays")
				return
			}
			c.Line()
			c.Fence()
			if strings.Contains(test.auth, "AUTH b pw") {
				root.Command("ACL", "DELUSER", "a") // whom nothing binds it to any more
				root.Expect(":1\r\n")
				c.Fence()
				root.Command("ACL", "SETUSER", "b", "resetchannels")
				root.Expect("+OK\r\n")
				c.Expect("ERR closing connection: user deleted or permission for a subscribed topic revoked\n")
				c.ExpectEnd()
			}
		})
	}
}

const notRun = "-NOPERM connection is closing: this command did not run\r\n"

// What costs a connection its rights inside a transaction counts for the rest of it.
func TestATransactionEndsWithItsUser(t *testing.T) {
	tests := []struct{ sentence, command, answer string }{
		{"deleted", "ACL DELUSER boss", ":1\r\n"},
		{"its token revoked", "ACL TOKEN REVOKE boss ci", "+OK\r\n"},
		{"another user now, who may not hold t", "AUTH meek pw", "+OK\r\n"},
	}
	for _, test := range tests {
		t.Run(test.sentence, func(t *testing.T) {
			s := harness.Start(t, server.Options{ACLFile: rules(t, "user boss on >pw &* +@all",
				"token boss ci #"+acl.Hash([]byte("secret")).String()+" 9000-01-01T00:00:00Z", "user meek on >pw resetchannels +@all")})
			boss, other := s.Dial(t), s.Dial(t)
			other.Send("SUB t\n")
			other.Expect("OK SUB t\n")
			become(boss, "boss", "secret")
			boss.Send("SUB t\n")
			boss.Expect("OK SUB t\n")
			for _, line := range []string{"MULTI", "PUBLISH t 1", test.command, "PUBLISH t 2", "SUBSCRIBE u"} {
				boss.Command(strings.Fields(line)...)
			}
			boss.Expect("+OK\r\n" + strings.Repeat("+QUEUED\r\n", 4))
			boss.Command("EXEC")
			boss.Expect("*4\r\n:2\r\n" + test.answer + notRun + notRun + "UPDATE t 1\n")
			boss.ExpectEnd()
			other.Expect("UPDATE t 1\n")
			other.Fence()
		})
	}
}

// Who is closed by a command of a transaction gets nothing that the rest of it publishes.
func TestWhoIsClosedByATransactionHearsNoMoreOfIt(t *testing.T) {
	s := harness.Start(t, server.Options{ACLFile: rules(t, "user u on >pw &* +@all")})
	root, u, watching := s.Dial(t), s.Dial(t), s.Dial(t)
	for _, c := range []*harness.Conn{u, watching} {
		become(c, "u", "pw")
	}
	u.Send("SUB t\n")
	u.Expect("OK SUB t\n")
	watching.Command("MONITOR")
	watching.Expect("+OK\r\n")
	for _, line := range []string{"MULTI", "PUBLISH t 1", "ACL DELUSER u", "PUBLISH t 2"} {
		root.Send("%s\r\n", line)
		root.Line()
	}
	root.Command("EXEC")
	_, err := root.Frame()
	require.NoError(t, err)
	u.Expect("UPDATE t 1\nERR closing connection: user deleted or permission for a subscribed topic revoked\n")
	u.ExpectEnd()
	for line := ""; !strings.Contains(line, "DELUSER"); {
		line = watching.Line()
	}
	watching.ExpectEnd()
	// The publisher was told of both.
	assert.Equal(t, 2, s.Info(t, "messages_matched"))
	assert.Equal(t, 1, s.Info(t, "messages_undelivered"))
	harness.Eventually(t, func() bool { return s.Info(t, "messages_delivered") == 1 }, "the first is not counted")
}
