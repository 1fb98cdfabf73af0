package server

import (
	"slices"
	"strings"

	"github.com/conchmq/conch/protocol"
)

// clientReply is CLIENT REPLY: ON answers, OFF and SKIP do not.
func clientReply(x *response) {
	m := &x.conn.executor.replyMode
	switch strings.ToUpper(string(x.inv.args[2])) {
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

// clientFlags are what a client has switched on that has no effect here. CLIENT LIST shows them.
type clientFlags struct{ noEvict, noTouch, tracking bool }

// clientSwitch answers ON or OFF.
func clientSwitch(of func(*clientFlags) *bool) func(*response) {
	return func(x *response) {
		switch strings.ToUpper(string(x.inv.args[2])) {
		case "ON":
			*of(&x.conn.executor.clientFlags) = true
		case "OFF":
			*of(&x.conn.executor.clientFlags) = false
		default:
			x.fail(protocol.Errorf("syntax error"))
			return
		}
		x.ok()
	}
}

func clientInfo(x *response) { x.verbatim(string(append(x.conn.appendInfo(nil, x.inv), '\n'))) }

// clientList is CLIENT LIST [TYPE t] [ID id ...].
func clientList(x *response) {
	listed, err := x.listed(x.inv.args[2:])
	if err != nil {
		x.fail(err)
		return
	}
	var lines []byte
	for _, c := range listed {
		var k *invocation
		if c == x.conn {
			k = x.inv
		}
		lines = append(c.appendInfo(lines, k), '\n')
	}
	x.verbatim(string(lines))
}

// listed picks connections: those of a type, or those with the ids given, in that order and as often.
func (x *response) listed(args [][]byte) ([]*conn, *protocol.Error) {
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
