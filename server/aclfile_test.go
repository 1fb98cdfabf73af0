package server_test

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/broker"
	"github.com/conchmq/conch/internal/aclfile"
	"github.com/conchmq/conch/internal/harness"
	"github.com/conchmq/conch/server"
)

func TestAWrongFileKeepsTheServerFromStarting(t *testing.T) {
	tests := []struct{ sentence, text, want string }{
		{"a word", "user a on\nuser b on +nosuch\n", `users.acl:2: '+nosuch': Unknown command or category name in ACL`},
		{"a keyword", "users a on\n", `users.acl:1: '(a word of 5 letters, not shown)': should start with user keyword followed by the username`},
		{"twice", "user a\nuser a\n", `users.acl:2: 'a': Duplicate user found`},
		{"a secret is not shown", "user a #secret\n", `users.acl:1: '#...': The password hash must be exactly 64 characters`},
		{"what may be one neither", "user a on mysecretpw\n", `users.acl:1: '(a word of 10 letters, not shown)': Syntax error`},
		{"what drives a terminal", "user a %\x1b[2J\x00\xff\u009bé&\n", `users.acl:1: '%\x1b[2J\x00\xff\xc2\x9bé&': Syntax error`},
		{"ten of many", strings.Repeat("user\n", 3000), `users.acl:10: 'user': should start with user keyword followed by the username; and 2990 more`},
	}
	for _, test := range tests {
		t.Run(test.sentence, func(t *testing.T) {
			_, err := server.New(broker.New(broker.Options{}), server.Options{ACLFile: rules(t, test.text)})
			require.ErrorIs(t, err, aclfile.Err)
			assert.ErrorContains(t, err, test.want)
			assert.NotContains(t, err.Error(), "previously active")
			assert.Less(t, len(err.Error()), 4096)
		})
	}
	_, err := server.New(broker.New(broker.Options{}), server.Options{ACLFile: "nowhere.acl"})
	require.ErrorIs(t, err, aclfile.Err)
	assert.EqualError(t, err, "ACL file nowhere.acl cannot be read: no such file or directory; create it; it may be empty")
	folder := t.TempDir()
	_, err = server.New(broker.New(broker.Options{}), server.Options{ACLFile: folder})
	assert.EqualError(t, err, "ACL file "+folder+" cannot be read: is a directory")
}

// Whoever is answered OK has its rules in the file, however many save at once.
func TestSavesAtOnce(t *testing.T) {
	path := rules(t)
	s := harness.Start(t, server.Options{ACLFile: path})
	a, b := s.Dial(t), s.Dial(t)
	for round := range 60 {
		for name, c := range map[string]*harness.Conn{"a": a, "b": b} {
			c.Send("%s", harness.RESP("ACL", "SETUSER", name, "resetchannels", fmt.Sprintf("&%d", round))+harness.RESP("ACL", "SAVE"))
		}
		a.Expect("+OK\r\n+OK\r\n")
		b.Expect("+OK\r\n+OK\r\n")
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		require.Equal(t, 2, strings.Count(string(text), fmt.Sprintf(" &%d ", round)), "round %d:\n%s", round, text)
	}
}

func TestLoadTakesAllOrNothing(t *testing.T) {
	path := rules(t, "user u on >pw &* +@all", "user v on >pw &* +@all")
	s := harness.Start(t, server.Options{ACLFile: path})
	root, u, v := s.Dial(t), s.Dial(t), s.Dial(t)
	become(u, "u", "pw")
	become(v, "v", "pw")
	u.Send("SUB a\n")
	u.Expect("OK SUB a\n")

	require.NoError(t, os.WriteFile(path, []byte("user u on >pw resetchannels +@all\nuser v on +nosuch\n"), 0o600))
	root.Command("ACL", "LOAD")
	root.Expect("-ERR " + path + ":2: '+nosuch': Unknown command or category name in ACL. " +
		"WARNING: ACL errors detected, no change to the previously active ACL rules was performed\r\n")
	u.Fence()
	assert.Contains(t, ask(t, root, "ACL", "LIST"), "user u on sanitize-payload")

	require.NoError(t, os.WriteFile(path, []byte("user a %\x1b\xfe\nuser b on Sesame\n"), 0o600))
	root.Command("ACL", "LOAD")
	root.Expect("-ERR " + path + ":1: '%\\x1b\\xfe': Syntax error. " + path + ":2: '(a word of 6 letters, not shown)': Syntax error. " +
		"WARNING: ACL errors detected, no change to the previously active ACL rules was performed\r\n")

	require.NoError(t, os.WriteFile(path, []byte("user u on >pw resetchannels +@all\nuser v on +ping\n"), 0o600))
	root.Command("ACL", "LOAD")
	root.Expect("+OK\r\n")
	u.Expect("ERR closing connection: user deleted or permission for a subscribed topic revoked\n")
	u.ExpectEnd()
	v.Fence()
	v.Command("INFO")
	v.Expect("-NOPERM User v has no permissions to run the 'info' command\r\n")

	require.NoError(t, os.Remove(path))
	root.Command("ACL", "LOAD")
	root.Expect("-ERR ACL file " + path + " cannot be read: no such file or directory; the rules are unchanged\r\n")
}

func TestSaveReplacesTheFile(t *testing.T) {
	path := rules(t, "user default on nopass ~* &* +@all")
	link := filepath.Join(t.TempDir(), "link.acl")
	require.NoError(t, os.Symlink(path, link))
	require.NoError(t, os.Chmod(path, 0o640))
	s := harness.Start(t, server.Options{ACLFile: link})
	c := s.Dial(t)
	c.Command("ACL", "SETUSER", "u", "on", ">pw", "resetchannels", "%R&a", "+subscribe")
	c.Expect("+OK\r\n")
	require.Len(t, ask(t, c, "ACL", "TOKEN", "CREATE", "u", "ci", "1000"), 64)
	c.Send("%s", harness.RESP("ACL", "SAVE")+harness.RESP("ECHO", "behind"))
	c.Expect("+OK\r\n$6\r\nbehind\r\n")

	text, err := os.ReadFile(path)
	require.NoError(t, err)
	assert.Contains(t, string(text), "user u on sanitize-payload #30c952fab122c3f9759f02a6d95c3758b246b4fee239957b2d4fee46e26170c4 "+
		"resetchannels %R&a -@all +subscribe\ntoken u ci #")
	info, err := os.Lstat(path)
	require.NoError(t, err)
	assert.Equal(t, fs.FileMode(0o640), info.Mode(), "the mode is kept")
	left, err := os.ReadDir(filepath.Dir(path))
	require.NoError(t, err)
	assert.Len(t, left, 1, "nothing is left beside it")
	c.Command("ACL", "LOAD")
	c.Expect("+OK\r\n")
	assert.Contains(t, ask(t, c, "ACL", "TOKEN", "LIST"), "ci")

	require.NoError(t, os.Remove(link))
	require.NoError(t, os.Mkdir(link, 0o700))
	c.Command("ACL", "SAVE")
	c.Expect("-ERR There was an error trying to save the ACLs. Please check the server logs for more information\r\n")
}

// A command that parks its connection obeys CLIENT REPLY like any other.
func TestSaveWithoutAnAnswer(t *testing.T) {
	s := harness.Start(t, server.Options{ACLFile: rules(t)})
	c := s.Dial(t)
	c.Send("%s", strings.Join([]string{"CLIENT REPLY SKIP", "ACL SAVE", "CLIENT REPLY OFF", "ACL LOAD", "CLIENT REPLY ON", "PING", ""}, "\r\n"))
	c.Expect("+OK\r\n+PONG\r\n")
}
