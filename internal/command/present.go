package command

import (
	"bytes"
	"strconv"
	"unicode/utf8"

	"github.com/conchmq/conch/broker"
	"github.com/conchmq/conch/internal/outbox"
	"github.com/conchmq/conch/protocol"
)

// This file encodes messages and replies for event streams and WebSockets. They are encoded once
// for all clients of a format, as on sockets.

// Present makes the connection an event stream or a WebSocket. It comes right behind Init.
//
// Each reply first goes to onReply, nil for a success. A reply that it takes is not sent; an event
// stream has no frames for any. The core calls it, so it must not block.
func (c *Conn) Present(f outbox.Format, onReply func(refused *protocol.Error) (taken bool)) {
	c.presentation, c.presented = f, &presentState{onReply: onReply}
	c.outbox.SetFraming(f.Framing())
	if f != outbox.FormatTexts {
		c.Reader.parser.SetObjects()
	}
	c.executor.version, c.executor.wantsSeq = protocol.RESP3, true
}

// presentState is what a presented connection has besides. Others have none: each byte counts where
// connections are idle.
type presentState struct {
	// onReply may take replies: see Present. It never changes.
	onReply func(refused *protocol.Error) (taken bool)
	// requestID is that of the current command, of a client that speaks JSON. It is JSON itself.
	// The core's.
	requestID []byte
}

// isPresented reports whether the connection is an event stream or a WebSocket.
func (c *Conn) isPresented() bool { return c.presentation.IsPresented() }

// PushPosition queues the present position of the order: an event that fires nothing. An event
// stream sends it when it begins, and as its heartbeat.
//
// All messages up to that position that the client will get are in front of it. A replay has yet
// to add some of them, so a comment takes its place meanwhile.
func (r *Reader) PushPosition() {
	r.service.runOnCore(func(v broker.View) {
		e := &r.executor
		if !e.closing {
			b := protocol.AppendEventID(nil, e.service.Epoch(), v.Stats().Sequence)
			if e.isReplaying() {
				b = []byte(":\n\n")
			}
			e.pushFrame(b)
			e.Flush() // the core flushes only connections that it has queued frames for itself
		}
	})
}

// PushFrame queues a frame of a WebSocket that replies to no command, such as a pong. It waits
// as long as too many replies wait for the client, and returns false if the connection ends.
func (r *Reader) PushFrame(frame []byte) bool {
	return r.window.acquire(&r.outbox, false) && r.service.runOnCore(func(broker.View) {
		if e := &r.executor; !e.closing {
			e.pushFrame(frame)
			e.Flush()
		}
	})
}

// presentedOverhead is about what a presented message takes besides topic, pattern and payload.
const presentedOverhead = 128

// presentedEncoding is how a payload stands in a frame.
func presentedEncoding(f outbox.Format, payload []byte) protocol.Encoding {
	switch f {
	case outbox.FormatEvents:
		return protocol.EventEncoding(payload)
	case outbox.FormatTexts:
		return protocol.TextEscaped
	}
	return protocol.ObjectEncoding(payload)
}

// appendPresented encodes a message, or a run.
func appendPresented(b []byte, f outbox.Format, epoch string, m *broker.Message, s *broker.Subscription) []byte {
	for i, payload := range m.Payloads {
		seq, encoding, start := m.Sequence+uint64(i), presentedEncoding(f, payload), len(b) //nolint:gosec // an index
		socket := f.Framing() == protocol.WebSocket
		if socket {
			b = protocol.BeginWebSocketText(b)
		}
		b = encoding.Append(appendPresentedHead(b, f, epoch, seq, m.Topic, s, encoding), payload)
		b = appendPresentedTail(b, f, epoch, seq, headersIn(f, m))
		if socket {
			b = protocol.EndWebSocketText(b, start)
		}
	}
	return b
}

