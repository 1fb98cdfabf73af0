// Package exec runs programs: the lines that one writes are messages, or messages are the lines that one reads. What no other system can
// do, a program can.
package exec

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"time"

	"github.com/conchmq/conch/internal/connect"
)

// System is the row of programs: exec:tail?arg=-f&arg=/var/log/syslog, or exec:///usr/bin/tail?...
var System = connect.System{
	Name: "exec", Schemes: []string{"exec"},
	Source: newSource, Sink: newSink,
	FileOnly: true,
}

// grace is how long a program has between SIGTERM, or the end of its input, and SIGKILL.
const grace = 5 * time.Second

// program is what an address runs. No shell is between.
type program struct {
	path string
	args []string
	warn func(text string)
}

func newProgram(a *connect.Address) (*program, error) {
	p := &program{path: a.URL.Opaque, args: a.Query["arg"], warn: a.Warn}
	a.Query.Del("arg")
	if p.path == "" {
		p.path = a.URL.Path
	}
	if p.path == "" || a.URL.Host != "" {
		return nil, errors.New("the address is exec:PROGRAM or exec:///PATH, with ?arg=ONE&arg=TWO for its arguments")
	}
	return p, nil
}

// command returns the program as it is started: in a process group of its own, which ctx ends.
func (p *program) command(ctx context.Context) *exec.Cmd {
	c := exec.CommandContext(ctx, p.path, p.args...)
	c.WaitDelay = grace
	setGroup(c)
	return c
}

// start starts it. An error of the path is permanent.
func start(c *exec.Cmd) error {
	if err := c.Start(); err != nil {
		return &connect.Permanent{Err: err}
	}
	return nil
}

// wait waits for the end of a program, ends what it has left in its process group, and returns how it ended.
func wait(c *exec.Cmd) error {
	err := c.Wait()
	killGroup(c)
	if err == nil {
		return errEnded
	}
	return fmt.Errorf("the program has ended: %w", err)
}

// errEnded is the end of a program with status 0.
var errEnded = errors.New("the program has ended")

// maxWarning bounds a line of a program's standard error in the log.
const maxWarning = 1000

// readWarnings logs each line until the program closes the pipe.
func (p *program) readWarnings(lines *connect.Lines) {
	for {
		line, _, err := lines.Next()
		if err != nil {
			if line, _ = lines.Rest(); len(line) == 0 {
				return
			}
		}
		p.warn(string(line[:min(len(line), maxWarning)]))
		if err != nil {
			return
		}
	}
}

// graceOver is received from when grace is over.
func graceOver() <-chan time.Time { return time.After(grace) }

// output is a pipe that a program writes to. Behind expire a read ends once nothing has come for the time of grace: a process that has left the
// group can hold the pipe open.
type output struct{ *os.File }

func (o output) Read(p []byte) (int, error) {
	n, err := o.File.Read(p)
	if errors.Is(err, os.ErrDeadlineExceeded) { // it may have passed while nothing was read
		_ = o.SetReadDeadline(time.Now().Add(grace)) // a pipe has deadlines
		n, err = o.File.Read(p)
	}
	return n, err //nolint:wrapcheck // of the system
}

// expire ends reads that wait, as output describes. The program has ended.
func expire(all ...*os.File) {
	for _, f := range all {
		_ = f.SetReadDeadline(time.Unix(1, 0)) // a pipe has deadlines
	}
}
