package command

import (
	"github.com/conchmq/conch/internal/outbox"
	"github.com/conchmq/conch/protocol"
)

// slow is SLOW [policy], in both dialects. The reply is the resulting policy.
func slow(w *response) {
	if args := w.inv.args[1:]; len(args) > 1 {
		w.buf = appendErr(w.buf, w.inv, protocol.Errorf("SLOW takes one policy; type: %s", w.inv.row.Usage))
		return
	} else if err := w.setPolicy(args); err != nil {
		w.buf = appendErr(w.buf, w.inv, err)
		return
	}
	w.buf = appendVerb(w.buf, w.inv, [][]byte{[]byte(w.executor.outbox.Policy().String())})
}

// clientSlow is CLIENT SLOW [policy].
func clientSlow(w *response) {
	args := w.inv.args[2:]
	switch err := w.setPolicy(args); {
	case len(args) > 1:
		w.wrongSubcommandArity()
	case err != nil:
		w.fail(err)
	case len(args) == 0:
		w.text(w.executor.outbox.Policy().String())
	default:
		w.ok()
	}
}

// setPolicy sets the policy, if there is one in args.
func (w *response) setPolicy(args [][]byte) *protocol.Error {
	if len(args) != 1 {
		return nil
	}
	p, err := outbox.ParsePolicy(string(args[0]))
	if err != nil {
		return protocol.Errorf("%s", err)
	}
	w.executor.outbox.SetPolicy(p)
	return nil
}
