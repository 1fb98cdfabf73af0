package server

import (
	"strings"

	"github.com/conchmq/conch/protocol"
)

// askForNumbers has messages and answers to publishes show their numbers from here on: in lines, and in RESP3.
func (c *conn) askForNumbers() { c.wire.wantsSeq, c.outbox.wantsSeq = true, true }

// seq is SEQ [ON | OFF], in both dialects. It answers what holds.
func seq(x *exchange) {
	args, w := x.call.args[1:], &x.conn.wire
	switch {
	case len(args) == 0:
	case len(args) == 1 && strings.EqualFold(string(args[0]), "ON"):
		x.conn.askForNumbers()
	case len(args) == 1 && strings.EqualFold(string(args[0]), "OFF"):
		w.wantsSeq = false
	default:
		x.out = appendErr(x.out, x.call, protocol.Errorf("SEQ takes ON or OFF; type: %s", x.call.row.Usage))
		return
	}
	if !w.wantsSeq {
		x.out = appendVerb(x.out, x.call, [][]byte{[]byte("OFF")})
		return
	}
	number := protocol.AppendSeq(nil, x.view.Stats().Published)
	x.out = appendVerb(x.out, x.call, [][]byte{[]byte("ON"), []byte(x.conn.srv.epoch), number})
}

// clientCapa is CLIENT CAPA capability [capability ...]. What conch does not know is accepted, as in Valkey.
func clientCapa(x *exchange) {
	for _, capability := range x.call.args[2:] {
		if strings.EqualFold(string(capability), "seq") {
			x.conn.askForNumbers()
		}
	}
	x.ok()
}
