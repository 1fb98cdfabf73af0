package command

// CloseReason is why a connection ended. The list is closed: every connection ends for exactly
// one reason. INFO counts it as ended_..., and the log shows it at debug.
type CloseReason int32

// The reasons.
const (
	CloseReasonNone              CloseReason = iota // it has not ended
	CloseReasonEOF                                  // the client closed its side
	CloseReasonIOError                              // a read or a write failed: reset, timed out, gone
	CloseReasonQuit                                 // the client sent QUIT
	CloseReasonProtocol                             // the bytes cannot be parsed any further
	CloseReasonHTTP                                 // an HTTP request from a browser
	CloseReasonSlowHard                             // its outbox exceeded slow-hard
	CloseReasonSlowSoft                             // its outbox exceeded slow-soft for slow-time
	CloseReasonWriteStalled                         // the client took no byte for slow-time
	CloseReasonMaxMemory                            // all connections exceeded max-memory, and this was the largest
	CloseReasonShutdown                             // the server stops
	CloseReasonKilled                               // CLIENT KILL
	CloseReasonHandshake                            // the TLS handshake failed, or none came
	CloseReasonAuthTimeout                          // no AUTH within auth-timeout
	CloseReasonPermissionRevoked                    // its user was deleted, or may not hold a subscribed topic any more
	CloseReasonToken                                // its token expired or was revoked
	CloseReasonSession                              // the session of the page that it belongs to has ended
	CloseReasonTakenOver                            // another connection subscribed from the same group, or another node runs the connector
	CloseReasonRemoved                              // this node was removed from its cluster
	CloseReasonLog                                  // the log failed, and with it what the connection waits for
	CloseReasonPanic                                // a defect of conch, in this connection alone
	CloseReasonProtected                            // rejected: protected mode
	CloseReasonMaxConnections                       // rejected: too many connections
	closeReasons                                    // how many there are
)

// closeReasonNames are in INFO (ended_...), in the log and in docs/operations.md.
var closeReasonNames = [closeReasons]string{
	CloseReasonNone: "none", CloseReasonEOF: "eof", CloseReasonIOError: "broken", CloseReasonQuit: "quit", CloseReasonProtocol: "protocol",
	CloseReasonHTTP: "hostile", CloseReasonSlowHard: "slow_hard", CloseReasonSlowSoft: "slow_soft", CloseReasonWriteStalled: "stalled",
	CloseReasonMaxMemory: "memory", CloseReasonShutdown: "shutdown", CloseReasonKilled: "killed", CloseReasonHandshake: "handshake", CloseReasonAuthTimeout: "unauthenticated",
	CloseReasonPermissionRevoked: "rights", CloseReasonToken: "token", CloseReasonSession: "session", CloseReasonLog: "log_failed", CloseReasonTakenOver: "taken_over", CloseReasonRemoved: "removed", CloseReasonPanic: "panic", CloseReasonProtected: "protected", CloseReasonMaxConnections: "full",
}

// String is the name of the reason in the log and in INFO.
func (r CloseReason) String() string { return closeReasonNames[r] }

// appliesPending reports whether commands sent before the end are still applied.
//
// They are if the client ended the connection itself: some clients send all their commands and
// close at once.
func (r CloseReason) appliesPending() bool {
	switch r {
	case CloseReasonNone, CloseReasonEOF, CloseReasonIOError, CloseReasonQuit, CloseReasonProtocol, CloseReasonHTTP:
		return true
	}
	return false
}
