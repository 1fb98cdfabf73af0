package command

import (
	"slices"

	"github.com/conchmq/conch/internal/acl"
	"github.com/conchmq/conch/protocol"
)

// redacted replaces secrets in all output. It is Redis' word.
var redacted = []byte("(redacted)")

// hashSecrets replaces each password of a command by its digest: as bytes, or as a rule with a
// digest in ACL SETUSER.
//
// It runs on the reader, before any other goroutine sees the command. MONITOR and the log show
// neither password nor digest: see redactedArgs.
func (r *Reader) hashSecrets(row *protocol.CommandSpec, args [][]byte) {
	switch row.FullName() {
	case "auth":
		r.hashArg(args, len(args)-1)
	case "hello":
		options := args[min(2, len(args)):]
		if h, err := parseHello(options); err == nil && h.auth > 0 {
			r.hashArg(options, h.auth+1)
		}
	case "config|set":
		for i := 2; i+1 < len(args); i += 2 {
			if isRequirepass(args[i]) && len(args[i+1]) > 0 {
				r.hashArg(args, i+1)
			}
		}
	case "acl|setuser":
		for i, rule := range args[3:] {
			if len(rule) > 0 && (rule[0] == '>' || rule[0] == '<') {
				args[3+i] = r.hashRule(rule)
			}
		}
	}
}

// hashArg replaces a password, and clears its bytes in the read buffer.
func (r *Reader) hashArg(args [][]byte, i int) {
	if i < len(args) {
		digest := r.service.access.hash(args[i])
		clear(args[i])
		args[i] = digest[:]
	}
}

// hashRule turns >password into #digest, and <password into !digest.
func (r *Reader) hashRule(rule []byte) []byte {
	sign := map[byte]string{'>': "#", '<': "!"}[rule[0]]
	digest := r.service.access.hash(rule[1:])
	clear(rule)
	return []byte(sign + digest.String())
}

// digest reads what hashArg has stored. For any other argument it returns a digest that no
// password has.
func digest(arg []byte) (d acl.Digest) {
	if len(arg) == len(d) {
		d = acl.Digest(arg)
	}
	return d
}

func isRequirepass(name []byte) bool { return acl.Lower(name) == "requirepass" }

// redactedArgs is a command as MONITOR and the log show it. When in doubt it redacts too much.
func redactedArgs(row *protocol.CommandSpec, args [][]byte) [][]byte {
	if row == nil { // an unknown command: any argument may be a mistyped password
		args = slices.Clone(args)
		redact(args, 1, len(args))
		return args
	}
	if !row.HasSecrets {
		return args
	}
	args = slices.Clone(args)
	switch row.FullName() {
	case "auth":
		redact(args, 1, len(args))
	case "hello":
		// A wrong HELLO may contain a password as well.
		if i := slices.IndexFunc(args[1:], func(arg []byte) bool { return acl.Lower(arg) == "auth" }); i >= 0 {
			redact(args, i+2, len(args)) // even if an argument is missing before or after it
		}
	case "config|set":
		for i := 2; i < len(args); i += 2 {
			if name := acl.Lower(args[i]); name != "loglevel" && name != "log-level" { // even if the name is mistyped
				redact(args, i+1, i+2)
			}
		}
	default:
		redact(args, 3, len(args))
	}
	return args
}

func redact(args [][]byte, from, to int) {
	for i := from; i < min(to, len(args)); i++ {
		args[i] = redacted
	}
}
