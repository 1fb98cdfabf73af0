package daemon

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/internal/harness"
)

// HTTP may be all that there is. HTTPS has the same files as the TLS port, and HTTP/2.
func TestHTTPAlone(t *testing.T) {
	a := harness.NewAuthority(t)
	cert, key := a.Valid(t, "localhost").Write(t, t.TempDir())
	log, signals, ended := harness.NewLog(), make(chan os.Signal, 1), make(chan error)
	c := load(t, "--listen=none", "--http=127.0.0.1:0", "--https=localhost:0", "--tls-cert="+cert, "--tls-key="+key)
	go func() { ended <- Serve(c, log, signals) }()
	first := log.Await(t, "listening", 1)
	plain, secure := first["http"].(string), first["https"].(string)

	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: a.Pool()}, ForceAttemptHTTP2: true}
	client := &http.Client{Transport: transport}
	_, port, err := net.SplitHostPort(secure)
	require.NoError(t, err)
	for url, major := range map[string]int{"http://" + plain: 1, "https://localhost:" + port: 2} {
		response, err := client.Post(url+"/topics/news", "text/plain", strings.NewReader("hi"))
		require.NoError(t, err)
		assert.Equal(t, http.StatusOK, response.StatusCode)
		assert.Equal(t, major, response.ProtoMajor)
		_ = response.Body.Close()
	}

	// A browser resumes without a setting more.
	response, err := client.Get("http://" + plain + "/topics/news?last=1")
	require.NoError(t, err)
	event := ""
	for r := bufio.NewReader(response.Body); !strings.HasPrefix(event, "data:"); {
		event, err = r.ReadString('\n')
		require.NoError(t, err)
	}
	assert.Equal(t, "data: hi\n", event)
	_ = response.Body.Close()

	// A connection that has sent nothing does not delay the stop.
	silent, err := net.Dial("tcp", plain)
	require.NoError(t, err)
	defer func() { _ = silent.Close() }()
	signals <- os.Interrupt
	assert.NoError(t, <-ended)
	transport.CloseIdleConnections()
	_, err = net.Dial("tcp", plain)
	assert.Error(t, err, "the port is closed")
}

// A request whose body still arrives when conch stops is answered.
func TestAStopAnswersRequests(t *testing.T) {
	p := start(t, "--http=127.0.0.1:0", "--log-level=debug")
	sock, err := net.Dial("tcp", p.First["http"].(string))
	require.NoError(t, err)
	c := harness.Use(t, sock)
	c.Send("POST /topics/news HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\nhalf")
	p.Log.Await(t, "connected", 1)
	p.Signals <- os.Interrupt
	assert.Equal(t, "HTTP/1.1 503 Service Unavailable", c.Line())
	assert.NoError(t, p.wait())
}

// CONFIG GET shows how much is kept.
func TestRecentMessagesAreShown(t *testing.T) {
	for flag, want := range map[string]string{"--log-level=info": "0", "--http=127.0.0.1:0": "67108864"} {
		p := start(t, flag)
		p.Request(p.Dial(), "CONFIG GET recent\nQUIT\n", fmt.Sprintf("*2\r\n$6\r\nrecent\r\n$%d\r\n%s\r\n+OK\r\n", len(want), want))
	}
}
