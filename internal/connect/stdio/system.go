// Package stdio reads messages from conch's standard input and writes them to its standard output, as lines. The log is on standard error.
package stdio

import (
	"errors"
	"os"
	"sync/atomic"

	"github.com/conchmq/conch/internal/connect"
)

// System is the row of standard input and output.
var System = connect.System{
	Name: "stdio", Schemes: []string{"stdin", "stdout"},
	Source: newSource, Sink: newSink,
	FileOnly: true,
}

// inUse holds while a connector has standard input, or output: two would share the lines at random.
var inUse struct{ input, output atomic.Bool }

// open returns a pipe as a file whose waiting calls a deadline ends, which only one that is opened anew has. All else stays as it is: a
// terminal keeps its mode, and a file its place. own is true if the file is to be closed.
func open(std *os.File, path string, flag int) (f *os.File, own bool, err error) {
	info, err := std.Stat()
	if err != nil {
		return nil, false, err //nolint:wrapcheck // names the file
	}
	if info.Mode()&os.ModeNamedPipe == 0 {
		return std, false, nil
	}
	if f, err = os.OpenFile(path, flag, 0); err != nil { // a pipe of another user
		return std, false, nil
	}
	return f, true, nil
}

var errInUse = errors.New("another connector has it: there is one standard input, and one standard output")
