package exec

import (
	"net/url"
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

// shell is the address of a shell that runs a script.
func shell(script string) string {
	return "exec:sh?arg=-c&arg=" + strings.ReplaceAll(url.QueryEscape(script), "+", "%20")
}

func TestLinesOfAProgram(t *testing.T) {
	source := drivertest.OpenSource(t, System, shell("seq 0 9999; printf rest; exit 3"), connect.Start{})
	got := drivertest.ReadPayloads(t, source, 10_001)
	assert.Equal(t, append(drivertest.Payloads(0, 10_000), "rest"), got)
	require.ErrorContains(t, drivertest.ReadError(t, source), "the program has ended: exit status 3")

	drivertest.Reconnect(t, source, connect.Start{}) // runs it again
	drivertest.Read(t, source, 10_001)
}

func TestAProgramThatRunsOnce(t *testing.T) {
	once := drivertest.OpenSource(t, System, shell("echo a")+"&once=true", connect.Start{})
	assert.Equal(t, []string{"a"}, drivertest.ReadPayloads(t, once, 1))
	require.ErrorIs(t, drivertest.ReadError(t, once), connect.ErrEnd)
	always := drivertest.OpenSource(t, System, shell("echo a"), connect.Start{})
	require.ErrorIs(t, drivertest.ReadError(t, always), errEnded)
}

// The program and its children end with the connection, while they write and while they wait.
func TestCloseEndsAProgram(t *testing.T) {
	for _, script := range []string{"yes", "echo a; sleep 1000 & sleep 1000", "trap '' HUP; echo a; cat /dev/zero | tr '\\0' '\\n'"} {
		source := drivertest.OpenSource(t, System, shell(script), connect.Start{})
		_, err := source.Read(t.Context())
		require.NoError(t, err)
		require.NoError(t, source.Close(t.Context()))
	}
}

// A program that ends has ended, whatever it has started goes on: in its group, or out of it with its output open.
func TestChildrenDoNotHoldAProgram(t *testing.T) {
	for _, child := range []string{"sleep 1000", "setsid sleep 8"} {
		t.Run("a source, "+child, func(t *testing.T) {
			t.Parallel()
			source := drivertest.OpenSource(t, System, shell(child+" & seq 0 99999"), connect.Start{})
			drivertest.Read(t, source, 100_000)
			require.ErrorIs(t, drivertest.ReadError(t, source), errEnded)
		})
		t.Run("a sink, "+child, func(t *testing.T) {
			t.Parallel()
			sink := drivertest.OpenSink(t, System, shell(child+" & read line"))
			err := error(nil)
			for err == nil {
				err = drivertest.Write(t, sink, drivertest.Numbers(0, 250))
			}
			require.ErrorIs(t, err, errEnded)
		})
	}
}

func TestStandardErrorIsLogged(t *testing.T) {
	a := drivertest.Address(t, System, shell("echo oops >&2; echo a"))
	warnings := make(chan string, 1)
	a.Warn = func(text string) { warnings <- text }
	source, err := newSource(a)
	require.NoError(t, err)
	require.NoError(t, source.Connect(t.Context(), connect.Start{}))
	assert.Equal(t, "oops", <-warnings)
	require.NoError(t, source.Close(t.Context()))
}

func TestLinesToAProgram(t *testing.T) {
	path := filepath.Join(t.TempDir(), "out")
	sink := drivertest.OpenSink(t, System, shell("cat > "+path))
	for i := 0; i < 10_000; i += 250 {
		require.NoError(t, drivertest.Write(t, sink, drivertest.Numbers(i, i+250)))
	}
	batch := drivertest.Numbers(0, 3)
	batch[1].Payload = []byte("a\nb")
	refused := (*connect.Refused)(nil)
	require.ErrorAs(t, drivertest.Write(t, sink, batch), &refused)
	assert.Equal(t, []int{1}, refused.Indices)
	require.NoError(t, sink.Close(t.Context())) // waits for the program, which reads to the end of its input
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	assert.Equal(t, strings.Join(append(drivertest.Payloads(0, 10_000), "0", "2", ""), "\n"), string(text))
}

func TestAProgramThatEnds(t *testing.T) {
	sink := drivertest.OpenSink(t, System, shell("read line; exit 4"))
	err := error(nil)
	for err == nil { // the pipe takes some
		err = drivertest.Write(t, sink, drivertest.Numbers(0, 250))
	}
	require.ErrorContains(t, err, "the program has ended: exit status 4")
	require.NoError(t, sink.Close(t.Context()))
	require.NoError(t, sink.Connect(t.Context()))
	require.NoError(t, drivertest.Write(t, sink, drivertest.Numbers(0, 1)))
}

func TestWhatAnAddressNeeds(t *testing.T) {
	for text, wrong := range map[string]string{
		"exec:":                  "the address is exec:PROGRAM",
		"exec://host/path":       "the address is exec:PROGRAM",
		"exec:cat?format=xml":    "format is text",
		"exec:///bin/cat?arg=-u": "",
	} {
		_, err := newSink(drivertest.Address(t, System, text))
		if wrong == "" {
			assert.NoError(t, err)
		} else {
			assert.ErrorContains(t, err, wrong, text)
		}
	}
	source, err := newSource(drivertest.Address(t, System, "exec:no-such-program"))
	require.NoError(t, err)
	require.ErrorAs(t, source.Connect(t.Context(), connect.Start{}), new(*connect.Permanent))
	require.NoError(t, source.Close(t.Context()))
}
