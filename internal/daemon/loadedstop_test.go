package daemon

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A stop ends streams and requests of all kinds under load: each client sees the end of its connection, and the process ends.
func TestAStopUnderLoad(t *testing.T) {
	p := start(t, "--http=127.0.0.1:0", "--drain-timeout=500ms", "--recent=8MiB")
	addr, _ := p.First["http"].(string)
	publisher := p.Dial()
	message := fmt.Sprintf("*3\r\n$7\r\nPUBLISH\r\n$4\r\nnews\r\n$1000\r\n%s\r\n", strings.Repeat("x", 1000))
	fill := strings.Repeat(message, 1000)
	var clients sync.WaitGroup
	clients.Go(func() { _, _ = io.Copy(io.Discard, publisher) })
	_, err := io.WriteString(publisher, fill)
	require.NoError(t, err)

	const upgrade = "GET /ws HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n" +
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
	var unread []net.Conn
	for _, kind := range []struct {
		request string
		reads   bool
	}{
		{"GET /topics/news HTTP/1.1\r\nHost: localhost\r\n\r\n", true},
		{"GET /topics/news HTTP/1.1\r\nHost: localhost\r\n\r\n", false},
		{"GET /events?topic=news&from=0 HTTP/1.1\r\nHost: localhost\r\n\r\n", true}, // replays
		{"GET /events?topic=news&from=0 HTTP/1.1\r\nHost: localhost\r\n\r\n", false},
		{upgrade + "\x81\x88\x00\x00\x00\x00SUB news", true},
		{upgrade + "\x81\x88\x00\x00\x00\x00SUB news", false},
		{"GET /stats HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n", true},
		{"POST /topics/news HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\nhalf", true},
		{"POST /topics/news HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n11\r\n{\"payload\": \"x\"}\n\r\n", true},
		{"POST /topics/news HTT", true},
	} {
		for range 20 {
			c, err := net.Dial("tcp", addr)
			require.NoError(t, err)
			t.Cleanup(func() { _ = c.Close() })
			_, err = io.WriteString(c, kind.request)
			require.NoError(t, err)
			switch {
			case !kind.reads:
				unread = append(unread, c)
			case strings.HasPrefix(kind.request, "GET"):
				_, err = bufio.NewReaderSize(c, 16).ReadByte() // the answer has begun
				require.NoError(t, err)
				fallthrough
			default:
				clients.Go(func() { _, _ = io.Copy(io.Discard, c) }) // until conch ends it
			}
		}
	}
	flood := p.Dial()
	clients.Go(func() { _, _ = io.Copy(io.Discard, flood) })
	sent := make(chan struct{})
	clients.Go(func() {
		for n := 0; ; n++ {
			if _, err := io.WriteString(flood, fill); err != nil {
				return
			}
			if n == 2 {
				close(sent)
			}
		}
	})
	<-sent
	p.Signals <- syscall.SIGTERM
	assert.NoError(t, p.wait())
	clients.Wait()
	for _, c := range unread {
		_, _ = io.Copy(io.Discard, c)
	}
	p.Log.Await(t, "stopped", 1)
}
