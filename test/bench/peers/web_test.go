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
