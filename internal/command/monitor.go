package command

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/conchmq/conch/broker"
	"github.com/conchmq/conch/internal/acl"
	"github.com/conchmq/conch/internal/outbox"
	"github.com/conchmq/conch/protocol"
)

// monitoring is a connection that sent MONITOR, and what it wants to see.
type monitoring struct {
	*executor
	topic string // a glob; empty: all commands
	user  string // empty: of all users
}

// maxMonitorGlob bounds the glob of a monitor: it is held against each command of all connections.
const maxMonitorGlob = 256

// shows reports whether a command of e is one of those that the monitor wants to see.
func (m *monitoring) shows(e *executor, r *broker.Request, inv *invocation) bool {
	if m.user != "" && m.user != e.userName() {
		return false
	}
	matches := func(name []byte) bool { return broker.Match(m.topic, name) }
	return m.topic == "" || slices.ContainsFunc(r.Names, matches) || slices.ContainsFunc(inv.keys().Names, matches)
}

// feedMonitors shows a command to the connections that sent MONITOR. It runs for each command,
// so it must cost nothing without monitors.
func (e *executor) feedMonitors(r *broker.Request, inv *invocation) {
	if len(e.service.monitors) == 0 || inv.err != nil || inv.row.Name == "MONITOR" {
		return
	}
	var shown [2]outbox.Fragment // one frame serves all monitors on sockets, one all that on WebSockets
	for i := range e.service.monitors {
		m := &e.service.monitors[i]
		if !m.shows(e, r, inv) {
			continue
		}
		if m.overLimit() {
			m.End(CloseReasonSlowHard) // the reader then leaves the core: a monitor delays no message of other connections
			continue
		}
		frame := &shown[0]
		if m.isPresented() {
			frame = &shown[1]
		}
		if frame.Bytes == nil {
			*frame = e.service.encoder.replies.commit(e.monitorFrame(inv, m.isPresented()))
		}
		m.messageBytes += len(frame.Bytes)
		m.queued().Add(*frame, outbox.FrameInfo{Kind: outbox.KindOther})
		m.Flush() // the core flushes only connections that it has queued frames for itself
	}
}

// appendMonitorLine appends a command as monitors see it, without the end of a line.
func (e *executor) appendMonitorLine(b []byte, inv *invocation) []byte {
	now := time.Now()
	remote, _ := e.transport.Addresses()
	line := fmt.Appendf(b, "+%d.%06d [%d %s]", now.Unix(), now.Nanosecond()/1000, e.database, remote.monitor())
	for _, arg := range redactedArgs(inv.row, inv.args) {
		line = appendQuoted(append(line, ' '), arg)
	}
	return line
}

// monitorFrame is a command as a simple string, or as a message of a WebSocket that carries lines.
func (e *executor) monitorFrame(inv *invocation, isPresented bool) []byte {
	if !isPresented {
		return append(e.appendMonitorLine(e.begin(), inv), "\r\n"...)
	}
	line := e.appendMonitorLine(nil, inv)
	return protocol.EndWebSocketText(protocol.TextEscaped.Append(protocol.BeginWebSocketText(nil), line), 0)
}

// removeMonitor also serves connections that are no monitors.
func (e *executor) removeMonitor() {
	e.service.monitors = slices.DeleteFunc(e.service.monitors, func(m monitoring) bool { return m.executor == e })
}

func (e *executor) isMonitor() bool {
	return e.monitorIndex() >= 0
}

// monitorIndex is the place among the monitors, -1 for a connection that is none.
func (e *executor) monitorIndex() int {
	return slices.IndexFunc(e.service.monitors, func(m monitoring) bool { return m.executor == e })
}

// mayMonitor is stricter than the right to the command. A disabled user keeps its connections,
// but none that shows all commands.
func mayMonitor(u *acl.User) bool {
	return u.Enabled() && u.Check(aclRegistry.Command("monitor"), nil, acl.Keys{}) == nil
}

// monitor is MONITOR [TOPIC glob] [USER name]. Another one replaces what the connection sees.
func monitor(w *response) {
	e := w.executor
	if !mayMonitor(e.user) {
		w.fail(noPerm(w.inv, &acl.Denial{Reason: acl.ReasonCommand, User: e.userName(), Object: "monitor"}))
		return
	}
	if e.isPresented() && e.presentation != outbox.FormatTexts {
		w.fail(protocol.Errorf("MONITOR has lines: on a WebSocket it needs the subprotocol conch.lines"))
		return
	}
	m := monitoring{executor: e}
	if err := m.parse(w.inv.args[1:]); err != nil {
		w.fail(err)
		return
	}
	if i := e.monitorIndex(); i >= 0 {
		e.service.monitors[i] = m
	} else {
		e.service.monitors = append(e.service.monitors, m)
	}
	w.ok()
}

// parse takes the options.
func (m *monitoring) parse(options [][]byte) *protocol.Error {
	for ; len(options) >= 2; options = options[2:] {
		value := string(options[1])
		switch acl.Lower(options[0]) {
		case "topic":
			if value == "" || len(value) > maxMonitorGlob {
				return protocol.Errorf("TOPIC takes a glob of 1 to %d bytes", maxMonitorGlob)
			}
			m.topic = value
		case "user":
			if value == "" {
				return protocol.Errorf("USER takes the name of a user")
			}
			m.user = value
		default:
			return errMonitorOptions
		}
	}
	if len(options) > 0 {
		return errMonitorOptions
	}
	return nil
}

var errMonitorOptions = protocol.Errorf("syntax error; type: MONITOR [TOPIC glob] [USER name]")

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
