package command

import "github.com/conchmq/conch/protocol"

const (
	// execBudget bounds the replies of one EXEC, in bytes. The whole EXEC runs in one instant,
	// and every other connection waits for it.
	//
	// Slow work that makes few bytes counts too: as about as many bytes as could be made in
	// that time.
	execBudget          = 4 << 20
	workPerName         = 16   // to look at a name
	workPerRow          = 1024 // to write a row of a table
	workPerSubscription = 64   // to add up the account of a subscription
	globWorkPerUnit     = 4    // steps of a costly glob
)

// errOverBudget is the reply to a command with a large reply in an EXEC that has used its
// budget.
var errOverBudget = protocol.Errorf("replies of this transaction exceed %d bytes, or as much work: this command did not run; "+
	"send it outside MULTI", execBudget)

// run runs the handler. Within EXEC the reply counts against execBudget, and commands with
// large replies are refused above it. So an EXEC costs at most execBudget and one reply.
func (w *response) run() {
	if use := w.inv.handler.keys; use != usesNone {
		if err := w.executor.service.streams.useKeys(w, use); err != nil {
			w.fail(err)
			w.refused = true
			w.executor.service.stats.failed(w.inv.row, w.buf, w.inv.dialect)
			return
		}
	}
	if m := w.executor.txn; m != nil && m.inExec {
		w.runInExec(m)
	} else {
		w.inv.handler.reply(w)
	}
	w.executor.service.stats.failed(w.inv.row, w.buf, w.inv.dialect)
}

// runInExec checks the budget before a command with a large reply, and charges it afterwards.
func (w *response) runInExec(m *transaction) {
	if w.inv.row.LargeReply && m.spent > execBudget && !w.inv.ordered { // other nodes run it, too
		w.fail(errOverBudget)
		return
	}
	w.inv.handler.reply(w)
	m.spent += len(w.buf) + w.work
}
