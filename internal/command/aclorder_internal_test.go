package command

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// ACL LOAD gives the users of one node's file to all nodes, and ACL SAVE writes those of all into it.
func TestTheACLFileOfANode(t *testing.T) {
	file := filepath.Join(t.TempDir(), "users.acl")
	write := func(text string) { require.NoError(t, os.WriteFile(file, []byte(text), 0o600)) }
	write("user default on nopass ~* &* +@all\n")
	o := newOrder(t, func(options *Options) { options.ACLFile = file })
	a, b := serveOn(t, o.nodes[0].service), serveOn(t, o.nodes[1].service)
	users := func() [2]string {
		t.Helper()
		a.do("PUBLISH behind it")
		b.do("PUBLISH behind it")
		return [2]string{a.do("ACL USERS"), b.do("ACL USERS")}
	}

	write("user default on nopass ~* &* +@all\nuser me on nopass ~* &* +@all\n")
	require.Equal(t, "+OK", a.do("ACL LOAD"))
	assert.Equal(t, [2]string{"[default me]", "[default me]"}, users())

	write("user default on nopass ~* &* +@all\nuser bad what\n")
	assert.Contains(t, a.do("ACL LOAD"), "-ERR")
	require.NoError(t, os.Remove(file))
	assert.Contains(t, a.do("ACL LOAD"), "cannot be read")
	assert.Equal(t, [2]string{"[default me]", "[default me]"}, users())

	me := serveOn(t, o.nodes[0].service)
	require.Equal(t, "+OK", me.do("AUTH me x"))
	require.Equal(t, "+OK", b.do("ACL SETUSER me -acl"))
	users() // the node has it
	assert.Contains(t, me.do("ACL LOAD"), "-NOPERM", "the rights come first")

	require.Equal(t, "+OK", b.do("ACL SETUSER another on"))
	users()
	require.Equal(t, "+OK", a.do("ACL SAVE"))
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	assert.Contains(t, string(text), "user another ")
	require.NotEmpty(t, o.nodes[0].digests)
	assert.Equal(t, o.nodes[0].digests, o.nodes[1].digests)
}
