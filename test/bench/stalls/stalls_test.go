package main

import (
	"bufio"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/internal/attack"
)

func TestCommandLine(t *testing.T) {
	tests := []struct {
		sentence string
		args     []string
		wrong    string
	}{
		{"an argument", []string{"all"}, `"all" is no flag`},
		{"a server that is not attacked", []string{"--servers", "nats"}, `there is no server "nats": conch, redis, or both parted by a comma`},
		{"an unknown scenario", []string{"--only", "1,99"}, `there is no scenario "99"; --list shows them`},
	}
	for _, test := range tests {
		assert.EqualError(t, run(t.Context(), test.args, io.Discard, io.Discard), test.wrong, test.sentence)
	}
}

func TestArguments(t *testing.T) {
	s := attack.Scenario{Cap: "50MiB", NeedsPassword: true, RedisArgs: []string{"--maxclients", "5"}}
	assert.Equal(t, []string{"127.0.0.1:7", "--log-level", "warn", "--max-memory", "50MiB", "--requirepass", attack.Password},
		arguments(s, "conch", "7"))
	assert.Equal(t, []string{"--bind", "127.0.0.1", "--port", "7", "--save", "", "--appendonly", "no", "--maxclients", "5",
		"--requirepass", attack.Password}, arguments(s, "redis", "7"))
}

func TestTimesAreShownWithAboutThreeDigits(t *testing.T) {
	for want, d := range map[string]time.Duration{
		"12.3s": 12345 * time.Millisecond, "1.23s": 1234567 * time.Microsecond, "123ms": 123456 * time.Microsecond, "1.23ms": 1234567,
	} {
		assert.Equal(t, want, shown(d))
	}
}

func TestTheProberMeasuresUntilItsInputEnds(t *testing.T) {
	server, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	served := make(chan struct{})
	go func() {
		defer close(served)
		c, err := server.Accept()
		if !assert.NoError(t, err) {
			return
		}
		for in := bufio.NewScanner(c); in.Scan(); {
			if in.Text() == "AUTH pw" {
				_, _ = io.WriteString(c, "+OK\r\n")
			} else {
				_, _ = io.WriteString(c, "+PONG\r\n")
			}
		}
		_ = c.Close()
	}()
	var out strings.Builder
	require.NoError(t, probe(t.Context(), server.Addr().String(), "pw", strings.NewReader("reset\nreset\n"), &out))
	assert.Regexp(t, `^ready\nreset\nreset\n\d+ \d+ ""\n$`, out.String())
	<-served
	require.NoError(t, server.Close())
	assert.Error(t, probe(t.Context(), server.Addr().String(), "pw", strings.NewReader(""), &out), "there is no server")
}
