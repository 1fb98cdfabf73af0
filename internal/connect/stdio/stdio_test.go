package stdio

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/conchmq/conch/internal/connect"
	"github.com/conchmq/conch/internal/connect/drivertest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// withInput is System with a file in the place of standard input.
func withInput(t *testing.T, f *os.File) connect.Source {
	s, err := newSource(drivertest.Address(t, System, "stdin:"))
	require.NoError(t, err)
	s.(*source).file = f
	return s
}

// pathOf is the path by which a pipe of this process is opened anew.
func pathOf(f *os.File) string { return fmt.Sprintf("/proc/self/fd/%d", f.Fd()) }

func TestAPipeIsReadToItsEnd(t *testing.T) {
	read, write, err := os.Pipe()
	require.NoError(t, err)
	s := withInput(t, read)
	s.(*source).path = pathOf(read)
	require.NoError(t, s.Connect(t.Context(), connect.Start{}))
	other := withInput(t, read)
	require.ErrorAs(t, other.Connect(t.Context(), connect.Start{}), new(*connect.Permanent), "two would share the lines")
	go func() {
		_, _ = write.WriteString(strings.Join(drivertest.Payloads(0, 10_000), "\n")) // the last line lacks its end
		_ = write.Close()
	}()
	assert.Equal(t, drivertest.Payloads(0, 10_000), drivertest.ReadPayloads(t, s, 10_000))
	require.ErrorIs(t, drivertest.ReadError(t, s), connect.ErrEnd)
	require.NoError(t, s.Close(t.Context()))
	require.NoError(t, read.Close())
}

func TestCloseEndsTheReadOfAPipe(t *testing.T) {
	read, write, err := os.Pipe()
	require.NoError(t, err)
	s := withInput(t, read)
	s.(*source).path = pathOf(read)
	require.NoError(t, s.Connect(t.Context(), connect.Start{}))
	require.NoError(t, s.Close(t.Context())) // nothing was written

	// What was read ahead is there afterwards, a part of a line, too.
	require.NoError(t, s.Connect(t.Context(), connect.Start{}))
	_, err = write.WriteString("0\n1\n2\n3")
	require.NoError(t, err)
	assert.Equal(t, drivertest.Payloads(0, 3), drivertest.ReadPayloads(t, s, 3))
	_, err = write.WriteString("\n4\n5\n6")
	require.NoError(t, err)
	for n := 0; n < 3; n++ {
		require.NoError(t, s.Close(t.Context()))
		require.NoError(t, s.Connect(t.Context(), connect.Start{}))
	}
	require.NoError(t, write.Close())
	assert.Equal(t, drivertest.Payloads(3, 7), drivertest.ReadPayloads(t, s, 4))
	require.ErrorIs(t, drivertest.ReadError(t, s), connect.ErrEnd)
	require.NoError(t, s.Close(t.Context()))
	require.NoError(t, read.Close())
}

func TestAFileAsInput(t *testing.T) {
	path := filepath.Join(t.TempDir(), "in")
	require.NoError(t, os.WriteFile(path, []byte("a\nb\n"), 0o600))
	f, err := os.Open(path)
	require.NoError(t, err)
	s := withInput(t, f)
	require.NoError(t, s.Connect(t.Context(), connect.Start{}))
	assert.Equal(t, []string{"a", "b"}, drivertest.ReadPayloads(t, s, 2))
	require.ErrorIs(t, drivertest.ReadError(t, s), connect.ErrEnd)
	require.NoError(t, s.Close(t.Context()))
	require.NoError(t, f.Close())
	inUse.input.Store(false) // a file stays with its reader
}

func TestLinesToAPipe(t *testing.T) {
	read, write, err := os.Pipe()
	require.NoError(t, err)
	s, err := newSink(drivertest.Address(t, System, "stdout:"))
	require.NoError(t, err)
	s.(*sink).file, s.(*sink).path = write, pathOf(write)
	require.NoError(t, s.Connect(t.Context()))
	got := make(chan []string)
	go func() {
		var all []string
		for lines := bufio.NewScanner(read); len(all) < 10_000 && lines.Scan(); {
			all = append(all, lines.Text())
		}
		got <- all
	}()
	for i := 0; i < 10_000; i += 250 {
		require.NoError(t, drivertest.Write(t, s, drivertest.Numbers(i, i+250)))
	}
	assert.Equal(t, drivertest.Payloads(0, 10_000), <-got)
	_, _ = read.Close(), write.Close()
	err = drivertest.Write(t, s, drivertest.Numbers(0, 1))
	require.Error(t, err, "the reader is gone, and conch is not")
	require.NoError(t, s.Close(t.Context()))
}

func TestWhatAnAddressNeeds(t *testing.T) {
	_, err := newSource(drivertest.Address(t, System, "stdout:"))
	require.ErrorContains(t, err, "a source reads from stdin:")
	_, err = newSink(drivertest.Address(t, System, "stdin:"))
	require.ErrorContains(t, err, "a sink writes to stdout:")
	_, err = newSink(drivertest.Address(t, System, "stdout:?format=json"))
	require.NoError(t, err)
}
