package web

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"unicode/utf8"

	"github.com/conchmq/conch/protocol"
)

const (
	ndjson = "application/x-ndjson"
	// maxPending and maxPendingBytes bound the messages that wait for their replies together.
	maxPending      = 256
	maxPendingBytes = 256 << 10
)

// hasManyMessages reports whether the body has a message in each line.
func (x *exchange) hasManyMessages() bool {
	kind, _, err := mime.ParseMediaType(x.request.Header.Get("Content-Type"))
	return err == nil && (kind == ndjson || kind == "application/jsonl")
}

// message is a line of the body. Fields of other names are left alone: a line of conch sub --json
// is one, too.
type message struct {
	Topic         *string `json:"topic"`
	TopicBase64   []byte  `json:"topic_base64"`
	Payload       *string `json:"payload"`
	PayloadBase64 []byte  `json:"payload_base64"`
}

// lines is a body of many messages on its way through a connection.
type lines struct {
	x      *exchange
	c      *conn
	topic  string // of lines without one; empty if there is none
	in     *bufio.Reader
	out    *bufio.Writer // to the connection
	atomic bool
	line   []byte // the current line, if it exceeds the buffer of in
	number int    // of the current line, for errors
	// pending are the messages that wait for their replies, pendingBytes their size.
	pending      []pendingLine
	pendingBytes int
	// queued are the topics of an atomic body, queuedBytes their size.
	queued      []string
	queuedBytes int
}

// pendingLine is a line without its answer: of a topic, or refused.
type pendingLine struct {
	topic   string
	refused error
}

// publishLines publishes a message for each line, and answers in a line each, in order. A line
// that is refused does not stop the rest; with ?atomic=1 none has an effect then.
func (x *exchange) publishLines(topic string) error {
	if x.hasEntryHeaders() {
		return &problem{Status: http.StatusBadRequest, Detail: "headers and an Idempotency-Key are those of one message, and the body has many"}
	}
	c, err := x.open()
	if err != nil {
		return err
	}
	x.shown = c
	defer x.interruptReads(c)()
	defer x.interruptWrites(c)()
	n := &lines{x: x, c: c, topic: topic, in: bufio.NewReader(&bodyReader{x, c}), out: bufio.NewWriter(c.theirs)}
	switch x.request.URL.Query().Get("atomic") {
	case "", "0":
		_ = x.control.EnableFullDuplex() // HTTP/2 is so already
	case "1":
		n.atomic = true
	default:
		return &problem{Status: http.StatusBadRequest, Detail: "atomic is 0 or 1"}
	}
	if n.atomic {
		return n.runAtomic()
	}
	return n.run()
}

// run publishes line by line. Answers leave when no more whole lines have arrived.
func (n *lines) run() error {
	for {
		line, err := n.next()
		if err != nil && !errors.Is(err, io.EOF) {
			return n.x.bodyError(n.c, err)
		}
		if line != nil {
			n.publish(line)
		}
		if err != nil || n.isFull() || !n.hasLine() {
			if err := n.settle(n.answer); err != nil {
				return err
			}
		}
		if err != nil {
			return n.finish()
		}
	}
}

// hasLine reports whether a whole line is buffered.
func (n *lines) hasLine() bool {
	buffered, _ := n.in.Peek(n.in.Buffered()) // so many bytes are there
	return bytes.IndexByte(buffered, '\n') >= 0
}

// finish begins the answer to a body without lines.
func (n *lines) finish() error {
	if !n.x.begun {
		n.x.begin(http.StatusOK, ndjson)
	}
	n.x.extendWrite()
	return nil
}

// runAtomic queues all lines in a MULTI. If one is refused, none is published.
func (n *lines) runAtomic() error {
	if _, err := n.c.do("MULTI"); err != nil {
		return err
	}
	for {
		line, err := n.next()
		if err != nil && !errors.Is(err, io.EOF) {
			return n.x.bodyError(n.c, err) // the end of the connection discards what is queued
		}
		if line != nil {
			n.publish(line)
		}
		if err != nil || n.isFull() {
			if err := n.settle(n.queue); err != nil {
				return err
			}
		}
		if err != nil {
			return n.exec()
		}
	}
}

// exec runs the transaction, and answers for each line.
func (n *lines) exec() error {
	reply, err := n.c.do("EXEC")
	if err != nil {
		return err
	}
	replies, _ := reply.([]any)
	for i, topic := range n.queued {
		if refused, isError := replies[i].(*errorReply); isError { // rights that changed since
			err = n.answer(pendingLine{topic, refused}, nil)
		} else {
			err = n.answer(pendingLine{topic: topic}, replies[i])
		}
		if err != nil {
			return err
		}
	}
	return n.finish()
}

// next returns the next line, nil for a blank one, with io.EOF at the end of the body.
func (n *lines) next() ([]byte, error) {
	n.number++
	n.line = n.line[:0]
	most := n.x.server.service.Options().Limits.Command
	for {
		part, err := n.in.ReadSlice('\n')
		switch {
		case len(n.line) > most: // the rest of a line that is refused
		case err == nil && len(n.line) == 0:
			return nonBlank(part), nil
		default:
			if len(n.line)+len(part) > cap(n.line) {
				n.c.body = 2*cap(n.line) + len(part) + n.queuedBytes
				n.c.charge()
			}
			n.line = append(n.line, part...)
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return nonBlank(n.line), err //nolint:wrapcheck // io.EOF is compared
		}
	}
}

