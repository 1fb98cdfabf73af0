package command

import (
	"github.com/conchmq/conch/internal/keyargs"
	"github.com/conchmq/conch/internal/stream"
	"github.com/conchmq/conch/protocol"
)

// xfence is XFENCE key [token].
func xfence(w *response) {
	var x keyargs.XFence
	if err := x.Parse(w.inv.args); err != nil {
		w.fail(err)
		return
	}
	if !x.Raises {
		w.integer(w.fenceOf(x.Key))
		return
	}
	if !w.executor.service.streams.store.Room(w.inv.size()) { // it may make a stream
		w.fail(errOOM)
		return
	}
	c := w.change()
	changes, err := w.streams().PlanFence(c, x.Key, x.Token)
	if err != nil {
		w.fail(addError(err))
		return
	}
	if changes {
		w.apply(c)
	}
	w.integer(w.fenceOf(x.Key))
}

// fenceOf is the token of a stream, 0 without one and without the stream.
func (w *response) fenceOf(key []byte) int64 {
	if st := w.streams().Lookup(key); st != nil {
		return int64(st.Fence()) //nolint:gosec // it came as an int64
	}
	return 0
}

// addError is the reply to an append that is refused. LASTID and FENCED begin with what the stream has: a program reads that,
// and goes on behind it.
func addError(err error) *protocol.Error {
	code := protocol.CodeErr
	switch err.(type) { //nolint:errorlint // package stream wraps none of them
	case *stream.LastIDError:
		code = protocol.CodeLastID
	case *stream.FenceError:
		code = protocol.CodeFenced
	}
	return &protocol.Error{Code: code, Text: err.Error()}
}
