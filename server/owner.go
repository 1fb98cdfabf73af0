package server

import (
	"fmt"

	"github.com/conchmq/conch/broker"
	"github.com/conchmq/conch/protocol"
)

// The forms of a subscription: fixed by how it was made.
const (
	formRESP broker.Form = iota // by a RESP or inline command: frames in the connection's RESP version
	formLine                    // by SUB or PSUB in a line: UPDATE lines
)

// wire is what the core's goroutine knows of a connection. All of it, and every method in this file, belongs to that
// goroutine.
type wire struct {
	crlf     bool // how its last line ended, and so how lines to it end
	lines    bool // it last spoke in lines: parting words can be a line
	name     string
	library  [2]string // what CLIENT SETINFO said: name and version
	names    [][]byte  // confirmed so far by a verb that came as RESP, whose answer is one string
	pending  []span    // queued since the last flush
	messages int       // bytes of messages among it
	applied  int       // batches applied since the last flush
}

var _ broker.Owner = (*conn)(nil)

// Admit refuses what a RESP2 subscriber may not do. Unknown commands and wrong arguments are answered as such first,
// as in Redis; and a line of conch's own is never mistaken for a message, so lines are free.
func (c *conn) Admit(r *broker.Request) bool {
	k := r.Call.(*call)
	if k.dialect != protocol.RESP {
		c.wire.crlf = k.crlf
	}
	c.wire.lines = k.dialect == protocol.Line
	if k.err != nil || k.dialect == protocol.Line || k.row.Listener || c.sub.Count(formRESP) == 0 {
		return true
	}
	c.answerErr(k, protocol.ErrorMode(k.row.FullName()))
	return false
}

// Published answers a publish.
func (c *conn) Published(r *broker.Request, receivers int) {
	k := r.Call.(*call)
	if k.row.Shape == protocol.ShapeRedis {
		c.reply(protocol.AppendInt(c.begin(), int64(receivers)))
		return
	}
	c.replyVerb(k, k.args[1:2])
}

// Subscribed confirms one name.
func (c *conn) Subscribed(r *broker.Request, name []byte, count int) {
	k := r.Call.(*call)
	if k.row.Shape == protocol.ShapeRedis {
		c.reply(protocol.AppendCount(c.begin(), k.row.FullName(), name, count))
		return
	}
	c.confirmVerb(k, name, len(c.wire.names)+1 == len(r.Names))
}

// Unsubscribed confirms one name.
func (c *conn) Unsubscribed(r *broker.Request, name []byte, count int) {
	k := r.Call.(*call)
	if k.row.Shape == protocol.ShapeRedis {
		c.reply(protocol.AppendCount(c.begin(), k.row.FullName(), name, count))
		return
	}
	last := len(c.wire.names)+1 == len(r.Names)
	if len(r.Names) == 0 { // all were meant: the last one leaves none of its kind
		last = c.sub.CountKind(r.Form, r.Kind) == 0
	}
	c.confirmVerb(k, name, last)
}

// confirmVerb answers SUB and its like: one line a name, or one simple string for all when the verb came as RESP.
func (c *conn) confirmVerb(k *call, name []byte, last bool) {
	if k.dialect == protocol.Line {
		if name == nil {
			c.replyVerb(k, nil)
		} else {
			c.replyVerb(k, [][]byte{name})
		}
		return
	}
	if name != nil {
		c.wire.names = append(c.wire.names, name)
	}
	if last {
		c.replyVerb(k, c.wire.names)
		c.wire.names = nil
	}
}

// replyVerb answers a verb in the dialect it came in.
func (c *conn) replyVerb(k *call, names [][]byte) {
	b := c.begin()
	if k.dialect == protocol.Line {
		c.reply(protocol.AppendLineEnd(protocol.AppendLineOK(b, k.row.Name, names...), k.crlf))
		return
	}
	c.reply(append(protocol.AppendLineOK(append(b, '+'), k.row.Name, names...), "\r\n"...))
}

