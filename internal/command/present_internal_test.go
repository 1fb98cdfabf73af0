package command

import (
	"encoding/binary"
	"fmt"
	"io"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/broker"
	"github.com/conchmq/conch/internal/outbox"
	"github.com/conchmq/conch/protocol"
)

// presented are connections of one service, one for each presentation.
type presented struct {
	*Service
	t                               testing.TB
	texts, objects                  *pipe
	events, objectEvents            *pipe
	eventReplies, objectEventErrors chan *protocol.Error
}

// servePresented serves one connection of each presentation, until the test ends.
func servePresented(t testing.TB, o Options) *presented {
	o.Unprotected = true
	p := &presented{
		Service: newService(t, o), t: t, eventReplies: make(chan *protocol.Error, 100), objectEventErrors: make(chan *protocol.Error, 100),
	}
	p.setEpoch("a000000000000000")
	var serving sync.WaitGroup
	start := func(f outbox.Format, replies chan *protocol.Error) *pipe {
		c := newPipe(t, p.Service)
		c.Present(f, func(refused *protocol.Error) bool {
			if replies != nil {
				replies <- refused
			}
			return replies != nil
		})
		require.True(t, p.Add(&c.Conn))
		serving.Go(c.serve)
		return c
	}
	p.texts, p.objects = start(outbox.FormatTexts, nil), start(outbox.FormatObjects, nil)
	p.events, p.objectEvents = start(outbox.FormatEvents, p.eventReplies), start(outbox.FormatObjectEvents, p.objectEventErrors)
	t.Cleanup(func() {
		for _, c := range []*pipe{p.texts, p.objects, p.events, p.objectEvents} {
			_ = c.sock.Close()
		}
		serving.Wait()
	})
	return p
}

// message reads one frame of a WebSocket: its first byte, and its payload.
func (p *pipe) message() (first byte, text string) {
	p.t.Helper()
	var head [2]byte
	_, err := io.ReadFull(p.from, head[:])
	require.NoError(p.t, err)
	require.Zero(p.t, head[1]&0x80, "a server masks nothing")
	n := uint64(head[1])
	switch n {
	case 126:
		var size [2]byte
		_, err = io.ReadFull(p.from, size[:])
		n = uint64(binary.BigEndian.Uint16(size[:]))
	case 127:
		var size [8]byte
		_, err = io.ReadFull(p.from, size[:])
		n = binary.BigEndian.Uint64(size[:])
	}
	require.NoError(p.t, err)
	b := make([]byte, n)
	_, err = io.ReadFull(p.from, b)
	require.NoError(p.t, err)
	return head[0], string(b)
}

// text reads one text message.
func (p *pipe) text() string {
	p.t.Helper()
	first, text := p.message()
	require.Equal(p.t, byte(protocol.WebSocketText), first)
	return text
}

// event reads one server-sent event.
func (p *pipe) event() string {
	p.t.Helper()
	var text strings.Builder // a large event has 100,000 lines
	for line := ""; line != "\n"; {
		var err error
		line, err = p.from.ReadString('\n')
		require.NoError(p.t, err)
		text.WriteString(line)
	}
	return text.String()
}

// stamp is the time in a line of MONITOR.
var stamp = regexp.MustCompile(`^\+\d+\.\d{6} `)

// Replies and messages of one connection are frames of one kind, whatever the client sends.
func TestALineWebSocket(t *testing.T) {
	p := servePresented(t, Options{})
	tests := []struct {
		send string
		want []string
	}{
		{"SUB news", []string{"OK SUB news"}},
		{"PUB news hi", []string{"OK PUB news #1", "UPDATE #1 news hi"}},
		{"PUB news \xfe\xe2\x80\x01é", []string{`OK PUB news #2`, `UPDATE #2 news \xfe\xe2\x80\x01é`}},
		{"PUB \xfea 1", []string{`OK PUB \xfea #3`}},
		{"PUB news 1\nPUB news 2", []string{"OK PUB news #4", "UPDATE #4 news 1", "OK PUB news #5", "UPDATE #5 news 2"}},
		{"PUB other 1\nPUB other 2", []string{"OK PUB other #6\nOK PUB other #7"}},
		{"PING", []string{"+PONG"}},
		{"ECHO \"a\\r\\n\\xfe\"", []string{"$4\na\n\\xfe"}}, // as much as a person needs
		{"NOSUCH", []string{"-ERR unknown command 'NOSUCH'; type: HELP"}},
		{"PUB", []string{"ERR PUB needs a topic, one space, and a message; type: PUB topic message"}},
		{"SEQ OFF", []string{"ERR sequence numbers are always on for a WebSocket"}},
		{"RESET", []string{"+RESET"}},
		{"SUB \xfe", []string{`OK SUB \xfe`}},
		{"PUB \xfe 2", []string{`OK PUB \xfe #8`, `UPDATE #8 \xfe 2`}},
		{"MONITOR TOPIC", []string{"-ERR syntax error; type: MONITOR [TOPIC glob] [USER name]"}},
		{"MONITOR TOPIC n* USER default", []string{"+OK"}},
		{"PUB other 3\nPUB news \xfe\"", []string{"OK PUB other #9", `+T [0 pipe] "PUB" "news" "\xfe\""`, `OK PUB news #10`}},
	}
	for _, tt := range tests {
		p.texts.send(tt.send)
		for _, want := range tt.want {
			assert.Equal(t, want, stamp.ReplaceAllString(p.texts.text(), "+T "), "after %q", tt.send)
		}
	}
}

