package protocol

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// hostilePayloads try to end a frame early, to start another one, or to be cut inside a character.
var hostilePayloads = []string{
	"", "hi", "a\nb", "\n", "\n\n", "a\n\ndata: b\n\n", "\r", "a\r\nb", " a", "data: x", "id: 1\n\n", "\x00", "\xff", "\xff\xff\xff", "\xe2\x80", "\xe2\x80\xa8", "\u2029",
	"\xe2\x80\xa9x\xe2\x80", "grüße, 世界 🙂", "\xf0\x9f\x99", "\xc0\x80", "\xed\xa0\x80", `"\`, "\b\f\t\x1f\x7f", "\ufeffx", "\ufffd", "</script>", strings.Repeat("é", 40), strings.Repeat("\x80", 40),
}

// event is a dispatched server-sent event, as the HTML standard defines it.
type event struct{ id, name, data string }

// readEvents interprets a stream as a browser does.
func readEvents(t *testing.T, stream []byte) (events []event, lastID string) {
	t.Helper()
	require.True(t, utf8.Valid(stream), "%q", stream)
	text := strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(string(stream))
	now, hasData := event{}, false
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		if line == "" {
			lastID = now.id
			if hasData {
				now.data = strings.TrimSuffix(now.data, "\n")
				events = append(events, now)
			}
			now, hasData = event{id: now.id}, false
			continue
		}
		field, value, _ := strings.Cut(line, ":")
		value = strings.TrimPrefix(value, " ")
		switch field {
		case "id":
			now.id = value
		case "event":
			now.name = value
		case "data":
			now.data, hasData = now.data+value+"\n", true
		default:
			require.Fail(t, "an unknown field", "%q", line)
		}
	}
	return events, lastID
}

// inPieces encodes a payload in pieces of so many bytes.
func inPieces(e Encoding, payload []byte, size int) (b []byte) {
	for len(payload) > 0 {
		n := e.Cut(payload, size)
		b, payload = e.Append(b, payload[:n]), payload[n:]
	}
	return b
}

// FuzzEncodings checks that each encoding is as long as announced, does not depend on the cuts, and can be read back.
func FuzzEncodings(f *testing.F) {
	for _, in := range hostilePayloads {
		f.Add([]byte(in), uint8(0))
		f.Add([]byte("twelve bytes and "+in+in), uint8(3))
	}
	f.Fuzz(func(t *testing.T, payload []byte, cut uint8) {
		encodings := []Encoding{Verbatim, LineEscaped, TextEscaped, EventEncoding(payload), Base64, ObjectEncoding(payload)}
		for _, e := range encodings {
			whole := e.Append(nil, payload)
			require.Equal(t, len(whole), e.Len(payload), "encoding %d", e)
			require.Equal(t, string(whole), string(inPieces(e, payload, 12+int(cut)%16)), "encoding %d", e)
		}
		require.True(t, utf8.Valid(TextEscaped.Append(nil, payload)))
		if utf8.Valid(payload) {
			require.Equal(t, string(EscapeMessage(nil, payload)), string(TextEscaped.Append(nil, payload)))
		}
	})
}

// FuzzEvents checks that a browser gets every payload back, whatever is in it, and that events end where they should.
func FuzzEvents(f *testing.F) {
	for _, in := range hostilePayloads {
		f.Add([]byte(in), uint64(7))
	}
	f.Fuzz(func(t *testing.T, payload []byte, number uint64) {
		const epoch = "a000000000000000"
		e := EventEncoding(payload)
		frame := AppendEventTail(e.Append(AppendEventHead(nil, epoch, number, e), payload))
		require.Equal(t, len(frame), Events.FrameLen(append(bytes.Clone(frame), frame...)))

		events, _ := readEvents(t, append(frame, AppendEventID(nil, epoch, number+1)...))
		require.Len(t, events, 1)
		got := []byte(events[0].data)
		if events[0].name == "base64" {
			var err error
			got, err = base64.StdEncoding.DecodeString(events[0].data)
			require.NoError(t, err)
		}
		require.Equal(t, string(payload), string(got))
		require.Equal(t, string(AppendPosition(nil, epoch, number)), events[0].id)
	})
}

// object is what a program reads.
type object struct {
	Event, Epoch   string
	Topic, Pattern string
	TopicBase64    []byte `json:"topic_base64"`
	Payload        *string
	PayloadBase64  []byte `json:"payload_base64"`
	Name           string
	Count          int
	Sequence       uint64
}

// FuzzObjects checks that JSON has every payload back, and escapes as encoding/json does.
func FuzzObjects(f *testing.F) {
	for _, in := range hostilePayloads {
		f.Add([]byte(in), []byte("news"))
		f.Add([]byte("hi"), []byte(in))
	}
	f.Fuzz(func(t *testing.T, payload, topic []byte) {
		e := ObjectEncoding(payload)
		text := AppendObjectTail(e.Append(AppendObjectHead(nil, topic, "*", e), payload), nil, "a0", 12)
		require.NotContains(t, string(text), "\n")
		var o object
		require.NoError(t, json.Unmarshal(text, &o), "%s", text)
		require.Equal(t, "message", o.Event)
		require.Equal(t, uint64(12), o.Sequence)
		if o.Payload != nil {
			require.Equal(t, string(payload), *o.Payload)
		} else {
			require.Equal(t, string(payload), string(o.PayloadBase64))
		}
		if utf8.Valid(topic) {
			require.Equal(t, string(topic), o.Topic)
		} else {
			require.Equal(t, string(topic), string(o.TopicBase64))
		}
		if utf8.Valid(payload) {
			var want bytes.Buffer
			encoder := json.NewEncoder(&want)
			encoder.SetEscapeHTML(false)
			require.NoError(t, encoder.Encode(string(payload)))
			require.Equal(t, want.String(), `"`+string(JSONEscaped.Append(nil, payload))+"\"\n")
		}
	})
}

