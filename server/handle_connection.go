package server

import (
	"bytes"
	"strings"

	"github.com/conchmq/conch/internal/acl"
	"github.com/conchmq/conch/protocol"
)

// redisVersion is what clients that ask are told: the Redis whose pub/sub conch follows.
const redisVersion = "7.2.4"

var errWrongPass = &protocol.Error{Code: protocol.CodeWrongPass, Text: "invalid username-password pair or user is disabled."}

func ping(x *response) {
	args := x.inv.args[1:]
	if len(args) > 1 {
		x.fail(protocol.ErrArity("ping"))
		return
	}
	// A RESP2 subscriber gets its PONG in the shape of a push, so that its client does not take it for a reply.
	if x.conn.executor.version == protocol.RESP2 && x.conn.listens(formRESP) {
		x.array(2)
		x.text("pong")
		x.bulk(bytes.Join(args, nil))
		return
	}
	if len(args) == 0 {
		x.simple("PONG")
		return
	}
	x.bulk(args[0])
}

func echo(x *response) { x.bulk(x.inv.args[1]) }

// selectDB accepts Redis' sixteen databases. Pub/sub ignores them there too.
func selectDB(x *response) {
	n, ok := protocol.ParseInt(x.inv.args[1])
	switch {
	case !ok:
		x.fail(protocol.Errorf("value is not an integer or out of range"))
	case n != int64(int32(n)):
		x.fail(protocol.Errorf("value is out of range, value must between -2147483648 and 2147483647"))
	case n < 0 || n > 15:
		x.fail(protocol.Errorf("DB index is out of range"))
	default:
		x.conn.executor.database = int(n)
		x.ok()
	}
}

// hello is HELLO [protover [AUTH user password] [SETNAME name]]. Options are checked before any takes effect.
func hello(x *response) {
	args := x.inv.args[1:]
	version := x.conn.executor.version
	if len(args) > 0 {
		number, ok := protocol.ParseInt(args[0])
		switch {
		case !ok:
			x.fail(protocol.Errorf("Protocol version is not an integer or out of range"))
			return
		case number != 2 && number != 3:
			x.fail(&protocol.Error{Code: protocol.CodeNoProto, Text: "unsupported protocol version"})
			return
		}
		version = protocol.RESP2
		if number == 3 {
			version = protocol.RESP3
		}
		args = args[1:]
	}
	if err := x.applyHello(args); err != nil {
		x.fail(err)
		return
	}
	x.conn.executor.version = version
	numbered := x.conn.executor.wantsSeq && version == protocol.RESP3
	if numbered {
		x.mapHeader(9)
	} else {
		x.mapHeader(7)
	}
	x.text("server")
	x.text("redis")
	x.text("version")
	x.text(redisVersion)
	x.text("proto")
	x.integer(int64(x.conn.executor.version.Number()))
	x.text("id")
	x.integer(x.conn.id)
	x.text("mode")
	x.text("standalone")
	x.text("role")
	x.text("master")
	x.text("modules")
	x.array(0)
	if numbered {
		x.text("epoch")
		x.text(x.conn.srv.epoch)
		x.text("number")
		x.integer(int64(x.view.Stats().Published)) //nolint:gosec // a count
	}
}

// helloOptions is what HELLO asks for besides a version.
type helloOptions struct {
	auth  int    // where the user stands among the options, the password behind it; 0 if neither is there
	name  string // what SETNAME says
	named bool
}

// parseHello reads the options. The reader calls it too, to find the password.
func parseHello(options [][]byte) (h helloOptions, err *protocol.Error) {
	for i := 0; i < len(options); {
		left := len(options) - i
		switch option := asciiLower(options[i]); {
		case option == "auth" && left >= 3:
			h.auth = i + 1
			i += 3
		case option == "setname" && left >= 2:
			if !printable(options[i+1]) {
				return h, errorName("Client names")
			}
			h.name, h.named = string(options[i+1]), true
			i += 2
		default:
			return h, protocol.Errorf("Syntax error in HELLO option '%s'", options[i])
		}
	}
	return h, nil
}

