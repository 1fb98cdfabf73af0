package server

import (
	"slices"
	"strings"

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

func clientInfo(x *exchange) { x.prose(string(append(x.conn.appendInfo(nil, x.call), '\n'))) }

// clientList is CLIENT LIST [TYPE t] [ID id ...].
func clientList(x *exchange) {
	listed, err := x.listed(x.call.args[2:])
	if err != nil {
		x.fail(err)
		return
	}
	var lines []byte
	for _, c := range listed {
		var k *call
		if c == x.conn {
			k = x.call
		}
		lines = append(c.appendInfo(lines, k), '\n')
	}
	x.prose(string(lines))
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
