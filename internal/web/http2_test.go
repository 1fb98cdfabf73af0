package web_test

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/internal/harness"
	"github.com/conchmq/conch/internal/web"
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

// canceled is the reason of a reset.
const canceled = 8

func encodedFrame(kind, flags byte, stream uint32, payload []byte) []byte {
	b := binary.BigEndian.AppendUint32(nil, uint32(len(payload))<<8|uint32(kind)) //nolint:gosec // a test's few bytes
	return append(binary.BigEndian.AppendUint32(append(b, flags), stream), payload...)
}

func (c *http2) frame(kind, flags byte, stream uint32, payload []byte) {
	c.t.Helper()
	_, err := c.Write(encodedFrame(kind, flags, stream, payload))
	require.NoError(c.t, err)
}

// get sends GET for a path.
func (c *http2) get(stream uint32, path string) {
	c.t.Helper()
	_, err := c.Write(getFrame(stream, path))
	require.NoError(c.t, err)
}

// getFrame is GET for a path of less than 127 bytes.
func getFrame(stream uint32, path string) []byte {
	const endOfAll = 0x1 | 0x4                                       // of the stream, and of the headers
	block := append([]byte{0x82, 0x87, 4, byte(len(path))}, path...) // GET, https, :path
	return encodedFrame(frameHeaders, endOfAll, stream, append(append(block, 1, 9), "localhost"...))
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

// A client that opens streams and resets them at once (CVE-2023-44487) has no more connections at a time than it may have requests, and
// leaves nothing behind. Others are served meanwhile.
func TestRapidResets(t *testing.T) {
	s := startTLS(t, server.Options{})
	ping := s.Dial(t)
	for range 2 {
		c := s.dialHTTP2(largeWindow)
		var err error
		for sent := 0; err == nil && sent < 50_000; sent += 100 {
			var frames []byte
			for stream := 1 + 2*sent; stream < 1+2*(sent+100); stream += 2 {
				frames = append(frames, getFrame(uint32(stream), "/topics/news")...)                                                  //nolint:gosec // a count
				frames = append(frames, encodedFrame(frameReset, 0, uint32(stream), binary.BigEndian.AppendUint32(nil, canceled))...) //nolint:gosec // a count
			}
			_, err = c.Write(frames)
			ping.Fence()
			require.LessOrEqual(t, s.Service().Counts.Open.Load(), int64(1+100))
		}
	}
	s.await("a stream is left", func() bool { return s.Service().Counts.Open.Load() == 1 })
	for range 100 {
		s.events("/topics/news").close()
	}
	s.events("/topics/news")
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

// A request over HTTP/2 that was reset before its turn opens no connection, and gets no answer.
func TestRequestsThatAreBrokenOff(t *testing.T) {
	s := start(t, server.Options{}, web.Options{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, path := range []string{"/topics/news", "/stats", "/nosuch"} {
		k := newTaker()
		r := local(http.MethodGet, path, nil).WithContext(ctx)
		r.ProtoMajor = 2
		s.web.Answer(k, r)
		assert.Empty(t, k.Body.String())
	}
	assert.Zero(t, s.Service().Counts.Accepted.Load())
}
