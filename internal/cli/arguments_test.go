package cli

import (
	"bytes"
	"cmp"
	"errors"
	"io"
	"net"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/internal/config"
)

// A mistake is answered with one line and status 2.
func TestWrongUse(t *testing.T) {
	const usage = "; usage: conch [address], e.g. conch 127.0.0.1:8889; see conch serve --help"
	for _, c := range []struct{ args, want string }{
		{"serev", "unknown subcommand serev (did you mean serve?); see conch --help"},
		{"subscribe", "unknown subcommand subscribe (did you mean sub?); see conch --help"},
		{"comp", "unknown subcommand comp (did you mean completion?); see conch --help"},
		{"zzzzzz", "unknown subcommand zzzzzz; see conch --help"},
		{"serve serev", "serev is not an address" + usage},
		{"help nosuch", "unknown subcommand nosuch; see conch --help"},
		{"help serev", "unknown subcommand serev (did you mean serve?); see conch --help"},
		{"--help serev", "unknown subcommand serev (did you mean serve?); see conch --help"},
		{"help --x", "unknown flag --x; see conch --help"},
		{"version --x", "version: unknown flag --x; see conch version --help"},
		{"man nosuch", `man: no manual page for "nosuch"; conch help lists the subcommands; see conch man --help`},
		{"7777", "7777 is only a port (did you mean :7777?)" + usage},
		{"-5", "-5 is not an address" + usage},
		{"-", "- is not an address" + usage},
		{":1 :2", `expected one address, got 2 arguments: [":1" ":2"]; usage: conch [address]; see conch serve --help`},
		{":1 --listen :2", `the address is given twice, as --listen ":2" and as ":1"; give one of them; see conch serve --help`},
		{"--listen --log-level :1", `the address is given twice, as --listen "--log-level" and as ":1"; give one of them; see conch serve --help`},
		{"--protected-mode false", "false is not an address (did you mean --protected-mode=false?); see conch serve --help"},
		{"--lissten :1", "unknown flag --lissten (did you mean --listen?); see conch serve --help"},
		{"--max_line=1", "unknown flag --max_line (did you mean --max-line?); see conch serve --help"},
		{"--zzzzzz", "unknown flag --zzzzzz; see conch serve --help"},
		{"-x", "unknown flag -x; see conch serve --help"},
		{"--generate-shell-completion :1", "unknown flag --generate-shell-completion; see conch serve --help"},
		{"--listen", "flag --listen needs a value: --listen ADDRESS; see conch serve --help"},
		{"--help=x", `invalid value "x" for flag -help: parse error; see conch --help`},
		{"--config", "flag --config needs a value: --config FILE; see conch serve --help"},
		{"--config=", `file "" cannot be read: no such file or directory; see conch serve --help`},
		{"--listen=x", "flag --listen: x is not an address; expected host:port or :port, e.g. 127.0.0.1:8889, or none; see conch serve --help"},
		{"--listen=", "there is nothing to listen on: listen is none, and none of tls-listen, unix-socket, http and https is set; see conch serve --help"},
		{"--listen=none", "there is nothing to listen on: listen is none, and none of tls-listen, unix-socket, http and https is set; see conch serve --help"},
		{"--tls-listen=:1", "tls-listen and https need tls-cert and tls-key, the files of a certificate and its private key; see conch serve --help"},
		{"--tls-key=k", "tls-cert, tls-key and tls-client-ca have no effect without tls-listen or https; see conch serve --help"},
		{"--tls-listen=:1 --tls-cert=c --tls-key=k --tls-client-auth=optional", "tls-client-auth has no effect without tls-client-ca; see conch serve --help"},
		{
			"--tls-listen=:1 --tls-cert=c --tls-key=k --tls-user",
			"tls-user needs tls-client-ca: only a verified certificate can name a user; see conch serve --help",
		},
		{
			"--tls-listen=localhost:8889 --tls-cert=c --tls-key=k",
			"tls-listen localhost:8889 is the port that listen has; choose another one, or switch that off with --listen=none; see conch serve --help",
		},
		{"--tls-cert", "flag --tls-cert needs a value: --tls-cert FILE; see conch serve --help"},
	} {
		t.Run(c.args, func(t *testing.T) {
			var out, stderr bytes.Buffer
			status := run(append([]string{"conch"}, strings.Fields(c.args)...), nothing, nil, &out, &stderr, nil)
			assert.Equal(t, statusUsage, status)
			assert.Equal(t, "conch: "+strings.Join(strings.Fields(c.want), " ")+"\n", stderr.String())
			assert.Empty(t, out.String())
		})
	}
}

