package server

import "github.com/conchmq/conch/protocol"

// The answers of a transaction are made in one instant, while everybody waits. So their bytes are bounded together, and so
// is the work that takes long without making bytes: it counts as many bytes as could be made meanwhile, about.
const (
	maxSpent            = 4 << 20
	workPerName         = 16   // looking at a name
	workPerRow          = 1024 // writing a row of a table
	workPerSubscription = 64   // adding up the account of a subscription
	globWorkPerUnit     = 4    // steps of a laborious glob
)

// errSpent answers a command with a large answer in a transaction that has had its share of them.
var errSpent = protocol.Errorf("the answers of this transaction are too large together (over %d bytes, or as much work): this command did "+
	"not run; send it by itself", maxSpent)

// answer runs the handler. Within an EXEC the answer counts, and what may be large is refused once there is too much: so
// a transaction costs no more than maxSpent and one answer.
func (x *exchange) answer() {
	if m := x.conn.wire.multi; m != nil && m.executing {
		x.answerWithin(m)
	} else {
		x.call.handler.answer(x)
	}
	x.conn.srv.stats.failed(x.call.row, x.out, x.call.dialect)
}

func (x *exchange) answerWithin(m *transaction) {
	if x.call.row.LargeReply && m.spent > maxSpent {
		x.fail(errSpent)
		return
	}
	x.call.handler.answer(x)
	m.spent += len(x.out) + x.work
}
