package command

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/conchmq/conch/internal/uptime"
	"github.com/conchmq/conch/protocol"
)

// commandStats are the command counters of INFO and the error replies by code. CONFIG RESETSTAT
// resets them.
//
// They belong to the core's goroutine: counting takes no atomics. The clock is read twice for a
// batch and never for a message.
type commandStats struct {
	// rows are indexed like protocol.Commands.
	rows   []rowStats
	errors map[protocol.Code]int64

	// from is the executor whose batch is being timed, nil between batches.
	from *executor
	// startedAt is the uptime at the batch's first command.
	startedAt time.Duration
	// pendingRows are the indexes of rows with pending commands; pending counts those commands.
	pendingRows []int
	pending     int

	// base is subtracted from the counters of [Service.Counts].
	base baseline
}

// rowStats are the counters of one command, as in Redis.
type rowStats struct {
	calls, rejected, failed int64
	// time is on the core.
	time time.Duration
	// pending counts the calls of the current batch, whose time is not known yet.
	pending int
}

// baseline holds the server's counters at the last CONFIG RESETSTAT. The counters themselves
// only grow, because the account of messages and the close reasons must add up.
type baseline struct{ accepted, commands, bytesIn, bytesOut, full, slow int64 }

func newCommandStats() commandStats {
	return commandStats{rows: make([]rowStats, len(protocol.Commands)), errors: make(map[protocol.Code]int64)}
}

// begin starts the clock at the first command of a batch.
func (s *commandStats) begin(from *executor) {
	if s.from == from {
		return
	}
	s.end(s.from)
	s.from, s.startedAt = from, uptime.Now()
}

// end stops the clock and shares the time evenly among the commands since begin. The time of a
// single command is not measured.
func (s *commandStats) end(from *executor) {
	if s.from != from || from == nil {
		return
	}
	s.from = nil
	if s.pending == 0 {
		return
	}
	each := (uptime.Now() - s.startedAt) / time.Duration(s.pending)
	for _, place := range s.pendingRows {
		r := &s.rows[place]
		r.time += each * time.Duration(r.pending)
		r.pending = 0
	}
	s.pendingRows, s.pending = s.pendingRows[:0], 0
}

// called counts a command that runs, or a run of publishes.
func (s *commandStats) called(row *protocol.CommandSpec, commands int) {
	r := &s.rows[row.Index()]
	if r.pending == 0 {
		s.pendingRows = append(s.pendingRows, row.Index())
	}
	r.calls += int64(commands)
	r.pending += commands
	s.pending += commands
}

// rejected counts a command that was refused before it ran; row is nil for an unknown command.
func (s *commandStats) rejected(row *protocol.CommandSpec, err *protocol.Error) {
	s.errors[err.Code]++
	if row != nil {
		s.rows[row.Index()].rejected++
	}
}

// failed counts a command that ran and replied with an error.
func (s *commandStats) failed(row *protocol.CommandSpec, answer []byte, dialect protocol.Dialect) {
	switch {
	case len(answer) == 0:
		return
	case answer[0] == '-':
		answer = answer[1:]
	case dialect != protocol.Line || answer[0] == '#' || bytes.HasPrefix(answer, []byte("OK")):
		return
	}
	// Errors start with their code, in RESP behind a minus, in lines without one.
	code, _, _ := bytes.Cut(answer, []byte{' '})
	s.errors[protocol.Code(code)]++
	s.rows[row.Index()].failed++
}

// reset is CONFIG RESETSTAT. That command is the first one counted afterwards.
func (s *commandStats) reset(row *protocol.CommandSpec, now baseline) {
	clear(s.rows)
	clear(s.errors)
	s.pendingRows, s.pending, s.base = s.pendingRows[:0], 0, now
	s.called(row, 1)
}

// errorReplies is the number of error replies with any code.
func (s *commandStats) errorReplies() (all int64) {
	for _, n := range s.errors {
		all += n
	}
	return all
}

func infoCommandstats(w *response) []string {
	var lines []string
	for place, r := range w.executor.service.stats.rows {
		if r.calls+r.rejected+r.failed == 0 {
			continue
		}
		usec, per := r.time.Microseconds(), 0.0
		if r.calls > 0 {
			per = float64(usec) / float64(r.calls)
		}
		lines = append(lines, fmt.Sprintf("cmdstat_%s:calls=%d,usec=%d,usec_per_call=%.2f,rejected_calls=%d,failed_calls=%d",
			protocol.Commands[place].FullName(), r.calls, usec, per, r.rejected, r.failed))
	}
	return lines
}

func infoErrorstats(w *response) []string {
	errors := w.executor.service.stats.errors
	var lines []string
	for _, code := range slices.Sorted(maps.Keys(errors)) {
		lines = append(lines, fmt.Sprintf("errorstat_%s:count=%d", code, errors[code]))
	}
	return lines
}

// base is the current value of the counters that CONFIG RESETSTAT resets.
func (c *counts) base() baseline {
	return baseline{
		accepted: c.Accepted.Load(), commands: c.commands.Load(), bytesIn: c.bytesIn.Load(), bytesOut: c.bytesOut.Load(),
		full: c.Closes[CloseReasonMaxConnections].Load(), slow: c.Closes[CloseReasonSlowHard].Load() + c.Closes[CloseReasonSlowSoft].Load(),
	}
}

// since is what was counted after then.
func (b baseline) since(then baseline) baseline {
	return baseline{
		b.accepted - then.accepted, b.commands - then.commands, b.bytesIn - then.bytesIn, b.bytesOut - then.bytesOut,
		b.full - then.full, b.slow - then.slow,
	}
}