func (x *response) applyHello(options [][]byte) *protocol.Error {
	h, err := parseHello(options)
	if err != nil {
		return err
	}
	if h.auth > 0 {
		if err := x.authenticate(string(options[h.auth]), digest(options[h.auth+1])); err != nil {
			return err
		}
	}
	if x.conn.unauthSince.Load() != 0 {
		return errHelloFirst
	}
	if h.named {
		x.conn.executor.name = h.name
	}
	return nil
}

var errHelloFirst = &protocol.Error{Code: protocol.CodeNoAuth, Text: "HELLO must be called with the client already " +
	"authenticated, otherwise the HELLO <proto> AUTH <user> <pass> option can be used to authenticate the client and select " +
	"the RESP protocol version at the same time"}

// auth is AUTH [user] password. The password is a digest here: see hashSecrets.
func auth(x *response) {
	args, name := x.inv.args[1:], acl.DefaultUser
	if len(args) == 2 {
		name = string(args[0])
	}
	switch {
	case len(args) > 2:
		x.fail(protocol.Errorf("syntax error"))
	case len(args) == 1 && x.users().Find(name).NoPassword():
		x.fail(protocol.Errorf("AUTH <password> called without any password configured for the default user. " +
			"Are you sure your configuration is correct?"))
	default:
		if err := x.authenticate(name, digest(args[len(args)-1])); err != nil {
			x.fail(err)
			return
		}
		x.ok()
	}
}

// reset makes the connection as it was when it came, but for what CLIENT SETINFO said. The core has dropped all that
// it was subscribed to. A RESET that CLIENT REPLY SKIP silences stays silent, as in Redis.
func reset(x *response) {
	w := &x.conn.executor
	w.version, w.database, w.name, w.clientFlags, w.wantsSeq = protocol.RESP2, 0, "", clientFlags{}, false
	w.replyMode = replyMode{skip: w.replyMode.skip}
	x.conn.endMulti()
	x.conn.chargeSubscription(nil) // the core has dropped all names
	x.conn.resetUser()
	x.conn.outbox.policyValue.Store(int32(x.conn.srv.options.SlowConsumer))
	x.conn.srv.encoder.removeMonitor(x.conn)
	x.simple("RESET")
}

func clientID(x *response) { x.integer(x.conn.id) }

func clientSetname(x *response) {
	if !printable(x.inv.args[2]) {
		x.fail(errorName("Client names"))
		return
	}
	x.conn.executor.name = string(x.inv.args[2])
	x.ok()
}

func clientGetname(x *response) {
	if x.conn.executor.name == "" {
		x.null()
		return
	}
	x.text(x.conn.executor.name)
}

// library is what a client says it is made with.
type library struct{ name, version string }

func clientSetinfo(x *response) {
	which, value := strings.ToLower(string(x.inv.args[2])), x.inv.args[3]
	if x.conn.executor.library == nil {
		x.conn.executor.library = new(library)
	}
	lib := x.conn.executor.library
	field := map[string]*string{"lib-name": &lib.name, "lib-ver": &lib.version}[which]
	switch {
	case field == nil:
		x.fail(protocol.Errorf("Unrecognized option '%s'", x.inv.args[2]))
	case !printable(value):
		x.fail(errorName(which))
	default:
		*field = string(value)
		x.ok()
	}
}

func errorName(what string) *protocol.Error {
	return protocol.Errorf("%s cannot contain spaces, newlines or special characters.", what)
}

// maxName bounds what a connection may keep here for nothing.
const maxName = 256

// printable is Redis' rule for names: they stand between spaces in CLIENT LIST. Too long is not printable either.
func printable(name []byte) bool {
	if len(name) > maxName {
		return false
	}
	for _, c := range name {
		if c < '!' || c > '~' {
			return false
		}
	}
	return true
}
