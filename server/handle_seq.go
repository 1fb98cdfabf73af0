package server

import (
	"strings"

	"github.com/conchmq/conch/protocol"
)

// askForNumbers has messages and answers to publishes show their numbers from here on: in lines, and in RESP3.
func (c *conn) askForNumbers() { c.executor.wantsSeq, c.outbox.wantsSeq = true, true }

// seq is SEQ [ON | OFF], in both dialects. It answers what holds.
func seq(x *response) {
	args, w := x.inv.args[1:], &x.conn.executor
	switch {
	case len(args) == 0:
	case len(args) == 1 && strings.EqualFold(string(args[0]), "ON"):
		x.conn.askForNumbers()
	case len(args) == 1 && strings.EqualFold(string(args[0]), "OFF"):
		w.wantsSeq = false
	default:
		x.buf = appendErr(x.buf, x.inv, protocol.Errorf("SEQ takes ON or OFF; type: %s", x.inv.row.Usage))
		return
	}
	if !w.wantsSeq {
		x.buf = appendVerb(x.buf, x.inv, [][]byte{[]byte("OFF")})
		return
	}
	number := protocol.AppendSeq(nil, x.view.Stats().Published)
	x.buf = appendVerb(x.buf, x.inv, [][]byte{[]byte("ON"), []byte(x.conn.srv.epoch), number})
}

// clientCapa is CLIENT CAPA capability [capability ...]. What conch does not know is accepted, as in Valkey.
func clientCapa(x *response) {
	for _, capability := range x.inv.args[2:] {
		if strings.EqualFold(string(capability), "seq") {
			x.conn.askForNumbers()
		}
	}
	x.ok()
}
