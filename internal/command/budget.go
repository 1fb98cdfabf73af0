package command

import "github.com/conchmq/conch/protocol"

// The answers of a transaction are made in one instant, while everybody waits. So their bytes are bounded together, and so
// is the work that takes long without making bytes: it counts as many bytes as could be made meanwhile, about.
const (
	execBudget          = 4 << 20
	workPerName         = 16   // looking at a name
	workPerRow          = 1024 // writing a row of a table
	workPerSubscription = 64   // adding up the account of a subscription
	globWorkPerUnit     = 4    // steps of a costly glob
)

// errOverBudget answers a command with a large answer in a transaction that has had its share of them.
var errOverBudget = protocol.Errorf("the answers of this transaction are too large together (over %d bytes, or as much work): this command did "+
	"not run; send it by itself", execBudget)

// run runs the handler. Within an EXEC the answer counts, and what may be large is refused once there is too much: so
// a transaction costs no more than maxSpent and one answer.
func (w *response) run() {
	if m := w.executor.txn; m != nil && m.inExec {
		w.runInExec(m)
	} else {
		w.inv.handler.reply(w)
	}
	w.executor.service.stats.failed(w.inv.row, w.buf, w.inv.dialect)
}

func (w *response) runInExec(m *transaction) {
	if w.inv.row.LargeReply && m.spent > execBudget {
		w.fail(errOverBudget)
		return
	}
	w.inv.handler.reply(w)
	m.spent += len(w.buf) + w.work
}
