package command

import (
	"github.com/conchmq/conch/broker"
	"github.com/conchmq/conch/protocol"
)

// coreCall enters the core as a connection does, to do one thing at one instant of the order. It holds nothing there.
type coreCall struct {
	broker.NopConn
	run  func(broker.View)
	done chan struct{}
}

// Reply runs the coreCall, at its instant of the order.
func (v *coreCall) Reply(_ *broker.Request, w broker.View) { v.run(w) }

// Applied ends the visit.
func (v *coreCall) Applied(*broker.Batch) { close(v.done) }

// runOnCore runs something on the core's goroutine. It returns true when that is done, and false when the core has stopped
// without doing it.
func (s *Service) runOnCore(run func(broker.View)) bool {
	v := &coreCall{run: run, done: make(chan struct{})}
	if !s.core.Submit(&broker.Batch{From: broker.NewSubscriber(v), Requests: []broker.Request{{Op: broker.Reply}}}) {
		return false
	}
	select {
	case <-v.done:
		return true
	case <-s.core.Stopped():
		return false
	}
}

// fileTask is work that a command needs and that the core cannot do, because it takes a file. The connection's reader does
// it while the connection is parked: nothing else of it is read meanwhile. answer then runs on the core's goroutine.
type fileTask struct {
	work    func() (answer func(*response))
	noReply bool // CLIENT REPLY wants no answer
	row     *protocol.CommandSpec
}

// deferToReader has the reader do work as soon as this command is applied. The command must be one that nothing is read behind:
// see protocol.Row.Fence.
func (w *response) deferToReader(work func() func(*response)) {
	m := w.executor.replyMode
	w.executor.fileTask = &fileTask{work, m.off || m.skip, w.inv.row}
}

// runFileTask is the reader's part. All fileTasks are about the one file, so one is run after the other, each until its
// answer: else an older text could replace a newer one, in the file or in the core. The core never takes this lock.
func (r *Reader) runFileTask() {
	task := r.fileTask
	r.fileTask = nil
	r.service.fileMu.Lock()
	defer r.service.fileMu.Unlock()
	answer := task.work()
	r.service.runOnCore(func(v broker.View) { r.executor.finishFileTask(task, answer, v) })
}

// finishFileTask answers the command that the task was for.
func (e *executor) finishFileTask(task *fileTask, answer func(*response), v broker.View) {
	w := &response{executor: e, view: v, buf: e.begin()}
	answer(w)
	e.service.stats.failed(task.row, w.buf, protocol.RESP)
	if !task.noReply {
		e.push(w.buf)
	}
	e.Flush() // the core flushes only those that it has queued something for itself
}
