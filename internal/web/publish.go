package web

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/conchmq/conch/internal/command"
	"github.com/conchmq/conch/protocol"
)

// postTopic is POST /topics/{topic}: the body is the message, or has many.
func (x *exchange) postTopic() error {
	topic, err := x.topic()
	if err != nil {
		return err
	}
	if x.hasManyMessages() {
		return x.publishLines(topic)
	}
	return x.publish(topic)
}

// postEvents is POST /events?topic=: the same for topics that fit no segment of a path, such as
// two dots, which clients clean away. Each of many messages may name its own.
func (x *exchange) postEvents() error {
	topics := x.request.URL.Query()["topic"]
	switch {
	case len(topics) > 1:
		return &problem{Status: http.StatusBadRequest, Detail: "a message has one topic: give ?topic= once"}
	case x.hasManyMessages():
		return x.publishLines(strings.Join(topics, ""))
	case len(topics) == 0 || topics[0] == "":
		return errNoTopic
	}
	return x.publish(topics[0])
}

// publish publishes the body. It takes effect if it arrives whole.
func (x *exchange) publish(topic string) error {
	if err := x.checkLength(); err != nil {
		return err
	}
	if x.hasEntryHeaders() {
		return x.publishEntry(topic)
	}
	c, err := x.open()
	if err != nil {
		return err
	}
	defer c.close()
	if err := x.sendBody(c, "PUBLISH", topic); err != nil {
		return err
	}
	reply, err := c.receive()
	if err != nil {
		return err
	}
	return x.json(x.publishedAs(topic, reply))
}

// publishedAs makes an answer of the reply to PUBLISH: receivers and sequence.
func (x *exchange) publishedAs(topic string, reply any) object {
	both, _ := reply.([]any)
	if len(both) != 2 {
		panic(fmt.Sprintf("the reply to PUBLISH is %v", reply))
	}
	return object{{"topic", []byte(topic)}, {"receivers", both[0]}, {"epoch", x.server.service.Epoch()}, {"sequence", both[1]}}
}

// checkLength refuses a body that announces to be too long.
func (x *exchange) checkLength() error {
	if most := x.server.service.Options().Limits.Message; x.request.ContentLength > int64(most) {
		return errTooLarge(most)
	}
	return nil
}

func errTooLarge(most int) error {
	return &problem{Status: http.StatusRequestEntityTooLarge, Detail: fmt.Sprintf("a message has at most %d bytes (--max-message)", most)}
}

// sendBody sends a command with the body as its last argument. The connection's reader takes the bytes
// as they come, and charges them; half a command has no effect.
//
// A body of unknown length is read first, because the command starts with the length.
func (x *exchange) sendBody(c *conn, args ...string) error {
	length := x.request.ContentLength
	in := io.Reader(&bodyReader{x, c})
	stop := x.interruptReads(c)
	defer stop()
	if length < 0 {
		most := x.server.service.Options().Limits.Message
		all, err := c.readAll(in, most)
		if err != nil {
			return x.bodyError(c, err)
		}
		if len(all) > most {
			return errTooLarge(most)
		}
		in, length = bytes.NewReader(all), int64(len(all))
	}
	b := protocol.AppendArray(nil, len(args)+1)
	for _, arg := range args {
		b = protocol.AppendBulkString(b, arg)
	}
	if err := c.write(protocol.AppendBulkHeader(b, int(length))); err != nil {
		return err
	}
	if n, err := io.Copy(c.theirs, io.LimitReader(in, length)); err != nil || n < length {
		return x.bodyError(c, err)
	}
	return c.write([]byte("\r\n"))
}

// readAll reads a body of unknown length, up to one byte beyond most. Its memory is charged to
// the connection, as it grows.
func (c *conn) readAll(in io.Reader, most int) ([]byte, error) {
	var all []byte
	for len(all) <= most {
		if len(all) == cap(all) {
			room := min(max(4<<10, 2*cap(all)), most+512)
			c.body = room
			c.charge()
			all = append(make([]byte, 0, room), all...)
		}
		n, err := in.Read(all[len(all):min(cap(all), most+1)])
		all = all[:len(all)+n]
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return nil, err //nolint:wrapcheck // the caller has the reason
		}
	}
	return all, nil
}

// interruptReads ends a read of the body when the connection ends. The caller calls stop once, before
// the handler returns: net/http takes the writer of an HTTP/2 answer back then, and a use of it would
// end the process.
func (x *exchange) interruptReads(c *conn) (stop func()) {
	return onEnd(c, func() { _ = x.control.SetReadDeadline(time.Unix(1, 0)) }) // on failure the read has failed
}

// interruptWrites ends a write of the answer when the connection ends. The caller calls stop as that of interruptReads.
func (x *exchange) interruptWrites(c *conn) (stop func()) {
	return onEnd(c, func() { x.cutOff(c) })
}

// cutOff ends a write of the answer, now or, if conch stops or was removed from its cluster, when other connections must have drained too.
func (x *exchange) cutOff(c *conn) {
	deadline := time.Unix(1, 0)
	if r := c.Reason(); r == command.CloseReasonShutdown || r == command.CloseReasonRemoved {
		deadline = time.Now().Add(x.server.service.Options().DrainTimeout)
	}
	_ = x.control.SetWriteDeadline(deadline) // on failure the write has failed
}

// onEnd calls f when the connection ends. Behind stop, f is not at work.
func onEnd(c *conn, f func()) (stop func()) {
	done := make(chan struct{})
	cancel := context.AfterFunc(c.ended, func() {
		defer close(done)
		f()
	})
	return func() {
		if !cancel() {
			<-done // it has begun
		}
	}
}

// bodyError is the problem of a body that did not arrive whole. Its client is mostly gone.
func (x *exchange) bodyError(c *conn, err error) error {
	if c.ended.Err() != nil || errors.Is(err, io.ErrClosedPipe) {
		return c.whyEnded()
	}
	if slow := net.Error(nil); errors.As(err, &slow) && slow.Timeout() {
		return &problem{Status: http.StatusRequestTimeout, Detail: "no more of the body came within slow-time: it has no effect"}
	}
	return &problem{Status: http.StatusBadRequest, Detail: "the body did not arrive whole: it has no effect"}
}

// bodyReader reads the body of a request, as long as bytes come within slow-time.
type bodyReader struct {
	x *exchange
	c *conn
}

func (b *bodyReader) Read(p []byte) (int, error) {
	b.x.extendRead()
	if err := b.c.ended.Err(); err != nil { // behind the deadline, which may replace that of interruptReads
		return 0, err //nolint:wrapcheck // the caller has the reason
	}
	n, err := b.x.request.Body.Read(p)
	if errors.Is(err, io.EOF) { // net/http reads on from here, to notice the client's end
		b.x.bodyRead = true
		_ = b.x.control.SetReadDeadline(time.Time{})
	}
	return n, err //nolint:wrapcheck // io.EOF is compared
}
