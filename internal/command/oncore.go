package command

import (
	"github.com/conchmq/conch/broker"
	"github.com/conchmq/conch/protocol"
)

// coreCall is a participant of the core that does one thing at one instant of the order. It
// subscribes to nothing.
type coreCall struct {
	broker.NopConn
	streams *streams
	run     func(broker.View)
	done    chan struct{}
}

// Reply implements [broker.Conn].
func (v *coreCall) Reply(_ *broker.Request, w broker.View) {
	v.run(w)
	v.streams.endRound()
}

// Applied implements [broker.Conn]: it ends the wait of runOnCore.
func (v *coreCall) Applied(*broker.Batch) { close(v.done) }

// runOnCore runs a function on the core's goroutine, at an instant of the order, and waits. It
// returns false if the core stopped without running it. The core itself must not call it.
func (s *Service) runOnCore(run func(broker.View)) bool {
	v := s.startOnCore(run)
	if v == nil {
		return false
	}
	select {
	case <-v.done:
		return true
	// The core may stop after Submit has succeeded.
	case <-s.core.Stopped():
		return false
	}
}

// startOnCore has the core run a function, and does not wait for that. It returns nil if the core has stopped.
func (s *Service) startOnCore(run func(broker.View)) *coreCall {
	v := &coreCall{streams: &s.streams, run: run, done: make(chan struct{})}
	if !s.core.Submit(&broker.Batch{From: broker.NewSubscriber(v), Requests: []broker.Request{{Op: broker.Reply}}}) {
		return nil
	}
	return v
}

// fileTask is the part of a command that needs a file, which the core must not touch.
//
// The connection's reader does it while it reads nothing else. The returned function then
// builds the reply, on the core's goroutine.
type fileTask struct {
	work func() (answer func(*response))
	// noReply is set if CLIENT REPLY suppresses the reply.
	noReply bool
	row     *protocol.CommandSpec
}

// deferToReader has the reader do work once this command is applied. The reader must have read
// nothing behind it: see protocol.CommandSpec.Sync.
func (w *response) deferToReader(work func() func(*response)) {
	m := w.executor.replyMode
	w.executor.fileTask = &fileTask{work, m.off || m.skip, w.inv.row}
}

// runFileTask does the reader's part.
//
// It holds fileMu until the reply, because all tasks use the same file. Otherwise an older text
// could replace a newer one, in the file or in the core. The core never takes this lock.
func (r *Reader) runFileTask() {
	task := r.fileTask
	r.fileTask = nil
	r.service.fileMu.Lock()
	defer r.service.fileMu.Unlock()
	answer := task.work()
	r.service.runOnCore(func(v broker.View) { r.executor.finishFileTask(task, answer, v) })
}

// finishFileTask replies to the command of the task.
func (e *executor) finishFileTask(task *fileTask, answer func(*response), v broker.View) {
	w := &response{executor: e, view: v, buf: e.begin()}
	answer(w)
	e.service.stats.failed(task.row, w.buf, protocol.RESP)
	if !task.noReply {
		e.push(w.buf)
	}
	e.Flush() // the core flushes only connections that it has queued frames for itself
}