// presentedFrame returns the bytes before and after the payload of a large message.
func presentedFrame(f outbox.Format, epoch string, m *broker.Message, s *broker.Subscription, x encodedPayload) (head, tail []byte) {
	encoding := x.encoding
	if encoding == protocol.Verbatim {
		encoding = presentedEncoding(f, nil) // it decides about the name of a field alone
	}
	head = appendPresentedHead(nil, f, epoch, m.Sequence, m.Topic, s, encoding)
	if tail = x.tail; tail == nil {
		tail = appendPresentedTail(nil, f, epoch, m.Sequence, headersIn(f, m))
	}
	if f.Framing() == protocol.WebSocket {
		all := len(head) + x.length + len(tail)
		head = append(protocol.AppendWebSocketHeader(nil, protocol.WebSocketText, all), head...)
	}
	return head, tail
}

// appendPresentedHead appends what stands before the payload.
func appendPresentedHead(b []byte, f outbox.Format, epoch string, seq uint64, topic []byte, s *broker.Subscription, encoding protocol.Encoding) []byte {
	pattern := ""
	if s.Kind() == broker.Pattern {
		pattern = s.Topic()
	}
	switch f {
	case outbox.FormatEvents:
		return protocol.AppendEventHead(b, epoch, seq, encoding)
	case outbox.FormatObjectEvents:
		return protocol.AppendObjectHead(protocol.AppendEventHead(b, epoch, seq, protocol.Verbatim), topic, pattern, encoding)
	case outbox.FormatObjects:
		return protocol.AppendObjectHead(b, topic, pattern, encoding)
	}
	start := len(b)
	b = protocol.AppendUpdateHeader(b, topic, seq)
	if !utf8.Valid(topic) {
		b = protocol.TextEscaped.Append(b[:start], bytes.Clone(b[start:]))
	}
	return b
}

// appendPresentedTail appends what stands behind the payload.
func appendPresentedTail(b []byte, f outbox.Format, epoch string, seq uint64, headers []byte) []byte {
	switch f {
	case outbox.FormatEvents:
		return protocol.AppendEventTail(b)
	case outbox.FormatObjectEvents:
		return protocol.AppendEventTail(protocol.AppendObjectTail(b, headers, epoch, seq))
	case outbox.FormatObjects:
		return protocol.AppendObjectTail(b, headers, epoch, seq)
	}
	return b
}

// present makes a frame of a reply. It returns nothing for an event stream, which has none.
func (e *executor) present(reply []byte) []byte {
	switch {
	case len(reply) == 0, e.presented.onReply(parseRefusal(reply)):
		return nil
	case e.presentation == outbox.FormatObjects:
		object := e.appendReplyObject(protocol.BeginWebSocketText(nil), reply)
		return protocol.EndWebSocketText(object, 0)
	case e.presentation == outbox.FormatTexts:
		return protocol.EndWebSocketText(appendText(protocol.BeginWebSocketText(nil), reply), 0)
	}
	return nil
}

// presentFilled is present for a reply with entries, whose places the filler fills. Of presented connections, only those that
// speak lines can send such commands.
func (c *Conn) presentFilled(reply []byte) []byte {
	if c.presentation != outbox.FormatTexts || len(reply) == 0 {
		return nil
	}
	return protocol.EndWebSocketText(appendText(protocol.BeginWebSocketText(nil), reply), 0)
}

// appendText appends a reply as lines without a line end behind the last one.
func appendText(b, reply []byte) []byte {
	for i, line := range bytes.Split(bytes.TrimSuffix(reply, []byte{'\n'}), []byte{'\n'}) {
		if i > 0 {
			b = append(b, '\n')
		}
		b = protocol.TextEscaped.Append(b, bytes.TrimSuffix(line, []byte{'\r'}))
	}
	return b
}

// appendReplyObject appends a reply as a JSON object. One in JSON stays as it is; any other is RESP.
func (e *executor) appendReplyObject(b, reply []byte) []byte {
	if reply[0] == '{' {
		return append(b, reply...)
	}
	if refused := parseRefusal(reply); refused != nil {
		b = protocol.AppendTextField(e.beginObject(b, "error"), "code", []byte(refused.Code))
		return append(protocol.AppendTextField(b, "error", []byte(refused.Text)), '}')
	}
	return append(e.beginObject(b, "ok"), '}')
}

