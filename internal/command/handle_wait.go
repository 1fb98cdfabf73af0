package command

import (
	"github.com/conchmq/conch/internal/keyargs"
	"github.com/conchmq/conch/protocol"
)

// wait is WAIT. There are no replicas, and none can come while it waits: the reply is 0 at once.
func wait(w *response) {
	var x keyargs.Wait
	if err := x.ParseWait(w.inv.args); err != nil {
		w.fail(err)
		return
	}
	w.integer(0)
}

// errNotOnDisk is Redis' text.
var errNotOnDisk = protocol.Errorf("WAITAOF cannot be used when numlocal is set but appendonly is disabled.")

// waitAOF is WAITAOF numlocal numreplicas timeout. It waits until all changes so far are on disk, whatever --fsync, and for no
// replicas: there are none.
func waitAOF(w *response) {
	var x keyargs.Wait
	if err := x.ParseWaitAOF(w.inv.args); err != nil {
		w.fail(err)
		return
	}
	s := &w.executor.service.streams
	onDisk := s.store != nil && w.executor.service.logStatus().Directory
	if x.Local > 0 && !onDisk {
		w.fail(errNotOnDisk)
		return
	}
	record := uint64(0)
	if onDisk {
		record = s.newest()
	}
	answer := func(w *response) {
		w.array(2)
		if onDisk && record <= s.synced.Load() {
			w.integer(1)
		} else {
			w.integer(0)
		}
		w.integer(0) // replicas
	}
	if x.Local == 0 || record <= s.synced.Load() || w.executor.inExec() || s.store.Failed() != nil {
		answer(w)
		return
	}
	s.beginRound(w.view)
	w.awaitSync(record, x.Timeout, answer)
}
