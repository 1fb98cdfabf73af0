package daemon

import (
	"io"
	"net"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/conchmq/conch/internal/conchtest"
	"github.com/conchmq/conch/internal/config"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// load makes settings of flags such as --listen=:1.
func load(t *testing.T, flags ...string) *config.Config {
	t.Helper()
	line := config.CommandLine{Flags: make(map[string]string)}
	for _, flag := range flags {
		name, value, _ := strings.Cut(strings.TrimPrefix(flag, "--"), "=")
		line.Flags[name] = value
	}
	c, err := config.Load(line, func(string) (string, bool) { return "", false })
	require.NoError(t, err)
	c.Server.Version = "dev"
	return c
}

// process is a conch that runs inside the test.
type process struct {
	t       *testing.T
	address string
	first   map[string]any // the first line of its log
	log     *conchtest.Log
	signals chan os.Signal
	exited  chan struct{} // closed when err is there
	err     error
}

// start runs conch on a free port and waits until it listens. When the test ends it is gone.
func start(t *testing.T, args ...string) *process {
	t.Helper()
	c := load(t, append([]string{"--listen=127.0.0.1:0"}, args...)...)
	p := &process{t: t, log: conchtest.NewLog(), signals: make(chan os.Signal, 8), exited: make(chan struct{})}
	go func() {
		defer close(p.exited)
		defer p.log.End()
		p.err = Serve(c, p.log, p.signals)
	}()
	t.Cleanup(func() {
		p.signals <- os.Interrupt
		p.signals <- os.Interrupt // a second one ends draining
		<-p.exited
	})
	p.first = p.log.Await(t, "listening", 1)
	p.address, _ = p.first["address"].(string)
	return p
}

func (p *process) wait() error {
	<-p.exited
	return p.err
}

// dial connects, and closes the connection when the test ends.
func (p *process) dial() net.Conn {
	p.t.Helper()
	c, err := net.Dial("tcp", p.address)
	require.NoError(p.t, err)
	p.t.Cleanup(func() { _ = c.Close() })
	return c
}

// request sends a command and reads the reply, which must be as expected.
func (p *process) request(c net.Conn, command, reply string) {
	p.t.Helper()
	_, err := io.WriteString(c, command)
	require.NoError(p.t, err)
	got := make([]byte, len(reply))
	_, err = io.ReadFull(c, got)
	require.NoError(p.t, err)
	require.Equal(p.t, reply, string(got))
}
