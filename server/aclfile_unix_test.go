//go:build unix

package server_test

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/internal/harness"
	"github.com/conchmq/conch/server"
)

// What an older LOAD has read is not applied after what a newer one has read, however long the older one took.
func TestLoadsComeInOrder(t *testing.T) {
	folder := t.TempDir()
	path, pipe, newer := filepath.Join(folder, "users.acl"), filepath.Join(folder, "pipe"), filepath.Join(folder, "newer")
	require.NoError(t, os.WriteFile(path, nil, 0o600))
	s := harness.Start(t, server.Options{ACLFile: path})
	root, a, b := s.Dial(t), s.Dial(t), s.Dial(t)
	require.NoError(t, os.Remove(path))
	require.NoError(t, syscall.Mkfifo(pipe, 0o600))
	require.NoError(t, os.Symlink(pipe, path))
	a.Command("ACL", "LOAD")
	w, err := os.OpenFile(pipe, os.O_WRONLY, 0) // it waits for the reader
	require.NoError(t, err)

	require.NoError(t, os.WriteFile(newer, []byte("user newer\n"), 0o600))
	require.NoError(t, os.Rename(newer, path))
	b.Command("ACL", "LOAD")
	for range 1000 { // it must wait for the older one: give it some time not to
		if strings.Contains(ask(t, root, "ACL", "LIST"), "user newer") {
			break
		}
	}
	_, err = w.WriteString("user older\n")
	require.NoError(t, err)
	require.NoError(t, w.Close())
	a.Expect("+OK\r\n")
	b.Expect("+OK\r\n")
	assert.Contains(t, ask(t, root, "ACL", "LIST"), "user newer")
}
