package command

import (
	"strconv"
	"strings"
	"time"

	"github.com/conchmq/conch/protocol"
)

// wrongSubcommandArity is Redis' answer where the table allows any number of arguments and the subcommand does not.
func (w *response) wrongSubcommandArity() {
	parent, _, _ := strings.Cut(w.inv.row.Name, " ")
	w.fail(protocol.ErrSubcommandSyntax(parent, w.inv.args[1]))
}

// shutdown stops the server as SIGTERM does. What Redis' options say about saving has no object here.
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

func serverTime(w *response) {
	t := time.Now()
	w.array(2)
	w.text(strconv.FormatInt(t.Unix(), 10))
	w.text(strconv.Itoa(t.Nanosecond() / 1000))
}

func role(w *response) {
	w.array(3)
	w.text("master")
	w.integer(0)
	w.array(0)
}
