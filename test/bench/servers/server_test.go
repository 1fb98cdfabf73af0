package servers

import (
	"io"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestServersAreNamed(t *testing.T) {
	for _, s := range all {
		assert.Same(t, s, Named(s.Name))
		assert.Contains(t, strings.Join(s.command("4321"), " "), "4321", s.Name)
	}
	assert.Nil(t, Named("ircd"))
	_, err := Prepare(t.Context(), "ircd", "", io.Discard)
	assert.EqualError(t, err, `there is no server "ircd"`)
}

func TestOnlyTheEndOfWhatAProcessSaysIsKept(t *testing.T) {
	said := &tail{}
	assert.Equal(t, "(nothing was said)", said.String())
	for range tailSize {
		_, _ = io.WriteString(said, "x\n")
	}
	_, _ = io.WriteString(said, "the end")
	assert.Len(t, said.text.Bytes(), tailSize)
	assert.Regexp(t, `x the end$`, said.String())
}

// go install leaves the version of a module in the binary, and only there: a test binary is built in the same way.
func TestAVersionIsReadFromTheBinary(t *testing.T) {
	own, err := os.Executable()
	require.NoError(t, err)
	s := &Server{Name: "it", binary: own}
	assert.Regexp(t, `^it \S+ \(go\S+\)$`, s.tellVersion(t.Context()))
	s.binary = "server_test.go"
	assert.Equal(t, "unknown version", s.tellVersion(t.Context()))
}
