package command

// CloseReason is why a connection ended. The list is closed: every connection ends for exactly one of these, is counted
// under it, and logged with it at debug.
type CloseReason int32

// The reasons.
const (
	CloseReasonNone              CloseReason = iota // it has not ended
	CloseReasonEOF                                  // the peer closed its side
	CloseReasonIOError                              // reading or writing failed: reset, timed out, gone
	CloseReasonQuit                                 // the peer said QUIT
	CloseReasonProtocol                             // bytes that cannot be read on
	CloseReasonHTTP                                 // an HTTP request from a browser
	CloseReasonSlowHard                             // its outbox went over the hard limit
	CloseReasonSlowSoft                             // its outbox was over the soft limit for too long
	CloseReasonWriteStalled                         // it took not one byte for as long as that
	CloseReasonMaxMemory                            // all together held too much, and it held most
	CloseReasonShutdown                             // the server stops
	CloseReasonKilled                               // somebody said CLIENT KILL
	CloseReasonHandshake                            // no TLS handshake, or a failed one, on a TLS port
	CloseReasonAuthTimeout                          // it did not say who it is in time
	CloseReasonPermissionRevoked                    // its user is gone, or may no longer listen to what it holds
	CloseReasonToken                                // the token that it came in with expired or was revoked
	CloseReasonPanic                                // a defect of ours, in this connection alone
	CloseReasonProtected                            // refused: protected mode
	CloseReasonMaxConnections                       // refused: too many connections
	closeReasons
)

var closeReasonNames = [closeReasons]string{
	CloseReasonNone: "none", CloseReasonEOF: "eof", CloseReasonIOError: "broken", CloseReasonQuit: "quit", CloseReasonProtocol: "protocol",
	CloseReasonHTTP: "hostile", CloseReasonSlowHard: "slow_hard", CloseReasonSlowSoft: "slow_soft", CloseReasonWriteStalled: "stalled",
	CloseReasonMaxMemory: "memory", CloseReasonShutdown: "shutdown", CloseReasonKilled: "killed", CloseReasonHandshake: "handshake", CloseReasonAuthTimeout: "unauthenticated",
	CloseReasonPermissionRevoked: "rights", CloseReasonToken: "token", CloseReasonPanic: "panic", CloseReasonProtected: "protected", CloseReasonMaxConnections: "full",
}

// String is the reason as logs and INFO show it.
func (r CloseReason) String() string { return closeReasonNames[r] }

// appliesPending tells whether what the peer sent before such an end is still carried out: it ended the connection itself, and
// some send what they have to say and go.
func (r CloseReason) appliesPending() bool {
	switch r {
	case CloseReasonNone, CloseReasonEOF, CloseReasonIOError, CloseReasonQuit, CloseReasonProtocol, CloseReasonHTTP:
		return true
	}
	return false
}