// Answer runs the commands that the core has no part in, at their instant in the order.
func (c *conn) Answer(r *broker.Request, v broker.View) {
	k := r.Call.(*call)
	x := &c.srv.press.exchange
	*x = exchange{conn: c, call: k, view: v, out: c.begin()}
	k.handler.answer(x)
	c.reply(x.out)
}

func (c *conn) answerErr(k *call, err *protocol.Error) {
	b := c.begin()
	if k.dialect == protocol.Line && !err.Fatal {
		c.reply(protocol.AppendLineEnd(protocol.AppendLineError(b, err), k.crlf))
		return
	}
	c.reply(protocol.AppendError(b, err))
}

// Message queues one message for one subscription. The limit is held against what waited before: an outbox under it
// takes one more message, however large, and a subscriber that reads gets it.
func (c *conn) Message(m *broker.Message, s *broker.Subscription) (over bool) {
	w := wayRESP2
	if s.Form == formLine {
		w = wayLF
		if c.wire.crlf {
			w = wayCRLF
		}
	}
	over = c.outbox.messages()+int64(c.wire.messages) > c.outbox.limit
	frame := c.srv.press.message(w, m, s)
	c.queue(frame, false)
	c.wire.messages += len(frame)
	return over
}

// begin lends room for a reply; reply queues it.
func (c *conn) begin() []byte { return c.srv.press.replies.begin(512) }

func (c *conn) reply(frame []byte) {
	if len(frame) > 0 {
		c.queue(c.srv.press.replies.commit(frame), true)
	}
}

// queue appends to what the next flush hands over. Frames that lie side by side become one span.
func (c *conn) queue(frame []byte, reply bool) {
	if n := len(c.wire.pending); n > 0 {
		last := &c.wire.pending[n-1]
		if last.reply == reply && adjacent(last.bytes, frame) {
			last.bytes = last.bytes[:len(last.bytes)+len(frame)]
			return
		}
	}
	c.wire.pending = append(c.wire.pending, span{frame, reply})
}

// Applied takes a batch back.
func (c *conn) Applied(b *broker.Batch) {
	own, ok := b.Note.(*batch)
	if !ok {
		return // a farewell: see leave and submitEvict
	}
	c.wire.applied++
	own.release()
}

// Flush hands over what was queued, under one lock and with one wake-up for all of it.
func (c *conn) Flush() {
	if c.outbox.add(c.wire.pending, c.wire.applied) {
		c.startWriter()
	}
	c.wire.messages, c.wire.applied = 0, 0
	if cap(c.wire.pending) > 16 {
		c.wire.pending = nil // what one busy round needed must not stay with an idle connection
		return
	}
	clear(c.wire.pending)
	c.wire.pending = c.wire.pending[:0]
}

func (c *conn) startWriter() {
	c.writer.Add(1)
	go c.write()
}

// Ended is the core's last word: it will queue nothing more.
func (c *conn) Ended(e broker.Ending, evict any) {
	if e == broker.Evicted {
		reason, ok := evict.(Reason)
		if !ok {
			reason = ReasonSlowHard
		}
		c.wire.pending = nil
		c.end(reason)
		if c.outbox.evict(c.sock, c.parting(reason)) {
			c.startWriter()
		}
	} else {
		c.Flush() // leave waits for gone, and then for the writer that this may start
	}
	close(c.gone)
}

// parting tells an evicted subscriber why, where its protocol has a way to say it: an unsolicited frame would be taken
// for a reply by RESP2 clients.
func (c *conn) parting(reason Reason) []byte {
	if !c.wire.lines {
		return nil
	}
	o := &c.srv.options
	text := fmt.Sprintf("you read too slowly: over %d bytes were waiting (--slow-hard); they are lost, and the connection is closed", o.SlowHard)
	if reason == ReasonSlowSoft {
		text = fmt.Sprintf("you read too slowly: over %d bytes were waiting for %v (--slow-soft, --slow-time); they are lost, "+
			"and the connection is closed", o.SlowSoft, o.SlowTime)
	}
	return protocol.AppendLineEnd(protocol.AppendLineError(nil, protocol.Errorf("%s", text)), c.wire.crlf)
}
