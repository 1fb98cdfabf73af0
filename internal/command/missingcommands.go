package command

import (
	"strings"

	"github.com/rs/zerolog"

	"github.com/conchmq/conch/internal/uptime"
	"github.com/conchmq/conch/protocol"
)

// maxMissing bounds the remembered pairs of command and library: clients choose the name of
// their library.
const maxMissing = 256

// missingCommands are the Redis commands that conch lacks and clients have sent. Each is logged
// once: an application may swallow the error. It belongs to the core's goroutine.
type missingCommands struct {
	logLimiter LogLimiter
	seen       map[missingCommand]bool
}

type missingCommand struct{ command, library string }

// logMissingCommand logs a command that Redis has and conch lacks. Only RESP counts: people
// type lines.
func (e *executor) logMissingCommand(inv *invocation) {
	if inv.row != nil || inv.dialect != protocol.RESP || e.unauthenticated() {
		return
	}
	name, library := missingName(inv.args), ""
	if name == "" {
		return
	}
	if l := e.library; l != nil {
		library = truncate(l.name)
	}
	m := &e.service.missing
	pair := missingCommand{name, library}
	// When the memory for pairs is full, nothing new is logged.
	if m.seen[pair] || len(m.seen) >= maxMissing {
		return
	}
	suppressed, ok := m.logLimiter.Allow(uptime.Now())
	if !ok { // not remembered: a later use logs it
		return
	}
	if m.seen == nil {
		m.seen = make(map[missingCommand]bool)
	}
	m.seen[pair] = true
	e.Log(zerolog.WarnLevel).Str("command", name).Str("lib", library).Stringer("peer", e.Peer()).
		Int("not_logged_before", suppressed).Msg("a client uses a command that conch does not have")
}

// missingName is the name of a command that Redis has, in upper case and with its subcommand.
// It is empty for any other.
func missingName(args [][]byte) string {
	const longest = 64 // no name comes near it
	if len(args) == 0 {
		return ""
	}
	name := args[0]
	if parent := protocol.Lookup(name); parent != nil && parent.Container && len(args) > 1 {
		name = append(append(append([]byte(nil), name...), '|'), args[1][:min(len(args[1]), longest)]...)
	}
	if len(name) > longest || aclRegistry.Command(string(name)) == nil {
		return ""
	}
	return strings.ReplaceAll(strings.ToUpper(string(name)), "|", " ")
}