func TestAJSONWebSocket(t *testing.T) {
	const epoch = `"epoch":"a000000000000000"`
	p := servePresented(t, Options{})
	tests := []struct {
		send string
		want []string
	}{
		{`{"op":"subscribe","topic":"news","id":1}`, []string{`{"event":"subscribed","id":1,"name":"news"}`}},
		{`{"op":"publish","topic":"news","payload":"hi","id":"x"}`, []string{
			`{"event":"published","id":"x","receivers":1,` + epoch + `,"sequence":1}`,
			`{"event":"message","topic":"news","payload":"hi",` + epoch + `,"sequence":1}`,
		}},
		{`{"op":"publish","topic":"news","payload_base64":"/w=="}`, []string{
			`{"event":"published","receivers":1,` + epoch + `,"sequence":2}`,
			`{"event":"message","topic":"news","payload_base64":"/w==",` + epoch + `,"sequence":2}`,
		}},
		{`{"op":"publish","topic":"a","payload":"1"}` + "\n" + `{"op":"publish","topic":"a","payload":"2","id":9}`, []string{
			`{"event":"published","receivers":0,` + epoch + `,"sequence":3}`, `{"event":"published","id":9,"receivers":0,` + epoch + `,"sequence":4}`,
		}},
		{`{"op":"subscribe","pattern":"n*","where":"price > 5"}`, []string{`{"event":"subscribed","name":"n* WHERE price \u003e 5"}`}},
		{`{"op":"publish","topic":"n1","payload":"{\"price\": 6}"}`, []string{
			`{"event":"published","receivers":1,` + epoch + `,"sequence":5}`,
			`{"event":"message","topic":"n1","pattern":"n*","payload":"{\"price\": 6}",` + epoch + `,"sequence":5}`,
		}},
		{`{"op":"unsubscribe","pattern":"n*"}`, []string{`{"event":"unsubscribed","name":"n*"}`}},
		{`{"op":"unsubscribe","topic":"none"}`, []string{`{"event":"unsubscribed","name":"none"}`}},
		{`{"op":"ping","id":3}`, []string{`{"event":"pong","id":3,` + epoch + `,"sequence":5}`}},
		{`{"op":"subscribe","topic":"old","after":"a000000000000000-1"}`, []string{
			`{"event":"subscribed","name":"old"}`, `{"event":"missed","name":"old","count":null}`,
		}},
		{`{"op":"subscribe","topic":"new","after":"a000000000000000-5"}`, []string{`{"event":"subscribed","name":"new"}`}},
		{`{"op":"auth","user":"ann","password":"x","id":4}`, []string{
			`{"event":"error","id":4,"code":"WRONGPASS","error":"invalid username-password pair or user is disabled."}`,
		}},
		{`nonsense`, []string{`{"event":"error","code":"ERR","error":"wrong request: invalid character 'o' in literal null (expecting 'u')"}`}},
		{`{"op":"ping"} {}`, []string{`{"event":"error","code":"ERR","error":"wrong request: a message holds one JSON object"}`}},
		{`{"op":"subscribe","topic":"news","wher":"x"}`, []string{`{"event":"error","code":"ERR","error":"wrong request: unknown field \"wher\""}`}},
		{`{"op":"dance"}`, []string{`{"event":"error","code":"ERR","error":"op must be publish, subscribe, unsubscribe, auth or ping, not \"dance\""}`}},
		{`{"op":"publish","topic":"a"}`, []string{
			`{"event":"error","code":"ERR","error":"publish needs topic and payload; send {\"op\":\"publish\",\"topic\":\"news\",\"payload\":\"hi\"}"}`,
		}},
		{`{"op":"subscribe"}`, []string{
			`{"event":"error","code":"ERR","error":"subscribe needs topic or pattern; send {\"op\":\"subscribe\",\"topic\":\"news\"}"}`,
		}},
		{`{"op":"subscribe","topic":"a","after":"12"}`, []string{
			`{"event":"error","code":"ERR","error":"after must be a position such as a1b2c3d4e5f60718-123, not \"12\""}`,
		}},
		{`{"op":"subscribe","topic":"a","from":"0 WHERE x"}`, []string{`{"event":"error","code":"ERR","error":"wrong position: \"0 WHERE x\""}`}},
		{`{"op":"subscribe","topic":"a","from":"0","last":2}`, []string{`{"event":"error","code":"ERR","error":"from, after and last exclude each other"}`}},
		{`{"op":"subscribe","topic":"a WHERE b"}`, []string{
			`{"event":"error","code":"ERR","error":"a name may not contain \" WHERE \": use a pattern with [ ] for the space"}`,
		}},
		{`{"op":"ping","id":{}}`, []string{`{"event":"error","code":"ERR","error":"id must be a string or a number of at most 128 bytes"}`}},
	}
	for _, tt := range tests {
		p.objects.send(tt.send)
		for _, want := range tt.want {
			assert.JSONEq(t, want, p.objects.text(), "after %q", tt.send)
		}
	}
}

