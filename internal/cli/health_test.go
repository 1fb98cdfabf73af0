package cli

import (
	"bytes"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// health runs conch health, and returns the status with what it printed.
func health(arguments ...string) (status int, out, log string) {
	var stdout, stderr bytes.Buffer
	status = run(append([]string{"conch", "health"}, arguments...), nothing, strings.NewReader(""), &stdout, &stderr, nil)
	return status, stdout.String(), stderr.String()
}

func TestHealth(t *testing.T) {
	p := start(t)
	status, out, log := health("--url", p.Address)
	assert.Equal(t, statusOK, status, log)
	assert.Equal(t, "healthy: "+p.Address+" replies\n", out)
	assert.Empty(t, log)
}

// A check has no password: that the server requires one is an answer.
func TestHealthWithoutThePassword(t *testing.T) {
	p := start(t, "--requirepass=open sesame")
	for _, url := range []string{p.Address, "conch://:open%20sesame@" + p.Address, "conch://:wrong@" + p.Address} {
		status, out, log := health("--url", url)
		assert.Equal(t, statusOK, status, log)
		assert.Equal(t, "healthy: "+p.Address+" replies\n", out)
	}
}

func TestHealthOverHTTP(t *testing.T) {
	asked := make(chan string, 1)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked <- r.URL.Path
		if r.URL.Path == "/readyz" {
			http.Error(w, "stopping", http.StatusServiceUnavailable)
		}
	}))
	t.Cleanup(server.Close)

	status, out, _ := health("--url", server.URL+"/healthz")
	assert.Equal(t, statusOK, status)
	assert.Equal(t, "healthy: "+server.URL+"/healthz\n", out)
	assert.Equal(t, "/healthz", <-asked)

	status, out, log := health("--url", server.URL)
	assert.Equal(t, statusFailure, status)
	assert.Empty(t, out)
	assert.Equal(t, "conch: health: "+server.URL+"/readyz: 503 Service Unavailable: stopping\n", log)
	assert.Equal(t, "/readyz", <-asked, "ready, unless the URL has another path")
}

// A server that is stopped, or hangs, accepts connections: the kernel does.
func TestHealthOfAServerThatHangs(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	for _, scheme := range []string{"conch://", "http://"} {
		status, _, log := health("--timeout", "20ms", "--url", scheme+l.Addr().String())
		assert.Equal(t, statusFailure, status)
		assert.Equal(t, "conch: health: no answer within 20ms, the time of --timeout\n", log)
	}
}

// A server that answers rubbish is not this one.
func TestHealthOfAnotherServer(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		sock, err := l.Accept()
		if err != nil {
			return
		}
		_, _ = io.WriteString(sock, "220 mail.example.org ESMTP\r\n")
		_ = sock.Close()
	}()
	status, _, log := health("--url", l.Addr().String())
	assert.Equal(t, statusFailure, status)
	assert.Contains(t, log, "conch: health: the server's reply cannot be read")
}
