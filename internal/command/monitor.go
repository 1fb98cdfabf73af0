package command

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/conchmq/conch/internal/acl"
	"github.com/conchmq/conch/internal/outbox"
	"github.com/conchmq/conch/protocol"
)

// feedMonitors shows a command to the connections that sent MONITOR. It runs for each command,
// so it must cost nothing without monitors.
func (e *executor) feedMonitors(inv *invocation) {
	if len(e.service.monitors) == 0 || inv.err != nil || inv.row.Name == "MONITOR" {
		return
	}
	now := time.Now()
	remote, _ := e.transport.Addresses()
	// One line serves all monitors.
	line := fmt.Appendf(e.begin(), "+%d.%06d [%d %s]", now.Unix(), now.Nanosecond()/1000, e.database, remote.monitor())
	for _, arg := range redactedArgs(inv.row, inv.args) {
		line = appendQuoted(append(line, ' '), arg)
	}
	shown := e.service.encoder.replies.commit(append(line, "\r\n"...))
	for _, m := range e.service.monitors {
		if m.overLimit() {
			m.End(CloseReasonSlowHard) // the reader then leaves the core: a monitor delays no message of other connections
			continue
		}
		m.messageBytes += len(shown.Bytes)
		m.queued().Add(shown, outbox.FrameInfo{Kind: outbox.KindOther})
		m.Flush() // the core flushes only connections that it has queued frames for itself
	}
}

// removeMonitor also serves connections that are no monitors.
func (e *executor) removeMonitor() {
	e.service.monitors = slices.DeleteFunc(e.service.monitors, func(m *executor) bool { return m == e })
}

func (e *executor) isMonitor() bool { return slices.Contains(e.service.monitors, e) }

// mayMonitor is stricter than the right to the command. A disabled user keeps its connections,
// but none that shows all commands.
func mayMonitor(u *acl.User) bool {
	return u.Enabled() && u.Check(aclRegistry.Command("monitor"), nil, acl.Keys{}) == nil
}

// monitor is MONITOR.
func monitor(w *response) {
	e := w.executor
	if !mayMonitor(e.user) {
		w.fail(noPerm(w.inv, &acl.Denial{Reason: acl.ReasonCommand, User: e.userName(), Object: "monitor"}))
		return
	}
	if e.isPresented() { // its lines would stand between frames
		w.fail(protocol.Errorf("MONITOR is not possible on a WebSocket"))
		return
	}
	if !e.isMonitor() {
		e.service.monitors = append(e.service.monitors, e)
	}
	w.ok()
}

// appendQuoted quotes an argument as Redis' sdscatrepr does.
func appendQuoted(b, arg []byte) []byte {
	b = append(b, '"')
	for _, c := range arg {
		switch {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c == '\n':
			b = append(b, `\n`...)
		case c == '\r':
			b = append(b, `\r`...)
		case c == '\t':
			b = append(b, `\t`...)
		case c == '\a':
			b = append(b, `\a`...)
		case c == '\b':
			b = append(b, `\b`...)
		case c >= ' ' && c <= '~':
			b = append(b, c)
		default:
			b = append(b, `\x`...)
			if c < 16 {
				b = append(b, '0')
			}
			b = strconv.AppendInt(b, int64(c), 16)
		}
	}
	return append(b, '"')
}
