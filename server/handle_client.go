package server

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
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
	listed, err := listed(x.conn.srv.all(), x.call.args[2:])
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
func listed(all []*conn, args [][]byte) ([]*conn, *protocol.Error) {
	switch {
	case len(args) == 0:
		return all, nil
	case strings.EqualFold(string(args[0]), "TYPE") && len(args) == 2:
		ofType, err := typeFilter(string(args[1]))
		if err != nil {
			return nil, err
		}
		return slices.DeleteFunc(all, func(c *conn) bool { return !ofType(c) }), nil
	case strings.EqualFold(string(args[0]), "ID") && len(args) > 1:
		var picked []*conn
		for _, arg := range args[1:] {
			id, ok := protocol.ParseInt(arg)
			if !ok {
				return nil, protocol.Errorf("Invalid client ID")
			}
			i, found := slices.BinarySearchFunc(all, id, func(c *conn, id int64) int { return cmp.Compare(c.id, id) })
			if found {
				picked = append(picked, all[i])
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

// all are the connections being served, in the order in which they came. On the core's goroutine their wire and
// subscriptions may be read.
func (s *Server) all() []*conn {
	s.mu.Lock()
	conns := make([]*conn, 0, len(s.conns))
	for c := range s.conns {
		conns = append(conns, c)
	}
	s.mu.Unlock()
	slices.SortFunc(conns, func(a, b *conn) int { return cmp.Compare(a.id, b.id) })
	return conns
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

// clientKill is CLIENT KILL addr, or CLIENT KILL with filters that must all hold.
func clientKill(x *exchange) {
	args := x.call.args[2:]
	if len(args) == 1 {
		if x.kill(func(c *conn) bool { return peerAddress(c.sock).String() == string(args[0]) }, false) == 0 {
			x.fail(protocol.Errorf("No such client"))
			return
		}
		x.ok()
		return
	}
	holds, skipMe, err := x.killFilters(args)
	if err != nil {
		x.fail(err)
		return
	}
	x.integer(int64(x.kill(holds, skipMe)))
}

// kill ends the connections that are meant: from this instant on they send and get nothing any more. Their sockets
// close as soon as what waits for them is written.
func (x *exchange) kill(meant func(*conn) bool, skipMe bool) (killed int) {
	for _, c := range x.conn.srv.all() {
		if meant(c) && (!skipMe || c != x.conn) {
			x.view.Evict(c.sub, ReasonKilled)
			killed++
		}
	}
	return killed
}

func (x *exchange) killFilters(args [][]byte) (holds func(*conn) bool, skipMe bool, err *protocol.Error) {
	skipMe = true
	var filters []func(*conn) bool
	if len(args)%2 != 0 {
		return nil, false, protocol.Errorf("syntax error")
	}
	for ; len(args) > 0; args = args[2:] {
		value := string(args[1])
		if strings.EqualFold(string(args[0]), "SKIPME") {
			switch strings.ToLower(value) {
			case "yes":
				skipMe = true
			case "no":
				skipMe = false
			default:
				return nil, false, protocol.Errorf("syntax error")
			}
			continue
		}
		filter, err := x.killFilter(strings.ToUpper(string(args[0])), value)
		if err != nil {
			return nil, false, err
		}
		filters = append(filters, filter)
	}
	return func(c *conn) bool {
		for _, filter := range filters {
			if !filter(c) {
				return false
			}
		}
		return true
	}, skipMe, nil
}

func (x *exchange) killFilter(name, value string) (func(*conn) bool, *protocol.Error) {
	switch name {
	case "ID":
		id, err := strconv.ParseInt(value, 10, 64)
		if err != nil || id < 1 {
			return nil, protocol.Errorf("client-id should be greater than 0")
		}
		return func(c *conn) bool { return c.id == id }, nil
	case "ADDR":
		return func(c *conn) bool { return peerAddress(c.sock).String() == value }, nil
	case "LADDR":
		return func(c *conn) bool { return ownAddress(c.sock).String() == value }, nil
	case "TYPE":
		return typeFilter(value)
	case "USER":
		if x.users().Find(value) == nil {
			return nil, protocol.Errorf("No such user '%s'", value)
		}
		return func(c *conn) bool { return c.userName() == value }, nil
	case "MAXAGE":
		seconds, err := strconv.ParseInt(value, 10, 32)
		if err != nil || seconds < 1 {
			return nil, protocol.Errorf("maxage is not an integer or out of range")
		}
		return func(c *conn) bool { return uptime()-c.begun >= time.Duration(seconds)*time.Second }, nil
	}
	return nil, protocol.Errorf("syntax error")
}
