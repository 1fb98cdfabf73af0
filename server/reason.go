package server

// Reason is why a connection ended. The list is closed: every connection ends for exactly one of these, is counted
// under it, and logged with it at debug.
type Reason int32

// The reasons.
const (
	ReasonNone      Reason = iota // it has not ended
	ReasonEOF                     // the peer closed its side
	ReasonBroken                  // reading or writing failed: reset, timed out, gone
	ReasonQuit                    // the peer said QUIT
	ReasonProtocol                // bytes that cannot be read on
	ReasonHostile                 // an HTTP request from a browser
	ReasonSlowHard                // its outbox went over the hard limit
	ReasonSlowSoft                // its outbox was over the soft limit for too long
	ReasonStalled                 // it took not one byte for as long as that
	ReasonMemory                  // all together held too much, and it held most
	ReasonShutdown                // the server stops
	ReasonKilled                  // somebody said CLIENT KILL
	ReasonHandshake               // no TLS handshake, or a failed one, on a TLS port
	ReasonUnknown                 // it did not say who it is in time
	ReasonRights                  // its user is gone, or may no longer listen to what it holds
	ReasonToken                   // the token that it came in with expired or was revoked
	ReasonPanic                   // a defect of ours, in this connection alone
	ReasonProtected               // refused: protected mode
	ReasonFull                    // refused: too many connections
	reasons
)

var reasonNames = [reasons]string{
	ReasonNone: "none", ReasonEOF: "eof", ReasonBroken: "broken", ReasonQuit: "quit", ReasonProtocol: "protocol",
	ReasonHostile: "hostile", ReasonSlowHard: "slow_hard", ReasonSlowSoft: "slow_soft", ReasonStalled: "stalled",
	ReasonMemory: "memory", ReasonShutdown: "shutdown", ReasonKilled: "killed", ReasonHandshake: "handshake", ReasonUnknown: "unauthenticated",
	ReasonRights: "rights", ReasonToken: "token", ReasonPanic: "panic", ReasonProtected: "protected", ReasonFull: "full",
}

// String is the reason as logs and INFO show it.
func (r Reason) String() string { return reasonNames[r] }

// heardOut tells whether what the peer sent before such an end is still carried out: it ended the connection itself, and
// some send what they have to say and go.
func (r Reason) heardOut() bool {
	switch r {
	case ReasonNone, ReasonEOF, ReasonBroken, ReasonQuit, ReasonProtocol, ReasonHostile:
		return true
	}
	return false
}
