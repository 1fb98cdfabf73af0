package command

import (
	"bytes"
	"strings"

	"github.com/conchmq/conch/internal/acl"
	"github.com/conchmq/conch/protocol"
)

// redisVersion is the version in HELLO and INFO: that of the Redis which conch's pub/sub
// follows.
const redisVersion = "7.2.4"

// errWrongPass is Redis' text.
var errWrongPass = &protocol.Error{Code: protocol.CodeWrongPass, Text: "invalid username-password pair or user is disabled."}

// ping is PING [message].
func ping(w *response) {
	args := w.inv.args[1:]
	if len(args) > 1 {
		w.fail(protocol.ErrArity("ping"))
		return
	}
	if w.inv.dialect == protocol.Object {
		w.pong()
		return
	}
	// A RESP2 subscriber gets its PONG in the shape of a push, so that its client does not take it for a reply.
	if w.executor.version == protocol.RESP2 && w.executor.hasSubscriptions(formRESP) {
		w.array(2)
		w.text("pong")
		w.bulk(bytes.Join(args, nil))
		return
	}
	if len(args) == 0 {
		w.simple("PONG")
		return
	}
	w.bulk(args[0])
}

func echo(w *response) { w.bulk(w.inv.args[1]) }

// selectDB accepts Redis' sixteen databases. Pub/sub ignores them in Redis too.
func selectDB(w *response) {
	n, ok := protocol.ParseInt(w.inv.args[1])
	switch {
	case !ok:
		w.fail(protocol.Errorf("value is not an integer or out of range"))
	case n != int64(int32(n)):
		w.fail(protocol.Errorf("value is out of range, value must between -2147483648 and 2147483647"))
	case n < 0 || n > 15:
		w.fail(protocol.Errorf("DB index is out of range"))
	default:
		w.executor.database = int8(n)
		w.ok()
	}
}

// hello is HELLO [protover [AUTH user password] [SETNAME name]]. All options are checked before
// the first takes effect.
func hello(w *response) {
	args := w.inv.args[1:]
	// HELLO without a version keeps the current one.
	version := w.executor.version
	if len(args) > 0 {
		number, ok := protocol.ParseInt(args[0])
		switch {
		case !ok:
			w.fail(protocol.Errorf("Protocol version is not an integer or out of range"))
			return
		case number != 2 && number != 3:
			w.fail(&protocol.Error{Code: protocol.CodeNoProto, Text: "unsupported protocol version"})
			return
		}
		version = protocol.RESP2
		if number == 3 {
			version = protocol.RESP3
		}
		args = args[1:]
	}
	if err := w.applyHello(args); err != nil {
		w.fail(err)
		return
	}
	w.executor.version = version
	numbered := w.executor.wantsSeq && version == protocol.RESP3
	earlier, durable, length := w.executor.service.options.Earlier, w.streams().Durable() != nil, 7
	if numbered {
		if length += 4; len(earlier) > 0 {
			length++
		}
		if durable {
			length++
		}
	}
	w.mapHeader(length)
	w.text("server")
	w.text("redis")
	w.text("version")
	w.text(redisVersion)
	w.text("proto")
	w.integer(int64(w.executor.version.Number()))
	w.text("id")
	w.integer(w.executor.id)
	w.text("mode")
	w.text("standalone")
	w.text("role")
	w.text("master")
	w.text("modules")
	w.array(0)
	if numbered {
		w.text("recent") // so that a client knows, before it subscribes, whether it can resume
		w.integer(int64(w.executor.service.options.Recent))
		if durable { // some topics go on without recent messages, too
			w.text("durable")
			w.integer(1)
		}
		w.text("replaying") // until it is 0, messages older than the sequence below may follow this reply
		w.integer(int64(w.executor.numReplaying()))
		if len(earlier) > 0 {
			w.text("earlier") // so that it can resume over restarts, too
			w.array(len(earlier))
			for _, epoch := range earlier {
				w.text(epoch)
			}
		}
		w.text("epoch")
		w.text(w.executor.service.Epoch())
		w.text("sequence")
		w.integer(int64(w.view.Stats().Sequence)) //nolint:gosec // a count
	}
}

// helloOptions are the options of HELLO behind the version.
type helloOptions struct {
	// auth is the index of the user among the options, with the password behind it; 0 without
	// AUTH.
	auth int
	// name is that of SETNAME; named reports whether it was given.
	name  string
	named bool
}