// An event stream has messages and positions, and no replies: they go to the door.
func TestEventStreams(t *testing.T) {
	p := servePresented(t, Options{})
	for stream, replies := range map[*pipe]chan *protocol.Error{p.events: p.eventReplies, p.objectEvents: p.objectEventErrors} {
		stream.send(`{"op":"subscribe","pattern":"n*"}` + "\n" + `{"op":"subscribe","topic":"news"}` + "\n" + `{"op":"dance"}`)
		assert.Nil(t, <-replies)
		assert.Nil(t, <-replies)
		assert.Equal(t, protocol.CodeErr, (<-replies).Code)
	}
	p.texts.send("PUB news two\\nlines")
	p.texts.text()
	assert.Equal(t, "id: a000000000000000-1\ndata: two\\nlines\n\n", p.events.event())
	assert.Equal(t, "id: a000000000000000-1\ndata: two\\nlines\n\n", p.events.event(), "one for each subscription")
	const object = `id: a000000000000000-1` + "\n" + `data: {"event":"message","topic":"news",%s"payload":"two\\nlines","epoch":"a000000000000000","sequence":1}` + "\n\n"
	assert.Equal(t, fmt.Sprintf(object, ""), p.objectEvents.event())
	assert.Equal(t, fmt.Sprintf(object, `"pattern":"n*",`), p.objectEvents.event())

	go p.events.Reader.PushPosition()
	assert.Equal(t, "id: a000000000000000-1\n\n", p.events.event())
}

// deliveries encodes what the core delivers, in one format.
type deliveries struct {
	broker.NopConn
	encoder *encoder
	format  outbox.Format
	frames  []outbox.Fragment
	done    chan struct{}
}

func (d *deliveries) Deliver(m *broker.Message, s *broker.Subscription) bool {
	d.frames = append(d.frames, d.encoder.encode(d.format, m, s, 0))
	return false
}

func (d *deliveries) Applied(*broker.Batch) { d.done <- struct{}{} }

// All subscribers of a format share one encoding of a message, as small as a tenth of a frame or as large as a message may be.
func TestAPresentedMessageIsEncodedOnce(t *testing.T) {
	core := newService(t, Options{}).core
	for f := outbox.FormatEvents; f < outbox.FormatCount; f++ {
		d := &deliveries{encoder: &encoder{epoch: "a000000000000000"}, format: f, done: make(chan struct{}, 10)}
		one, two := broker.NewSubscriber(d), broker.NewSubscriber(d)
		submit := func(from *broker.Subscriber, r broker.Request) {
			require.True(t, core.Submit(&broker.Batch{From: from, Requests: []broker.Request{r}}))
			<-d.done
		}
		name := [][]byte{[]byte("news")}
		submit(one, broker.Request{Op: broker.Subscribe, Names: name})
		submit(two, broker.Request{Op: broker.Subscribe, Names: name})
		for _, size := range []int{10, outbox.LargePayload} {
			d.frames = nil
			submit(one, broker.Request{Op: broker.Publish, Names: name, Payloads: [][]byte{[]byte(strings.Repeat("\n", size))}})
			require.Len(t, d.frames, 2)
			if d.frames[0].Large != nil {
				assert.Same(t, d.frames[0].Large, d.frames[1].Large)
				continue
			}
			assert.Same(t, &d.frames[0].Bytes[0], &d.frames[1].Bytes[0])
			assert.Equal(t, len(d.frames[0].Bytes), f.Framing().FrameLen(d.frames[0].Bytes), "format %d", f)
		}
		submit(one, broker.Request{Op: broker.Leave})
		submit(two, broker.Request{Op: broker.Leave})
	}
}

