package cli

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// conchConnect runs conch connect, and returns what it prints.
func conchConnect(args ...string) (status int, out, stderr string) {
	var o, e bytes.Buffer
	status = run(append([]string{"conch", "connect"}, args...), nothing, nil, &o, &e, nil)
	return status, o.String(), e.String()
}

// connectorFile is a file with a source and a sink at an address.
func connectorFile(t *testing.T, address string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "conch.toml")
	text := "[[source]]\nname = \"in\"\nfrom = \"redis://u:pa55@" + address + "?channel=a\"\ntopic = \"in.{channel}\"\n" +
		"[[sink]]\nname = \"out\"\ntopic = \"news\"\nto = \"redis://" + address + "?channel=b\"\n"
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

// A conch is a Redis to a connector: one connects to it, the other has a password that is wrong.
func TestConnectCheck(t *testing.T) {
	p := start(t)
	path := connectorFile(t, p.Address)
	status, out, stderr := conchConnect("check", path)
	require.Equal(t, statusOK, status, stderr)
	assert.Equal(t, "source in, redis://u@"+p.Address+"?channel=a: valid\nsink out, redis://"+p.Address+"?channel=b: valid\n", out)

	status, out, stderr = conchConnect("check", "--dial", path)
	assert.Equal(t, statusFailure, status)
	assert.Contains(t, out, "source in, redis://u@"+p.Address+"?channel=a: cannot connect: ")
	assert.Contains(t, out, "sink out, redis://"+p.Address+"?channel=b: connected\n")
	assert.Equal(t, "conch: 1 of 2 connectors cannot connect\n", stderr)
	assert.NotContains(t, out+stderr, "pa55")
}

func TestConnectCheckOfAWrongFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "conch.toml")
	require.NoError(t, os.WriteFile(path, []byte("[[sink]]\nname = \"out\"\ntopc = \"x\"\n"), 0o600))
	status, out, stderr := conchConnect("check", path)
	assert.Equal(t, statusUsage, status)
	assert.Empty(t, out)
	assert.Contains(t, stderr, "conch: connect check: "+path+":3:1: topc: a sink has no such key (did you mean topic?)")
	require.NoError(t, os.WriteFile(path, nil, 0o600))
	status, out, stderr = conchConnect("check", path)
	assert.Equal(t, statusOK, status, stderr)
	assert.Equal(t, "the file is valid, and has neither a source nor a sink\n", out)
	for _, args := range [][]string{nil, {"chek"}, {"check"}, {"check", "a", "b"}} {
		status, _, stderr = conchConnect(args...)
		assert.Equal(t, statusUsage, status, args)
		assert.NotEmpty(t, stderr)
	}
}
