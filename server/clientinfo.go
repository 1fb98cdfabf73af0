package server

import (
	"strconv"
	"time"

	"github.com/conchmq/conch/broker"
	"github.com/conchmq/conch/internal/outbox"
	"github.com/conchmq/conch/internal/uptime"
	"github.com/conchmq/conch/protocol"
)

// idleCost is what a connection costs while nothing is under way, about: see decision 006.
const idleCost = 5 << 10

// appendInfo appends a connection's line of CLIENT LIST: the fields of Redis 7.2, in their order, then some of our own.
// running is the command that it is executing, nil if it is idle. It is made for each connection of a list, and for
// refusals: so it formats nothing but numbers, and costs about a microsecond.
func (c *conn) appendInfo(b []byte, running *invocation) []byte {
	e := &c.executor
	f := fields(b)
	f.number("id=", c.id)
	f = appendEnd(append(f, " addr="...), c.sock, c.sock.RemoteAddr())
	f = appendEnd(append(f, " laddr="...), c.sock, c.sock.LocalAddr())
	f.number(" fd=", int64(c.descriptor()))
	f.text(" name=", e.name)
	f.number(" age=", int64((uptime.Now()-c.connectedAt)/time.Second))
	f.number(" idle=", max(0, int64(uptime.Now())-c.lastReadAt.Load())/int64(time.Second))
	f = c.appendFlags(append(f, " flags="...))
	f.number(" db=", int64(e.database))
	f.number(" sub=", int64(c.sub.CountKind(formRESP, broker.Topic)))
	f.number(" psub=", int64(c.sub.CountKind(formRESP, broker.Pattern)))
	f.number(" ssub=", int64(c.sub.CountKind(formRESP, broker.Shard)))
	c.addMemory(&f, running)
	f.text(" events=r cmd=", lastCommand(e.last))
	f.text(" user=", c.userName())
	f.number(" redir=-1 resp=", int64(e.version.Number()))
	lib := library{}
	if e.library != nil {
		lib = *e.library
	}
	f.text(" lib-name=", lib.name)
	f.text(" lib-ver=", lib.version)
	f.number(" line-subs=", int64(c.sub.Count(formLine, broker.Topic)))
	c.addAccount(&f)
	return f
}

// addMemory adds the fields from multi to tot-mem. What is not here is 0: replies have no buffer of their own.
func (c *conn) addMemory(f *fields, running *invocation) {
	multi, multiMemory := -1, 0
	if m := c.executor.txn; m != nil {
		multi, multiMemory = len(m.queued), m.bytes
	}
	query, free, arguments := 0, 0, 0
	if running != nil {
		query = running.sentBytes()
		free = max(0, outbox.MediumBuffers.Size-query)
		for _, arg := range running.args {
			arguments += len(arg)
		}
	}
	f.number(" multi=", int64(multi))
	f.number(" qbuf=", int64(query))
	f.number(" qbuf-free=", int64(free))
	f.number(" argv-mem=", int64(arguments))
	f.number(" multi-mem=", int64(multiMemory))
	f.number(" rbs=0 rbp=0 obl=0 oll=", int64(c.outbox.Chunks()))
	f.number(" omem=", c.outbox.Backlog())
	held, _ := c.usedMemory()
	f.number(" tot-mem=", idleCost+held+int64(query+free+arguments))
}

// addAccount adds what became of messages. What is queued in this very round counts: it is handed over first.
func (c *conn) addAccount(f *fields) {
	c.Flush()
	t := c.outbox.LoadCounts()
	f.text(" slow=", c.outbox.Policy().String())
	f.number(" matched=", t.Matched)
	f.number(" delivered=", t.Delivered)
	f.number(" dropped=", t.Dropped)
	f.number(" undelivered=", t.Undelivered)
}

// fields is a line in the making.
type fields []byte

func (f *fields) text(name, value string) { *f = append(append(*f, name...), value...) }
func (f *fields) number(name string, value int64) {
	*f = strconv.AppendInt(append(*f, name...), value, 10)
}

// lastCommand is how CLIENT LIST shows a command; NULL is none, or one that does not exist.
func lastCommand(row *protocol.CommandSpec) string {
	if row == nil {
		return "NULL"
	}
	return row.FullName()
}

// sentBytes is how many bytes the command took on the wire, if it was written without needless ones.
func (inv *invocation) sentBytes() int {
	n := 0
	for _, arg := range inv.args {
		n += len(arg) + 1 // a blank, or at last the LF
	}
	switch {
	case inv.dialect == protocol.RESP:
		n = protocol.HeaderLen(len(inv.args))
		for _, arg := range inv.args {
			n += protocol.HeaderLen(len(arg)) + len(arg) + 2
		}
	case inv.crlf:
		n++
	}
	return n
}

// appendFlags appends the letters of Redis for what a connection is and does, N if that is nothing out of the ordinary.
func (c *conn) appendFlags(b []byte) []byte {
	on := &c.executor.clientFlags
	before := len(b)
	for _, f := range []struct {
		letter byte
		holds  bool
	}{
		{'O', c.isMonitor()}, {'P', c.subscribed()}, {'x', c.executor.txn != nil}, {'t', on.tracking}, {'e', on.noEvict}, {'T', on.noTouch},
	} {
		if f.holds {
			b = append(b, f.letter)
		}
	}
	if len(b) == before {
		return append(b, 'N')
	}
	return b
}

// descriptor is the number of the socket, or -1.
func (c *conn) descriptor() int {
	fd := -1
	if c.rawConn != nil {
		_ = c.rawConn.Control(func(n uintptr) { fd = int(n) }) // fails on a closed socket, which has none
	}
	return fd
}
