package server

import (
	"errors"
	"io"
	"syscall"

	"github.com/rs/zerolog"

	"github.com/conchmq/conch/broker"
	"github.com/conchmq/conch/protocol"
)

// inbound is the reader's side of a connection: what has been read of a command that is not whole yet, and where the
// next bytes go. While a connection is idle it holds no buffer: that is most of what it would cost.
type inbound struct {
	rest  []byte  // a few bytes of a command that is not whole yet
	ahead *buffer // instead of rest, when there are many: they stand where the next bytes are to follow
	have  int     // so many in ahead
	again bool    // rest or ahead may hold whole commands: look before reading on
	eager bool    // the peer sends faster than a medium buffer takes it
	fence bool    // the core must have applied everything before we go on: see protocol.Row.Ample
	ready func(fd uintptr) bool
	batch *batch // of ready
	err   error  // of ready
}

// tailRoom is up to which length the start of a command waits in memory of its own size. More of it holds a pooled
// buffer, and is copied once less.
const tailRoom = 1 << 10

// room returns the buffer for the next read, and how many bytes of it are taken.
func (c *conn) room() (*buffer, int) {
	in := &c.inbound
	if in.ahead == nil {
		size := mediumBuffers.size
		if in.eager {
			size = largeBuffers.size
		}
		in.ahead = newBuffer(size)
		in.have = copy(in.ahead.bytes, in.rest)
		in.rest = in.rest[:0]
	}
	// A command that is larger than its buffer gets one of twice the bytes that have arrived: an announced length alone
	// costs nothing.
	if len(in.ahead.bytes)-in.have < in.have/2 {
		grown := newBuffer(2 * in.have)
		copy(grown.bytes, in.ahead.bytes[:in.have])
		in.ahead.release()
		in.ahead = grown
	}
	return in.ahead, in.have
}

// fill waits for bytes and returns them, behind what was left over, in a batch.
func (c *conn) fill() (*batch, error) {
	in := &c.inbound
	if in.again {
		in.again = false
		_, n := c.room()
		return c.filled(n), nil
	}
	in.batch, in.err = nil, nil
	if c.raw == nil {
		c.receive(c.sock.Read)
	} else if err := c.raw.Read(in.ready); err != nil {
		return nil, err
	}
	return in.batch, in.err
}

// readReady is called by the runtime when the socket may be readable; false means that it is not.
func (c *conn) readReady(fd uintptr) bool {
	return c.receive(func(b []byte) (int, error) { return readNow(fd, b) })
}

// receive reads once; false means that there is nothing yet.
func (c *conn) receive(read func([]byte) (int, error)) bool {
	in := &c.inbound
	b, have := c.room()
	most := len(b.bytes)
	if most > largeBuffers.size {
		// Not more than the command still needs and a little: what follows must fit into a pooled buffer again, or a
		// peer could have megabytes of small commands taken for one batch.
		most = min(most, have+c.reader.Missing(have)+mediumBuffers.size/2)
	}
	n, err := read(b.bytes[have:most])
	if errors.Is(err, syscall.EAGAIN) {
		if have <= tailRoom {
			in.rest = append(in.rest[:0], b.bytes[:have]...)
			c.dropAhead()
		}
		return false
	}
	n = max(n, 0)
	c.srv.counts.bytesIn.Add(int64(n))
	in.eager = n == most-have || in.eager && n > mediumBuffers.size/2
	if n == 0 {
		in.err = err
		if err == nil {
			in.err = io.EOF
		}
		c.dropAhead()
		return true
	}
	in.batch = c.filled(have + n)
	return true
}

// filled makes a batch of the first n bytes of ahead.
func (c *conn) filled(n int) *batch {
	in := &c.inbound
	b := newBatch(c.sub, in.ahead, n)
	in.ahead = nil
	return b
}

// dropAhead gives the buffer back.
func (c *conn) dropAhead() {
	c.inbound.ahead.release()
	c.inbound.ahead = nil
}

// take splits what was read into commands and submits them as one batch, in one send.
func (c *conn) take(b *batch) Reason {
	c.heard.Store(c.srv.clock.Load())
	used, reason := c.parse(b)
	if len(b.in.bytes) > largeBuffers.size {
		c.inbound.fence = true // one large command of a connection at a time is enough in memory
	}
	if len(b.calls) == 0 && used == 0 { // still not whole: the buffer stays ours
		c.inbound.ahead, c.inbound.have = b.in, len(b.data)
		b.in.hold()
		b.release()
		return reason
	}
	c.leaveOver(b.data[used:])
	if len(b.calls) == 0 {
		b.release()
		return reason
	}
	commands := 0
	for i := range b.calls {
		k := &b.calls[i]
		b.Requests = append(b.Requests, k.request())
		commands += max(1, len(k.run.Payloads))
	}
	c.srv.counts.commands.Add(int64(commands))
	c.outbox.submitted()
	if !c.srv.core.Submit(&b.Batch) {
		return ReasonShutdown
	}
	return reason
}

// leaveOver keeps the start of a command that is not whole yet.
func (c *conn) leaveOver(tail []byte) {
	in := &c.inbound
	switch {
	case len(tail) > tailRoom:
		size := len(tail) + len(tail)/2
		if in.eager {
			size = max(size, largeBuffers.size)
		}
		in.ahead = newBuffer(size)
		in.have = copy(in.ahead.bytes, tail)
	case len(tail) > 0:
		in.rest = append(in.rest[:0], tail...)
	default:
		in.rest = nil
	}
}

// parse fills b.calls from b.data. It stops early at a command whose answer may be much larger than itself: those are
// taken one at a time, so that what a peer can make us queue before we look at its outbox again stays small.
func (c *conn) parse(b *batch) (used int, reason Reason) {
	in := &c.inbound
	in.fence = false
	for used < len(b.data) && !in.fence {
		cmd, n, ok, err := c.reader.Next(b.data[used:], spare(&b.args))
		if err != nil {
			b.calls = append(b.calls, call{handler: answerError, err: err})
			return len(b.data), ReasonProtocol
		}
		if !ok {
			return used + n, ReasonNone
		}
		if cmd.Hostile() {
			return len(b.data), ReasonHostile
		}
		b.args = grown(b.args, cmd.Args)
		k := c.call(&cmd)
		if c.runs(&k) {
			n = b.findRun(&k, &cmd, b.data[used:], n, c.srv.options.Limits)
		}
		used += n
		b.calls = append(b.calls, k)
		if k.handler == answerQuit {
			return len(b.data), ReasonQuit // what was sent behind it is not ours any more, as in Redis
		}
		in.fence = k.row != nil && k.row.Ample
	}
	in.again = used < len(b.data)
	return used, ReasonNone
}

// runs tells whether publishes like k that follow it are to be taken together. At trace each command is logged.
func (c *conn) runs(k *call) bool {
	if k.handler.op != broker.Publish || c.traced() {
		return false
	}
	return k.dialect == protocol.Line || k.dialect == protocol.RESP && k.row.Shape == protocol.ShapeRedis
}

func (c *conn) traced() bool {
	return c.log.GetLevel() <= zerolog.TraceLevel && zerolog.GlobalLevel() <= zerolog.TraceLevel
}

// call looks a command up and checks what can be checked without the core.
func (c *conn) call(cmd *protocol.Command) call {
	k := call{dialect: cmd.Dialect, crlf: cmd.CRLF, args: cmd.Args}
	k.row, k.err = cmd.Resolve()
	if k.err == nil {
		k.handler = byPlace[k.row.Place()]
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
