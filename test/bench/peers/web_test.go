package main

import (
	"bufio"
	"io"
	"net"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/test/bench/servers"
)

// Every message is counted once, however its bytes are cut, and whatever stands around it.
func TestAudienceCountsEachStampOnce(t *testing.T) {
	a := &audience{from: time.Now()}
	a.record.Store(true)
	const around = "id: a-1\ndata: {\"payload\":\""
	var text strings.Builder
	for range 100 {
		text.WriteString(around + a.stamped(a.from) + "\"}\n\n")
	}
	text.WriteString(around + stampMark + "0000") // one that is not whole
	for name, in := range map[string]io.Reader{
		"whole":        strings.NewReader(text.String()),
		"bytes":        iotest.OneByteReader(strings.NewReader(text.String())),
		"halves":       iotest.HalfReader(strings.NewReader(text.String())),
		"with the end": iotest.DataErrReader(strings.NewReader(text.String())),
	} {
		a.received.Store(0)
		a.latencies, a.failed, a.closing = nil, nil, false
		a.read(in)
		assert.EqualValues(t, 100, a.received.Load(), name)
		assert.Len(t, a.latencies, 100, name)
		assert.ErrorContains(t, a.failed, "a stream ended", "nobody has closed it")
	}
	assert.Positive(t, a.quantile(0.99))
	assert.Len(t, a.stamped(time.Now()), webPayload)
}

// A reply of up to 64 KiB is read whole, and a wrong one is an error.
func TestSubscribeOverAWebSocket(t *testing.T) {
	for reply, wrong := range map[string]bool{
		"\x81\x0d{\"connect\":0}\x81\x7e\x00\xc8{\"subscribe\"" + strings.Repeat(" ", 187) + "}": false,
		"\x81\x0d{\"error\":   }": true,
	} {
		ours, theirs := net.Pipe()
		go func() { _, _ = io.Copy(io.Discard, theirs) }()
		in := bufio.NewReader(io.MultiReader(strings.NewReader("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n"+reply), ours))
		err := subscribeCentrifugo(ours, in, "host")
		assert.Equal(t, wrong, err != nil, "%v", err)
		require.NoError(t, ours.Close())
	}
	ours, theirs := net.Pipe()
	go func() { _, _ = io.Copy(io.Discard, theirs) }()
	assert.ErrorContains(t, subscribeEvents(ours, bufio.NewReader(strings.NewReader("HTTP/1.1 404 Not Found\r\n\r\n")), "host"), "404")
	require.NoError(t, ours.Close())
}

// A section's name stands for its scenarios, so that a run of it can be written without the rest.
func TestASectionIsChosen(t *testing.T) {
	some, err := chosen("web")
	require.NoError(t, err)
	require.Len(t, some, len(webRuns))
	for i, s := range some {
		assert.Equal(t, webRuns[i].name, s.name)
	}
	_, err = parse([]string{"--doc", "x.md", "--only", "web"}, io.Discard)
	assert.NoError(t, err)
	for _, s := range scenarios {
		assert.NotContains(t, sectionNames(), s.name)
	}
}

// The servers of a section are those that it measures, as it starts them.
func TestServersOfPagesAreDescribed(t *testing.T) {
	where := servers.Environment{Servers: []servers.Description{
		{Name: "conch", Version: "1", Command: "conch 127.0.0.1:PORT"}, {Name: "nats", Version: "2", Command: "nats-server -p PORT"},
		{Name: "centrifugo", Version: "3", Command: "centrifugo --http_server.port PORT"},
	}}
	assert.Equal(t, []servers.Description{
		{Name: "conch", Version: "1", Command: "conch --listen none --http 127.0.0.1:PORT --slow-hard 64mb --slow-soft 64mb --log-level warn"},
		where.Servers[2],
	}, (&contest{scenarios: webRuns}).described(where))
	assert.Equal(t, where.Servers[:2], (&contest{scenarios: scenarios[:1]}).described(where))
}
