//go:build connect

package connect

import (
	"bufio"
	"flag"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/internal/harness"
)

// patience bounds every wait, and measures nothing. A test makes it longer if its last wait grows with its length.
var patience = 2 * time.Minute

var built = flag.String("conch", "", "take this binary of conch instead of building the tree")

var (
	binary string // the conch under test
	root   string // of all files of this run
)

func TestMain(m *testing.M) {
	os.Exit(runAll(m))
}

func runAll(m *testing.M) int {
	if dir := os.Getenv(fakeKafka); dir != "" {
		return runKafka(dir)
	}
	dir, err := os.MkdirTemp("", "conch-connect")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }() // a leftover in the temporary folder harms nobody
	root, binary = dir, filepath.Join(dir, "conch")
	if flag.Parse(); *built != "" {
		binary = *built
	} else if out, err := exec.Command("go", "build", "-o", binary, "../..").CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "building conch: %v\n%s", err, out)
		return 1
	}
	defer killServers()
	return m.Run()
}

// process is a program that a test starts, ends and starts again. Its end is awaited by the goroutine of start.
type process struct {
	name    string
	command func() *exec.Cmd  // a new one for each start
	line    func(text string) // called with each line of its output; may be nil

	cmd    *exec.Cmd
	exited chan struct{} // closed when it has ended and all of its output was read
	output *tail
}

func (p *process) start() error {
	p.cmd, p.exited, p.output = p.command(), make(chan struct{}), &tail{}
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL} // its children end with it
	read, write, err := os.Pipe()
	if err != nil {
		return err
	}
	p.cmd.Stdout, p.cmd.Stderr = write, write
	err = p.cmd.Start()
	_ = write.Close() // the child has its own
	if err != nil {
		_ = read.Close()
		return err
	}
	go func(cmd *exec.Cmd, exited chan struct{}, output *tail) {
		defer close(exited)
		defer func() { _ = read.Close() }()
		lines := bufio.NewScanner(read)
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			output.add(lines.Text())
			if p.line != nil {
				p.line(lines.Text())
			}
		}
		_ = cmd.Wait() // its status shows in the output
	}(p.cmd, p.exited, p.output)
	return nil
}

// kill ends it, and what it has started, as a crash does.
func (p *process) kill() { p.end(syscall.SIGKILL) }

// stop ends it as a service manager does.
func (p *process) stop() { p.end(syscall.SIGTERM) }

func (p *process) end(signal syscall.Signal) {
	if p.cmd == nil {
		return
	}
	group := -p.cmd.Process.Pid
	if signal != syscall.SIGKILL {
		group = p.cmd.Process.Pid // it ends its children itself
	}
	_ = syscall.Kill(group, signal) // one that has ended already is no failure
	select {
	case <-p.exited:
	case <-time.After(patience):
		_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
		<-p.exited
	}
	_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL) // children that outlived it
	p.cmd = nil
}

// tail has the last lines of a program, for the message of a failure. Its lock is for the reader of the output and the test.
type tail struct {
	mu    sync.Mutex
	lines []string
}

func (t *tail) add(line string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.lines = append(t.lines, line)
	t.lines = t.lines[max(0, len(t.lines)-60):]
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	out := ""
	for _, line := range t.lines {
		out += line + "\n"
	}
	return out
}

// server is the server of another system. It runs from its first use to the end of the package; its address stays over restarts.
type server struct {
	process
	address string
	once    sync.Once
}

var servers []*server // those that were started; the test goroutine's

// use starts the server if it does not run yet, and waits until it accepts connections.
func (s *server) use(t *testing.T) {
	t.Helper()
	s.once.Do(func() { servers = append(servers, s) })
	if s.cmd == nil {
		s.restart(t)
	}
}

// restart starts the server after a stop or a kill.
func (s *server) restart(t *testing.T) {
	t.Helper()
	require.NoError(t, s.start())
	s.awaitAccept(t)
}

func (s *server) awaitAccept(t *testing.T) {
	t.Helper()
	eventually(t, func() bool {
		select {
		case <-s.exited:
			require.FailNow(t, s.name+" has ended", s.output.String())
		default:
		}
		c, err := net.Dial("tcp", s.address)
		if err == nil {
			_ = c.Close()
		}
		return err == nil
	}, s.name+" listens on "+s.address)
}

func killServers() {
	for _, s := range servers {
		s.kill()
	}
}

// freeAddress returns an address of the loopback interface that nothing listens on.
func freeAddress(t testing.TB) (address, port string) {
	t.Helper()
	address = harness.FreeAddress(t)
	_, port, err := net.SplitHostPort(address)
	require.NoError(t, err)
	return address, port
}

// eventually waits for a condition that nothing announces. The message of its failure has the newest detail, if there is one.
func eventually(t testing.TB, holds func() bool, what string) {
	t.Helper()
	for start := time.Now(); !holds(); pause() {
		if time.Since(start) > patience {
			require.FailNow(t, "in vain: "+what)
		}
	}
}

// pause is the time between two looks.
func pause() { <-time.After(10 * time.Millisecond) }
