package command

import (
	"strings"

	"github.com/conchmq/conch/protocol"
)

// clientUnblock is CLIENT UNBLOCK client-id [TIMEOUT | ERROR].
func clientUnblock(w *response) {
	args := w.inv.args
	failing := len(args) == 4 && strings.EqualFold(string(args[3]), "ERROR")
	if len(args) > 4 || len(args) == 4 && !failing && !strings.EqualFold(string(args[3]), "TIMEOUT") {
		w.fail(protocol.Errorf("CLIENT UNBLOCK reason should be TIMEOUT or ERROR"))
		return
	}
	id, ok := protocol.ParseInt(args[2])
	if !ok {
		w.fail(protocol.Errorf("value is not an integer or out of range"))
		return
	}
	var blocked *blockedClient
	if e := w.executor.service.client(id); e != nil {
		blocked = e.blockedClient()
	}
	if blocked == nil {
		w.integer(0)
		return
	}
	answer := blocked.expired
	if failing {
		answer = func(w *response) { w.fail(errUnblocked) }
	}
	if blocked.proposed { // all nodes make the read: what it finds must not get lost
		blocked.unblocked = answer
	} else {
		w.executor.service.streams.blocked.giveUp(w.view, blocked, answer)
	}
	w.integer(1)
}

// errUnblocked is Redis' text.
var errUnblocked = &protocol.Error{Code: protocol.CodeUnblocked, Text: "client unblocked via CLIENT UNBLOCK"}
