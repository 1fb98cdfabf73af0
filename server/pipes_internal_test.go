package server

import (
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A connection without a descriptor to wait on works as well: TLS will be one.
func TestAConnectionMayBeAnyNetConn(t *testing.T) {
	p := servePipes(t, 1)[0]
	_, err := io.WriteString(p.sock, "SUB a\nPUB a "+strings.Repeat("x", 50_000)+"\n")
	require.NoError(t, err)
	want := "OK SUB a\nOK PUB a\nUPDATE a " + strings.Repeat("x", 50_000) + "\n"
	got := make([]byte, len(want))
	_, err = io.ReadFull(p.from, got)
	require.NoError(t, err)
	assert.Equal(t, want, string(got))
}