func TestAnObjectIsThatOfConchSub(t *testing.T) {
	e := ObjectEncoding([]byte("hi"))
	text := AppendObjectTail(e.Append(AppendObjectHead(nil, []byte("news"), "n*", e), []byte("hi")), nil, "a0", 12)
	assert.Equal(t, `{"event":"message","topic":"news","pattern":"n*","payload":"hi","epoch":"a0","sequence":12}`, string(text)) //nolint:testifylint // byte by byte
	assert.Equal(t, `{"event":"missed","name":"a\"b","count":3}`, string(AppendMissedObject(nil, `a"b`, 3)))                     //nolint:testifylint // byte by byte
}

func TestAnEvent(t *testing.T) {
	tests := []struct{ payload, want string }{
		{"hi", "id: a0-12\ndata: hi\n\n"},
		{"", "id: a0-12\ndata: \n\n"},
		{"two\nlines", "id: a0-12\ndata: two\ndata: lines\n\n"},
		{"a\r", "id: a0-12\nevent: base64\ndata: YQ0=\n\n"},
		{"\xff", "id: a0-12\nevent: base64\ndata: /w==\n\n"},
	}
	for _, tt := range tests {
		e := EventEncoding([]byte(tt.payload))
		frame := AppendEventTail(e.Append(AppendEventHead(nil, "a0", 12, e), []byte(tt.payload)))
		assert.Equal(t, tt.want, string(frame))
	}
	assert.Equal(t, "event: missed\ndata: {}\n\n", string(AppendNamedEvent(nil, "missed", []byte("{}"))))
	events, id := readEvents(t, AppendEventID(nil, "a0", 13))
	assert.Empty(t, events, "an id alone fires nothing")
	assert.Equal(t, "a0-13", id)
}

func TestWebSocketFrames(t *testing.T) {
	for _, n := range []int{0, 1, 125, 126, 127, 65535, 65536, 70_000} {
		text := strings.Repeat("x", n)
		frame := EndWebSocketText(append(BeginWebSocketText([]byte("before")), text...), len("before"))
		require.True(t, bytes.HasPrefix(frame, []byte("before")))
		frame = frame[len("before"):]
		assert.Equal(t, byte(0x81), frame[0], "one final text frame")
		assert.Equal(t, len(frame), WebSocket.FrameLen(append(bytes.Clone(frame), "more"...)), "%d", n)
		for cut := range min(len(frame), 12) {
			assert.Zero(t, WebSocket.FrameLen(frame[:cut]))
		}
		assert.Equal(t, text, string(frame[len(AppendWebSocketHeader(nil, 0, n)):]))
	}
	assert.Zero(t, WebSocket.FrameLen([]byte("\x81\x7f\xff\xff\xff\xff\xff\xff\xff\xff")), "an announced length is no frame")
}

// A reason that is too long is cut between characters.
func TestAWebSocketCloseFrame(t *testing.T) {
	for _, reason := range []string{"", "slow_hard", strings.Repeat("é", 100), strings.Repeat("x", 123), strings.Repeat("x", 124)} {
		frame := AppendWebSocketClose(nil, 1008, reason)
		require.LessOrEqual(t, len(frame), 2+MaxControlPayload)
		assert.Equal(t, len(frame), WebSocket.FrameLen(frame))
		assert.Equal(t, uint16(1008), binary.BigEndian.Uint16(frame[2:]))
		assert.True(t, utf8.Valid(frame[4:]))
		assert.True(t, strings.HasPrefix(reason, string(frame[4:])))
	}
}