// parseHello parses the options. The reader calls it too: it must find the password.
func parseHello(options [][]byte) (h helloOptions, err *protocol.Error) {
	for i := 0; i < len(options); {
		left := len(options) - i
		switch option := acl.Lower(options[i]); {
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

// applyHello applies the options. The password is a digest here.
func (w *response) applyHello(options [][]byte) *protocol.Error {
	h, err := parseHello(options)
	if err != nil {
		return err
	}
	if h.auth > 0 {
		if err := w.authenticate(string(options[h.auth]), digest(options[h.auth+1])); err != nil {
			return err
		}
	}
	// As in Redis, HELLO needs AUTH before or within it.
	if w.executor.unauthSince.Load() != 0 {
		return errHelloFirst
	}
	if h.named {
		w.executor.name = h.name
	}
	return nil
}

// errHelloFirst is Redis' text.
var errHelloFirst = &protocol.Error{Code: protocol.CodeNoAuth, Text: "HELLO must be called with the client already " +
	"authenticated, otherwise the HELLO <proto> AUTH <user> <pass> option can be used to authenticate the client and select " +
	"the RESP protocol version at the same time"}

// auth is AUTH [user] password. The password is a digest here: see hashSecrets.
func auth(w *response) {
	args, name := w.inv.args[1:], acl.DefaultUser
	if len(args) == 2 {
		name = string(args[0])
	}
	switch {
	case len(args) > 2:
		w.fail(protocol.Errorf("syntax error"))
	case len(args) == 1 && w.users().Find(name).NoPassword():
		w.fail(protocol.Errorf("AUTH <password> called without any password configured for the default user. " +
			"Are you sure your configuration is correct?"))
	default:
		if err := w.authenticate(name, digest(args[len(args)-1])); err != nil {
			w.fail(err)
			return
		}
		w.ok()
	}
}

// reset restores the state of a new connection, except for CLIENT SETINFO. The core has dropped
// all subscriptions before.
//
// A RESET behind CLIENT REPLY SKIP gets no reply, as in Redis.
func reset(w *response) {
	e := w.executor
	e.version, e.database, e.name, e.clientFlags, e.wantsSeq = protocol.RESP2, 0, "", clientFlags{}, false
	if e.isPresented() {
		e.version, e.wantsSeq = protocol.RESP3, true
	}
	e.replyMode = replyMode{skip: e.replyMode.skip}
	w.executor.endMulti()
	w.executor.chargeSubscription(nil) // the core has dropped all names
	w.executor.resetUser()
	w.executor.outbox.SetPolicy(w.executor.service.options.SlowConsumer)
	w.executor.removeMonitor()
	w.simple("RESET")
}

func clientID(w *response) { w.integer(w.executor.id) }

// clientSetname is CLIENT SETNAME name.
func clientSetname(w *response) {
	if !printable(w.inv.args[2]) {
		w.fail(errorName("Client names"))
		return
	}
	w.executor.name = string(w.inv.args[2])
	w.ok()
}

// clientGetname is CLIENT GETNAME; null without a name.
func clientGetname(w *response) {
	if w.executor.name == "" {
		w.null()
		return
	}
	w.text(w.executor.name)
}

// library is the client library of CLIENT SETINFO.
type library struct{ name, version string }

// clientSetinfo is CLIENT SETINFO lib-name | lib-ver value.
func clientSetinfo(w *response) {
	which, value := strings.ToLower(string(w.inv.args[2])), w.inv.args[3]
	if w.executor.library == nil {
		w.executor.library = new(library)
	}
	lib := w.executor.library
	field := map[string]*string{"lib-name": &lib.name, "lib-ver": &lib.version}[which]
	switch {
	case field == nil:
		w.fail(protocol.Errorf("Unrecognized option '%s'", w.inv.args[2]))
	case !printable(value):
		w.fail(errorName(which))
	default:
		*field = string(value)
		w.ok()
	}
}

// errorName is Redis' text.
func errorName(what string) *protocol.Error {
	return protocol.Errorf("%s cannot contain spaces, newlines or special characters.", what)
}

// maxName bounds the text that a connection may store in each name.
const maxName = 256

// printable is Redis' rule for names, which stand between spaces in CLIENT LIST. A name over
// maxName is refused as well.
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
