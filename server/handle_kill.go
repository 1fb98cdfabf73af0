package server

import (
	"math"
	"time"

	"github.com/conchmq/conch/internal/uptime"
	"github.com/conchmq/conch/protocol"
)

// clientKill is CLIENT KILL addr, or CLIENT KILL with filters that must all hold.
func clientKill(w *response) {
	args := w.inv.args[2:]
	if len(args) == 1 {
		f := killFilter{peer: newEnd(string(args[0]))}
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
	id     int64 // 0 is any
	peer   *end  // nil is any, and so on
	own    *end
	ofType func(*conn) bool
	user   *string
	maxAge time.Duration
	skipMe bool
}

func (f *killFilter) matches(c, me *conn) bool {
	return (f.id == 0 || c.id == f.id) &&
		(!f.skipMe || c != me) &&
		(f.ofType == nil || f.ofType(c)) &&
		(f.user == nil || c.userName() == *f.user) &&
		(f.maxAge == 0 || uptime.Now()-c.connectedAt >= f.maxAge) &&
		(f.peer == nil || f.peer.is(c.sock, c.sock.RemoteAddr())) &&
		(f.own == nil || f.own.is(c.sock, c.sock.LocalAddr()))
}

// kill ends the connections that are meant: from this instant on they send and get nothing any more. Their sockets
// close as soon as what waits for them is written.
func (w *response) kill(f *killFilter) (killed int) {
	kill := func(c *conn) {
		if !f.matches(c, w.conn) || c.executor.closing {
			return
		}
		if c != w.conn { // which still runs what is left of its transaction
			c.executor.closing = true
		}
		w.view.Evict(c.sub, CloseReasonKilled)
		killed++
	}
	if f.id == 0 {
		w.conn.srv.eachClient(kill)
	} else if c := w.conn.srv.client(f.id); c != nil {
		kill(c)
	}
	return killed
}

func (w *response) killFilter(args [][]byte) (killFilter, *protocol.Error) {
	f := killFilter{skipMe: true}
	for ; len(args) > 0; args = args[2:] {
		if len(args) == 1 {
			return f, errKillSyntax
		}
		if err := w.addFilter(&f, asciiLower(args[0]), args[1]); err != nil {
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
		f.peer = newEnd(text)
	case "laddr":
		f.own = newEnd(text)
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
		return f.parseSkipMe(asciiLower(value))
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
