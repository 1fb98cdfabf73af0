package command

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"strings"
	"time"

	"github.com/rs/zerolog"

	"github.com/conchmq/conch/internal/acl"
	"github.com/conchmq/conch/internal/position"
	"github.com/conchmq/conch/internal/uptime"
	"github.com/conchmq/conch/protocol"
)

// authorize checks a command before it runs. It returns nil if the user may run it.
func (e *executor) authorize(inv *invocation) *protocol.Error {
	if e.user == nil {
		e.assignInitialUser()
	}
	switch {
	case e.unrestricted || inv.row.NoAuth:
		return nil
	case e.unauthenticated():
		return noAuth(inv)
	}
	return e.permit(e.user, inv)
}

// permit holds a command against the rules of a user.
func (e *executor) permit(u *acl.User, inv *invocation) *protocol.Error {
	r := e.checkACLOf(u, inv)
	if r == nil {
		return nil
	}
	e.recordDenial(r, inv)
	return noPerm(inv, r)
}

// authorizeOrdered is authorize for a command in the order of all nodes: by the rights that its user has at
// its place.
func (e *executor) authorizeOrdered(inv *invocation) *protocol.Error {
	o := &e.service.streams.entry.origin
	if err := e.service.checkToken(o.connector); err != nil {
		return protocol.Errorf("%s", err)
	}
	if o.isBroker {
		return nil
	}
	u := e.service.access.users.Find(o.user)
	switch {
	case u == nil:
		return noAuth(inv)
	case u.Unrestricted():
		return nil
	}
	return e.permit(u, inv)
}

// mayPublish reports whether authorize would allow each publish of a run.
func (e *executor) mayPublish(inv *invocation) bool {
	return e.unrestricted || e.user != nil && !e.unauthenticated() && e.checkACL(inv) == nil
}

// unauthenticated reports whether the client must authenticate before any other command. Any
// goroutine may call it.
func (c *Conn) unauthenticated() bool {
	return c.unauthSince.Load() != 0 && !c.service.access.defaultUserOpen.Load()
}

// checkACL holds a command against the user's rules. A rule for a topic covers it with any
// predicate.
func (e *executor) checkACL(inv *invocation) *acl.Denial { return e.checkACLOf(e.user, inv) }

func (e *executor) checkACLOf(u *acl.User, inv *invocation) *acl.Denial {
	r := &aclRules[inv.row.Index()]
	args := inv.args[min(r.firstArg, len(inv.args)):]
	if inv.predicates != nil {
		args = stripPredicates(args)
	}
	keys := inv.keys()
	keys.Topics = e.service.streams.topicsOf(inv.row, keys.Names)
	return u.Check(r.command, args, keys)
}

// authorizeQueued checks a queued command again at EXEC: rules may have changed since it was
// queued.
func (e *executor) authorizeQueued(inv *invocation) *protocol.Error {
	if e.unrestricted {
		return nil
	}
	r := e.checkACL(inv)
	if r == nil {
		return nil
	}
	e.recordDenial(r, inv)
	return &protocol.Error{Code: protocol.CodeNoPerm, Text: "ACLs rules changed between the moment the transaction was " +
		"accumulated and the EXEC call. This command is no longer allowed for the following reason: " + whyNotInExec[r.Reason]}
}

// whyNotInExec has Redis' texts for a queued command that is denied at EXEC.
var whyNotInExec = map[acl.Reason]string{
	acl.ReasonCommand: "no permission to execute the command or subcommand",
	acl.ReasonKey:     "no permission to touch the specified keys",
	acl.ReasonChannel: "no permission to access one of the channels used as arguments",
}

// noAuth is the error of a command before AUTH. RESP gets Redis' text, a line gets the command
// to type.
func noAuth(inv *invocation) *protocol.Error {
	if inv.dialect == protocol.Line {
		return &protocol.Error{Code: protocol.CodeNoAuth, Text: "authentication required; type: AUTH user password"}
	}
	return protocol.ErrNoAuth()
}

// noPerm is the error of a command that the rules deny. A line also gets the command to type.
func noPerm(inv *invocation, r *acl.Denial) *protocol.Error {
	text := r.Text()
	if inv.dialect == protocol.Line {
		text += "; to change the user, type: AUTH user password"
	}
	return &protocol.Error{Code: protocol.CodeNoPerm, Text: text}
}

