package web_test

import (
	"crypto/tls"
	"encoding/binary"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/internal/harness"
	"github.com/conchmq/conch/server"
)

// http2 is the client's side of an HTTP/2 connection, frame by frame: RFC 9113, section 4.
type http2 struct {
	*harness.Conn
	t testing.TB
}

// Types of frames.
const (
	frameHeaders      = 1
	frameReset        = 3
	frameSettings     = 4
	frameWindowUpdate = 8
)

// largeWindow is the most that a window may hold.
const largeWindow = 1<<31 - 1

// dialHTTP2 opens a connection that lets the server send window bytes for each stream, and very many in all.
func (s *site) dialHTTP2(window uint32) *http2 {
	s.t.Helper()
	config := s.client.Transport.(*http.Transport).TLSClientConfig.Clone()
	config.NextProtos = []string{"h2"}
	sock, err := tls.Dial("tcp", strings.TrimPrefix(s.url, "https://"), config)
	require.NoError(s.t, err)
	c := &http2{harness.Use(s.t, sock), s.t}
	c.Send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
	c.frame(frameSettings, 0, 0, binary.BigEndian.AppendUint32([]byte{0, 4}, window))
	c.frame(frameWindowUpdate, 0, 0, binary.BigEndian.AppendUint32(nil, largeWindow-65535))
	return c
}

func (c *http2) frame(kind, flags byte, stream uint32, payload []byte) {
	c.t.Helper()
	b := binary.BigEndian.AppendUint32(nil, uint32(len(payload))<<8|uint32(kind)) //nolint:gosec // a test's few bytes
	b = binary.BigEndian.AppendUint32(append(b, flags), stream)
	_, err := c.Write(append(b, payload...))
	require.NoError(c.t, err)
}

// get sends GET for a path of less than 127 bytes.
func (c *http2) get(stream uint32, path string) {
	c.t.Helper()
	const endOfAll = 0x1 | 0x4                                       // of the stream, and of the headers
	block := append([]byte{0x82, 0x87, 4, byte(len(path))}, path...) // GET, https, :path
	c.frame(frameHeaders, endOfAll, stream, append(append(block, 1, 9), "localhost"...))
}

// An unread stream over HTTP/2 ends, whatever holds its bytes up: the window of the stream, or the socket that all streams
// of the connection share.
func TestUnreadHTTP2(t *testing.T) {
	for name, window := range map[string]uint32{"a window": 65535, "the socket": largeWindow} {
		t.Run(name, func(t *testing.T) {
			s := startTLS(t, server.Options{SlowHard: 4 << 20, SlowTime: 200 * time.Millisecond})
			c := s.dialHTTP2(window)
			c.get(1, "/topics/news")
			publisher, payload := s.Dial(t), strings.Repeat("x", 1<<20)
			s.await("it subscribes", func() bool {
				publisher.Command("PUBLISH", "news", payload)
				return publisher.Line() == ":1"
			})
			s.await("it is evicted", func() bool {
				publisher.Command("PUBLISH", "news", payload)
				return publisher.Line() == ":0"
			})
			s.await("it is gone", func() bool { return s.Service().Counts.Open.Load() == 1 })
		})
	}
}

// A request that conch ends while its body arrives is answered, and nothing of it is at work behind the answer.
func TestKilledHTTP2Requests(t *testing.T) {
	s := startTLS(t, server.Options{})
	operator := s.Dial(t)
	for range 50 {
		body, in := io.Pipe()
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.url+"/topics/news", body)
		require.NoError(t, err)
		r.ContentLength = 10
		killed := make(chan struct{})
		go func() {
			defer close(killed)
			_, _ = io.WriteString(in, "half")
			s.await("it has begun", func() bool { return s.Service().Counts.Open.Load() == 2 })
			harness.Eventually(t, func() bool { // not before it has sent its first command
				operator.Command("CLIENT", "KILL", "SKIPME", "yes")
				return operator.Line() == ":1"
			}, "it is killed")
		}()
		response, err := s.client.Do(r)
		require.NoError(t, err)
		require.Equal(t, http.StatusServiceUnavailable, response.StatusCode)
		<-killed // the operator is free again
		_ = response.Body.Close()
		_ = in.Close()
	}
}
