package command

import (
	"fmt"

	"github.com/conchmq/conch/protocol"
)

// sendCloseNotice queues the close notice. A slow connection loses its outbox for it; any other
// connection gets its pending messages first.
func (e *executor) sendCloseNotice(reason CloseReason) {
	switch reason {
	case CloseReasonKilled:
		if e.speaksLines && !e.isPresented() { // a person; programs get none, as from Redis
			e.pushFrame(e.closeNotice(reason))
		}
	case CloseReasonAuthTimeout, CloseReasonPermissionRevoked, CloseReasonToken, CloseReasonSession:
		e.pushFrame(e.closeNotice(reason))
	default:
		if e.outbox.Evict(e.transport, e.closeNotice(reason)) {
			e.transport.StartWriter()
		}
	}
}

// sendNextNotice queues the close notice of a server that stops, or of a node that was removed, behind all that waits. It names the server to go on
// with; without one, a server that stops has no notice.
func (e *executor) sendNextNotice(reason CloseReason) {
	if e.unauthenticated() {
		return
	}
	var fields []string
	if next := e.service.options.Next; next != nil && !e.isPresented() {
		if addr := next(); addr != "" {
			fields = []string{"next=" + addr}
		}
	}
	if len(fields) > 0 || reason == CloseReasonRemoved {
		e.pushFrame(e.closeNotice(reason, fields...))
	}
}

// closeNoticeText is the reason in the close notice, for people.
func (o *Options) closeNoticeText(reason CloseReason) string {
	switch reason {
	case CloseReasonShutdown:
		return "closing connection: the server stops"
	case CloseReasonAuthTimeout:
		return fmt.Sprintf("closing connection: no AUTH within %v (--auth-timeout)", o.AuthTimeout)
	case CloseReasonPermissionRevoked:
		return "closing connection: user deleted or permission for a subscribed topic revoked"
	case CloseReasonToken:
		return "closing connection: token expired or revoked"
	case CloseReasonKilled:
		return "closing connection: an operator has ended it"
	case CloseReasonSession:
		return "closing connection: the session has ended"
	case CloseReasonTakenOver:
		return "closing connection: another one has subscribed from the same group and goes on from here (FROM GROUP)"
	case CloseReasonRemoved:
		return "closing connection: this node was removed from the cluster"
	case CloseReasonLog:
		return "closing connection: the log has failed; replies that depend on it are lost"
	case CloseReasonMaxMemory:
		return fmt.Sprintf("closing connection: all connections hold over %d bytes (--max-memory) and this one holds most; "+
			"pending messages are lost", o.MaxMemory)
	case CloseReasonSlowSoft:
		return fmt.Sprintf("closing connection: too slow, over %d bytes pending for %v (--slow-soft, --slow-time); they are lost",
			o.SlowSoft, o.SlowTime)
	}
	return fmt.Sprintf("closing connection: too slow, over %d bytes pending (--slow-hard); they are lost", o.SlowHard)
}

// closeNotice encodes the close notice in the client's protocol, nil if that has no frame for
// it. Fields are key=value, for programs; clients pass over those that they do not know.
//
// RESP2 has none: its clients take an unsolicited frame for a reply. An unauthenticated client
// waits for no message, so it gets an error in any protocol.
func (e *executor) closeNotice(reason CloseReason, fields ...string) []byte {
	text := e.service.options.closeNoticeText(reason)
	if e.isPresented() {
		return e.presentClose(reason, text)
	}
	if !e.speaksLines && reason == CloseReasonAuthTimeout {
		return protocol.AppendError(nil, protocol.Errorf("%s", text))
	}
	if !e.speaksLines && e.version == protocol.RESP2 {
		return nil
	}
	if !e.speaksLines {
		// A push of an unknown kind is safe in RESP3: clients ignore it.
		b := e.version.AppendHeader(nil, protocol.Push, 3+len(fields))
		b = protocol.AppendBulkString(protocol.AppendBulkString(b, "closing"), reason.String())
		b = protocol.AppendBulkString(b, text)
		for _, f := range fields {
			b = protocol.AppendBulkString(b, f)
		}
		return b
	}
	for _, f := range fields {
		text += "; " + f
	}
	return protocol.AppendLineEnd(protocol.AppendLineError(nil, protocol.Errorf("%s", text)), e.crlf)
}