// parseRefusal reads an error reply; nil if it is another reply.
func parseRefusal(reply []byte) *protocol.Error {
	if reply[0] != '-' {
		return nil
	}
	code, text, _ := bytes.Cut(bytes.TrimSuffix(reply[1:], []byte("\r\n")), []byte{' '})
	return &protocol.Error{Code: protocol.Code(code), Text: string(text)}
}

// beginObject appends the start of an object that replies to the current request.
func (e *executor) beginObject(b []byte, event string) []byte {
	b = append(append(append(b, `{"event":"`...), event...), '"')
	if len(e.presented.requestID) > 0 {
		b = append(append(b, `,"id":`...), e.presented.requestID...)
	}
	return b
}

// appendPublished appends the reply to a publish in JSON.
func (e *executor) appendPublished(receivers int, seq uint64) []byte {
	b := append(e.beginObject(e.begin(), "published"), `,"receivers":`...)
	b = strconv.AppendInt(b, int64(receivers), 10)
	return append(protocol.AppendSequenceFields(b, e.service.Epoch(), seq), '}')
}

// appendConfirmed appends the reply to a subscribe or an unsubscribe in JSON. An unsubscribe of
// all that finds none has no name.
func (e *executor) appendConfirmed(event string, name []byte) []byte {
	b := e.beginObject(e.begin(), event)
	if name != nil {
		b = protocol.AppendTextField(b, "name", name)
	}
	return append(b, '}')
}

// pong is PING in JSON. It shows the position, from which a client can resume before its first
// message.
func (w *response) pong() {
	e := w.executor
	w.buf = e.beginObject(w.buf, "pong")
	if !e.isReplaying() { // else a client that resumes from there would miss what is yet to come
		w.buf = protocol.AppendSequenceFields(w.buf, e.service.Epoch(), w.view.Stats().Sequence)
	}
	w.buf = append(w.buf, '}')
}

// presentClose is the close notice. Behind a close frame a WebSocket gets nothing more.
func (e *executor) presentClose(reason CloseReason, text string) []byte {
	if e.presentation.Framing() == protocol.WebSocket {
		return protocol.AppendWebSocketClose(nil, reason.WebSocketCode(), reason.String()+": "+text)
	}
	object := protocol.AppendTextField([]byte(`{"event":"closing"`), "reason", []byte(reason.String()))
	return protocol.AppendNamedEvent(nil, "closing", append(protocol.AppendTextField(object, "error", []byte(text)), '}'))
}

// HasNotice reports whether a connection that ends for the reason gets a close notice.
func (r CloseReason) HasNotice() bool {
	switch r {
	case CloseReasonSlowHard, CloseReasonSlowSoft, CloseReasonMaxMemory, CloseReasonAuthTimeout, CloseReasonPermissionRevoked, CloseReasonToken, CloseReasonSession, CloseReasonLog, CloseReasonTakenOver, CloseReasonRemoved:
		return true
	}
	return false
}

// WebSocketCode is the status of the close frame: RFC 6455, section 7.4.
func (r CloseReason) WebSocketCode() uint16 {
	switch r {
	case CloseReasonNone, CloseReasonEOF, CloseReasonQuit:
		return 1000
	case CloseReasonShutdown, CloseReasonRemoved:
		return 1001
	case CloseReasonProtocol, CloseReasonHTTP:
		return 1002
	case CloseReasonPanic, CloseReasonLog:
		return 1011
	case CloseReasonMaxMemory:
		return 1013
	}
	return 1008
}

// ownObject makes a request in JSON independent of the bytes that it was read from.
func (r *Reader) ownObject(b *Batch, inv *invocation) {
	inv.id = b.command.ID
	last := len(inv.args) - 1
	if inv.handler.op != broker.Publish || len(inv.args[last]) < outbox.LargePayload {
		return
	}
	inv.buf = outbox.WrapBuffer(&r.service.memory, inv.args[last])
	b.decoded = append(b.decoded, inv.buf)
}
