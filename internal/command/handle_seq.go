package command

import (
	"strings"

	"github.com/conchmq/conch/protocol"
)

// seq is SEQ [ON | OFF], in both dialects. The reply is the resulting state.
func seq(w *response) {
	args, e := w.inv.args[1:], w.executor
	switch {
	case len(args) == 0:
	case len(args) == 1 && strings.EqualFold(string(args[0]), "ON"):
		w.executor.wantsSeq = true
	case e.isPresented():
		w.buf = appendErr(w.buf, w.inv, protocol.Errorf("sequence numbers are always on for a WebSocket"))
		return
	case len(args) == 1 && strings.EqualFold(string(args[0]), "OFF"):
		e.wantsSeq = false
	default:
		w.buf = appendErr(w.buf, w.inv, protocol.Errorf("SEQ takes ON or OFF; type: %s", w.inv.row.Usage))
		return
	}
	if !e.wantsSeq {
		w.buf = appendVerb(w.buf, w.inv, [][]byte{[]byte("OFF")})
		return
	}
	number := protocol.AppendSeq(nil, w.view.Stats().Sequence)
	w.buf = appendVerb(w.buf, w.inv, [][]byte{[]byte("ON"), []byte(w.executor.service.Epoch()), number})
}

// clientCapa is CLIENT CAPA capability [capability ...]. Unknown capabilities are accepted, as
// in Valkey.
func clientCapa(w *response) {
	for _, capability := range w.inv.args[2:] {
		if strings.EqualFold(string(capability), "seq") {
			w.executor.wantsSeq = true
		}
	}
	w.ok()
}
