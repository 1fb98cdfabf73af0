package server

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/conchmq/conch/internal/acl"
	"github.com/conchmq/conch/internal/outbox"
)

// feedMonitors shows a command to those who said MONITOR. It runs on the core's goroutine, for each command, so it must cost
// nothing while nobody watches.
func (e *encoder) feedMonitors(from *conn, inv *invocation) {
	if len(e.monitors) == 0 || inv.err != nil || inv.row.Name == "MONITOR" {
		return
	}
	now := time.Now()
	line := fmt.Appendf(e.begin(512), "+%d.%06d [%d %s]", now.Unix(), now.Nanosecond()/1000,
		from.executor.database, monitorAddress(from.sock))
	for _, arg := range redactedArgs(inv.row, inv.args) {
		line = appendQuoted(append(line, ' '), arg)
	}
	shown := e.replies.commit(append(line, "\r\n"...))
	for _, c := range e.monitors {
		if c.overLimit() {
			c.end(CloseReasonSlowHard) // the reader sees it and leaves the core: a monitor holds no message of others up
			continue
		}
		c.executor.messageBytes += len(shown.Bytes)
		c.queue(shown, outbox.FrameInfo{Kind: outbox.KindOther})
		c.Flush() // the core flushes only those whom it spoke to itself
	}
}

func (e *encoder) removeMonitor(c *conn) {
	e.monitors = slices.DeleteFunc(e.monitors, func(m *conn) bool { return m == c })
}

func (c *conn) isMonitor() bool { return slices.Contains(c.srv.encoder.monitors, c) }

// mayMonitor is more than the right to the command: a user who is switched off keeps connections, but none that sees
// what everybody does.
func mayMonitor(u *acl.User) bool {
	return u.Enabled() && u.Check(aclRegistry.Command("monitor"), nil) == nil
}

func monitor(w *response) {
	c := w.conn
	if !mayMonitor(c.executor.user) {
		w.fail(noPerm(w.inv, &acl.Denial{Reason: acl.ReasonCommand, User: c.userName(), Object: "monitor"}))
		return
	}
	if !c.isMonitor() {
		c.srv.encoder.monitors = append(c.srv.encoder.monitors, c)
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
