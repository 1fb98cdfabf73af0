package server

import (
	"io"
	"syscall"

	"github.com/conchmq/conch/broker"
	"github.com/conchmq/conch/protocol"
)

// readResult is what one try to read came to.
type readResult struct {
	batch *batch
	err   error
}

// fill waits for bytes and returns them, behind what was left over, in a batch. While it waits the connection holds
// no buffer (unless it is in the middle of a large command): that is most of what an idle connection would cost.
func (c *conn) fill() (*batch, error) {
	switch {
	case c.again:
		c.again = false
		b := newBatch(c.sub)
		if !b.load(c.rest) {
			c.rest = nil
		}
		return b, nil
	case len(c.rest) >= readSize/2:
		return c.fillBig()
	case c.raw == nil:
		b := newBatch(c.sub)
		n := copy(b.pooled, c.rest)
		m, err := c.sock.Read(b.pooled[n:])
		return c.filled(b, n, m, err)
	}
	c.got = readResult{}
	if err := c.raw.Read(c.ready); err != nil {
		return nil, err
	}
	return c.got.batch, c.got.err
}

// readReady is called by the runtime when the socket may be readable; false means that it is not.
func (c *conn) readReady(fd uintptr) bool {
	b := newBatch(c.sub)
	n := copy(b.pooled, c.rest)
	m, err := syscall.Read(int(fd), b.pooled[n:])
	for err == syscall.EINTR {
		m, err = syscall.Read(int(fd), b.pooled[n:])
	}
	if err == syscall.EAGAIN {
		b.release()
		return false
	}
	if err == nil && m <= 0 {
		err = io.EOF
	}
	c.got.batch, c.got.err = c.filled(b, n, max(m, 0), err)
	return true
}

// filled finishes a batch whose buffer holds kept old bytes and n new ones.
func (c *conn) filled(b *batch, kept, n int, err error) (*batch, error) {
	c.srv.counts.bytesIn.Add(int64(n))
	if n == 0 && err != nil {
		b.release()
		return nil, err
	}
	b.data = b.pooled[:kept+n]
	return b, nil
}

// fillBig goes on with a command that is larger than a pooled buffer. The buffer grows to at most twice the bytes that
// have arrived: an announced length alone costs nothing.
func (c *conn) fillBig() (*batch, error) {
	if cap(c.rest)-len(c.rest) < len(c.rest)/2 {
		grown := make([]byte, len(c.rest), 2*len(c.rest))
		copy(grown, c.rest)
		c.rest = grown
	}
	// Not more than the command still needs and a little: what follows must fit into a pooled buffer again, or a peer
	// could have megabytes of small commands taken for one batch.
	most := min(len(c.rest)+c.reader.Missing(len(c.rest))+readSize/2, cap(c.rest))
	n, err := c.sock.Read(c.rest[len(c.rest):most])
	c.srv.counts.bytesIn.Add(int64(n))
	if n == 0 && err != nil {
		return nil, err
	}
	b := newBatch(c.sub)
	b.big = c.rest[:len(c.rest)+n]
	b.data, c.rest = b.big, nil
	return b, nil
}

// take splits what was read into commands and submits them as one batch, in one send.
func (c *conn) take(b *batch) Reason {
	c.heard.Store(c.srv.clock.Load())
	used, reason := c.parse(b)
	tail := b.data[used:]
	if len(b.calls) == 0 && b.big != nil && len(tail) >= readSize/2 { // still not whole: the buffer stays ours
		c.rest, b.big = tail, nil
		b.release()
		return reason
	}
	if b.big != nil {
		c.fence = true // one large command of a connection at a time is enough in memory
	}
	if len(tail) == 0 {
		c.rest = nil
	} else {
		c.rest = append(c.rest[:0:min(cap(c.rest), readSize)], tail...)
	}
	if len(b.calls) == 0 {
		b.release()
		return reason
	}
	for i := range b.calls {
		b.Requests = append(b.Requests, b.calls[i].request())
	}
	c.srv.counts.commands.Add(int64(len(b.calls)))
	c.outbox.submitted()
	if !c.srv.core.Submit(&b.Batch) {
		return ReasonShutdown
	}
	return reason
}

