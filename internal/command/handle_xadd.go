package command

import (
	"bytes"

	"github.com/conchmq/conch/internal/keyargs"
	"github.com/conchmq/conch/internal/stream"
	"github.com/conchmq/conch/protocol"
)

// xadd is XADD key [options] <* | id> field value [field value ...].
func xadd(w *response) {
	s := &w.executor.service.streams
	x := w.inv.add
	if x == nil {
		x = &s.add
		if err := x.Parse(w.inv.args); err != nil {
			w.fail(err)
			return
		}
	} else if x.err != nil {
		w.fail(x.err)
		return
	}
	if w.executor.durableOnly && !s.state.IsDurable(x.Key) {
		w.fail(errNotDurable)
		return
	}
	if !s.store.Room(w.inv.size()) {
		w.fail(errOOM)
		return
	}
	c := s.begin()
	ok, err := s.state.PlanAdd(c, x.Key, &x.AddOptions)
	switch {
	case err != nil:
		w.fail(addError(err))
	case !ok:
		w.null()
	default:
		w.apply(c)
		w.buf = s.text.appendID(w.buf, c.ID)
		if c.Kind == stream.Add && s.state.IsDurable(x.Key) {
			w.live = liveEntry{x.Key, x.Fields, c.Sequence}
		}
		w.trimLater(x)
	}
	c.Fields, s.add.Fields = nil, nil // they alias the batch
}

// trimLater trims where that concerns what is pending in groups.
func (w *response) trimLater(x *parsedAdd) {
	if x.Refs == stream.KeepRef || x.Trim.Kind == stream.TrimNone {
		return
	}
	st := w.streams().Lookup(x.Key)
	if st == nil || !x.TrimsLater(st) {
		return
	}
	c := w.change()
	if w.streams().PlanTrim(c, st, &x.Trim) > 0 {
		w.apply(c)
	}
}

// parsedAdd is an XADD whose arguments have been parsed.
type parsedAdd struct {
	keyargs.XAdd
	err *protocol.Error
}

// own is the same for arguments that were copied.
func (x *parsedAdd) own(args [][]byte) *parsedAdd {
	if x == nil || x.err != nil {
		return x
	}
	copied := *x
	copied.Key, copied.Fields = args[1], args[len(args)-len(x.Fields):]
	return &copied
}

// parseAdd parses an XADD with an idempotent id on the reader: hashing what the client has sent may take long.
func (inv *invocation) parseAdd() {
	if inv.err != nil || inv.handler != handleXAdd || !mayBeIdempotent(inv.args[2:]) {
		return
	}
	inv.add = new(parsedAdd)
	inv.add.err = inv.add.Parse(inv.args)
}

// mayBeIdempotent looks for IDMP and IDMPAUTO in front of the fields, which follow the id.
func mayBeIdempotent(args [][]byte) bool {
	for _, arg := range args {
		if len(arg) == 1 && arg[0] == '*' {
			return false
		}
		if len(arg) >= len("IDMP") && bytes.EqualFold(arg[:len("IDMP")], []byte("IDMP")) {
			return true
		}
	}
	return false
}

// handleXAdd is the handler of XADD: the reader compares with it.
var handleXAdd = &handler{reply: xadd, keys: usesAdd}

// size is the bytes of all arguments.
func (inv *invocation) size() (size int) {
	for _, arg := range inv.args {
		size += len(arg)
	}
	return size
}