func nonBlank(line []byte) []byte {
	if line = bytes.TrimSpace(line); len(line) == 0 {
		return nil
	}
	return line
}

// publish sends the message of a line, or notes why it is refused.
func (n *lines) publish(line []byte) {
	topic, payload, err := n.parse(line)
	n.pending = append(n.pending, pendingLine{topic, err})
	if err != nil {
		return
	}
	n.pendingBytes += len(topic) + len(payload)
	b := protocol.AppendArray(nil, 3)
	b = protocol.AppendBulkString(protocol.AppendBulkString(b, "PUBLISH"), topic)
	_, _ = n.out.Write(protocol.AppendBulkHeader(b, len(payload)))
	_, _ = n.out.Write(payload)
	_, _ = n.out.WriteString("\r\n") // bufio keeps the error for settle
}

func (n *lines) parse(line []byte) (topic string, payload []byte, err error) {
	limits := n.x.server.service.Options().Limits
	if len(n.line) > limits.Command {
		return "", nil, n.refuse(http.StatusRequestEntityTooLarge, "a line has at most %d bytes (--max-command)", limits.Command)
	}
	if !utf8.Valid(line) { // the decoder would replace bytes, and publish another message
		return "", nil, n.refuse(http.StatusBadRequest, "it is not UTF-8; other bytes go into payload_base64")
	}
	var m message
	if err := json.Unmarshal(line, &m); err != nil {
		return "", nil, n.refuse(http.StatusBadRequest, "no JSON object with topic and payload: %v", err)
	}
	if hasHalfCharacter(line) {
		return "", nil, n.refuse(http.StatusBadRequest, "an escape is half a character; other bytes go into payload_base64")
	}
	if topic = n.topic; m.Topic != nil || m.TopicBase64 != nil {
		topic = string(m.bytes(m.Topic, m.TopicBase64))
	}
	payload = m.bytes(m.Payload, m.PayloadBase64)
	switch {
	case m.Topic != nil && m.TopicBase64 != nil, m.Payload != nil && m.PayloadBase64 != nil:
		return "", nil, n.refuse(http.StatusBadRequest, "a field and its _base64 exclude each other")
	case topic == "":
		return "", nil, n.refuse(http.StatusBadRequest, "there is no topic")
	case payload == nil:
		return "", nil, n.refuse(http.StatusBadRequest, "there is no payload and no payload_base64")
	case len(payload) > limits.Message:
		return "", nil, n.refuse(http.StatusRequestEntityTooLarge, "a message has at most %d bytes (--max-message)", limits.Message)
	}
	return topic, payload, nil
}

// bytes is a field, whichever form it has.
func (*message) bytes(text *string, base64 []byte) []byte {
	if text != nil {
		return []byte(*text)
	}
	return base64
}

// hasHalfCharacter reports whether valid JSON has an escape of half a character: a surrogate
// without the other one. The decoder would replace it, and publish another message.
func hasHalfCharacter(line []byte) bool {
	high := false // the escape before is the first half
	for i := 0; i < len(line); i++ {
		half := byte(0)
		if line[i] == '\\' {
			if i++; line[i] == 'u' {
				if line[i+1]|0x20 == 'd' {
					half = line[i+2] | 0x20 // 8 to b: the first half, c to f: the second
				}
				i += 4
			}
		}
		second := 'c' <= half && half <= 'f'
		if high != second {
			return true
		}
		high = half == '8' || half == '9' || half == 'a' || half == 'b'
	}
	return false
}

// refuse is the problem of the current line.
func (n *lines) refuse(status int, format string, args ...any) *problem {
	return &problem{Status: status, Detail: fmt.Sprintf("line %d: ", n.number) + fmt.Sprintf(format, args...)}
}

// isFull reports whether the replies must be received before more is sent.
func (n *lines) isFull() bool {
	return len(n.pending) >= maxPending || n.pendingBytes >= maxPendingBytes
}

// settle receives the replies to all pending lines, and hands each to end.
func (n *lines) settle(end func(p pendingLine, reply any) error) error {
	if n.out.Flush() != nil {
		return n.c.whyEnded()
	}
	for _, p := range n.pending {
		var reply any
		if p.refused == nil {
			var err error
			reply, err = n.c.receive()
			refused := (*errorReply)(nil)
			if err != nil && !errors.As(err, &refused) {
				return err
			}
			p.refused = err
		}
		if err := end(p, reply); err != nil {
			return err
		}
	}
	n.pending, n.pendingBytes = n.pending[:0], 0
	if n.x.begun {
		_ = n.x.control.Flush() // on failure the next write fails too
		n.x.pauseWrite()
	}
	return nil
}

// queue keeps the topic of a queued line for its answer.
func (n *lines) queue(p pendingLine, _ any) error {
	if p.refused != nil {
		return p.refused // the connection ends, and with it the transaction
	}
	n.queued = append(n.queued, p.topic)
	n.queuedBytes += len(p.topic) + 16
	n.c.body = n.queuedBytes + cap(n.line)
	n.c.charge()
	return nil
}

// answer writes the answer to one line.
func (n *lines) answer(p pendingLine, reply any) error {
	if !n.x.begun {
		n.x.begin(http.StatusOK, ndjson)
	}
	var value any
	if p.refused != nil {
		value = problemOf(p.refused).complete()
	} else {
		value = n.x.publishedAs(p.topic, reply)
	}
	text, err := encode(value)
	if err != nil {
		return err
	}
	n.x.extendWrite()
	_, err = n.x.writer.Write(append(text, '\n'))
	return err //nolint:wrapcheck // the client is gone
}
