//go:build !race

package web_test

import (
	"bufio"
	"fmt"
	"net"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/internal/harness"
	"github.com/conchmq/conch/internal/web"
	"github.com/conchmq/conch/server"
)

// maxIdleStream bounds what an idle stream takes, with the test's end of it: stacks and what is alive on the heap. It was
// 8.1 KiB when this was written.
const maxIdleStream = 10 << 10

// Ten thousand idle streams cost little, and all of them get a message. (The race detector's builds need more memory.)
func TestTenThousandStreams(t *testing.T) {
	streams := 10_000
	var limit syscall.Rlimit
	require.NoError(t, syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit))
	streams = min(streams, int(limit.Cur)/2-200) //nolint:gosec // two descriptors for each
	s := start(t, server.Options{MaxConnections: streams + 10}, web.Options{})
	before := memory()
	socks := make([]net.Conn, streams)
	for i := range socks {
		sock, err := net.Dial("tcp", s.addr)
		require.NoError(t, err)
		t.Cleanup(func() { _ = sock.Close() })
		_, err = sock.Write([]byte("GET /topics/news HTTP/1.1\r\nHost: localhost\r\n\r\n"))
		require.NoError(t, err)
		socks[i] = sock
		expectEvent(t, sock, "\n\n")
	}
	each := (memory() - before) / int64(streams)
	t.Logf("%d idle streams take %d bytes each", streams, each)
	assert.Less(t, each, int64(maxIdleStream), "bytes a stream")

	c := s.Dial(t)
	c.Command("PUBLISH", "news", "hi")
	c.Expect(fmt.Sprintf(":%d\r\n", streams))
	for _, sock := range socks {
		expectEvent(t, sock, "\ndata: hi\n\n")
	}
	for _, sock := range socks {
		require.NoError(t, sock.Close())
	}
	s.await("a stream is left", func() bool { return s.Service().Counts.Open.Load() == 1 })
}

// expectEvent reads until an event has come that ends so.
func expectEvent(t *testing.T, sock net.Conn, end string) {
	t.Helper()
	in := bufio.NewReaderSize(harness.Use(t, sock), 512)
	head := end == "\n\n" // behind the head comes the first position
	for text := ""; !strings.HasSuffix(text, end) || head && !strings.Contains(text, "\nid: "); {
		line, err := in.ReadString('\n')
		require.NoError(t, err)
		text += line
	}
}

// memory is what is alive on the heap, and stacks.
func memory() int64 {
	for range 3 { // pools are empty behind two collections
		runtime.GC()
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.StackInuse + m.HeapAlloc) //nolint:gosec // bytes of memory
}

// maxIdlePoll bounds what a long poll takes while it waits, with the test's end of it: as any request whose command is at work, it holds
// the buffers of net/http, a reader, and the batch of its command. It was 52 KiB when this was written.
const maxIdlePoll = 70 << 10

// A thousand long polls on one group cost little while they wait, and each entry goes to one of them.
func TestAThousandLongPolls(t *testing.T) {
	const polls = 1000
	s := startGroup(t, 0, server.Options{MaxConnections: polls + 10})
	before := memory()
	socks := make([]*harness.Conn, polls)
	for i := range socks {
		socks[i] = s.poll(fmt.Sprintf("consumer=c%d&wait=10m&count=1", i))
	}
	s.awaitBlocked(polls)
	each := (memory() - before) / polls
	t.Logf("%d long polls take %d bytes each", polls, each)
	assert.Less(t, each, int64(maxIdlePoll), "bytes a poll")

	c := s.Dial(t)
	for i := range polls {
		s.xadd(c, "jobs", fmt.Sprintf("%d-0", i+1), "message", fmt.Sprint("job ", i+1))
		c.Fence()
	}
	got := map[string]bool{}
	for _, sock := range socks {
		got[entriesOf(t, sock)] = true
	}
	assert.Len(t, got, polls, "each entry comes once")
	for _, sock := range socks {
		require.NoError(t, sock.Close())
	}
	s.await("a poll is left", func() bool { return s.Service().Counts.Open.Load() == 1 })
}