func TestTheAddressMayBeAnArgument(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0") // so that conch fails, and names the address
	require.NoError(t, err)
	defer func() { _ = l.Close() }()
	address := l.Addr().String()
	env := environment(map[string]string{"CONCH_LISTEN": ":1"})
	for _, args := range [][]string{
		{address}, {"serve", address}, {"--log-level", "debug", address}, {address, "--log-level=debug"}, {"serve", address, "--log-level=debug"},
		{"--", address}, {"--protected-mode", address}, {"--protected-mode=no", address},
		{"--listen", address}, {"-listen=" + address}, {"--listen", ":2", "--listen", address},
	} {
		var stderr bytes.Buffer
		assert.Equal(t, statusFailure, run(append([]string{"conch"}, args...), env, nil, io.Discard, &stderr, nil), args)
		assert.Contains(t, stderr.String(), "conch: cannot listen on "+address+": address already in use", args)
	}
}

// Each help text is one that was read before it changed: testdata has them.
func TestHelp(t *testing.T) {
	for _, c := range append([]string{""}, strings.Fields("serve sub pub do ping top health bench version man completion")...) {
		var shown []string
		for _, args := range [][]string{{"help", c}, {c, "--help"}, {c, "-h"}, {"--help", c}} {
			args = slices.DeleteFunc(append([]string{"conch"}, args...), func(arg string) bool { return arg == "" })
			var out, stderr bytes.Buffer
			require.Equal(t, statusOK, run(args, nothing, nil, &out, &stderr, nil), args)
			assert.Empty(t, stderr.String())
			shown = append(shown, out.String())
		}
		assert.Len(t, slices.Compact(shown), 1, "conch %s: all ways show the same", c)
		golden(t, "help/"+cmp.Or(c, "conch")+".txt", shown[0])
		for line := range strings.Lines(shown[0]) {
			assert.LessOrEqual(t, len(line), 140, line)
		}
	}
}

func TestHelpHasEverySetting(t *testing.T) {
	for _, args := range [][]string{{"serve", "--help"}, {":1", "-h"}} {
		var out bytes.Buffer
		require.Equal(t, statusOK, run(append([]string{"conch"}, args...), nothing, nil, &out, io.Discard, nil))
		assert.Contains(t, out.String(), "--config FILE")
		for _, r := range config.Settings() {
			assert.Regexp(t, `(?m)^   --`+r.Name+"[ =]"+r.Value+" +"+regexp.QuoteMeta(r.Usage), out.String())
			if r.Default != "" {
				assert.Contains(t, out.String(), r.Usage+" (default: "+r.Default+")")
			}
		}
	}
}

// Each manual page has the flags of the help.
func TestManPages(t *testing.T) {
	for _, c := range append([]string{""}, strings.Fields("serve sub pub do ping top health bench version man completion")...) {
		var out, stderr bytes.Buffer
		require.Equal(t, statusOK, run(append([]string{"conch", "man"}, strings.Fields(c)...), nothing, nil, &out, &stderr, nil))
		title := strings.TrimSuffix("CONCH\\-"+strings.ToUpper(c), "\\-")
		assert.True(t, strings.HasPrefix(out.String(), ".TH "+title+" 1 "), out.String())
		for line := range strings.Lines(out.String()) {
			assert.NotRegexp(t, `^'|^\.[^A-Zfn&]|<no value>|[^\\]--`, line)
		}
	}
	var out bytes.Buffer
	require.Equal(t, statusOK, run([]string{"conch", "man", "serve"}, nothing, nil, &out, io.Discard, nil))
	for _, r := range config.Settings() {
		assert.Contains(t, out.String(), strings.ReplaceAll("--"+r.Name, "-", `\-`))
	}
}

func TestVersion(t *testing.T) {
	for _, flag := range []string{"--version", "-v", "version"} {
		var out, stderr bytes.Buffer
		require.Equal(t, statusOK, run([]string{"conch", flag}, nothing, nil, &out, &stderr, nil))
		assert.True(t, strings.HasPrefix(out.String(), "conch dev ("+runtime.Version()), "%s", &out)
		assert.Equal(t, 1, strings.Count(out.String(), "\n"))
		assert.Empty(t, stderr.String())
	}
}

type brokenWriter struct{}

var errBroken = errors.New("nobody reads")

func (brokenWriter) Write([]byte) (int, error) { return 0, errBroken }

func TestAnAnswerThatCannotBeWrittenIsAFailure(t *testing.T) {
	for _, args := range []string{"--help", "help sub", "sub -h", "version", "--version", "man", "completion bash"} {
		var stderr bytes.Buffer
		words := append([]string{"conch"}, strings.Fields(args)...)
		assert.Equal(t, statusFailure, run(words, nothing, nil, brokenWriter{}, &stderr, nil), args)
		assert.Equal(t, "conch: cannot write: nobody reads\n", stderr.String())

		closed := writer(func([]byte) (int, error) { return 0, syscall.EPIPE })
		assert.Equal(t, statusOK, run(words, nothing, nil, closed, &stderr, nil), args)
	}
}
