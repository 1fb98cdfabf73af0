package command

import (
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/conchmq/conch/internal/acl"
	"github.com/conchmq/conch/protocol"
)

// users are the ACL users, which belong to the core's goroutine.
func (w *response) users() *acl.Users { return w.executor.service.access.users }

// texts appends an array of strings.
func (w *response) texts(list []string) {
	w.array(len(list))
	for _, s := range list {
		w.text(s)
	}
}

// failACL replies with an error of package acl, whose texts have no code.
func (w *response) failACL(err error) { w.fail(protocol.Errorf("%s", err)) }

// aclWhoami and the other acl functions are the subcommands of ACL. Shapes and texts are those
// of Redis 7.2. ACL TOKEN is in handle_token.go.
func aclWhoami(w *response) { w.text(w.executor.userName()) }

func aclUsers(w *response) { w.texts(w.users().Names()) }

func aclList(w *response) {
	names := w.users().Names()
	w.array(len(names))
	for _, name := range names {
		w.text(w.users().Find(name).String())
	}
}

func aclCat(w *response) {
	switch args := w.inv.args[2:]; len(args) {
	case 0:
		w.texts(aclRegistry.Categories())
	case 1:
		names, err := aclRegistry.Cat(string(args[0]))
		if err != nil {
			w.failACL(err)
			return
		}
		w.texts(names)
	default:
		w.wrongSubcommandArity()
	}
}

func aclGetuser(w *response) {
	u := w.users().Find(string(w.inv.args[2]))
	if u == nil {
		w.null()
		return
	}
	d := u.Describe()
	w.mapHeader(6)
	w.text("flags")
	w.setHeader(len(d.Flags))
	for _, flag := range d.Flags {
		w.text(flag)
	}
	w.text("passwords")
	w.texts(d.Passwords)
	w.rights(d.Rights)
	w.text("selectors")
	w.array(len(d.Selectors))
	for _, s := range d.Selectors {
		w.mapHeader(3)
		w.rights(s)
	}
}

// rights appends the three fields of a user or of a selector.
func (w *response) rights(r acl.Rights) {
	for _, field := range []struct{ name, value string }{{"commands", r.Commands}, {"keys", r.Keys}, {"channels", r.Channels}} {
		w.text(field.name)
		w.text(field.value)
	}
}

// aclSetuser gets rules with digests in the place of passwords: see hashSecrets.
func aclSetuser(w *response) {
	var rules []string
	for _, rule := range w.inv.args[3:] {
		rules = append(rules, string(rule))
	}
	name := string(w.inv.args[2])
	if err := w.users().Set(name, rules...); err != nil {
		w.failACL(err)
		return
	}
	w.executor.service.recheckUsers(w.view, name)
	w.ok()
}

// aclDeluser evicts the connections of the deleted users.
func aclDeluser(w *response) {
	var names []string
	for _, name := range w.inv.args[2:] {
		names = append(names, string(name))
	}
	deleted, err := w.users().Delete(names...)
	if err != nil {
		w.failACL(err)
		return
	}
	w.executor.service.recheckUsers(w.view)
	w.integer(int64(deleted))
}

// aclDryrun checks a command without running it. Predicates are stripped, as in checkACL.
func aclDryrun(w *response) {
	u := w.users().Find(string(w.inv.args[2]))
	if u == nil {
		w.fail(protocol.Errorf("User '%.128s' not found", w.inv.args[2]))
		return
	}
	cmd := protocol.Command{Args: w.inv.args[3:], Spec: protocol.Lookup(w.inv.args[3])}
	row, err := cmd.Resolve()
	switch {
	case row == nil:
		w.fail(protocol.Errorf("Command '%.128s' not found", w.inv.args[3]))
		return
	case err != nil:
		w.fail(err)
		return
	}
	r, args := aclRules[row.Index()], cmd.Args
	args = args[r.firstArg:]
	if row.TakesPredicate {
		args = stripPredicates(args)
	}
	keys := keysOf(row, cmd.Args)
	keys.Topics = w.executor.service.streams.topicsOf(row, keys.Names)
	if refusal := u.Check(r.command, args, keys); refusal != nil {
		w.text(refusal.Detail())
		return
	}
	w.ok()
}

func aclGenpass(w *response) {
	bits := int64(256)
	switch args := w.inv.args[2:]; {
	case len(args) > 1:
		w.wrongSubcommandArity()
		return
	case len(args) == 1:
		var ok bool
		if bits, ok = protocol.ParseInt(args[0]); !ok {
			w.fail(errNotInteger)
			return
		}
	}
	digits, err := acl.GenPassLen(int(max(math.MinInt32, min(bits, math.MaxInt32))))
	if err != nil {
		w.failACL(err)
		return
	}
	w.text(randomHex(digits))
}

// errNotInteger is Redis' text.
var errNotInteger = protocol.Errorf("value is not an integer or out of range")

// aclLog is ACL LOG [count | RESET].
func aclLog(w *response) {
	most := int64(10)
	log := &w.executor.service.access.log
	switch args := w.inv.args[2:]; {
	case len(args) > 1:
		w.wrongSubcommandArity()
		return
	case len(args) == 1 && strings.EqualFold(string(args[0]), "RESET"):
		log.Reset()
		w.ok()
		return
	case len(args) == 1:
		var ok bool
		if most, ok = protocol.ParseInt(args[0]); !ok {
			w.fail(errNotInteger)
			return
		}
	}
	entries := log.Entries(int(max(0, min(most, math.MaxInt32))))
	w.array(len(entries))
	now := time.Now()
	for i := range entries {
		w.logEntry(&entries[i], now)
	}
}

func (w *response) logEntry(e *acl.Entry, now time.Time) {
	w.mapHeader(10)
	w.text("count")
	w.integer(int64(e.Count))
	for _, field := range []struct{ name, value string }{
		{"reason", string(e.Reason)}, {"context", e.Context}, {"object", e.Object}, {"username", e.Username},
	} {
		w.text(field.name)
		w.text(field.value)
	}
	w.text("age-seconds")
	w.double(float64(now.Sub(e.Updated).Milliseconds()) / 1000)
	w.text("client-info")
	w.text(e.Client)
	w.text("entry-id")
	w.integer(int64(e.ID)) //nolint:gosec // a count
	w.text("timestamp-created")
	w.integer(e.Created.UnixMilli())
	w.text("timestamp-last-updated")
	w.integer(e.Updated.UnixMilli())
}

// double appends a floating-point number: a string in RESP2.
func (w *response) double(f float64) {
	s := strconv.FormatFloat(f, 'f', -1, 64)
	if w.executor.version == protocol.RESP2 {
		w.text(s)
		return
	}
	w.buf = append(w.buf, ","+s+"\r\n"...)
}
