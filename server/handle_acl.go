package server

import (
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/conchmq/conch/broker"
	"github.com/conchmq/conch/internal/acl"
	"github.com/conchmq/conch/protocol"
)

// The subcommands of ACL, but for TOKEN, which is in handle_token.go. Shapes and texts are those of Redis 7.2.

func (x *response) users() *acl.Users { return x.conn.srv.access.users }

func (x *response) texts(list []string) {
	x.array(len(list))
	for _, s := range list {
		x.text(s)
	}
}

// failWith answers an error of package acl, whose texts have no code.
func (x *response) failWith(err error) { x.fail(protocol.Errorf("%s", err)) }

func aclWhoami(x *response) { x.text(x.conn.userName()) }

func aclUsers(x *response) { x.texts(x.users().Names()) }

func aclList(x *response) {
	names := x.users().Names()
	x.array(len(names))
	for _, name := range names {
		x.text(x.users().Find(name).String())
	}
}

func aclCat(x *response) {
	switch args := x.inv.args[2:]; len(args) {
	case 0:
		x.texts(aclRegistry.Categories())
	case 1:
		names, err := aclRegistry.Cat(string(args[0]))
		if err != nil {
			x.failWith(err)
			return
		}
		x.texts(names)
	default:
		x.wrongSubcommandArity()
	}
}

func aclGetuser(x *response) {
	u := x.users().Find(string(x.inv.args[2]))
	if u == nil {
		x.null()
		return
	}
	d := u.Describe()
	x.mapHeader(6)
	x.text("flags")
	x.setHeader(len(d.Flags))
	for _, flag := range d.Flags {
		x.text(flag)
	}
	x.text("passwords")
	x.texts(d.Passwords)
	x.rights(d.Rights)
	x.text("selectors")
	x.array(len(d.Selectors))
	for _, s := range d.Selectors {
		x.mapHeader(3)
		x.rights(s)
	}
}

func (x *response) rights(r acl.Rights) {
	for _, field := range []struct{ name, value string }{{"commands", r.Commands}, {"keys", r.Keys}, {"channels", r.Channels}} {
		x.text(field.name)
		x.text(field.value)
	}
}

// aclSetuser gets rules with digests where there were passwords: see hashSecrets.
func aclSetuser(x *response) {
	var rules []string
	for _, rule := range x.inv.args[3:] {
		rules = append(rules, string(rule))
	}
	name := string(x.inv.args[2])
	if err := x.users().Set(name, rules...); err != nil {
		x.failWith(err)
		return
	}
	x.conn.srv.recheckUsers(x.view, name)
	x.ok()
}

func aclDeluser(x *response) {
	var names []string
	for _, name := range x.inv.args[2:] {
		names = append(names, string(name))
	}
	deleted, err := x.users().Delete(names...)
	if err != nil {
		x.failWith(err)
		return
	}
	x.conn.srv.recheckUsers(x.view)
	x.integer(int64(deleted))
}

func aclDryrun(x *response) {
	u := x.users().Find(string(x.inv.args[2]))
	if u == nil {
		x.fail(protocol.Errorf("User '%.128s' not found", x.inv.args[2]))
		return
	}
	cmd := protocol.Command{Args: x.inv.args[3:], Spec: protocol.Lookup(x.inv.args[3])}
	row, err := cmd.Resolve()
	switch {
	case row == nil:
		x.fail(protocol.Errorf("Command '%.128s' not found", x.inv.args[3]))
		return
	case err != nil:
		x.fail(err)
		return
	}
	r, args := aclRules[row.Index()], cmd.Args
	args = args[r.firstArg:]
	if row.TakesPredicate {
		args = stripPredicates(args)
	}
	if refusal := u.Check(r.command, args); refusal != nil {
		x.text(refusal.Detail())
		return
	}
	x.ok()
}

func aclGenpass(x *response) {
	bits := int64(256)
	switch args := x.inv.args[2:]; {
	case len(args) > 1:
		x.wrongSubcommandArity()
		return
	case len(args) == 1:
		var ok bool
		if bits, ok = protocol.ParseInt(args[0]); !ok {
			x.fail(errNotInteger)
			return
		}
	}
	digits, err := acl.GenPassLen(int(max(math.MinInt32, min(bits, math.MaxInt32))))
	if err != nil {
		x.failWith(err)
		return
	}
	x.text(randomHex(digits))
}

