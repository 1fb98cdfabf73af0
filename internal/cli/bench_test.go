package cli

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/urfave/cli/v3"

	"github.com/conchmq/conch/internal/bench"
	"github.com/conchmq/conch/internal/harness"
)

// A test that measures the relay starts its own binary again, which then is to be conch.
func init() {
	if len(os.Args) > 2 && os.Args[1] == "bench" && os.Args[2] == "relay" {
		os.Exit(run(os.Args, nothing, nil, os.Stdout, os.Stderr, nil))
	}
}

// measure runs conch bench against an address, for a short time.
func measure(address string, flags ...string) (status int, stdout, stderr string) {
	var out, log screen // the process of the relay writes to the log, too
	args := append([]string{"conch", "bench", address, "--duration", "50ms", "--warm-up", "10ms"}, flags...)
	status = run(args, nothing, nil, &out, &log, nil)
	return status, out.String(), log.String()
}

func TestBench(t *testing.T) {
	p := start(t)
	for _, flags := range [][]string{
		{}, {"--subscribers", "3", "--publishers", "2", "--topics", "5"}, {"--size", "64-1KiB", "--dialect", "line"},
	} {
		status, out, log := measure(p.Address, flags...)
		require.Equal(t, statusOK, status, log)
		assert.Regexp(t, `(?m)^deliveries +[1-9]`, out)
		assert.Regexp(t, `(?m)^lost +0`, out)
		assert.Regexp(t, `(?m)^baseline +.* deliveries/s of a relay`, out)
	}
}

func TestBenchWithoutABaseline(t *testing.T) {
	p := start(t)
	for note, flag := range map[string]string{"not measured": "--no-baseline", "none for a load with a rate": "--rate=1000"} {
		status, out, log := measure(p.Address, flag)
		require.Equal(t, statusOK, status, log)
		assert.Regexp(t, `(?m)^baseline +- +`+note, out)
	}
}

func TestBenchJSONAndPage(t *testing.T) {
	p := start(t)
	page := filepath.Join(t.TempDir(), "page.html")
	status, out, log := measure(p.Address, "--json", "--html", page, "--no-baseline", "--rate", "1000")
	require.Equal(t, statusOK, status, log)
	var r bench.Result
	require.NoError(t, json.Unmarshal([]byte(out), &r))
	assert.EqualValues(t, 50, r.Deliveries)
	text, err := os.ReadFile(page)
	require.NoError(t, err)
	assert.Contains(t, string(text), "<!doctype html>")

	status, _, log = measure(p.Address, "--html", t.TempDir(), "--no-baseline")
	assert.Equal(t, statusFailure, status)
	assert.Contains(t, log, "conch: cannot write the page: ")
}

func TestBenchStopsAtASignal(t *testing.T) {
	p := start(t)
	signals := make(chan os.Signal, 1)
	log := writer(func(b []byte) (int, error) { // the first line comes after a second, in the middle of the load
		select {
		case signals <- syscall.SIGINT:
		default:
		}
		return len(b), nil
	})
	var out bytes.Buffer
	args := []string{"conch", "bench", p.Address, "--duration", "1h", "--warm-up", "1ms", "--no-baseline"}
	assert.Equal(t, 128+int(syscall.SIGINT), run(args, nothing, nil, &out, log, signals))
	assert.Regexp(t, `(?m)^deliveries +[1-9]`, out.String())
}

// writer is an io.Writer that is a function.
type writer func([]byte) (int, error)

func (w writer) Write(b []byte) (int, error) { return w(b) }

var _ io.Writer = writer(nil)

func TestBenchWithoutAServer(t *testing.T) {
	status, out, log := measure("127.0.0.1:1")
	assert.Equal(t, statusFailure, status)
	assert.Empty(t, out)
	assert.Equal(t, "conch: bench: no server listens on 127.0.0.1:1; start a server first, e.g. conch 127.0.0.1:1\n", log)
}

