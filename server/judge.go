package server

import "github.com/conchmq/conch/broker"

// Takes tells whether a publish, or a transaction, would run.
func (c *conn) Takes(r *broker.Request) bool {
	k := r.Call.(*call)
	if r.Op == broker.Exec || c.executing() {
		return k.err == nil
	}
	return k.err == nil && c.wire.multi == nil && c.mayRun(k)
}

// Kept are the commands of the transaction that EXEC will run.
func (c *conn) Kept(*broker.Request) []broker.Request {
	if m := c.wire.multi; m != nil && !m.spoiled {
		return m.kept
	}
	return nil
}

// Returned has the verdicts worked out that the core has missed.
func (c *conn) Returned(*broker.Batch) {}
