package daemon

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/conchmq/conch/internal/config"
	"github.com/conchmq/conch/internal/harness"
)

func TestMain(m *testing.M) {
	flushTime = harness.Patience // tests read the log once it is closed
	goleak.VerifyTestMain(m)
}

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
	*harness.Process
	t   *testing.T
	err error // set when it has ended
}

// start runs conch on a free port and waits until it listens. When the test ends it is gone.
func start(t *testing.T, args ...string) *process {
	t.Helper()
	c := load(t, append([]string{"--listen=127.0.0.1:0"}, args...)...)
	p := &process{t: t}
	p.Process = harness.StartProcess(t, func(log *harness.Log, signals <-chan os.Signal) {
		if p.err = Serve(c, log, signals); p.err != nil {
			t.Logf("conch has ended: %v", p.err)
		}
	})
	return p
}

func (p *process) wait() error {
	p.Wait()
	return p.err
}