func TestBenchWrongUse(t *testing.T) {
	for args, want := range map[string]string{
		"7777":              "7777 is only a port (did you mean :7777?)",
		":1 :2":             `expected one address, got 2 arguments: [":1" ":2"]`,
		"--subscriber 3":    "unknown flag --subscriber (did you mean --subscribers?)",
		"--listen :1":       "unknown flag --listen",
		"--size":            "flag --size needs a value: --size SIZE",
		"--size 0":          `flag --size: expected a size such as 65536, 64KiB or 16MiB, not "0"`,
		"--size 12":         "size is 12 bytes; a payload needs at least 24, for the stamp that every message carries",
		"--size 1KiB-64":    `flag --size: expected the smaller size first, not "1KiB-64"`,
		"--publishers -1":   `flag --publishers: expected a whole number from 1 on, not "-1"`,
		"--publishers 5000": "publishers is 5000, expected 1 to 4096",
		"--rate 0":          `flag --rate: expected messages a second, such as 5000 or 0.5, not "0"`,
		"--rate NaN":        `flag --rate: expected messages a second, such as 5000 or 0.5, not "NaN"`,
		"--dialect stomp":   `flag --dialect: expected resp2, resp3, line, nats or raw, not "stomp"`,
		"--html=":           "flag --html: expected the name of a file",
		"relay":             "relay is for conch bench itself, and takes two numbers",
		"--duration soon":   `flag --duration: expected a time such as 500ms, 60s or 5m, or seconds such as 60, not "soon"`,
	} {
		t.Run(args, func(t *testing.T) {
			var out, log bytes.Buffer
			status := run(append([]string{"conch", "bench"}, strings.Fields(args)...), nothing, nil, &out, &log, nil)
			assert.Equal(t, statusUsage, status)
			assert.Equal(t, "conch: bench: "+want+"; see conch bench --help\n", log.String())
			assert.Empty(t, out.String())
		})
	}
}

// What stands in brackets in the help is in force.
func TestBenchDefaults(t *testing.T) {
	o := &benchOptions{load: bench.Load{WarmUp: time.Second}}
	require.NoError(t, o.take(nil))
	assert.Equal(t, "127.0.0.1:8889", o.load.Address)
	for _, f := range o.command(&Env{}).Flags {
		g := f.(*cli.GenericFlag)
		given := &benchOptions{load: bench.Load{WarmUp: time.Second}}
		if g.Name == "html" || g.Name == "tls-ca" || g.DefaultText == "" {
			continue
		}
		flags := given.command(&Env{}).Flags
		if valueOf(flagNamed(flags, g.Name)).Set(g.DefaultText) != nil {
			continue // it is words
		}
		require.NoError(t, given.take(nil))
		given.load.Dialer = nil
		o.load.Dialer = nil
		assert.Equal(t, o.load, given.load, g.Name)
	}
}

// A server with a password and TLS, named by a URL, and one behind a Unix socket.
func TestBenchByURL(t *testing.T) {
	folder := t.TempDir()
	a := harness.NewAuthority(t)
	cert, key := a.Valid(t, "localhost").Write(t, folder)
	harness.WriteFile(t, folder+"/ca.pem", a.PEM)
	harness.WriteFile(t, folder+"/password", []byte("open sesame\n"))
	p := start(t, "--tls-listen=127.0.0.1:0", "--tls-cert="+cert, "--tls-key="+key, "--requirepass=open sesame", "--unix-socket="+folder+"/s")
	secure, _ := p.First["tls-address"].(string)
	flags := []string{"--no-baseline", "--duration=20ms", "--warm-up=0", "--password-file=" + folder + "/password"}
	for _, url := range []string{"conchs://" + secure, "conch://" + p.Address, "unix://" + folder + "/s"} {
		for _, dialect := range []string{"resp2", "resp3", "line"} {
			args := append([]string{"conch", "bench", "--dialect", dialect}, flags...)
			if strings.HasPrefix(url, "conchs") {
				args = append(args, "--tls-ca", folder+"/ca.pem")
			}
			var out, log bytes.Buffer
			env := environment(map[string]string{"CONCH_URL": url})
			assert.Equal(t, statusOK, run(args, env, nil, &out, &log, nil), "%s %s: %s", url, dialect, &log)
			assert.Regexp(t, `(?m)^deliveries +[1-9]`, out.String())
		}
	}
	status, _, log := measure(p.Address, "--no-baseline")
	assert.Equal(t, statusFailure, status)
	assert.Contains(t, log, "NOAUTH")
	assert.Contains(t, log, "give the password with --password-file")
	assert.Equal(t, 1, strings.Count(log, "\n"))
}
