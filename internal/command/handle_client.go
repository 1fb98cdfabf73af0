package command

import (
	"slices"
	"strings"

	"github.com/conchmq/conch/protocol"
)

// clientReply is CLIENT REPLY: ON gets a reply, OFF and SKIP do not.
func clientReply(w *response) {
	m := &w.executor.replyMode
	switch strings.ToUpper(string(w.inv.args[2])) {
	case "ON":
		m.off, m.skip = false, false
		w.ok()
	case "OFF":
		m.off = true
	case "SKIP":
		if !m.off {
			// skip silences this reply, skipNext the next one.
			m.skip, m.skipNext = true, true
		}
	default:
		w.fail(protocol.Errorf("syntax error"))
	}
}

// clientFlags are switches without effect here. CLIENT LIST shows them.
type clientFlags struct{ noEvict, noTouch, tracking bool }

// clientSwitch makes the handler of a subcommand with ON or OFF.
func clientSwitch(of func(*clientFlags) *bool) func(*response) {
	return func(w *response) {
		switch strings.ToUpper(string(w.inv.args[2])) {
		case "ON":
			*of(&w.executor.clientFlags) = true
		case "OFF":
			*of(&w.executor.clientFlags) = false
		default:
			w.fail(protocol.Errorf("syntax error"))
			return
		}
		w.ok()
	}
}

// clientTracking is CLIENT TRACKING. A client that caches replies is not informed of changes
// here, so it must not cache any.
//
// Libraries send ON OPTIN in their handshake. It promises nothing until CLIENT CACHING, which
// does not exist.
func clientTracking(w *response) {
	args := w.inv.args[2:]
	on := strings.EqualFold(string(args[0]), "ON")
	if on && !slices.ContainsFunc(args[1:], func(arg []byte) bool { return strings.EqualFold(string(arg), "OPTIN") }) {
		w.fail(protocol.Errorf("clients cannot cache replies: CLIENT TRACKING ON needs OPTIN here"))
		return
	}
	clientSwitch(func(s *clientFlags) *bool { return &s.tracking })(w)
}

func clientInfo(w *response) { w.verbatim(string(append(w.executor.appendInfo(nil, w.inv), '\n'))) }

// clientList is CLIENT LIST [TYPE t] [ID id ...].
func clientList(w *response) {
	listed, err := w.listed(w.inv.args[2:])
	if err != nil {
		w.fail(err)
		return
	}
	var lines []byte
	for _, e := range listed {
		var inv *invocation
		if e == w.executor {
			inv = w.inv
		}
		lines = append(e.appendInfo(lines, inv), '\n')
	}
	w.verbatim(string(lines))
}

// listed selects connections by type, or by ids, in that order and as often as given.
func (w *response) listed(args [][]byte) ([]*executor, *protocol.Error) {
	s := w.executor.service
	switch {
	case len(args) == 0:
		return s.clients(), nil
	case strings.EqualFold(string(args[0]), "TYPE") && len(args) == 2:
		ofType, err := typeFilter(string(args[1]))
		if err != nil {
			return nil, err
		}
		return slices.DeleteFunc(s.clients(), func(e *executor) bool { return !ofType(e) }), nil
	case strings.EqualFold(string(args[0]), "ID") && len(args) > 1:
		var picked []*executor
		for _, arg := range args[1:] {
			id, ok := protocol.ParseInt(arg)
			if !ok {
				return nil, protocol.Errorf("Invalid client ID")
			}
			if e := s.client(id); e != nil {
				picked = append(picked, e)
			}
		}
		return picked, nil
	}
	return nil, protocol.Errorf("syntax error")
}

// typeFilter reads a TYPE. There are no replicas, so those types match nothing.
func typeFilter(name string) (func(*executor) bool, *protocol.Error) {
	switch strings.ToLower(name) {
	case "normal":
		return func(e *executor) bool { return !e.subscribed() }, nil
	case "pubsub":
		return func(e *executor) bool { return e.subscribed() }, nil
	case "master", "replica", "slave":
		return func(*executor) bool { return false }, nil
	}
	return nil, protocol.Errorf("Unknown client type '%s'", name)
}

// subscribed reports whether the connection has a subscription, in either form.
func (e *executor) subscribed() bool {
	return e.hasSubscriptions(formRESP) || e.hasSubscriptions(formLine)
}
