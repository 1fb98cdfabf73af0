package cli

import (
	"bytes"
	"errors"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/internal/config"
)

// A mistake is answered with one line and status 2.
func TestWrongUse(t *testing.T) {
	const usage = "; usage: conch [address], e.g. conch 127.0.0.1:8889, or conch sub, pub, bench or completion; see conch --help"
	for _, c := range []struct{ args, want string }{
		{"serev", "serev is not an address" + usage},
		{"help", "help is not an address" + usage},
		{"subscribe", "subscribe is not an address" + usage},
		{"7777", "7777 is only a port (did you mean :7777?)" + usage},
		{"-5", "-5 is not an address" + usage},
		{"-", "- is not an address" + usage},
		{":1 :2", `expected one address, got 2 arguments: [":1" ":2"]; usage: conch [address]; see conch --help`},
		{":1 --listen :2", `the address is given twice, as --listen ":2" and as ":1"; give one of them; see conch --help`},
		{"--listen --log-level :1", `the address is given twice, as --listen "--log-level" and as ":1"; give one of them; see conch --help`},
		{"--protected-mode false", "false is not an address (did you mean --protected-mode=false?); see conch --help"},
		{"--lissten :1", "unknown flag --lissten (did you mean --listen?); see conch --help"},
		{"--help --lissten", "unknown flag --lissten (did you mean --listen?); see conch --help"},
		{"--max_line=1", "unknown flag --max_line (did you mean --max-line?); see conch --help"},
		{"--zzzzzz", "unknown flag --zzzzzz; see conch --help"},
		{"-x", "unknown flag -x; see conch --help"},
		{"--generate-shell-completion :1", "unknown flag --generate-shell-completion; see conch --help"},
		{"--listen", "flag --listen needs a value, e.g. --listen 0.0.0.0:8889; see conch --help"},
		{"--config", "flag --config needs a value; see conch --help"},
		{"--config=", `file "" cannot be read: no such file or directory; see conch --help`},
		{"--listen=x", "flag --listen: x is not an address; expected host:port or :port, e.g. 127.0.0.1:8889, or none; see conch --help"},
		{"--listen=", "there is nothing to listen on: listen is none, and neither tls-listen nor unix-socket is set; see conch --help"},
		{"--listen=none", "there is nothing to listen on: listen is none, and neither tls-listen nor unix-socket is set; see conch --help"},
		{"--tls-listen=:1", "tls-listen needs tls-cert and tls-key, the files of a certificate and its private key; see conch --help"},
		{"--tls-key=k", "tls-cert, tls-key and tls-client-ca have no effect without tls-listen; see conch --help"},
		{"--tls-listen=:1 --tls-cert=c --tls-key=k --tls-client-auth=optional", "tls-client-auth has no effect without tls-client-ca; see conch --help"},
		{
			"--tls-listen=:1 --tls-cert=c --tls-key=k --tls-user",
			"tls-user needs tls-client-ca: only a verified certificate can name a user; see conch --help",
		},
		{
			"--tls-listen=localhost:8889 --tls-cert=c --tls-key=k",
			"tls-listen localhost:8889 is the port that listen has; choose another one, or switch that off with --listen=none; see conch --help",
		},
		{"--tls-cert", "flag --tls-cert needs a value, e.g. --tls-cert FILE; see conch --help"},
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
	env := environment(map[string]string{"CONCH_LISTEN": ":1"})
	for _, args := range [][]string{
		{"127.0.0.1:7777"}, {"--log-level", "debug", "127.0.0.1:7777"}, {"127.0.0.1:7777", "--log-level=debug"},
		{"--", "127.0.0.1:7777"}, {"--protected-mode", "127.0.0.1:7777"},
		{"--listen", "127.0.0.1:7777"}, {"-listen=127.0.0.1:7777"}, {"--listen", ":2", "--listen", "127.0.0.1:7777"},
	} {
		s, err := parse(&Env{Args: append([]string{"conch"}, args...), LookupEnv: env})
		require.NoError(t, err, args)
		assert.Equal(t, "127.0.0.1:7777", s.Listen, args)
		assert.False(t, s.Server.Unprotected)
	}
}

func TestHelpHasEverySetting(t *testing.T) {
	for _, args := range [][]string{{"--help"}, {"-h"}, {"--help", "serev"}, {":1", "-h"}} {
		var out, stderr bytes.Buffer
		require.Equal(t, statusOK, run(append([]string{"conch"}, args...), nothing, nil, &out, &stderr, nil))
		assert.Empty(t, stderr.String())
		text := out.String()
		assert.Contains(t, text, "Usage: conch [address] [settings]")
		assert.Contains(t, text, "--config FILE")
		assert.Contains(t, text, "env CONCH_CONFIG")
		for _, r := range config.Settings() {
			assert.Regexp(t, `(?m)^  --`+r.Name+"[ =]"+r.Value+" +"+r.Usage[:10], text)
			if r.Default == "" {
				assert.Contains(t, text, "[env "+r.Env()+"]")
			} else {
				assert.Contains(t, text, "[default "+r.Default+", env "+r.Env()+"]")
			}
		}
		for line := range strings.Lines(text) {
			assert.LessOrEqual(t, len(line), 120)
		}
	}
}

func TestVersion(t *testing.T) {
	for _, flag := range []string{"--version", "-v"} {
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
	var stderr bytes.Buffer
	assert.Equal(t, statusFailure, run([]string{"conch", "--help"}, nothing, nil, brokenWriter{}, &stderr, nil))
	assert.Equal(t, "conch: cannot write the answer: nobody reads\n", stderr.String())
}