var errNotInteger = protocol.Errorf("value is not an integer or out of range")

// aclLog is ACL LOG [count | RESET].
func aclLog(x *response) {
	most := int64(10)
	log := &x.conn.srv.access.log
	switch args := x.inv.args[2:]; {
	case len(args) > 1:
		x.wrongSubcommandArity()
		return
	case len(args) == 1 && strings.EqualFold(string(args[0]), "RESET"):
		log.Reset()
		x.ok()
		return
	case len(args) == 1:
		var ok bool
		if most, ok = protocol.ParseInt(args[0]); !ok {
			x.fail(errNotInteger)
			return
		}
	}
	entries := log.Entries(int(max(0, min(most, math.MaxInt32))))
	x.array(len(entries))
	now := time.Now()
	for i := range entries {
		x.logEntry(&entries[i], now)
	}
}

func (x *response) logEntry(e *acl.Entry, now time.Time) {
	x.mapHeader(10)
	x.text("count")
	x.integer(int64(e.Count))
	for _, field := range []struct{ name, value string }{
		{"reason", string(e.Reason)}, {"context", e.Context}, {"object", e.Object}, {"username", e.Username},
	} {
		x.text(field.name)
		x.text(field.value)
	}
	x.text("age-seconds")
	x.double(float64(now.Sub(e.Updated).Milliseconds()) / 1000)
	x.text("client-info")
	x.text(e.Client)
	x.text("entry-id")
	x.integer(int64(e.ID)) //nolint:gosec // a count
	x.text("timestamp-created")
	x.integer(e.Created.UnixMilli())
	x.text("timestamp-last-updated")
	x.integer(e.Updated.UnixMilli())
}

// double is a floating-point number: a string in RESP2.
func (x *response) double(f float64) {
	s := strconv.FormatFloat(f, 'f', -1, 64)
	if x.conn.executor.version == protocol.RESP2 {
		x.text(s)
		return
	}
	x.buf = append(x.buf, ","+s+"\r\n"...)
}

var errNoFile = protocol.Errorf("This Redis instance is not configured to use an ACL file. You may want to specify users " +
	"via the ACL SETUSER command and then issue a CONFIG REWRITE (assuming you have a Redis configuration file set) in " +
	"order to store users in the Redis configuration.")

// parkWithFile has the reader work on the ACL file, if there is one.
func (x *response) parkWithFile(work func(file string) (answer func(*response))) {
	file := x.conn.srv.access.file
	if file == "" {
		x.fail(errNoFile)
		return
	}
	x.deferToReader(func() func(*response) { return work(file) })
}

// aclLoad reads the file on the reader's goroutine. The new rules hold from the instant of the answer.
func aclLoad(x *response) {
	s := x.conn.srv
	x.parkWithFile(func(file string) func(*response) {
		text, err := readRules(file, &s.options.Log)
		return func(x *response) {
			if err != nil {
				x.fail(protocol.Errorf("the ACL file %s cannot be read: %s; the rules are as they were", file, unwrapPathError(err)))
				return
			}
			if err := s.access.users.Load(file, text); err != nil {
				x.fail(protocol.Errorf("%s", escapeText(err.Error())))
				return
			}
			s.recheckUsers(x.view)
			x.ok()
		}
	})
}

// aclSave writes on the reader's goroutine. It takes what the rules are when no other file work is under way, which may be newer
// than the command: what is in the file afterwards is never older than what another SAVE has put there.
func aclSave(x *response) {
	s := x.conn.srv
	x.parkWithFile(func(file string) func(*response) {
		var text []byte
		if !s.runOnCore(func(broker.View) { text = s.access.users.Text() }) {
			return func(*response) {} // which nobody will run: the core has stopped
		}
		err := writeRules(file, text)
		return func(x *response) {
			if err != nil {
				s.options.Log.Error().Err(err).Str("aclfile", file).Msg("the ACL file cannot be written")
				x.fail(protocol.Errorf("There was an error trying to save the ACLs. Please check the server logs for more information"))
				return
			}
			x.ok()
		}
	})
}