// A large message arrives as a small one does, in each presentation.
func TestLargePresentedMessages(t *testing.T) {
	p := servePresented(t, Options{})
	p.texts.send("SUB news")
	p.texts.text()
	p.objects.send(`{"op":"subscribe","topic":"news"}`)
	p.objects.text()
	for stream, replies := range map[*pipe]chan *protocol.Error{p.events: p.eventReplies, p.objectEvents: p.objectEventErrors} {
		stream.send(`{"op":"subscribe","topic":"news"}`)
		require.Nil(t, <-replies)
	}
	publisher := newPipe(t, p.Service)
	require.True(t, p.Add(&publisher.Conn))
	var serving sync.WaitGroup
	serving.Go(publisher.serve)
	defer serving.Wait()
	defer func() { _ = publisher.sock.Close() }()
	for i, unit := range []string{"x", "é\n", "\xff", "\u2028\"", "a\r"} {
		payload, seq := strings.Repeat(unit, 100_000), uint64(i+1) //nolint:gosec // an index
		serving.Go(func() {
			_, _ = publisher.sock.Write(protocol.AppendBulkString(protocol.AppendBulkString(protocol.AppendBulkString(protocol.AppendArray(nil, 3), "PUBLISH"), "news"), payload))
		})
		want := &broker.Message{Sequence: seq, Topic: []byte("news"), Payloads: [][]byte{[]byte(payload)}}
		_, text := p.texts.message()
		requireSame(t, fmt.Sprintf("UPDATE #%d news ", seq)+string(protocol.TextEscaped.Append(nil, []byte(payload))), text, unit)
		object := string(appendObject(want, p.Epoch()))
		requireSame(t, object, p.objects.text(), unit)
		e := protocol.EventEncoding([]byte(payload))
		requireSame(t, string(protocol.AppendEventTail(e.Append(protocol.AppendEventHead(nil, p.Epoch(), seq, e), []byte(payload)))), p.events.event(), unit)
		requireSame(t, fmt.Sprintf("id: %s-%d\ndata: %s\n\n", p.Epoch(), seq, object), p.objectEvents.event(), unit)
		_, err := publisher.from.ReadString('\n')
		require.NoError(t, err)
	}
}

// requireSame compares texts that are too long to be printed.
func requireSame(t *testing.T, want, got, of string) {
	t.Helper()
	if want != got {
		require.Fail(t, "not the same", "%q: %d and %d bytes, %.100q and %.100q", of, len(want), len(got), want, got)
	}
}

// appendObject is the object of a message, built from its parts.
func appendObject(m *broker.Message, epoch string) []byte {
	payload := m.Payloads[0]
	e := protocol.ObjectEncoding(payload)
	return protocol.AppendObjectTail(e.Append(protocol.AppendObjectHead(nil, m.Topic, "", e), payload), nil, epoch, m.Sequence)
}

// A client that reads too slowly loses messages, or its connection, as on a socket.
func TestASlowWebSocket(t *testing.T) {
	payload := strings.Repeat("x", 1000)
	t.Run("missed", func(t *testing.T) {
		for policy, first := range map[string]int{"drop-newest": 1, "drop-oldest": 0} {
			p := servePresented(t, Options{SlowHard: 5000})
			p.objects.send(`{"op":"subscribe","topic":"news"}`)
			p.objects.text()
			parsed, err := outbox.ParsePolicy(policy)
			require.NoError(t, err)
			p.objects.outbox.SetPolicy(parsed)
			for range 100 {
				p.texts.send("PUB news " + payload)
				p.texts.text()
			}
			got, missed := 0, 0
			for got+missed < 100 {
				text := p.objects.text()
				var count int
				if n, _ := fmt.Sscanf(text, `{"event":"missed","name":"news","count":%d}`, &count); n == 1 {
					missed += count
				} else {
					require.Contains(t, text, payload)
					got++
				}
			}
			assert.Positive(t, missed, policy)
			assert.GreaterOrEqual(t, got, first)
		}
	})
	t.Run("evicted", func(t *testing.T) {
		p := servePresented(t, Options{SlowHard: 5000})
		const text = "closing connection: too slow, over 5000 bytes pending (--slow-hard); they are lost"
		frame := p.objects.executor.closeNotice(CloseReasonSlowHard)
		assert.Equal(t, byte(protocol.WebSocketClose), frame[0])
		assert.Equal(t, uint16(1008), binary.BigEndian.Uint16(frame[2:]))
		assert.Equal(t, "slow_hard: "+text, string(frame[4:]))
		frame = p.events.executor.closeNotice(CloseReasonSlowHard)
		assert.Equal(t, "event: closing\n"+`data: {"event":"closing","reason":"slow_hard","error":"`+text+`"}`+"\n\n", string(frame))
	})
}
