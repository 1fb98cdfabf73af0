//go:build unix

package file

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/internal/connect"
	"github.com/conchmq/conch/internal/connect/drivertest"
)

// makeSpecial makes what is no regular file, each in its way.
var makeSpecial = map[string]func(path string) error{
	"a folder":     func(path string) error { return os.Mkdir(path, 0o700) },
	"a named pipe": func(path string) error { return syscall.Mkfifo(path, 0o600) },
}

// What takes the place of the file ends the connection, and makes neither the connection nor its end wait.
func TestWhatIsNoFile(t *testing.T) {
	for name, make := range makeSpecial {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "log")
			add(t, path, lines(0, 10))
			source := drivertest.OpenSource(t, System, "file://"+path+"?from=start", connect.Start{})
			drivertest.Read(t, source, 10)
			sink := drivertest.OpenSink(t, System, "file://"+path)
			require.NoError(t, os.Remove(path))
			require.NoError(t, make(path))

			require.ErrorContains(t, drivertest.ReadError(t, source), path)
			require.ErrorContains(t, drivertest.Write(t, sink, drivertest.Numbers(10, 11)), path)
			require.NoError(t, source.Close(t.Context()))
			require.NoError(t, sink.Close(t.Context()))
			require.ErrorContains(t, source.Connect(t.Context(), connect.Start{Durable: true}), path)
			require.ErrorContains(t, sink.Connect(t.Context()), path)

			require.NoError(t, os.Remove(path))
			add(t, path, lines(10, 20))
			require.NoError(t, source.Connect(t.Context(), connect.Start{Durable: true}))
			drivertest.Read(t, source, 10)
		})
	}
}
