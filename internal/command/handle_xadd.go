package command

import (
	"bytes"

	"github.com/conchmq/conch/internal/keyargs"
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
	if !s.store.Room(w.inv.size()) {
		w.fail(errOOM)
		return
	}
	c := s.begin()
	ok, err := s.state.PlanAdd(c, x.Key, &x.AddOptions)
	switch {
	case err != nil:
		w.fail(&protocol.Error{Code: protocol.CodeErr, Text: err.Error()})
	case !ok:
		w.null()
	default:
		w.apply(c)
		w.buf = s.text.appendID(w.buf, c.ID)
	}
	c.Fields, s.add.Fields = nil, nil // they alias the batch
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
	if inv.err != nil || inv.handler.keys != usesAdd || !mayBeIdempotent(inv.args[2:]) {
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

// size is the bytes of all arguments.
func (inv *invocation) size() (size int) {
	for _, arg := range inv.args {
		size += len(arg)
	}
	return size
}