// setUser makes u the user of the connection.
func (e *executor) setUser(u *acl.User) {
	e.user = u
	e.unrestricted = u.Unrestricted() && e.unauthSince.Load() == 0
}

// assignInitialUser gives a new connection its first user: the certificate's user, else the
// default user.
//
// With a certificate it runs before the first read. Else it runs at the first command, because
// the core knows nothing of the connection until then.
func (e *executor) assignInitialUser() {
	if name := e.certName; name != "" {
		if u := e.service.access.users.Find(name); u != nil && u.Enabled() {
			e.unauthSince.Store(0)
			e.setUser(u)
			return
		}
	}
	e.setUser(e.service.access.users.Find(acl.DefaultUser))
}

// requireAuth marks the connection as unauthenticated, unless the default user is open. RESET
// does not restart the auth timeout.
func (c *Conn) requireAuth() {
	if c.isBroker || c.service.access.defaultUserOpen.Load() {
		// The sweeper may read it at any moment: from here on the auth timeout is off.
		c.unauthSince.Store(0)
		return
	}
	c.unauthSince.CompareAndSwap(0, int64(uptime.Now()))
}

// resetUser restores the user that the connection had at first.
func (e *executor) resetUser() {
	e.requireAuth()
	e.token = nil
	e.assignInitialUser()
}

// brokerUser is the user that connections of the broker itself show.
const brokerUser = "(conch)"

// userName is the name that CLIENT LIST and the log show.
func (e *executor) userName() string {
	switch {
	case e.isBroker:
		return brokerUser
	case e.user == nil: // no command yet
		return acl.DefaultUser
	}
	return e.user.Name()
}

// authenticate changes the user if the password is right. A wrong password changes nothing.
//
// It evicts the connection if the new user may not hold its subscriptions.
func (w *response) authenticate(name string, password acl.Digest) *protocol.Error {
	c, a := w.executor, w.executor.service.access
	u, token, ok := a.users.Authenticate(name, password, time.Now())
	if !ok {
		c.recordDenial(&acl.Denial{Reason: acl.ReasonAuth, User: name, Object: string(w.inv.args[0])}, w.inv)
		c.logAuthFailure(name)
		return errWrongPass
	}
	c.unauthSince.Store(0)
	c.executor.token = token
	c.setUser(u)
	if !c.mayHoldSubscriptions(u) {
		c.evictAfterRequest(w.view, CloseReasonPermissionRevoked)
	}
	return nil
}

// logAuthFailure logs a wrong password. The log names existing users only: another name may be
// a password in the wrong place.
func (e *executor) logAuthFailure(name string) {
	suppressed, ok := e.service.access.authFailureLog.Allow(uptime.Now())
	if !ok {
		return
	}
	if e.service.access.users.Find(name) == nil {
		// The name may be a password.
		name = "(no such user)"
	}
	e.Log(zerolog.WarnLevel).Stringer("peer", e.Peer()).Str("user", name).Int("not_logged_before", suppressed).
		Msg("authentication failed")
}

// maxLogged bounds the bytes of one client-supplied text in ACL LOG, and of a library's name in
// the log.
const maxLogged = 256

// recordDenial counts a refusal and adds it to ACL LOG.
func (e *executor) recordDenial(r *acl.Denial, inv *invocation) {
	a := e.service.access
	switch r.Reason {
	case acl.ReasonAuth:
		a.denied.auth++
	case acl.ReasonCommand:
		a.denied.command++
	case acl.ReasonKey:
		a.denied.key++
	case acl.ReasonChannel:
		a.denied.channel++
	}
	context := "toplevel"
	if e.txn != nil {
		context = "multi"
	}
	a.log.Add(acl.Entry{
		Reason: r.Reason, Context: context, Object: truncate(r.Object), Username: truncate(r.User),
	}, time.Now(), func() string { return string(e.appendInfo(nil, inv)) })
}

// truncate copies the start of s, so that a long text can be collected.
func truncate(s string) string { return strings.Clone(s[:min(len(s), maxLogged)]) }

// randomHex returns unpredictable hex digits.
func randomHex(digits int) string {
	b := make([]byte, (digits+1)/2)
	_, _ = rand.Read(b) // it never fails: without randomness the process ends
	return hex.EncodeToString(b)[:digits]
}

// newEpoch returns an unpredictable epoch.
func newEpoch() string {
	b := make([]byte, 8)
	_, _ = rand.Read(b)
	return position.NewEpoch(binary.NativeEndian.Uint64(b))
}
