package command

import (
	"strconv"
	"strings"
	"time"

	"github.com/conchmq/conch/protocol"
)

// wrongSubcommandArity is Redis' error where the command table allows any number of arguments
// and the subcommand does not.
func (w *response) wrongSubcommandArity() {
	parent, _, _ := strings.Cut(w.inv.row.Name, " ")
	w.fail(protocol.ErrSubcommandSyntax(parent, w.inv.args[1]))
}

// shutdown stops the server as SIGTERM does. Redis' options about saving are accepted without
// effect.
func shutdown(w *response) {
	for _, arg := range w.inv.args[1:] {
		switch strings.ToUpper(string(arg)) {
		case "NOSAVE", "SAVE", "NOW", "FORCE":
		case "ABORT":
			w.fail(protocol.Errorf("No shutdown in progress."))
			return
		default:
			w.fail(protocol.Errorf("syntax error"))
			return
		}
	}
	if w.executor.service.options.Stop == nil {
		w.fail(protocol.Errorf("Errors trying to SHUTDOWN. Check logs."))
		return
	}
	w.executor.service.options.Stop() // no reply: the connection closes with the others, as in Redis
}

// serverTime is TIME: seconds and microseconds.
func serverTime(w *response) {
	t := time.Now()
	w.array(2)
	w.text(strconv.FormatInt(t.Unix(), 10))
	w.text(strconv.Itoa(t.Nanosecond() / 1000))
}

// role is ROLE: a master without replicas.
func role(w *response) {
	w.array(3)
	w.text("master")
	w.integer(0)
	w.array(0)
}
