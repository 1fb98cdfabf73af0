package command

import (
	"math"
	"time"

	"github.com/conchmq/conch/internal/acl"
	"github.com/conchmq/conch/internal/uptime"
	"github.com/conchmq/conch/protocol"
)

// clientKill is CLIENT KILL addr, or CLIENT KILL with filters that must all hold.
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

// killFilter is which connections are meant. Of each kind the filter that came last counts, as in Redis: so what a
// connection costs does not depend on how many filters there are.
type killFilter struct {
	id     int64    // 0 is any
	peer   *Address // nil is any, and so on
	own    *Address
	ofType func(*executor) bool
	user   *string
	maxAge time.Duration
	skipMe bool
}

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

// kill ends the connections that are meant: from this instant on they send and get nothing any more. Their sockets
// close as soon as what waits for them is written.
func (w *response) kill(f *killFilter) (killed int) {
	kill := func(e *executor) {
		if !f.matches(e, w.executor) || e.closing {
			return
		}
		if e != w.executor { // which still runs what is left of its transaction
			e.closing = true
		}
		w.view.Evict(e.sub, CloseReasonKilled)
		killed++
	}
	if f.id == 0 {
		w.executor.service.eachClient(kill)
	} else if e := w.executor.service.client(f.id); e != nil {
		kill(e)
	}
	return killed
}

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

var errKillSyntax = protocol.Errorf("syntax error")

// addFilter takes one filter, in the place of an earlier one of its kind.
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
