package command

import (
	"strconv"
	"time"

	"github.com/conchmq/conch/broker"
	"github.com/conchmq/conch/internal/outbox"
	"github.com/conchmq/conch/internal/uptime"
	"github.com/conchmq/conch/protocol"
)

// idleCost is about what an idle connection costs: see decision 006.
const idleCost = 5 << 10

// appendInfo appends the connection's line of CLIENT LIST: the fields of Redis 7.2 in their
// order, then conch's own.
//
// running is the command that the connection is executing, nil if it is idle. A list needs a
// line for each connection, and ACL LOG one for each refusal. So it formats numbers only, and
// takes about a microsecond.
func (e *executor) appendInfo(b []byte, running *invocation) []byte {
	f := fields(b)
	f.number("id=", e.id)
	remote, local := e.transport.Addresses()
	f = remote.append(append(f, " addr="...))
	f = local.append(append(f, " laddr="...))
	f.number(" fd=", int64(e.transport.Descriptor()))
	f.text(" name=", e.name)
	f.number(" age=", int64((uptime.Now()-e.connectedAt)/time.Second))
	f.number(" idle=", max(0, int64(uptime.Now())-e.lastReadAt.Load())/int64(time.Second))
	f = e.appendFlags(append(f, " flags="...))
	f.number(" db=", int64(e.database))
	f.number(" sub=", int64(e.sub.CountKind(formRESP, broker.Topic)))
	f.number(" psub=", int64(e.sub.CountKind(formRESP, broker.Pattern)))
	f.number(" ssub=", int64(e.sub.CountKind(formRESP, broker.Shard)))
	e.addMemory(&f, running)
	f.text(" events=r cmd=", lastCommand(e.last))
	f.text(" user=", e.userName())
	f.number(" redir=-1 resp=", int64(e.version.Number()))
	lib := library{}
	if e.library != nil {
		lib = *e.library
	}
	f.text(" lib-name=", lib.name)
	f.text(" lib-ver=", lib.version)
	f.number(" line-subs=", int64(e.sub.Count(formLine, broker.Topic)))
	e.addAccount(&f)
	return f
}

// addMemory adds the fields from multi to tot-mem. Fields that are always 0 stand for buffers
// that conch does not have.
func (e *executor) addMemory(f *fields, running *invocation) {
	multi, multiMemory := -1, 0
	if m := e.txn; m != nil {
		multi, multiMemory = len(m.queued), m.bytes
	}
	query, free, arguments := 0, 0, 0
	if running != nil {
		query = running.sentBytes()
		free = max(0, outbox.MediumBuffers.BufferSize-query)
		for _, arg := range running.args {
			arguments += len(arg)
		}
	}
	f.number(" multi=", int64(multi))
	f.number(" qbuf=", int64(query))
	f.number(" qbuf-free=", int64(free))
	f.number(" argv-mem=", int64(arguments))
	f.number(" multi-mem=", int64(multiMemory))
	f.number(" rbs=0 rbp=0 obl=0 oll=", int64(e.outbox.ChunkCount()))
	f.number(" omem=", e.outbox.Backlog())
	held, _ := e.usedMemory()
	f.number(" tot-mem=", idleCost+held+int64(query+free+arguments))
}

// addAccount adds what became of messages. The flush comes first: messages of the current round
// count as well.
func (e *executor) addAccount(f *fields) {
	e.Flush()
	t := e.outbox.Counts()
	f.text(" slow=", e.outbox.Policy().String())
	f.number(" matched=", t.Matched)
	f.number(" delivered=", t.Delivered)
	f.number(" dropped=", t.Dropped)
	f.number(" undelivered=", t.Undelivered)
	f.number(" replayed=", t.Replayed)
}

// fields is a line that is being built.
type fields []byte

func (f *fields) text(name, value string) { *f = append(append(*f, name...), value...) }
func (f *fields) number(name string, value int64) {
	*f = strconv.AppendInt(append(*f, name...), value, 10)
}

// lastCommand is how CLIENT LIST shows a command; NULL stands for none, or for an unknown one.
func lastCommand(row *protocol.CommandSpec) string {
	if row == nil {
		return "NULL"
	}
	return row.FullName()
}

// sentBytes is the command's size on the wire, in its shortest spelling.
func (inv *invocation) sentBytes() int {
	n := 0
	for _, arg := range inv.args {
		n += len(arg) + 1 // a blank, or the LF at the end
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

// appendFlags appends Redis' letters for the state of a connection, N if none applies.
func (e *executor) appendFlags(b []byte) []byte {
	on := e.clientFlags
	before := len(b)
	for _, f := range []struct {
		letter byte
		holds  bool
	}{
		{'O', e.isMonitor()}, {'P', e.subscribed()}, {'x', e.txn != nil}, {'b', e.blockedClient() != nil}, {'t', on.tracking}, {'e', on.noEvict}, {'T', on.noTouch},
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
