package server

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/conchmq/conch/broker"
	"github.com/conchmq/conch/protocol"
)

// clientReply is CLIENT REPLY: ON answers, OFF and SKIP do not.
func clientReply(x *exchange) {
	m := &x.conn.wire.mute
	switch strings.ToUpper(string(x.call.args[2])) {
	case "ON":
		m.off, m.skip = false, false
		x.ok()
	case "OFF":
		m.off = true
	case "SKIP":
		if !m.off {
			m.skip, m.skipNext = true, true
		}
	default:
		x.fail(protocol.Errorf("syntax error"))
	}
}

// switches are what a client has switched on that has no effect here. CLIENT LIST shows them.
type switches struct{ noEvict, noTouch, tracking bool }

// clientSwitch answers ON or OFF.
func clientSwitch(of func(*switches) *bool) func(*exchange) {
	return func(x *exchange) {
		switch strings.ToUpper(string(x.call.args[2])) {
		case "ON":
			*of(&x.conn.wire.switched) = true
		case "OFF":
			*of(&x.conn.wire.switched) = false
		default:
			x.fail(protocol.Errorf("syntax error"))
			return
		}
		x.ok()
	}
}

func clientInfo(x *exchange) { x.prose(x.conn.describe(x.call) + "\n") }

// clientList is CLIENT LIST [TYPE t] [ID id ...].
func clientList(x *exchange) {
	listed, err := x.listed(x.call.args[2:])
	if err != nil {
		x.fail(err)
		return
	}
	var lines strings.Builder
	for _, c := range listed {
		var k *call
		if c == x.conn {
			k = x.call
		}
		lines.WriteString(c.describe(k) + "\n")
	}
	x.prose(lines.String())
}

// listed picks connections: those of a type, or those with the ids given, in that order and as often.
func (x *exchange) listed(args [][]byte) ([]*conn, *protocol.Error) {
	s := x.conn.srv
	switch {
	case len(args) == 0:
		return s.clients(), nil
	case strings.EqualFold(string(args[0]), "TYPE") && len(args) == 2:
		ofType, err := typeFilter(string(args[1]))
		if err != nil {
			return nil, err
		}
		return slices.DeleteFunc(s.clients(), func(c *conn) bool { return !ofType(c) }), nil
	case strings.EqualFold(string(args[0]), "ID") && len(args) > 1:
		var picked []*conn
		for _, arg := range args[1:] {
			id, ok := protocol.ParseInt(arg)
			if !ok {
				return nil, protocol.Errorf("Invalid client ID")
			}
			if c := s.client(id); c != nil {
				picked = append(picked, c)
			}
		}
		return picked, nil
	}
	return nil, protocol.Errorf("syntax error")
}

func typeFilter(name string) (func(*conn) bool, *protocol.Error) {
	switch strings.ToLower(name) {
	case "normal":
		return func(c *conn) bool { return !c.subscribed() }, nil
	case "pubsub":
		return func(c *conn) bool { return c.subscribed() }, nil
	case "master", "replica", "slave":
		return func(*conn) bool { return false }, nil
	}
	return nil, protocol.Errorf("Unknown client type '%s'", name)
}

// subscribed tells whether a connection listens to anything, in whichever form.
func (c *conn) subscribed() bool { return c.listens(formRESP) || c.listens(formLine) }

// describe is a connection's line in CLIENT LIST: the fields of Redis 7.2, in their order, then some of our own.
func (c *conn) describe(running *call) string {
	w := &c.wire
	multi, multiMemory := -1, 0
	if w.multi != nil {
		multi, multiMemory = len(w.multi.kept), w.multi.bytes
	}
	argBytes := 0
	if running != nil {
		for _, arg := range running.args {
			argBytes += len(arg)
		}
	}
	last, lib := "NULL", library{}
	if w.last != nil {
		last = w.last.FullName()
	}
	if w.library != nil {
		lib = *w.library
	}
	waiting := c.outbox.waiting.Load() + c.outbox.noted.Load()
	return fmt.Sprintf("id=%d addr=%s laddr=%s fd=%d name=%s age=%d idle=%d flags=%s db=%d sub=%d psub=%d ssub=%d multi=%d "+
		"qbuf=%d qbuf-free=%d argv-mem=%d multi-mem=%d rbs=%d rbp=%d obl=%d oll=%d omem=%d tot-mem=%d events=%s cmd=%s "+
		"user=%s redir=-1 resp=%d lib-name=%s lib-ver=%s line-subs=%d%s",
		c.id, peerAddress(c.sock), ownAddress(c.sock), c.descriptor(), w.name, int((uptime()-c.begun)/time.Second),
		max(0, int64(uptime())-c.heard.Load())/int64(time.Second), c.flags(), w.database, c.sub.CountKind(formRESP, broker.Topic),
		c.sub.CountKind(formRESP, broker.Pattern), c.sub.CountKind(formRESP, broker.Shard), multi,
		argBytes, 0, argBytes, multiMemory, 0, 0, 0, c.outbox.length(), waiting, waiting+int64(argBytes+multiMemory),
		"r", last, c.userName(), w.version.Number(), lib.name, lib.version,
		c.sub.Count(formLine, broker.Topic), c.describeAccount())
}

func (c *conn) flags() string {
	on := &c.wire.switched
	flags := ""
	for _, f := range []struct {
		letter string
		holds  bool
	}{
		{"O", slices.Contains(c.srv.press.monitors, c)}, {"P", c.subscribed()}, {"x", c.wire.multi != nil},
		{"t", on.tracking}, {"e", on.noEvict}, {"T", on.noTouch},
	} {
		if f.holds {
			flags += f.letter
		}
	}
	return cmp.Or(flags, "N")
}

// descriptor is the number of the socket, or -1.
func (c *conn) descriptor() int {
	fd := -1
	if c.raw != nil {
		_ = c.raw.Control(func(n uintptr) { fd = int(n) }) // fails on a closed socket, which has none
	}
	return fd
}