// parse fills b.calls from b.data. It stops early at a command whose answer may be much larger than itself: those are
// taken one at a time, so that what a peer can make us queue before we look at its outbox again stays small.
func (c *conn) parse(b *batch) (used int, reason Reason) {
	c.fence = false
	free := b.args[:0]
	for used < len(b.data) && !c.fence {
		cmd, n, ok, err := c.reader.Next(b.data[used:], free)
		used += n
		if err != nil {
			b.calls = append(b.calls, call{handler: answerError, err: err})
			return len(b.data), ReasonProtocol
		}
		if !ok {
			return used, ReasonNone
		}
		if cmd.Hostile() {
			return len(b.data), ReasonHostile
		}
		free = cmd.Args[len(cmd.Args):]
		k := c.call(&cmd)
		b.calls = append(b.calls, k)
		if k.handler == answerQuit {
			return len(b.data), ReasonQuit // what was sent behind it is not ours any more, as in Redis
		}
		c.fence = k.row != nil && k.row.Ample
	}
	c.again = used < len(b.data)
	return used, ReasonNone
}

// call looks a command up and checks what can be checked without the core.
func (c *conn) call(cmd *protocol.Command) call {
	k := call{dialect: cmd.Dialect, crlf: cmd.CRLF, args: cmd.Args}
	k.row, k.err = cmd.Resolve()
	if k.err == nil {
		k.handler = handlers[k.row.FullName()]
		k.err = c.checkTopics(&k)
	}
	if k.err != nil {
		k.handler = answerError
	}
	if e := c.log.Trace(); e != nil { // at trace, every command is one line
		e.Bytes("command", showArgs(masked(k.row, cmd.Args))).AnErr("error", asError(k.err)).Send()
	}
	return k
}

// maxAmpleArgs bounds the arguments of commands whose answers may be large: some answer each argument at length, and
// the core makes the whole answer while everybody waits.
const maxAmpleArgs = 1024

// checkTopics holds topics, and what is matched against many of them, to their limit.
func (c *conn) checkTopics(k *call) *protocol.Error {
	names := k.topics()
	if k.row.Ample {
		names = k.args
	}
	if k.row.Ample && len(names) > maxAmpleArgs {
		return protocol.Errorf("more than %d arguments for '%s' command", maxAmpleArgs, k.row.FullName())
	}
	for _, name := range names {
		if err := c.srv.options.Limits.CheckTopic(name); err != nil {
			return err
		}
	}
	return nil
}

// topics are the arguments that are topics or patterns.
func (k *call) topics() [][]byte {
	switch k.handler.op {
	case broker.Publish:
		return k.args[1:2]
	case broker.Subscribe, broker.Unsubscribe:
		return k.args[1:]
	}
	return nil
}

// request is what the core is asked.
func (k *call) request() broker.Request {
	r := broker.Request{Op: k.handler.op, Kind: k.handler.kind, Form: formRESP, Names: k.topics(), Call: k}
	if k.dialect == protocol.Line {
		r.Form = formLine
	}
	if r.Op == broker.Publish {
		r.Payload = k.args[2]
	}
	return r
}

// masked hides what may be a password.
func masked(row *protocol.Row, args [][]byte) [][]byte {
	if row == nil || row.Name != "AUTH" && row.Name != "HELLO" {
		return args
	}
	shown := [][]byte{args[0]}
	for range args[1:] {
		shown = append(shown, []byte("(hidden)"))
	}
	return shown
}

// showArgs is a command as the trace log shows it, cut to a screenful.
func showArgs(args [][]byte) []byte {
	const room = 256
	var line []byte
	for i, arg := range args {
		if i > 0 {
			line = append(line, ' ')
		}
		line = protocol.ShowMessage(line, arg[:min(len(arg), room)])
		if len(line) > room {
			return append(line[:room], "..."...)
		}
	}
	return line
}

// asError keeps a nil *protocol.Error from becoming an error that is not nil.
func asError(err *protocol.Error) error {
	if err == nil {
		return nil
	}
	return err
}
