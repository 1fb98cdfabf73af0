package command

import (
	"math"
	"time"

	"github.com/conchmq/conch/internal/acl"
	"github.com/conchmq/conch/internal/uptime"
	"github.com/conchmq/conch/protocol"
)

// clientKill is CLIENT KILL addr, or CLIENT KILL with filters, all of which must match.
func clientKill(w *response) {
	args := w.inv.args[2:]
	if len(args) == 1 {
		f := killFilter{peer: new(ParseAddress(string(args[0])))}
		if w.kill(&f) == 0 {
			w.fail(protocol.Errorf("No such client"))
			return
		}
		w.ok()
		return
	}
	f, err := w.killFilter(args)
	if err != nil {
		w.fail(err)
		return
	}
	w.integer(int64(w.kill(&f)))
}

// killFilter selects connections. Of each kind the last filter counts, as in Redis. So the cost
// for a connection does not depend on the number of filters.
type killFilter struct {
	id     int64    // 0 matches any
	peer   *Address // nil matches any, here and below
	own    *Address
	ofType func(*executor) bool
	user   *string
	maxAge time.Duration
	skipMe bool
}

// matches reports whether e is selected; own is the connection that sent the command.
func (f *killFilter) matches(e, own *executor) bool {
	if f.id != 0 && e.id != f.id || f.skipMe && e == own || f.ofType != nil && !f.ofType(e) ||
		f.user != nil && e.userName() != *f.user || f.maxAge != 0 && uptime.Now()-e.connectedAt < f.maxAge {
		return false
	}
	if f.peer == nil && f.own == nil {
		return true
	}
	remote, local := e.transport.Addresses()
	return (f.peer == nil || *f.peer == remote) && (f.own == nil || *f.own == local)
}

// kill evicts the selected connections: from this instant on they neither send nor receive.
// Their sockets close after the pending frames.
func (w *response) kill(f *killFilter) (killed int) {
	kill := func(e *executor) {
		if !f.matches(e, w.executor) || e.closing {
			return
		}
		if e != w.executor { // the connection itself still runs the rest of its transaction
			e.closing = true
		}
		w.view.Evict(&e.sub, CloseReasonKilled)
		killed++
	}
	if f.id == 0 {
		w.executor.service.eachClient(kill)
	} else if e := w.executor.service.client(f.id); e != nil {
		kill(e)
	}
	return killed
}

// killFilter parses pairs of a filter and its value. SKIPME is yes by default.
func (w *response) killFilter(args [][]byte) (killFilter, *protocol.Error) {
	f := killFilter{skipMe: true}
	for ; len(args) > 0; args = args[2:] {
		if len(args) == 1 {
			return f, errKillSyntax
		}
		if err := w.addFilter(&f, acl.Lower(args[0]), args[1]); err != nil {
			return f, err
		}
	}
	return f, nil
}

// errKillSyntax is Redis' text, as are the other errors in this file.
var errKillSyntax = protocol.Errorf("syntax error")

// addFilter sets one filter, in place of an earlier one of its kind.
func (w *response) addFilter(f *killFilter, name string, value []byte) (err *protocol.Error) {
	text := string(value)
	switch name {
	case "id":
		id, ok := protocol.ParseInt(value)
		if !ok || id < 1 {
			return protocol.Errorf("client-id should be greater than 0")
		}
		f.id = id
	case "addr":
		f.peer = new(ParseAddress(text))
	case "laddr":
		f.own = new(ParseAddress(text))
	case "type":
		f.ofType, err = typeFilter(text)
	case "user":
		if w.users().Find(text) == nil {
			return protocol.Errorf("No such user '%s'", value)
		}
		f.user = &text
	case "maxage":
		return f.parseMaxAge(value)
	case "skipme":
		return f.parseSkipMe(acl.Lower(value))
	default:
		return errKillSyntax
	}
	return err
}

func (f *killFilter) parseMaxAge(value []byte) *protocol.Error {
	seconds, ok := protocol.ParseInt(value)
	switch {
	case !ok:
		return protocol.Errorf("maxage is not an integer or out of range")
	case seconds < 1:
		return protocol.Errorf("maxage should be greater than 0")
	}
	f.maxAge = time.Duration(min(seconds, math.MaxInt64/int64(time.Second))) * time.Second
	return nil
}

func (f *killFilter) parseSkipMe(value string) *protocol.Error {
	if value != "yes" && value != "no" {
		return errKillSyntax
	}
	f.skipMe = value == "yes"
	return nil
}
